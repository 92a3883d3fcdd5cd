//! Whether mail lasts for a week, on virtual time, while a tenth of all nodes is lost every hour.

use std::collections::BTreeMap;
use std::time::Instant;

use bytchat_core::persist::{Query, Table};
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{DAY_MS, HOLDERS, HOUR_MS, MINUTE_MS};
use bytchat_proto::point::Point;
use bytchat_proto::wire::{Request, Response};
use bytchat_tests::sim::{Faults, History, Person, Stranger, World, letter};

use crate::network::{SEED, percent, told};
use crate::report::{Row, number};

/// Machines among which mail waits.
const MACHINES: usize = 60;
/// Of so many machines one is lost each hour.
const LOST_OF: usize = 10;
/// So long mail waits: an hour less than it lives.
const HOURS: u64 = 7 * 24 - 1;
/// Letters that wait at points of their own, each for somebody else.
const LETTERS: u64 = 2_000;
/// People who write to one person each, and how much.
const PAIRS: usize = 5;
const MESSAGES: usize = 40;

/// A network in which a part of the machines drops what it takes.
struct Week {
    world: World,
    /// One machine in so many, if any is.
    dropper_of: Option<usize>,
    spared: Vec<usize>,
    lost: usize,
    /// The fewest honest copies that any letter had at an hour.
    fewest: usize,
}

/// A week in which the sender is gone from the first minutes on.
pub(crate) fn of_loss() -> Vec<Row> {
    told(week(None))
}

/// A week in which a fifth of the nodes drop what they take.
pub(crate) fn of_drops() -> Vec<Row> {
    told(week(Some(5)))
}

fn week(dropper_of: Option<usize>) -> Vec<Row> {
    let world = World::grown(SEED, MACHINES, Faults::default());
    let (spared, fewest) = ((0..2).collect(), MACHINES);
    let mut week = Week { world, dropper_of, spared, lost: 0, fewest };
    if let Some(each) = dropper_of {
        (2..MACHINES).filter(|host| host % each == 0).for_each(|host| week.world.drop_mail(host));
    }
    let pairs = week.people();
    let letters = week.deposit();
    let mut history = History::new();
    for (from, to) in &pairs {
        (0..MESSAGES).for_each(|_| {
            history.send(&mut week.world, from, to);
        });
    }
    week.world.run(5 * MINUTE_MS);
    // Holders that drop mail are found out by the sender; without one, nobody sends it again.
    let gone = |week: &mut Week| pairs.iter().for_each(|(from, _)| week.world.crash(from.host));
    if dropper_of.is_none() {
        gone(&mut week);
    }
    let began = Instant::now();
    for hour in 1..=HOURS {
        week.hour(&letters);
        if hour % 24 == 0 || hour == 1 {
            let (lost, fewest) = (week.lost, week.fewest);
            let spread = week.spread(&letters);
            let elapsed = began.elapsed();
            eprintln!(
                "hour {hour}: {lost} lost, {fewest} copies at least, {spread:?}, {elapsed:?}"
            );
        }
    }
    if dropper_of.is_some() {
        gone(&mut week);
    }
    week.rows(&letters, &pairs)
}

impl Week {
    /// Pairs of people on machines of their own, which are not lost; who is written to is away.
    fn people(&mut self) -> Vec<(Person, Person)> {
        let mut person = || {
            let host = self.world.add(None, &[0, 1]);
            self.world.run(MINUTE_MS / 6);
            self.spared.push(host);
            self.world.person(host)
        };
        let pairs: Vec<(Person, Person)> = (0..PAIRS).map(|_| (person(), person())).collect();
        self.world.run(2 * MINUTE_MS);
        pairs.iter().for_each(|(_, to)| self.world.crash(to.host));
        self.world.run(MINUTE_MS);
        pairs
    }

