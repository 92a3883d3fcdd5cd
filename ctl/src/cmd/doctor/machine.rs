//! The machine below the daemon: its unit, its configuration, its disk and its key file.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::statvfs;
use serde_json::Value;

use super::door::Door;
use super::{Check, Findings, ask};

const DAEMON: &str = "bytchatd";
const KEY_FILE: &str = "vault.key";
const SYSTEM_DATA: &str = "/var/lib/bytchat";
const SYSTEM_CONFIG: &str = "/etc/bytchat/bytchatd.toml";
/// With less the daemon soon takes nothing more.
const FREE_FEW: u64 = 100_000_000;
/// With less somebody should look.
const FREE_SOME: u64 = 1_000_000_000;

/// Looks at what can be seen from here.
pub(super) fn look(door: &Door, config: Option<&Path>, findings: &mut Findings) {
    let (unit, said) = unit(door);
    findings.unit = said;
    let dir = data_dir(&findings.config).or_else(|| usual_dir(door));
    findings.checks.extend([unit, configuration(door, config)]);
    match dir {
        Some(dir) => findings.checks.extend([disk(&dir), key_file(&dir)]),
        None => findings.checks.push(Check::skip("disk", "the data directory is not known here")),
    }
}

fn unit(door: &Door) -> (Check, String) {
    const NAME: &str = "unit";
    if !Path::new("/run/systemd/system").is_dir() {
        return (Check::skip(NAME, "there is no systemd"), String::new());
    }
    let scope = if door.is_system() { "--system" } else { "--user" };
    let show = "--property=LoadState,ActiveState,SubState,Result,NRestarts,ExecMainStatus";
    let said = ask("systemctl", &[scope, "show", "bytchatd.service", show]);
    let Some(said) = said else {
        return (Check::skip(NAME, "systemd does not answer"), String::new());
    };
    (judge_unit(&said, scope, door.is_open()), said)
}

fn judge_unit(said: &str, scope: &str, open: bool) -> Check {
    const NAME: &str = "unit";
    let value = |name: &str| {
        let mut pairs = said.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    };
    let state = value("ActiveState");
    let log = format!("journalctl {scope} -u bytchatd -n 20");
    let log = log.replace(" --system", "");
    let start = format!("systemctl {scope} enable --now bytchatd.socket bytchatd.service");
    let start = start.replace(" --system", "");
    match (value("LoadState"), state) {
        ("loaded", "failed") => Check::fail(
            NAME,
            format!("it failed: {}, status {}", value("Result"), value("ExecMainStatus")),
            match value("ExecMainStatus") {
                "78" => "bytchatd --check-config".to_owned(),
                _ => log,
            },
        ),
        ("loaded", "active") => {
            Check::ok(NAME, format!("active, restarted {} times", value("NRestarts")))
        }
        ("loaded", state) if !open => Check::fail(NAME, format!("it is {state}"), start),
        (_, _) if open => Check::skip(NAME, "the daemon runs without its unit"),
        (_, _) => Check::fail(NAME, "there is no unit bytchatd.service", "install the package"),
    }
}

/// Lets the daemon itself check its file.
fn configuration(door: &Door, named: Option<&Path>) -> Check {
    const NAME: &str = "configuration";
    let Some(program) = program() else {
        return Check::skip(NAME, "bytchatd is not found here");
    };
    let usual = Path::new(SYSTEM_CONFIG);
    let file = named.or_else(|| (door.is_system() && usual.exists()).then_some(usual));
    let mut command = Command::new(program);
    command.arg("--check-config").stdin(Stdio::null());
    if let Some(file) = file {
        command.arg("--config").arg(file);
    }
    match command.output() {
        Ok(output) if output.status.success() => Check::ok(NAME, "it makes sense"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().trim_start_matches("bytchatd: ").to_owned();
            match said.contains("Permission denied") {
                true => Check::skip(NAME, "you may not read it"),
                false => Check::fail(NAME, said, "mend that, then `systemctl restart bytchatd`"),
            }
        }
        Err(error) => Check::skip(NAME, format!("bytchatd cannot be asked: {error}")),
    }
}

