//! Tests of roles, on a machine whose people are made up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use bytchat_proto::limits::ROLES_KNOWN_MAX;

use super::*;

const OWN: u32 = 900;

/// A machine with people, that counts how often it was asked for somebody's groups.
#[derive(Default)]
struct Village {
    asked: AtomicUsize,
    slow: Option<Mutex<mpsc::Receiver<()>>>,
}

impl People for Village {
    fn uid(&self, name: &str) -> Option<u32> {
        ["root", "ann", "ben", "eve"]
            .iter()
            .zip([0, 1, 2, 3])
            .find(|(n, _)| **n == name)
            .map(|n| n.1)
    }

    fn gid(&self, name: &str) -> Option<u32> {
        ["talk", "look", "boss"].iter().zip([10, 11, 12]).find(|(n, _)| **n == name).map(|n| n.1)
    }

    fn groups_of(&self, uid: u32) -> Vec<u32> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(slow) = &self.slow {
            assert!(slow.lock().unwrap().recv().is_err());
        }
        match uid {
            1 => vec![100, 10, 12],
            2 => vec![100, 11],
            _ => vec![100],
        }
    }
}

fn rule(who: Who, role: Role) -> Rule {
    Rule { who, role }
}

fn user(name: &str) -> Who {
    Who::User(name.to_owned())
}

fn group(name: &str) -> Who {
    Who::Group(name.to_owned())
}

fn rules() -> Rules {
    let list = vec![
        rule(group("boss"), Role::Admin),
        rule(group("talk"), Role::Send),
        rule(group("look"), Role::Read),
        rule(user("7"), Role::Observe),
        rule(group("77"), Role::Send),
        rule(user("nobody-here"), Role::Admin),
        rule(group("none-here"), Role::Admin),
    ];
    Rules { list, are_default: false }
}

fn peer(uid: u32, gid: u32) -> Peer {
    Peer { uid, gid }
}

#[test]
fn the_highest_role_that_matches_counts() {
    let village = Village::default();
    let role = |uid, gid| rules().role(peer(uid, gid), &village);
    assert_eq!(role(1, 100), Some(Role::Admin));
    assert_eq!(role(2, 100), Some(Role::Read));
    assert_eq!(role(3, 100), None);
    // By the group with which one connects, as with `sg`.
    assert_eq!(role(3, 10), Some(Role::Send));
    assert_eq!(role(2, 10), Some(Role::Send));
    // By numbers, of whom the system knows nothing.
    assert_eq!(role(7, 100), Some(Role::Observe));
    assert_eq!(role(8, 77), Some(Role::Send));
    // In whatever order they stand.
    let mut list = rules().list;
    list.reverse();
    let backwards = Rules { list, are_default: false };
    assert_eq!(backwards.role(peer(1, 100), &village), Some(Role::Admin));
}

#[test]
fn no_group_gives_a_role_to_those_outside_of_the_user_namespace() {
    let village = Village::default();
    let outsider = peer(65_534, 10);
    assert_eq!(rules().role(outsider, &village), None);
    let list = vec![rule(user("65534"), Role::Observe), rule(group("talk"), Role::Send)];
    let named = Rules { list, are_default: false };
    assert_eq!(named.role(outsider, &village), Some(Role::Observe));
}

#[test]
fn a_name_that_means_nobody_gives_nobody_a_role() {
    let list = vec![rule(user("nobody-here"), Role::Admin), rule(group("none"), Role::Admin)];
    let rules = Rules { list, are_default: false };
    for uid in [1, 2, 3, u32::MAX] {
        assert_eq!(rules.role(peer(uid, u32::MAX), &Village::default()), None);
    }
}

#[test]
fn a_stranger_is_told_which_group_to_join() {
    let error = rules().stranger(3);
    assert_eq!(error.kind, ErrorKind::NotPermitted);
    assert!(error.message.contains("usermod -aG talk $USER"), "{error}");
    let error = Rules::default().stranger(3);
    assert!(error.message.contains("`allow`"), "{error}");
}

