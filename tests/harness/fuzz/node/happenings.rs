//! What happens to the nodes, as the bytes of an input tell.

use bytchat_core::io::{Input, LinkId};
use bytchat_proto::limits::DAY_MS;

use super::super::source::Source;
use super::calls::call;
use super::peers::PEERS;
use super::rig::{End, Rig, UIDS};

/// Bytes of one event.
const EVENT_BYTES: usize = 48;
/// Kinds of events.
const KINDS: usize = 18;

/// One of the links of a node to a hand-made peer.
fn peer_link(rig: &Rig, which: usize, source: &mut Source<'_>) -> Option<(LinkId, usize)> {
    let links = rig.machines[which].links.iter();
    let peers: Vec<(LinkId, usize)> = links
        .filter_map(|(link, end)| match end {
            End::Peer(machine) => Some((*link, *machine)),
            End::Node(_) => None,
        })
        .collect();
    (!peers.is_empty()).then(|| *source.pick(&peers))
}

/// Lets one thing happen. Each has so many bytes, so that a mutation of one leaves the others.
pub(super) fn happen(rig: &mut Rig, source: &mut Source<'_>) {
    let source = &mut source.part(EVENT_BYTES);
    let kind = source.below(KINDS);
    let which = source.below(2);
    match kind {
        0 => join(rig, which, source),
        1 => rig.meet(),
        2..=5 => say(rig, which, kind, source),
        6 => answer(rig, which, source),
        7 => {
            if let Some((link, _)) = peer_link(rig, which, source) {
                rig.down(which, link);
            }
        }
        8 => rig.pass(u64::from(source.byte())),
        9 => {
            let scale = *source.pick(&[1_000, 60_000, 3_600_000, DAY_MS]);
            rig.pass(u64::from(source.byte()) * scale / 16);
        }
        10 => {
            // The clock of the wall is set.
            rig.wall_ms = match source.byte() {
                0..=127 => rig.wall_ms.saturating_add(source.number() % (10 * DAY_MS)),
                128..=250 => rig.wall_ms.saturating_sub(source.number() % (10 * DAY_MS)),
                _ => source.number(),
            };
            rig.pass(1);
        }
        11 | 12 => {
            if let Some(call) = call(source) {
                let uid = if source.chance(16) { 7 } else { UIDS[source.below(2)] };
                rig.call(which, uid, call);
            }
        }
        13 => rig.give_up_call(which),
        14 => {
            rig.holds = !rig.holds;
            rig.settle();
        }
        15 => elsewhere(rig, which, source),
        16 => flying(rig, source),
        _ => rig.crash(which),
    }
}

/// A peer opens a link, or answers a dial; most say hello.
fn join(rig: &mut Rig, which: usize, source: &mut Source<'_>) {
    let machine = match source.below(PEERS) {
        machine @ (3 | 4) => machine + PEERS,
        machine => machine,
    };
    let dial = match source.chance(96) {
        true => None,
        false => rig.machines[which].dials.pop(),
    };
    let link = rig.up(which, machine, dial);
    if !source.chance(16) {
        let hello = rig.voice(which, (machine, Vec::new()), source).hello();
        let bytes = hello.with_id(0).encode();
        rig.input(which, Input::Frame { link, bytes });
    }
}

/// A peer says something: a request, a push, the same with an error in it, or any bytes.
fn say(rig: &mut Rig, which: usize, kind: usize, source: &mut Source<'_>) {
    let Some((link, machine)) = peer_link(rig, which, source) else { return };
    let id = source.number();
    let nonce = rig.machines[which].nonces.get(&link).cloned().unwrap_or_default();
    let mut voice = rig.voice(which, (machine, nonce), source);
    let mut bytes = match kind {
        2 => voice.source.bytes().to_vec(),
        3 => voice.push().with_id(0).encode(),
        _ => bytchat_proto::wire::Body::Request(voice.request()).with_id(id).encode(),
    };
    if source.chance(32) {
        spoil(&mut bytes, source);
    }
    rig.input(which, Input::Frame { link, bytes });
}

fn spoil(bytes: &mut Vec<u8>, source: &mut Source<'_>) {
    for _ in 0..1 + source.below(3) {
        let at = usize::from(u16::from_be_bytes(source.array())) % bytes.len().max(1);
        match source.byte() {
            0..=31 => bytes.truncate(at),
            _ if at < bytes.len() => bytes[at] = source.byte(),
            _ => bytes.push(source.byte()),
        }
    }
}

