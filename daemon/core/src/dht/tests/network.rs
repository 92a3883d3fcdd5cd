//! Whole networks: what is looked up is found, what is put is held, and the dead are replaced.

use bytchat_proto::limits::{HOLDERS, MINUTE_MS};
use bytchat_proto::record::RecordKind;

use super::keys::{accounts, believed};
use super::sim::Sim;
use crate::dht::Event;

#[test]
fn lookups_find_the_true_five_in_spite_of_loss() {
    let mut sim = Sim::grown(1, 200, 20);
    let exact = sim.exact_lookups(1000);
    assert!(exact >= 999, "{exact} of 1000 lookups were exact");
}

#[test]
fn lookups_recover_after_a_third_of_the_nodes_died() {
    let mut sim = Sim::grown(2, 120, 20);
    for index in 0..120 {
        if index % 10 < 3 {
            sim.kill(index);
        }
    }
    let early = sim.exact_lookups(100);
    assert!(early >= 95, "{early} of 100 lookups were exact at once");
    sim.run_for(10 * MINUTE_MS);
    let late = sim.exact_lookups(300);
    assert!(late >= 299, "{late} of 300 lookups were exact after ten minutes");
}

#[test]
fn puts_land_on_the_true_five() {
    let mut sim = Sim::grown(3, 100, 20);
    for (round, account) in (1..).zip(accounts()) {
        for kind in [RecordKind::User, RecordKind::Profile] {
            let now = sim.now().wall;
            let record = believed(&account.record(kind, round, now), now);
            let point = kind.point(account.user());
            let from = sim.below(100);
            let put = sim.act(from, |dht, now, out| dht.put(record, now, out));
            let put = put.unwrap();
            sim.run_for(10_000);
            let mut stored = sim.nodes[from].events.iter().filter_map(|event| {
                let Event::Stored { put, ok, .. } = event else {
                    return None;
                };
                Some((*put, *ok))
            });
            assert!(stored.any(|result| result == (put, true)));
            let holding = sim.holding(point, kind, round);
            assert_eq!(holding[..HOLDERS], sim.true_holders(point, None));
            assert!(holding.len() <= 4 * HOLDERS, "{} nodes hold it", holding.len());
        }
    }
}

#[test]
fn a_reader_gets_the_newest_and_repairs_the_holders_that_lack_it() {
    let mut sim = Sim::grown(4, 60, 0);
    let account = &accounts()[0];
    let kind = RecordKind::Profile;
    let point = kind.point(account.user());
    let now = sim.now().wall;
    let holders = sim.true_holders(point, None);
    let index_of = |sim: &Sim, id| sim.nodes.iter().position(|node| node.id == id).unwrap();
    for (turn, holder) in holders.iter().enumerate() {
        let index = index_of(&sim, *holder);
        let sequence = if turn == 3 { 8 } else { 7 };
        let record = account.record(kind, sequence, now);
        let request = bytchat_proto::wire::Request::PutRecord { record };
        sim.act(index, |dht, now, out| dht.handle_request(None, &request, now, out));
    }
    let reader = (0..60).find(|index| !holders.contains(&sim.nodes[*index].id));
    let (event, _) = sim.find(reader.unwrap(), point, Some(kind));
    let Event::Found { records, .. } = event else { unreachable!("only such events are returned") };
    assert_eq!(records.len(), 1);
    sim.run_for(5_000);
    assert_eq!(sim.holding(point, kind, 8)[..HOLDERS], holders);
}

#[test]
fn a_lookup_that_ends_early_names_all_five_holders() {
    let mut sim = Sim::grown(5, 60, 0);
    let account = &accounts()[1];
    let kind = RecordKind::User;
    let point = kind.point(account.user());
    let now = sim.now().wall;
    let record = believed(&account.record(kind, 1, now), now);
    sim.act(0, |dht, now, out| dht.put(record, now, out)).unwrap();
    sim.run_for(10_000);
    let mut ended_early = 0;
    for reader in 0..60 {
        let holders = sim.true_holders(point, Some(reader));
        let (event, _) = sim.find(reader, point, Some(kind));
        let Event::Found { closest, answered, .. } = event else {
            unreachable!("only such events are returned")
        };
        ended_early += usize::from(answered < HOLDERS);
        let named: Vec<_> = closest.iter().take(HOLDERS).map(|peer| peer.node).collect();
        assert_eq!(named, holders);
    }
    assert!(ended_early > 0, "no lookup ended early");
}