    /// Leaves letters with the nearest machines, as a sender does who is never seen again.
    fn deposit(&mut self) -> Vec<UserId> {
        let mut strangers: Vec<Option<Stranger>> = Vec::new();
        let mut users = Vec::new();
        for _ in 0..LETTERS {
            let user = UserId(self.world.random_bytes());
            let envelope = letter(user);
            let until = self.world.wall().plus_ms(7 * DAY_MS);
            for host in self.world.nearest(Point::of_user(user), HOLDERS) {
                strangers.resize_with(strangers.len().max(host + 1), || None);
                let mut stranger =
                    strangers[host].take().unwrap_or_else(|| self.world.stranger(host));
                let request = Request::Deposit { envelope: envelope.clone(), until, repair: false };
                self.world.asks(&mut stranger, request);
                strangers[host] = Some(stranger);
            }
            self.world.run(20);
            users.push(user);
        }
        self.world.run(MINUTE_MS);
        let answers = strangers.iter().flatten().flat_map(|it| self.world.answers(it));
        let stored = answers.filter(|it| matches!(it, Response::Receipt { .. })).count();
        assert!(stored >= users.len() * HOLDERS * 9 / 10, "only {stored} receipts");
        users
    }

    /// A tenth of all machines is lost for good, one after the other, and as many come.
    fn hour(&mut self, letters: &[UserId]) {
        let losses = MACHINES / LOST_OF;
        for _ in 0..losses {
            let there: Vec<usize> = (0..self.world.hosts.len())
                .filter(|host| self.world.is_up(*host) && !self.spared.contains(host))
                .collect();
            let pick = |world: &mut World| {
                let index = world.below(there.len() as u64);
                there[usize::try_from(index).expect("few machines")]
            };
            let gone = pick(&mut self.world);
            let known = [0, pick(&mut self.world)];
            let drops = self.world.drops_mail(gone);
            self.world.lose(gone);
            let new = self.world.add(None, &known);
            if drops {
                self.world.drop_mail(new);
            }
            self.lost += 1;
            self.world.run(HOUR_MS / losses as u64);
        }
        let copies = letters.iter().map(|user| self.copies(*user, None));
        self.fewest = self.fewest.min(copies.min().unwrap_or_default());
    }

    /// How many letters have how many honest copies.
    fn spread(&self, letters: &[UserId]) -> BTreeMap<usize, usize> {
        let mut spread = BTreeMap::new();
        for user in letters {
            *spread.entry(self.copies(*user, None)).or_default() += 1;
        }
        spread
    }

    /// How many honest machines have a letter: all, or of so many of the nearest.
    fn copies(&self, user: UserId, nearest: Option<usize>) -> usize {
        let most = nearest.unwrap_or(self.world.hosts.len());
        let near = self.world.nearest(Point::of_user(user), most);
        let mail = Query::prefix(Table::Envelope, user.as_bytes(), 1);
        let honest = near.into_iter().filter(|host| !self.world.drops_mail(*host));
        honest.filter(|host| !self.world.hosts[*host].disk.scan(&mail).is_empty()).count()
    }

    /// What is there in the end, for those who were away.
    fn rows(mut self, letters: &[UserId], pairs: &[(Person, Person)]) -> Vec<Row> {
        let near: Vec<usize> =
            letters.iter().map(|user| self.copies(*user, Some(HOLDERS))).collect();
        let there = near.iter().filter(|copies| **copies > 0).count();
        pairs.iter().for_each(|(_, to)| self.world.restart(to.host));
        self.world.run(10 * MINUTE_MS);
        let arrived: usize = pairs.iter().map(|(_, to)| self.world.texts(to).len()).sum();
        let (whom, sender, aim) = match self.dropper_of {
            None => (String::new(), "its sender was gone too", "≥ 99.99 %"),
            Some(each) => {
                let whom = format!(", a {each}th of them takes mail and drops it");
                (whom, "its sender was there until then", "≥ 99.9 %")
            }
        };
        let of = format!("{MACHINES} nodes, a tenth lost for good each hour{whom}");
        let (lost, fewest) = (self.lost, self.fewest);
        let letters_limit = format!(
            "{there}, with one of the nearest {HOLDERS} at least; {lost} nodes were lost in \
             {HOURS} hours; no letter had fewer than {fewest} honest copies at a full hour; \
             nobody challenged the holders"
        );
        let messages = PAIRS * MESSAGES;
        let messages_limit = format!("{arrived} messages for {PAIRS} people; {sender}");
        vec![
            number(
                &format!("{of}: letters there after a week"),
                percent(there, letters.len()),
                &letters.len().to_string(),
                aim,
                letters_limit,
            ),
            number(
                &format!("{of}: messages that arrive after a week"),
                percent(arrived, messages),
                &messages.to_string(),
                aim,
                messages_limit,
            ),
        ]
    }
}