/// A peer answers something that it was asked.
fn answer(rig: &mut Rig, which: usize, source: &mut Source<'_>) {
    let asked = rig.machines[which].asked.len();
    if asked == 0 {
        return;
    }
    let at = source.below(asked.min(256));
    let (link, id, request) = rig.machines[which].asked.swap_remove(at);
    let Some(End::Peer(machine)) = rig.machines[which].links.get(&link).copied() else { return };
    let mut voice = rig.voice(which, (machine, Vec::new()), source);
    let body = bytchat_proto::wire::Body::Response(voice.response(&request));
    let mut bytes = body.with_id(id).encode();
    if source.chance(16) {
        spoil(&mut bytes, source);
    }
    rig.input(which, Input::Frame { link, bytes });
}

/// The world outside: dials fail, names are found, the configuration is read again.
fn elsewhere(rig: &mut Rig, which: usize, source: &mut Source<'_>) {
    match source.below(5) {
        0 => {
            if let Some(dial) = rig.machines[which].dials.pop() {
                rig.input(which, Input::DialFailed { dial, reason: "fuzz".to_owned() });
            }
        }
        1 => rig.resolved(which, !source.chance(64)),
        2 => {
            let bootstrap = vec![super::rig::address_of(source.below(PEERS))];
            rig.input(which, Input::Settings { bootstrap });
        }
        3 => rig.input(which, Input::StoreSize { bytes: source.number() }),
        _ => {
            if let Some((load, _)) = rig.machines[which].loads.pop_front() {
                rig.input(which, Input::LoadFailed { load, reason: "fuzz".to_owned() });
            }
        }
    }
}

/// What is on its way between the nodes: delivered, lost, brought twice, out of order, spoilt.
fn flying(rig: &mut Rig, source: &mut Source<'_>) {
    let at = source.below(rig.flying.len().min(256));
    match source.below(6) {
        0 => drop(rig.flying.remove(at)),
        1 => {
            if let Some(frame) = rig.flying.remove(at) {
                rig.flying.push_back(frame);
            }
        }
        2 => {
            if let Some(frame) = rig.flying.get_mut(at) {
                spoil(&mut frame.bytes, source);
            }
        }
        3 => drop(rig.serve(source.below(2))),
        _ => drop(rig.deliver()),
    }
    rig.settle();
}

/// The bytes of one event.
fn event(bytes: &[u8]) -> Vec<u8> {
    let mut event = bytes.to_vec();
    event.resize(EVENT_BYTES, 0);
    event
}

/// Runs in which a peer comes and says something of each kind, and somebody makes each call.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let (join, wake, rest) = (event(&[0, 0, 7]), event(&[9, 0, 0, 255]), event(&[9, 0, 1, 64]));
    let ask = |bytes: &[u8]| event(&[&[4, 0, 0, 4, 1], bytes].concat());
    let answer = event(&[6, 0]);
    let deposit = ask(&[6, 0, 0, 4, 0, 0, 0, 0, 150, 3]);
    let notify = ask(&[12, 0, 4, 0, 7, 150, 3]);
    let attach = [ask(&[8, 0, 4]), ask(&[9, 4])].concat();
    let register = ask(&[13, 4, 1, 0, 4, 1]);
    let mut runs = vec![
        vec![event(&[1, 0]), wake.clone(), event(&[11, 0, 18]), wake.clone(), rest.clone()],
        vec![join.clone(), wake.clone(), answer.clone(), answer.clone(), answer],
        vec![join.clone(), deposit.clone(), attach.clone(), deposit, wake.clone()],
        vec![join.clone(), notify, attach.clone(), wake.clone(), rest],
        vec![
            join.clone(),
            attach,
            ask(&[5, 0, 4, 9, 0, 0, 150, 3]),
            ask(&[4, 0, 4]),
            ask(&[10, 0, 4]),
        ],
        vec![join.clone(), register, ask(&[14, 1]), wake.clone()],
    ];
    for request in 0..15 {
        runs.push(vec![join.clone(), ask(&[request, 0, 1]), ask(&[request]), wake.clone()]);
    }
    for push in 0..3 {
        runs.push(vec![join.clone(), event(&[3, 0, 0, 4, 1, push, 2]), wake.clone()]);
    }
    for call in 0..40 {
        runs.push(vec![event(&[11, 0, call, 0, 0, 1, 0, 0, 1, 0, 0, 3, 65, 66, 67]), wake.clone()]);
    }
    runs.iter().map(|run| run.concat()).collect()
}