#[test]
fn records_outlive_their_holders() {
    let mut sim = Sim::grown(5, 80, 20);
    let account = &accounts()[1];
    let kind = RecordKind::User;
    let point = kind.point(account.user());
    let now = sim.now().wall;
    let record = believed(&account.record(kind, 1, now), now);
    sim.act(0, |dht, now, out| dht.put(record, now, out)).unwrap();
    sim.run_for(10_000);
    // Each time four of the five die; the one that is left must bring the record on.
    for _ in 0..3 {
        for holder in sim.true_holders(point, None).iter().skip(1) {
            let index = sim.nodes.iter().position(|node| node.id == *holder).unwrap();
            sim.kill(index);
        }
        sim.run_for(20 * MINUTE_MS);
        let holding = sim.holding(point, kind, 1);
        assert_eq!(&holding[..HOLDERS], &sim.true_holders(point, None)[..]);
    }
}

#[test]
fn closer_newcomers_get_what_they_should_hold() {
    let mut sim = Sim::grown(6, 20, 0);
    let account = &accounts()[2];
    let kind = RecordKind::Profile;
    let point = kind.point(account.user());
    let now = sim.now().wall;
    let record = believed(&account.record(kind, 1, now), now);
    sim.act(3, |dht, now, out| dht.put(record, now, out)).unwrap();
    sim.run_for(10_000);
    let before = sim.true_holders(point, None);
    for seed in 0..40 {
        let index = sim.add(90_000 + seed);
        sim.introduce(index, 1);
        sim.act(index, |dht, now, out| dht.bootstrap(now, out));
        sim.run_for(200);
    }
    sim.run_for(3 * MINUTE_MS);
    let after = sim.true_holders(point, None);
    assert_ne!(before, after);
    let holding = sim.holding(point, kind, 1);
    assert_eq!(&holding[..HOLDERS], &after[..]);
}

#[test]
fn a_restarted_node_rejoins_from_its_rows() {
    let mut sim = Sim::grown(7, 50, 20);
    let account = &accounts()[3];
    let kind = RecordKind::User;
    let point = kind.point(account.user());
    let now = sim.now().wall;
    let record = believed(&account.record(kind, 1, now), now);
    sim.act(0, |dht, now, out| dht.put(record, now, out)).unwrap();
    sim.run_for(10_000);
    let holder = sim.true_holders(point, None)[0];
    let index = sim.nodes.iter().position(|node| node.id == holder).unwrap();
    sim.kill(index);
    sim.run_for(2 * MINUTE_MS);
    sim.restart(index);
    assert_eq!(sim.nodes[index].dht.peer_count(), 0);
    assert_eq!(sim.nodes[index].dht.record_count(), 1);
    sim.run_for(10_000);
    assert!(sim.nodes[index].dht.peer_count() >= 20);
    for _ in 0..20 {
        let target = sim.point();
        let (event, _) = sim.find(index, target, None);
        let Event::Found { closest, .. } = event else {
            unreachable!("only such events are returned")
        };
        let found: Vec<_> = closest.iter().map(|it| it.node).take(HOLDERS).collect();
        assert_eq!(found, sim.true_holders(target, Some(index)));
    }
}

#[test]
fn a_network_that_was_down_as_a_whole_finds_itself_again() {
    let mut sim = Sim::grown(8, 12, 0);
    (0..12).for_each(|index| sim.kill(index));
    sim.run_for(MINUTE_MS);
    sim.restart(0);
    // The first one is alone for long and must not give up its rows.
    sim.run_for(10 * MINUTE_MS);
    (1..12).for_each(|index| sim.restart(index));
    sim.run_for(2 * MINUTE_MS);
    assert!(sim.nodes.iter().all(|node| node.dht.peer_count() == 11));
}

#[test]
fn two_runs_with_one_seed_are_equal() {
    let run = || {
        let mut sim = Sim::grown(9, 50, 20);
        sim.kill(7);
        let exact = sim.exact_lookups(30);
        (sim.trace, sim.sent, exact)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_world_at_rest_is_quiet() {
    let mut sim = Sim::grown(10, 30, 0);
    sim.run_for(20 * MINUTE_MS);
    let before = sim.sent;
    sim.run_for(60 * MINUTE_MS);
    let per_node_and_hour = (sim.sent - before) / 30;
    assert!(per_node_and_hour < 1500, "{per_node_and_hour} messages");
    assert!(!(0..30).any(|index| sim.deadline_in_the_past(index)));
}