#[tokio::test]
async fn root_and_the_daemon_s_own_user_are_admins_without_a_rule() {
    let village = Arc::new(Village::default());
    let access = Access::of(OWN, Rules::default(), Arc::clone(&village) as Arc<dyn People>);
    for uid in [0, OWN] {
        assert_eq!(access.known(peer(uid, 100)), Some(Ok(Role::Admin)));
    }
    assert_eq!(access.known(peer(1, 100)), None);
    assert!(access.role(peer(1, 100)).await.is_err());
    assert_eq!(village.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_was_found_is_remembered_until_it_is_forgotten_strangers_too() {
    let village = Arc::new(Village::default());
    let access = Access::of(OWN, rules(), Arc::clone(&village) as Arc<dyn People>);
    for _ in 0..3 {
        assert_eq!(access.role(peer(2, 100)).await, Ok(Role::Read));
        assert!(access.role(peer(3, 100)).await.is_err());
    }
    assert_eq!(village.asked.load(Ordering::SeqCst), 2);
    assert_eq!(access.known(peer(2, 100)), Some(Ok(Role::Read)));
    access.pass();
    assert_eq!(access.known(peer(3, 100)), None);
    access.pass();
    assert_eq!(access.known(peer(2, 100)), None);
    access.set(Rules { list: vec![rule(group("look"), Role::Observe)], are_default: false });
    assert_eq!(access.role(peer(2, 100)).await, Ok(Role::Observe));
    assert_eq!(village.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn many_callers_of_one_user_cost_one_lookup_and_what_is_remembered_is_bounded() {
    let village = Arc::new(Village::default());
    let access = Arc::new(Access::of(OWN, rules(), Arc::clone(&village) as Arc<dyn People>));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let access = Arc::clone(&access);
        callers.spawn(async move { access.role(peer(2, 100)).await });
    }
    for role in callers.join_all().await {
        assert_eq!(role, Ok(Role::Read));
    }
    assert!(village.asked.load(Ordering::SeqCst) <= ROLE_LOOKUPS_AT_ONCE);
    for gid in 1_000..1_000 + 2 * u32::try_from(ROLES_KNOWN_MAX).unwrap() {
        drop(access.role(peer(3, gid)).await);
        assert!(lock(&access.state).counts().1 <= ROLES_KNOWN_MAX);
    }
}

#[tokio::test]
async fn strangers_push_nobody_out_and_a_role_counts_while_it_is_looked_up_again() {
    let village = Arc::new(Village::default());
    let access = Arc::new(Access::of(OWN, rules(), Arc::clone(&village) as Arc<dyn People>));
    let member = peer(2, 100);
    assert_eq!(access.role(member).await, Ok(Role::Read));
    assert!(access.renewal(member).is_none());
    for uid in 1_000..1_000 + u32::try_from(ROLES_KNOWN_MAX).unwrap() + 9 {
        drop(access.role(peer(uid, 100)).await);
    }
    assert_eq!(access.known(member), Some(Ok(Role::Read)));
    access.pass();
    assert_eq!(access.known(member), Some(Ok(Role::Read)));
    let asked = village.asked.load(Ordering::SeqCst);
    let renewal = access.renewal(member).unwrap();
    assert!(access.renewal(member).is_none());
    renewal.run().await;
    assert_eq!(village.asked.load(Ordering::SeqCst), asked + 1);
    assert!(access.renewal(member).is_none());
    // It is fresh again; unless it is looked up, it is gone a moment later.
    access.pass();
    assert_eq!(access.known(member), Some(Ok(Role::Read)));
    access.pass();
    assert_eq!(access.known(member), None);
    assert!(access.was_member(2) && !access.was_member(3));
}

#[tokio::test]
async fn who_has_lost_a_role_has_none_after_the_next_look() {
    let access = Arc::new(Access::of(OWN, rules(), Arc::new(Village::default())));
    let member = peer(3, 10);
    assert_eq!(access.role(member).await, Ok(Role::Send));
    access.pass();
    let generation = lock(&access.state).generation;
    lock(&access.state).remember(generation, member, None);
    assert!(access.known(member).unwrap().is_err());
    assert!(!access.was_member(3));
    // Other rules let nothing count that was found before.
    assert_eq!(access.role(peer(2, 100)).await, Ok(Role::Read));
    access.set(Rules::default());
    assert_eq!(access.known(peer(2, 100)), None);
    assert!(access.was_member(2));
}

#[tokio::test]
async fn strangers_for_whom_a_directory_hangs_do_not_hold_up_who_had_a_role() {
    let (free, slow) = mpsc::channel();
    let village = Village { slow: Some(Mutex::new(slow)), ..Village::default() };
    let access = Access::of(OWN, rules(), Arc::new(village));
    let access = Arc::new(Access { patience: Duration::from_millis(20), ..access });
    // Who has a role by a number of its own needs no directory.
    let by_number = || Rules { list: vec![rule(user("7"), Role::Observe)], are_default: false };
    let by_group = Rules { list: vec![rule(group("talk"), Role::Send)], are_default: false };
    access.set(by_number());
    assert_eq!(access.role(peer(7, 100)).await, Ok(Role::Observe));
    access.set(by_group);
    let mut strangers = tokio::task::JoinSet::new();
    for uid in 20..40 {
        let access = Arc::clone(&access);
        strangers.spawn(async move { access.role(peer(uid, 100)).await });
    }
    while let Some(told) = strangers.join_next().await {
        assert_eq!(told.unwrap().unwrap_err().kind, ErrorKind::Busy);
    }
    access.set(by_number());
    assert_eq!(access.role(peer(8, 100)).await.unwrap_err().kind, ErrorKind::Busy);
    assert_eq!(access.role(peer(7, 100)).await, Ok(Role::Observe));
    drop(free);
}

#[tokio::test]
async fn a_directory_that_hangs_holds_up_few_threads_and_callers_are_told() {
    let (free, slow) = mpsc::channel();
    let village = Village { slow: Some(Mutex::new(slow)), ..Village::default() };
    let village = Arc::new(village);
    let access = Access::of(OWN, rules(), Arc::clone(&village) as Arc<dyn People>);
    let access = Arc::new(Access { patience: Duration::from_millis(20), ..access });
    let mut callers = tokio::task::JoinSet::new();
    for uid in 20..40 {
        let access = Arc::clone(&access);
        callers.spawn(async move { access.role(peer(uid, 100)).await });
    }
    // Those who need no lookup are not held up.
    assert_eq!(access.known(peer(0, 0)), Some(Ok(Role::Admin)));
    let first = callers.join_next().await.unwrap().unwrap();
    assert_eq!(first.unwrap_err().kind, ErrorKind::Busy);
    assert!(village.asked.load(Ordering::SeqCst) <= ROLE_LOOKUPS_AT_ONCE);
    drop(free);
    while callers.join_next().await.is_some() {}
}

#[test]
fn this_machine_knows_root() {
    assert_eq!(System.uid("root"), Some(0));
    assert_eq!(System.gid("root"), Some(0));
    assert!(System.groups_of(0).contains(&0));
    assert_eq!(System.uid("no-such-user-here"), None);
    assert!(System.groups_of(u32::MAX - 7).is_empty());
}
