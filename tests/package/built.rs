//! The packages of this tree, built once a run from the programs that the tests use anyhow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bytchat_tests::daemon::{Ran, cannot_run, programs};
use tempfile::TempDir;

/// The version before this one, for the upgrade.
pub(crate) const BEFORE: &str = "0.0.9";
/// The version of the tree.
pub(crate) const NOW: &str = env!("CARGO_PKG_VERSION");
/// Any moment will do, if it is always the same.
const TIME: &str = "1795000000";
/// What builds packages.
const TOOLS: [&str; 5] = ["dpkg-deb", "dpkg-shlibdeps", "strip", "jq", "rpmbuild"];

/// A folder with packages.
#[derive(Debug)]
pub(crate) struct Built {
    folder: TempDir,
}

impl Built {
    /// The packages of a version of this tree; `None`, and a word about it, if tools are missing.
    pub(crate) fn of(what: &str, version: &str) -> Option<Self> {
        let command = Command::new(tree().join("packaging/build"));
        has_tools(what, &TOOLS).then(|| Self::by(command, version))
    }

    /// What a command builds that takes the arguments of `packaging/build`.
    pub(crate) fn by(mut command: Command, version: &str) -> Self {
        let folder = TempDir::with_prefix("bytchat-package-").unwrap();
        command.arg("--fast").args(["--version", version]).arg("--output").arg(folder.path());
        command.arg("--binaries").arg(programs().bytctl.parent().unwrap());
        Ran::of(command.env("SOURCE_DATE_EPOCH", TIME), b"").ok();
        Self { folder }
    }

    /// A file in the folder by the end of its name.
    pub(crate) fn file(&self, end: &str) -> PathBuf {
        let mut found = files(self.folder.path());
        found.retain(|path| path.to_str().unwrap().ends_with(end));
        assert_eq!(found.len(), 1, "{end}: {found:?}");
        found.remove(0)
    }

    /// The sums, as `sha256sum` writes them.
    pub(crate) fn sums(&self) -> String {
        fs::read_to_string(self.file("SHA256SUMS")).unwrap()
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the .deb puts on a machine, unpacked.
    pub(crate) fn unpacked(&self) -> TempDir {
        let place = TempDir::with_prefix("bytchat-unpacked-").unwrap();
        let mut command = Command::new("dpkg-deb");
        Ran::of(command.arg("-x").arg(self.file(".deb")).arg(place.path()), b"").ok();
        place
    }
}

/// The packages of this tree.
pub(crate) fn packages(what: &str) -> Option<&'static Built> {
    static PACKAGES: OnceLock<Option<Built>> = OnceLock::new();
    PACKAGES.get_or_init(|| Built::of(what, NOW)).as_ref()
}

/// Whether these tools are there; if not, that is said.
pub(crate) fn has_tools(what: &str, tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let missing = tools.iter().find(|tool| !folders.iter().any(|dir| dir.join(tool).exists()));
    if let Some(tool) = missing {
        cannot_run(what, &format!("{tool} is missing: .ci/run installs it"));
    }
    missing.is_none()
}

/// The root of the workspace.
pub(crate) fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files of a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
