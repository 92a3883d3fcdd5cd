//! What is in the packages, and that nothing in them comes from the place where they are built.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use bytchat_tests::daemon::Ran;
use serde_json::Value;
use tempfile::TempDir;

use crate::built::{Built, NOW, has_tools, packages, tree};

/// What every package must have; folders of completions differ between distributions.
const NEEDED: [&str; 15] = [
    "/etc/bytchat/bytchatd.toml",
    "/usr/bin/bytchatd",
    "/usr/bin/bytctl",
    "/usr/lib/systemd/system/bytchatd.service",
    "/usr/lib/systemd/user/bytchatd.service",
    "/usr/lib/sysusers.d/bytchat.conf",
    "/usr/share/bash-completion/completions/bytctl",
    "/usr/share/bytchat/openrpc.json",
    "/usr/share/doc/bytchat/bytchat.cdx.json",
    "/usr/share/doc/bytchat/changelog.gz",
    "/usr/share/doc/bytchat/third-party-notices.gz",
    "/usr/share/fish/vendor_completions.d/bytctl.fish",
    "/usr/share/man/man1/bytctl-send.1.gz",
    "/usr/share/man/man5/bytchatd.toml.5.gz",
    "/usr/share/man/man8/bytchatd.8.gz",
];

fn run(program: &str, args: &[&str], built: &Built, end: &str) -> String {
    let mut command = Command::new(program);
    Ran::of(command.args(args).arg(built.file(end)).env("LC_ALL", "C"), b"").ok().to_owned()
}

/// Every unit of the tree, where packages put it.
fn units() -> Vec<String> {
    let mut units = Vec::new();
    for kind in ["system", "user"] {
        for file in crate::built::files(&tree().join("systemd").join(kind)) {
            let name = file.file_name().unwrap().to_str().unwrap();
            units.push(format!("/usr/lib/systemd/{kind}/{name}"));
        }
    }
    units
}

#[test]
fn the_deb_holds_all_that_belongs_to_it_and_nothing_of_the_builder() {
    let Some(built) = packages("the test of the .deb") else { return };
    let list = run("dpkg-deb", &["-c"], built, ".deb");
    for file in NEEDED.into_iter().map(str::to_owned).chain(units()) {
        assert!(list.contains(&format!(" .{file}\n")), "{file} is missing in\n{list}");
    }
    assert!(list.contains("/usr/share/zsh/vendor-completions/_bytctl\n"));
    assert!(list.lines().all(|line| line.contains(" root/root ")), "{list}");
    let control = run("dpkg-deb", &["-f"], built, ".deb");
    assert!(control.contains("libc6 (>= 2."), "{control}");
    assert!(!control.contains('@') || control.contains("<bytchat@"), "{control}");
    let conffiles = run("dpkg-deb", &["--ctrl-tarfile"], built, ".deb");
    assert!(conffiles.contains("/etc/bytchat/bytchatd.toml"));
    let unpacked = built.unpacked();
    let example = unpacked.path().join("etc/bytchat/bytchatd.toml");
    assert!(fs::read_to_string(example).unwrap().contains("\n#listen = "));
}

#[test]
fn lintian_finds_nothing() {
    let Some(built) = packages("lintian") else { return };
    if !has_tools("lintian", &["lintian"]) {
        return;
    }
    let args = ["--fail-on", "error,warning", "--tag-display-limit", "0", "--allow-root"];
    let said = run("lintian", &args, built, ".deb");
    assert!(!said.contains("W:") && !said.contains("E:"), "{said}");
}

