//! `bytctl demo`, the first thing that people run.

use std::process::Command;

use bytchat_tests::daemon::{Ran, programs};

#[test]
fn the_demo_comes_true() {
    // Without cargo's variables it looks for the daemon beside itself, as an installed one does.
    let mut command = Command::new(&programs().bytctl);
    command.env_remove("CARGO").env_remove("CARGO_MANIFEST_DIR").args(["demo", "--json"]);
    let ran = Ran::of(&mut command, b"");
    let told = ran.json();
    assert_eq!(told["nodes"], 12);
    let messages = told["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| message["state"] == "delivered"), "{told}");
}
