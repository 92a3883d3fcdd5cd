//! Finds `bytchatd`, and builds it first when cargo runs us.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;

const NAME: &str = "bytchatd";

/// The daemon beside this program, or else in the search path.
pub(super) fn bytchatd() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|source| Failure::File {
        what: "find",
        path: "bytctl".into(),
        source,
    })?;
    let cargo = std::env::var_os("CARGO").zip(std::env::var_os("CARGO_MANIFEST_DIR"));
    if let Some((cargo, package)) = cargo {
        build(&cargo, Path::new(&package), &own)?;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = own.with_file_name(NAME);
    let elsewhere = std::env::split_paths(&path).map(|dir| dir.join(NAME));
    let mut candidates = [beside].into_iter().chain(elsewhere);
    candidates.find(|file| file.is_file()).ok_or_else(|| Failure::Demo {
        step: "looking for bytchatd".to_owned(),
        why: format!("it is neither beside {} nor in $PATH", own.display()),
        hint: "install it, or build it with `cargo build --bin bytchatd`".to_owned(),
    })
}

/// Builds the daemon as we were built; cargo shows its progress on stderr.
fn build(cargo: &OsStr, package: &Path, own: &Path) -> Result<(), Failure> {
    let folder = own.parent().and_then(Path::file_name);
    let profile = match folder {
        Some(name) if name != "debug" => name,
        Some(_) | None => OsStr::new("dev"),
    };
    let status = Command::new(cargo)
        .args(["build", "--package", NAME, "--bin", NAME, "--profile"])
        .arg(profile)
        .current_dir(package)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    let why = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("cargo ended with {status}"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "cargo is gone".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::Demo { step: "building bytchatd".to_owned(), why, hint: String::new() })
}
