//! The root of a machine as the distribution makes it, made once and kept for later runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::daemon::{Ran, cannot_run};

/// What every machine has besides the minimal system.
const PACKAGES: [&str; 5] = ["systemd", "systemd-sysv", "dbus", "libpam-systemd", "procps"];
/// What makes and runs machines.
const TOOLS: [&str; 5] = ["debootstrap", "systemd-nspawn", "nsenter", "unshare", "setpriv"];

/// A root that machines start from; they do not change it.
#[derive(Clone, Debug)]
pub struct Image {
    root: PathBuf,
}

/// Where packages of the distribution of this machine come from.
struct Source {
    suite: String,
    mirror: String,
}

impl Image {
    /// The release that runs here, or the one that BYTCHAT_SUITE names, minimal, with systemd and
    /// with these packages; `None`, and a word about it, where there can be no machines.
    ///
    /// The first call takes a minute or two, a later one nothing. Where packages come from is
    /// asked of the sources of apt.
    ///
    /// # Panics
    /// If it cannot be made, or if everything is to run and there can be no machines.
    pub fn debian(what: &str, packages: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            cannot_run(what, "only root can start a machine");
            return None;
        }
        if let Some(tool) = TOOLS.iter().find(|tool| !is_there(tool)) {
            cannot_run(what, &format!("{tool} is missing: .ci/run installs it"));
            return None;
        }
        let Some(source) = Source::of_this_machine() else {
            cannot_run(what, "apt has no source for the release that runs here");
            return None;
        };
        let mut packages: Vec<_> = PACKAGES.iter().chain(packages).copied().collect();
        packages.sort_unstable();
        packages.dedup();
        Some(source.image(&packages.join(",")))
    }

    /// Where it is. Nothing must be changed there.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Source {
    fn of_this_machine() -> Option<Self> {
        let release = fs::read_to_string("/etc/os-release").ok()?;
        let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
        let suite = suite.trim_matches('"').to_owned();
        let lists = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
        let mut files: Vec<_> = lists.map(|entry| entry.path()).collect();
        files.push("/etc/apt/sources.list".into());
        files.sort();
        let texts = files.iter().filter_map(|path| fs::read_to_string(path).ok());
        let mirror = texts.flat_map(|text| mirrors(&text, &suite)).next()?;
        let suite = std::env::var("BYTCHAT_SUITE").unwrap_or(suite);
        Some(Self { suite, mirror })
    }

    fn image(&self, packages: &str) -> Image {
        let digest = Sha256::digest(format!("{} {packages}", self.suite));
        let key = data_encoding::HEXLOWER.encode(&digest[..6]);
        let folder = super::container::folder();
        fs::create_dir_all(&folder).unwrap();
        let root = folder.join(format!("{}-{key}", self.suite));
        // Several test programs may want it at once.
        let lock = File::create(folder.join(format!("{key}.lock"))).unwrap();
        lock.lock().unwrap();
        if !root.exists() {
            self.bootstrap(packages, &root);
        }
        Image { root }
    }

    fn bootstrap(&self, packages: &str, root: &Path) {
        let fresh = root.with_extension("new");
        drop(fs::remove_dir_all(&fresh));
        println!("making a machine of {} with {packages}", self.suite);
        let mut command = Command::new("debootstrap");
        command.arg("--variant=minbase").arg(format!("--include={packages}"));
        let made = Ran::of(command.arg(&self.suite).arg(&fresh).arg(&self.mirror), b"");
        assert_eq!(made.code, 0, "debootstrap: {}{}", made.out, made.err);
        drop(fs::remove_dir_all(fresh.join("var/cache/apt/archives")));
        fs::rename(&fresh, root).unwrap();
    }
}

/// The mirrors of a suite that a file of apt names, in either of its two forms.
fn mirrors(text: &str, suite: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().filter_map(|line| line.strip_prefix("deb "));
    for line in lines {
        // Options stand in brackets.
        let line = line.split_once(']').map_or(line, |(_, rest)| rest);
        let mut words = line.split_whitespace();
        let (mirror, named) = (words.next().unwrap_or_default(), words.next());
        if named == Some(suite) && words.any(|component| component == "main") {
            found.push(mirror.to_owned());
        }
    }
    for stanza in text.split("\n\n") {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name));
        let has = |name, word: &str| {
            field(name).is_some_and(|words| words.split_whitespace().any(|w| w == word))
        };
        if has("Types:", "deb") && has("Suites:", suite) && has("Components:", "main") {
            let mirrors = field("URIs:").unwrap_or_default();
            found.extend(mirrors.split_whitespace().map(str::to_owned));
        }
    }
    found
}

fn is_there(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    folders.iter().any(|folder| folder.join(tool).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_found_in_both_forms() {
        let lines = "# deb http://no.test x main\n\
                     deb [signed-by=/k.gpg] http://a.test/debian x main\n\
                     deb http://b.test/debian x-updates main\ndeb http://c.test y main\n";
        assert_eq!(mirrors(lines, "x"), ["http://a.test/debian"]);
        let stanzas = "Types: deb\n# a remark\nURIs: http://d.test/debian\nSuites: x x-updates\n\
                       Components: main\n\nTypes: deb\nURIs: http://e.test\nSuites: x-security\n\
                       Components: main\n";
        assert_eq!(mirrors(stanzas, "x"), ["http://d.test/debian"]);
        assert_eq!(mirrors(stanzas, "x-security"), ["http://e.test"]);
        assert!(mirrors(stanzas, "y").is_empty());
    }
}