fn program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let elsewhere = elsewhere.map(|dir| dir.join(DAEMON));
    [own.with_file_name(DAEMON)].into_iter().chain(elsewhere).find(|file| file.is_file())
}

fn data_dir(config: &Value) -> Option<PathBuf> {
    let mut values = config["values"].as_array()?.iter();
    let dir = values.find(|value| value["key"] == "data_dir")?;
    Some(dir["value"].as_str()?.into())
}

fn usual_dir(door: &Door) -> Option<PathBuf> {
    if door.is_system() {
        return Some(SYSTEM_DATA.into());
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data.join("bytchat")).filter(|dir| dir.exists())
}

fn disk(dir: &Path) -> Check {
    // A folder that others may not enter lies on the disk of the one above, or nearly always.
    let space = dir.ancestors().find_map(|dir| statvfs(dir).ok());
    match space {
        None => Check::skip("disk", "its room cannot be seen from here"),
        Some(space) => judge_disk(space.f_bavail.saturating_mul(space.f_frsize)),
    }
}

fn judge_disk(free: u64) -> Check {
    let found = format!("{} MB are free", free / 1_000_000);
    let fix = "make room on the disk of the data directory; what was taken is not lost";
    match free {
        ..FREE_FEW => Check::fail("disk", found, fix),
        FREE_FEW..FREE_SOME => Check::warn("disk", found, fix),
        FREE_SOME.. => Check::ok("disk", found),
    }
}

fn key_file(dir: &Path) -> Check {
    const NAME: &str = "key file";
    let path = dir.join(KEY_FILE);
    let file = match fs::symlink_metadata(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let found = "there is none: a credential of systemd, or the daemon never ran here";
            return Check::skip(NAME, found);
        }
        Err(_) => return Check::skip(NAME, "out of your reach"),
    };
    let mode = file.permissions().mode() & 0o777;
    let found = format!("mode {mode:03o}, of the Unix user {}", file.uid());
    match mode & 0o077 {
        0 => Check::ok(NAME, found),
        _ => Check::fail(
            NAME,
            format!("{found}: others can read it"),
            format!("chmod 600 '{}'", path.display()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_unit_is_judged_by_what_systemd_says() {
        let said = |state: &str, status: &str| {
            format!(
                "LoadState=loaded\nActiveState={state}\nResult=exit-code\nExecMainStatus={status}"
            )
        };
        let failed = judge_unit(&said("failed", "78"), "--system", false);
        assert_eq!(failed.fix.as_deref(), Some("bytchatd --check-config"));
        let failed = judge_unit(&said("failed", "1"), "--user", false);
        assert_eq!(failed.fix.as_deref(), Some("journalctl --user -u bytchatd -n 20"));
        assert_eq!(judge_unit(&said("active", "0"), "--system", true).verdict, Verdict::Ok);
        let dead = judge_unit(&said("inactive", "0"), "--system", false);
        assert!(dead.fix.unwrap().starts_with("systemctl enable --now"), "{}", dead.found);
        assert_eq!(judge_unit(&said("inactive", "0"), "--user", true).verdict, Verdict::Skip);
        let none = "LoadState=not-found\nActiveState=inactive";
        assert_eq!(judge_unit(none, "--system", false).verdict, Verdict::Fail);
        assert_eq!(judge_unit("", "--system", true).verdict, Verdict::Skip);
    }

    #[test]
    fn a_full_disk_and_an_open_key_are_told() {
        let verdicts = [0, FREE_FEW, FREE_SOME].map(|free| judge_disk(free).verdict);
        assert_eq!(verdicts, [Verdict::Fail, Verdict::Warn, Verdict::Ok]);
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(key_file(dir.path()).verdict, Verdict::Skip);
        let key = dir.path().join(KEY_FILE);
        fs::write(&key, "").unwrap();
        for (mode, verdict) in [(0o600, Verdict::Ok), (0o640, Verdict::Fail)] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(key_file(dir.path()).verdict, verdict, "{mode:o}");
        }
    }
}
