//! The machines themselves: what the other tests rely on.

use bytchat_tests::machine::{Image, Machine};

#[test]
fn a_machine_boots_in_its_own_network_and_keeps_its_files_over_a_reboot() {
    let Some(image) = Image::debian("the test of machines", &[]) else { return };
    let mut machine = Machine::new(&image);
    machine.write("/etc/before", "written before the boot");
    machine.boot();
    assert_eq!(machine.run(&["cat", "/etc/before"]).ok(), "written before the boot");
    let devices = machine.run(&["ls", "/sys/class/net"]);
    assert_eq!(devices.ok().trim(), "lo");
    machine.add_user("ann", &["users"]);
    assert_eq!(machine.run_as("ann", &["id", "-Gn"]).ok().trim(), "ann users");
    machine.run_as("ann", &["sh", "-c", "echo kept > $HOME/note"]).ok();
    machine.reboot();
    assert_eq!(machine.run(&["cat", "/home/ann/note"]).ok().trim(), "kept");
    // What a machine writes is not in the image.
    assert!(!image.root().join("home/ann").exists());

    let mut other = Machine::beside(&image, &machine);
    other.boot();
    let network = |of: &Machine| of.run(&["readlink", "/proc/self/ns/net"]).ok().to_owned();
    assert_eq!(network(&machine), network(&other));
    assert!(!other.path("/etc/before").exists());
}
