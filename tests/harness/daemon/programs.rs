//! The two programs, built once a run in the profile of the test itself.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The daemon.
    pub bytchatd: PathBuf,
    /// The command line.
    pub bytctl: PathBuf,
}

/// Builds the programs at the first call.
///
/// # Panics
/// If they do not build.
pub fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(build)
}

fn build() -> Programs {
    let own = std::env::current_exe().unwrap();
    // A test lies in <target>/<profile>/deps.
    let folder = own.ancestors().nth(2).unwrap();
    let target = folder.parent().unwrap();
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "bytchatd", "--package", "bytctl", "--bins"])
        .args(["--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.unwrap().success(), "the programs do not build");
    Programs { bytchatd: folder.join("bytchatd"), bytctl: folder.join("bytctl") }
}
