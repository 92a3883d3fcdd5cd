//! What lies in files that people write: the configuration.

use std::cell::RefCell;
use std::fs;

use bytchatd::config::{Args, Config, Surroundings, example};
use tempfile::TempDir;

thread_local! {
    static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// Reads a configuration file; an error names the file and its line.
pub(super) fn feed_config(bytes: &[u8]) {
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| tempfile::tempdir().expect("there is a disk"));
        let path = folder.path().join("bytchatd.toml");
        fs::write(&path, bytes).expect("a file can be written");
        let around = Surroundings { user_data: Some("/data".into()), ..Surroundings::default() };
        let args = Args { config: Some(path.clone()), ..Args::default() };
        match Config::load(&args, &around) {
            Ok((config, _)) => {
                // What is in effect is shown as a file that gives it again.
                let shown = config.to_string();
                fs::write(&path, &shown).expect("a file can be written");
                let (again, _) = Config::load(&args, &around).expect("what is shown is good");
                assert_eq!(again.to_string(), shown);
            }
            Err(error) => assert!(error.to_string().contains("bytchatd.toml"), "{error}"),
        }
    });
}

pub(super) fn configs() -> Vec<Vec<u8>> {
    let example = example();
    // Everything in the example is a comment; without it, everything is set.
    let set = example.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
    let bare = example.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    vec![
        bare.collect::<Vec<_>>().join("\n").into_bytes(),
        set.collect::<Vec<_>>().join("\n").into_bytes(),
        example.into_bytes(),
        b"listen = [\"0.0.0.0:1\"]\nnetwork = \"x\"\n[api]\nallow = []\n[pod]\nhost = \"a.b\"\n"
            .to_vec(),
    ]
}
