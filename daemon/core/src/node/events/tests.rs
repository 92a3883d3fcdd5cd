//! Tests of how much of the log one call reads.

use bytchat_proto::id::BlockId;
use bytchat_proto::rpc::Call;
use bytchat_proto::rpc::message::{Direction, Message, State};
use bytchat_proto::timestamp::Timestamp;
use serde_json::Value;

use super::super::fixture::Machine;
use super::*;
use crate::fixture::at;

const ANN: u32 = 1_000;
const TEXT: usize = 16 * 1024;
/// More than is read for one answer.
const COUNT: usize = EVENTS_READ_BYTES_MAX / TEXT + 200;

/// A machine with a long log.
fn machine() -> Machine {
    let mut machine = Machine::new();
    let user = machine.person(ANN);
    let message = Message {
        id: BlockId::from_slice(&[9; 32]).unwrap(),
        seq: 1,
        from: user,
        to: user,
        direction: Direction::In,
        content_type: "text/plain".to_owned(),
        text: "x".repeat(TEXT),
        state: State::Stored,
        sent_at: Timestamp(1),
        received_at: Timestamp(1),
        request: false,
        gap: false,
    };
    for _ in 0..COUNT {
        machine.node.event(user, What::Received(message.clone()), at(0));
    }
    machine.drain();
    machine.asked.clear();
    machine
}

fn list(machine: &mut Machine, list: List) -> Value {
    machine.ask(ANN, Call::EventList(list), at(0)).unwrap()
}

#[test]
fn who_waits_is_told_that_there_is_something_and_nothing_is_read_for_it() {
    let mut machine = machine();
    let ask = List { since: Some(3), wait_ms: Some(1), ..List::default() };
    let page = list(&mut machine, ask);
    assert_eq!((&page["events"], &page["next"]), (&serde_json::json!([]), &3.into()), "{page}");
    assert_eq!(page["head"], COUNT);
    assert!(machine.asked.is_empty(), "{:?}", machine.asked);
}

#[test]
fn a_question_for_what_is_rare_reads_a_part_of_the_log_and_goes_on_from_there() {
    let mut machine = machine();
    let types = Some(vec!["contact.key_changed".to_owned()]);
    let (mut next, mut answers) = (0, 0);
    while next < COUNT as u64 {
        machine.asked.clear();
        let ask = List { since: Some(next), types: types.clone(), ..List::default() };
        let page = list(&mut machine, ask);
        assert!(page["events"].as_array().unwrap().is_empty(), "{page}");
        let reached = page["next"].as_u64().unwrap();
        assert!(reached > next, "{page}");
        let read = (reached - next) * TEXT as u64;
        assert!(read <= (EVENTS_READ_BYTES_MAX + EVENTS_PER_ANSWER_BYTES_MAX) as u64, "{read}");
        (next, answers) = (reached, answers + 1);
    }
    assert_eq!(answers, 2);
}