#[test]
fn the_rpm_holds_the_same_and_its_digests_are_right() {
    let Some(built) = packages("the test of the .rpm") else { return };
    assert!(run("rpm", &["-K", "--nosignature"], built, ".rpm").contains("digests OK"));
    let list = run("rpm", &["-qpl"], built, ".rpm");
    for file in NEEDED.into_iter().map(str::to_owned).chain(units()) {
        assert!(list.contains(&format!("{file}\n")), "{file} is missing in\n{list}");
    }
    assert!(list.contains("/usr/share/zsh/site-functions/_bytctl\n"));
    assert!(!list.contains("/var/lib"), "data belongs to no package:\n{list}");
    assert_eq!(run("rpm", &["-qpc"], built, ".rpm"), "/etc/bytchat/bytchatd.toml\n");
    let scripts = run("rpm", &["-qp", "--scripts"], built, ".rpm");
    assert!(scripts.contains("systemd-sysusers bytchat.conf"), "{scripts}");
    let built_at = run("rpm", &["-qp", "--qf", "%{BUILDHOST} %{ARCH} %{VERSION}"], built, ".rpm");
    assert_eq!(built_at, format!("reproducible {} {NOW}", std::env::consts::ARCH));
    let needs = run("rpm", &["-qpR"], built, ".rpm");
    assert!(needs.contains("libc.so.6"), "{needs}");
}

#[test]
fn the_sums_are_those_of_the_files() {
    let Some(built) = packages("the test of the sums") else { return };
    let mut command = Command::new("sha256sum");
    let checked = Ran::of(command.args(["-c", "SHA256SUMS"]).current_dir(built.folder()), b"");
    assert_eq!(checked.ok().lines().filter(|line| line.ends_with(": OK")).count(), 3);
}

/// Folder, time of files, zone, language and mask differ; the programs are the same.
#[test]
fn the_same_programs_give_the_same_packages_anywhere() {
    let Some(built) = packages("the test of equal packages") else { return };
    let other = TempDir::with_prefix("bytchat-elsewhere-").unwrap();
    let place = other.path().join("a/longer/path");
    let copy = "mkdir -p \"$1\" && git ls-files -z --cached --others --exclude-standard |
        tar --null -T - -c | tar -x --touch -C \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", copy, "copy"]).arg(&place).current_dir(tree());
    Ran::of(&mut command, b"").ok();
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(place.join("packaging/build"));
    command.env("TZ", "Asia/Tokyo").env("LC_ALL", "C.UTF-8").current_dir("/");
    let again = Built::by(command, NOW);
    assert_eq!(built.sums(), again.sums());
    assert_eq!(built.sums().lines().count(), 3);
}

/// Two release builds; the usual half of it is the test above.
#[test]
fn the_same_commit_gives_the_same_packages() {
    if std::env::var_os("BYTCHAT_LONG").is_none_or(|long| long != "1") {
        println!("NOT RUN: two release builds of the last commit: they need BYTCHAT_LONG=1");
        return;
    }
    let mut command = Command::new(tree().join("packaging/build"));
    let said = Ran::of(command.arg("--check"), b"");
    assert!(said.ok().ends_with("Both builds are equal.\n"), "{}", said.out);
}

#[test]
fn the_bill_of_materials_names_every_crate_with_its_sum() {
    let Some(built) = packages("the bill of materials") else { return };
    let text = fs::read_to_string(built.file(".cdx.json")).unwrap();
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components = bill["components"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let names: BTreeSet<_> = components.iter().map(|component| text(&component["name"])).collect();
    for name in ["bytchatd", "bytctl", "bytchat-core", "bytchat-proto", "aws-lc-sys", "quinn"] {
        assert!(names.contains(name), "{name} is missing");
    }
    assert!(!names.contains("proptest"), "what only tests use is not part of the product");
    let references: BTreeSet<_> =
        components.iter().map(|component| text(&component["bom-ref"])).collect();
    assert_eq!(references.len(), components.len());
    for component in components {
        let own = component["name"].as_str().unwrap().starts_with("byt");
        let sum = component["hashes"][0]["content"].as_str();
        assert!(own && sum.is_none() || sum.is_some_and(|sum| sum.len() == 64), "{component}");
        assert!(!text(&component["licenses"][0]["expression"]).contains("NOASS"), "{component}");
    }
    for row in bill["dependencies"].as_array().unwrap() {
        for target in row["dependsOn"].as_array().unwrap() {
            assert!(references.contains(target.as_str().unwrap()), "{target} of {row}");
        }
    }
}
