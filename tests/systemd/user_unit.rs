//! One machine with two daemons: the system's, and one of a user's own.

use bytchat_tests::daemon::{Ran, until};
use bytchat_tests::machine::Machine;

use crate::setup::{SERVICE, account, ctl, deliver, inbox, machine, systemctl};

fn user_systemctl(machine: &Machine, args: &[&str]) -> Ran {
    machine.run_as("eve", &[&["systemctl", "--user"], args].concat())
}

#[test]
fn a_system_unit_and_a_user_unit_talk() {
    let Some(machine) = machine("the test of the user unit") else { return };
    systemctl(&machine, &["start", SERVICE]);
    let ann = account(&machine, "ann");

    let config = "listen = [\"127.0.0.1:4850\"]\nbootstrap = [\"127.0.0.1:4848\"]\n";
    machine.write("/home/eve/.config/bytchat/bytchatd.toml", config);
    machine.run(&["chown", "-R", "eve:", "/home/eve"]).ok();
    // As a login does it.
    let id = machine.run(&["id", "-u", "eve"]);
    systemctl(&machine, &["start", &format!("user@{}.service", id.ok().trim())]);
    until("the user's systemd", || {
        let state = user_systemctl(&machine, &["is-system-running"]).out;
        (state.trim() == "running").then_some(())
    });
    // Eve may not use the machine's daemon, and has her own.
    user_systemctl(&machine, &["enable", "--now", SERVICE]).ok();
    let status = user_systemctl(&machine, &["show", "--value", "-p", "ActiveState", SERVICE]);
    assert_eq!(status.ok().trim(), "active");
    let data = machine.run(&["stat", "-c", "%U %a", "/home/eve/.local/share/bytchat"]);
    assert_eq!(data.ok().trim(), "eve 700");
    let eve = account(&machine, "eve");
    until("a link between the two", || {
        let status = ctl(&machine, "eve", &["node", "status"]).json();
        (status["links"] == 1).then_some(())
    });
    deliver(&machine, "eve", &ann, "from my own daemon");
    deliver(&machine, "ann", &eve, "from the machine's");
    assert_eq!(inbox(&machine, "ann"), ["from my own daemon"]);
    assert_eq!(inbox(&machine, "eve"), ["from the machine's"]);

    user_systemctl(&machine, &["reload", SERVICE]).ok();
    user_systemctl(&machine, &["stop", SERVICE]).ok();
    // The socket stays, and the first call starts it.
    assert_eq!(inbox(&machine, "eve"), ["from the machine's"]);
}
