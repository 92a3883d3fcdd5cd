//! An example of the configuration file, in which everything is commented out.

use super::keys::{Key, TABLES, Table};

const COLUMNS_MAX: usize = 78;
const HEAD: &str = "\
The configuration of bytchatd; bytchatd.toml(5) is its manual page. An empty file is a good \
one: what is commented out here shows what could be said. `bytchatd --check-config` reads the \
file, says what is wrong with it, and prints what is in effect.";

/// An example of the configuration file: every key with what it is for, what holds without it,
/// and a value, all of it commented out. Explanations begin with `# `, values with `#` alone.
pub fn example() -> String {
    let mut text = comment(HEAD);
    for table in TABLES {
        text.push_str(&section(table));
    }
    text
}

fn section(table: &Table) -> String {
    let mut text = String::new();
    if !table.opens.is_empty() {
        text += &format!("\n{}#{}\n", comment(table.doc), table.opens);
    }
    for key in table.keys {
        let gap = if table.opens.is_empty() { "\n" } else { "" };
        text += &format!("{gap}{}", entry(key));
    }
    text
}

fn entry(key: &Key) -> String {
    let doc = comment(key.doc);
    let default = comment(&format!("Default: {}.", key.default));
    format!("{doc}{default}#{} = {}\n", key.name, key.example)
}

/// Lines that begin with `# ` and break between words.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > COLUMNS_MAX {
            lines += &format!("{line}\n");
            line = String::from("#");
        }
        line += &format!(" {word}");
    }
    lines + &line + "\n"
}
