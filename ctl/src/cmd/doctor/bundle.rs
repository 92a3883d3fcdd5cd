//! The archive that can be shown to others: the findings, without what belongs to people.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::redact::redact;
use super::{Findings, ask};
use crate::failure::Failure;

/// The bytes of a block of tar.
const BLOCK: usize = 512;
/// What of `node.status` is of nobody.
const COUNTS: [&str; 12] = [
    "peers",
    "links",
    "records",
    "envelopes",
    "outbox",
    "damaged_accounts",
    "store_bytes",
    "uptime_ms",
    "version",
    "clock",
    "clock_offset_ms",
    "disk_full",
];

/// Writes the archive; a file that is there is not written over.
pub(super) fn write(path: &Path, findings: &Findings) -> Result<(), Failure> {
    let fail = |source| Failure::File { what: "write", path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(fail)?;
    let archive = tar(&entries(findings)).map_err(fail)?;
    file.write_all(&archive).and_then(|()| file.sync_all()).map_err(fail)
}

fn entries(findings: &Findings) -> Vec<(&'static str, String)> {
    let own: Vec<_> =
        ["HOME", "USER", "LOGNAME"].iter().filter_map(|name| std::env::var(name).ok()).collect();
    let redacted = |text: &str| redact(text, &own);
    let check = |check: &super::Check| {
        json!({
            "name": check.name,
            "verdict": check.verdict,
            "found": redacted(&check.found),
            "fix": check.fix.as_deref().map(redacted),
        })
    };
    let checks: Value = findings.checks.iter().map(check).collect();
    let system = ask("uname", &["-srm"]).unwrap_or_default();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let release = release.lines().find(|line| line.starts_with("PRETTY_NAME="));
    vec![
        ("checks.json", format!("{checks:#}\n")),
        ("status.json", format!("{:#}\n", counts(&findings.status))),
        ("config.json", format!("{:#}\n", origins(&findings.config))),
        ("unit.txt", redacted(&findings.unit)),
        ("system.txt", format!("{system}{}\n", release.unwrap_or_default())),
        ("version.txt", format!("bytctl {}\n", env!("CARGO_PKG_VERSION"))),
    ]
}

fn counts(status: &Value) -> Value {
    let counts = COUNTS.iter().filter_map(|name| Some((*name, status.get(*name)?.clone())));
    Value::Object(counts.map(|(name, count)| (name.to_owned(), count)).collect::<Map<_, _>>())
}

/// Which keys are set, and by what, without their values.
fn origins(config: &Value) -> Value {
    let values = config["values"].as_array().map_or(&[][..], Vec::as_slice);
    let origin = |value: &Value| json!({ "key": value["key"], "origin": value["origin"] });
    values.iter().map(origin).collect()
}

/// Files as an archive that `tar -x` reads (POSIX.1-1988, ustar).
fn tar(entries: &[(&str, String)]) -> io::Result<Vec<u8>> {
    let mut archive = Vec::new();
    for (name, text) in entries {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &str| (&mut header[at..]).write_all(text.as_bytes());
        put(0, &format!("bytchat-report/{name}"))?;
        put(100, "0000600\0")?;
        put(108, "0000000\0")?;
        put(116, "0000000\0")?;
        put(124, &format!("{:011o}\0", text.len()))?;
        put(136, "00000000000\0")?;
        put(148, "        ")?;
        put(156, "0")?;
        put(257, "ustar\x0000")?;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        (&mut header[148..]).write_all(format!("{sum:06o}\0 ").as_bytes())?;
        archive.extend(header);
        archive.extend(text.as_bytes());
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::super::Check;
    use super::*;

    #[test]
    fn the_archive_holds_counts_and_no_one_s_names() {
        let id = "a".repeat(32);
        let findings = Findings {
            checks: vec![Check::ok("udp", "listens at 192.0.2.1:4848")],
            status: json!({ "node_id": id, "peers": 3, "listen": ["192.0.2.1:4848"] }),
            config: json!({ "values": [
                { "key": "pod", "value": "pod.example", "origin": "file" },
            ]}),
            unit: format!("StatusText={id}"),
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        write(&path, &findings).unwrap();
        let list = ask("tar", &["-xOf", path.to_str().unwrap()]).unwrap();
        for kept in ["\"peers\": 3", "\"pod\"", "\"file\"", "listens at [left out]", "bytctl "] {
            assert!(list.contains(kept), "{kept} in {list}");
        }
        for gone in [id.as_str(), "192.0.2.1", "pod.example"] {
            assert!(!list.contains(gone), "{gone} in {list}");
        }
        assert!(write(&path, &findings).is_err(), "a file was written over");
    }
}
