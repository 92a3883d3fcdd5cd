//! The golden vectors as inputs.

use data_encoding::HEXLOWER;

const FILES: [&str; 3] = [
    include_str!("../../../proto/tests/golden/wire.txt"),
    include_str!("../../../proto/tests/golden/records.txt"),
    include_str!("../../../proto/tests/golden/mail.txt"),
];
const RPC: &str = include_str!("../../../proto/tests/golden/rpc.txt");

/// Every encoding that is written down.
pub(super) fn encodings() -> Vec<Vec<u8>> {
    let lines = FILES.iter().flat_map(|file| file.lines());
    let hex = lines.filter_map(|line| line.strip_prefix("cbor "));
    hex.map(|hex| HEXLOWER.decode(hex.as_bytes()).expect("golden files are hex")).collect()
}

/// The methods of the RPC with the parameters that are written down.
pub(super) fn calls() -> Vec<(&'static str, &'static str)> {
    let mut method = "";
    let mut calls = Vec::new();
    for line in RPC.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            method = name;
        } else if let Some(params) = line.strip_prefix("params ") {
            calls.push((method, params));
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_golden_files_are_read() {
        assert!(super::encodings().len() > 40, "{}", super::encodings().len());
        assert!(super::calls().len() > 30, "{}", super::calls().len());
    }
}
