//! Sockets that systemd holds: the first call starts the daemon, and a restart loses none.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytchat_tests::daemon::{Socket, until};
use serde_json::json;

use crate::setup::{SERVICE, SOCKET, account, ctl, drop_in, entry, machine, systemctl};

const QUIC: &str = "bytchatd-quic.socket";
const CALLERS: usize = 2;
/// With the first start they are as many as systemd takes for no loop.
const RESTARTS: usize = 4;

#[test]
fn the_first_call_starts_the_daemon_which_finds_its_sockets_by_name() {
    let Some(machine) = machine("the test of socket activation") else { return };
    // A port that the daemon itself may not bind.
    let ports =
        "[Socket]\nListenDatagram=\nListenDatagram=127.0.0.1:443\nListenDatagram=[::1]:443\n";
    drop_in(&machine, QUIC, ports);
    systemctl(&machine, &["start", QUIC, SOCKET]);
    assert_eq!(machine.show(SERVICE, "ActiveState"), "inactive");
    let status = ctl(&machine, "ann", &["node", "status"]).json();
    assert_eq!(status["listen"], json!(["127.0.0.1:443", "[::1]:443"]));
    assert_eq!(machine.show(SERVICE, "ActiveState"), "active");
    let serves = entry(&machine, "it serves front ends on the socket of systemd").unwrap();
    assert_eq!(serves["BYTCHAT_SOCKET"], "/run/bytchat/bytchatd.sock");

    systemctl(&machine, &["stop", SERVICE]);
    ctl(&machine, "ben", &["account", "list"]).json();
    systemctl(&machine, &["stop", SOCKET, QUIC, SERVICE]);
    let away = ctl(&machine, "ann", &["node", "status"]);
    assert_eq!(away.kind(69), "daemon.unreachable");
    assert!(away.err.contains("systemctl start bytchatd"), "{}", away.err);

    // A socket unit that names its sockets otherwise is told so, and not taken for another.
    drop_in(&machine, QUIC, "[Socket]\nFileDescriptorName=udp\n");
    systemctl(&machine, &["start", QUIC]);
    assert_ne!(machine.run(&["systemctl", "start", SERVICE]).code, 0);
    assert_eq!(machine.show(SERVICE, "ExecMainStatus"), "78");
    let told = entry(&machine, "bytchatd: systemd passes a socket with the name \"udp\"").unwrap();
    assert_eq!(told["PRIORITY"], "3");
}

#[test]
fn restarts_under_a_stream_of_calls_lose_none() {
    let Some(machine) = machine("the test of restarts under load") else { return };
    systemctl(&machine, &["start", SERVICE]);
    let ann = account(&machine, "ann");
    let before = ctl(&machine, "ann", &["rpc", "event.list", "since:=0"]).json();
    let path = machine.path("/run/bytchat/bytchatd.sock");
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let answer = Socket::connect(&path).call("node.status", &json!({}));
                    assert!(answer["result"].is_object(), "{answer}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..RESTARTS {
            let begin = answered.load(Ordering::Relaxed);
            systemctl(&machine, &["restart", SERVICE]);
            // A caller that failed answers no more, and the scope tells.
            until("calls after a restart", || {
                (answered.load(Ordering::Relaxed) > begin + CALLERS).then_some(())
            });
        }
        over.store(true, Ordering::Relaxed);
    });
    println!("all {} calls were answered over {RESTARTS} restarts", answered.into_inner());
    assert_eq!(machine.show(SERVICE, "NRestarts"), "0");
    assert_eq!(ctl(&machine, "ann", &["account", "list"]).json()[0]["id"], ann.as_str());
    let after = ctl(&machine, "ann", &["rpc", "event.list", "since:=0"]).json();
    assert_eq!(after["events"], before["events"]);
}
