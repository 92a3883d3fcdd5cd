//! The bodies of the tests under libFuzzer: the name of the program is that of the target.

#![no_main]

use bytchat_tests::fuzz::target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| (target(env!("CARGO_BIN_NAME")).feed)(bytes));
