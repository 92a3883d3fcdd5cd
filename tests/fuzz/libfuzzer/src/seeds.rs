//! Writes the good inputs that are made, not kept, into a folder for each target.

use std::fs;
use std::io;
use std::path::PathBuf;

use bytchat_tests::fuzz::TARGETS;

fn main() -> io::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).expect("a folder is named").into();
    for target in TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
