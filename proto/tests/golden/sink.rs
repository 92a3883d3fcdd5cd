//! Golden files: one named entry after another, compared or, if asked to, written anew.

use std::fmt::Write;
use std::path::PathBuf;

use bytchat_proto::codec::{encode, to_json};
use data_encoding::HEXLOWER;
use serde::Serialize;

/// Defines the name of each variant, and the list of all names, from one exhaustive match.
macro_rules! variants {
    ($function:ident, $list:ident, $type:ty { $($pattern:pat => $name:literal,)* }) => {
        /// The name of a variant.
        pub(crate) fn $function(value: &$type) -> &'static str {
            match value {
                $($pattern => $name,)*
            }
        }

        /// Every name.
        pub(crate) const $list: &[&str] = &[$($name),*];
    };
}
pub(crate) use variants;

/// The entries of one golden file.
#[derive(Default)]
pub(crate) struct Golden {
    text: String,
}

impl Golden {
    /// Adds a value in both forms.
    pub(crate) fn value<T: Serialize>(&mut self, name: &str, value: &T) {
        self.forms(name, &encode(value), &to_json(value));
    }

    /// Adds bytes and a JSON form.
    pub(crate) fn forms(&mut self, name: &str, bytes: &[u8], json: &serde_json::Value) {
        let hex = HEXLOWER.encode(bytes);
        self.line(&format!("== {name}\ncbor {hex}\njson {json}"));
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("a string takes text");
    }

    /// Compares with the file of that name; the first line that differs is shown.
    pub(crate) fn check(&self, file: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
        if std::env::var_os("BYTCHAT_BLESS").is_some() {
            std::fs::write(&path, &self.text).expect("the golden file can be written");
        }
        let known = std::fs::read_to_string(&path).expect("the golden file is there");
        for (number, (known, now)) in known.lines().zip(self.text.lines()).enumerate() {
            assert_eq!(known, now, "{file}:{} has changed", number + 1);
        }
        assert_eq!(known.lines().count(), self.text.lines().count(), "{file}");
    }
}

/// Fails if a variant has no sample, or a sample comes twice under one name.
pub(crate) fn assert_all_covered(names: &[&str], sampled: &[&str]) {
    for name in names {
        let times = sampled.iter().filter(|sample| *sample == name).count();
        assert_eq!(times, 1, "samples of {name}");
    }
}
