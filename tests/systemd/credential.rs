//! The key that seals secrets at rest, as an encrypted credential of systemd.

use bytchat_tests::machine::Machine;

use crate::setup::{SERVICE, SOCKET, account, ctl, entry, machine, systemctl};

const CREDENTIAL: &str = "/etc/credstore.encrypted/bytchatd.key";

/// Encrypts a key under a name, and puts it where the unit looks.
fn encrypt(machine: &Machine, key: &[u8], name: &str) {
    machine.run(&["mkdir", "-p", "/etc/credstore.encrypted"]).ok();
    let name = format!("--name={name}");
    let command = ["systemd-creds", "encrypt", "--with-key=host", &name, "-", CREDENTIAL];
    machine.run_reading(&command, key).ok();
}

/// Starts the daemon, which must fail with this status and not be tried again.
fn fails(machine: &Machine, status: &str) {
    assert_ne!(machine.run(&["systemctl", "start", SERVICE]).code, 0);
    assert_eq!(machine.show(SERVICE, "ActiveState"), "failed");
    assert_eq!(machine.show(SERVICE, "ExecMainStatus"), status);
    assert_eq!(machine.show(SERVICE, "NRestarts"), "0");
}

#[test]
fn a_credential_seals_the_secrets_and_a_wrong_one_is_refused_and_not_tried_again() {
    let Some(machine) = machine("the test of credentials") else { return };
    encrypt(&machine, &[7; 32], "bytchatd.key");
    systemctl(&machine, &["start", SERVICE]);
    let ann = account(&machine, "ann");
    assert!(!machine.path("/var/lib/bytchat/vault.key").exists());
    systemctl(&machine, &["stop", SERVICE, SOCKET]);

    encrypt(&machine, &[8; 32], "bytchatd.key");
    fails(&machine, "78");
    let told = "bytchatd: the secrets in the store do not open with the vault key";
    assert_eq!(entry(&machine, told).unwrap()["PRIORITY"], "3");
    encrypt(&machine, b"too short", "bytchatd.key");
    fails(&machine, "78");
    encrypt(&machine, &[7; 32], "another.name");
    fails(&machine, "243");
    machine.run(&["rm", CREDENTIAL]).ok();
    fails(&machine, "78");
    assert!(entry(&machine, "bytchatd: vault key /var/lib/bytchat/vault.key is gone").is_some());

    encrypt(&machine, &[7; 32], "bytchatd.key");
    systemctl(&machine, &["reset-failed", SERVICE]);
    systemctl(&machine, &["start", SERVICE]);
    assert_eq!(ctl(&machine, "ann", &["account", "list"]).json()[0]["id"], ann.as_str());
}
