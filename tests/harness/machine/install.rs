//! What is built here, put where a package would put it.

use std::fs;
use std::path::{Path, PathBuf};

use super::Machine;
use crate::daemon::programs;

impl Machine {
    /// Puts programs, units and users of this tree into the machine, booted or not.
    ///
    /// # Panics
    /// If something is missing.
    pub fn install_tree(&self) {
        let programs = programs();
        self.put(&programs.bytchatd, "/usr/bin/bytchatd");
        self.put(&programs.bytctl, "/usr/bin/bytctl");
        for (from, to) in [
            ("systemd/system", "/usr/lib/systemd/system"),
            ("systemd/user", "/usr/lib/systemd/user"),
            ("packaging/sysusers.d", "/usr/lib/sysusers.d"),
        ] {
            for file in files(&tree().join(from)) {
                let name = file.file_name().unwrap().to_str().unwrap();
                self.put(&file, &format!("{to}/{name}"));
            }
        }
    }

    /// Makes the users and tells systemd of the units, as a package does at its end.
    pub fn set_up_tree(&self) {
        self.run(&["systemd-sysusers"]).ok();
        self.run(&["systemctl", "daemon-reload"]).ok();
    }
}

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}
