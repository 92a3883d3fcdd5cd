//! The token by which this program narrows what it may, if somebody gave it one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytchat_proto::secret::SecretText;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The variable that has the token itself.
const VARIABLE: &str = "BYTCHAT_TOKEN";
/// No token is nearly as long.
const BYTES_MAX: usize = 1024;

/// Reads the token from the file that was named, or else from the environment.
pub(crate) fn read(file: Option<PathBuf>) -> Result<Option<SecretText>, Failure> {
    let token = match file {
        Some(path) => Some(of_file(&path)?),
        None => std::env::var(VARIABLE).ok().map(Zeroizing::new),
    };
    Ok(token.filter(|token| !token.trim().is_empty()).map(|token| trimmed(&token)))
}

fn of_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(BYTES_MAX));
    let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
    let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
    match read {
        Ok(_) if text.trim().is_empty() => {
            Err(Failure::Usage(format!("there is no token in {}", path.display())))
        }
        Ok(_) => Ok(text),
        Err(source) => Err(Failure::File { what: "read", path: path.to_owned(), source }),
    }
}

fn trimmed(text: &str) -> SecretText {
    text.trim().to_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_token_in_its_line_and_an_empty_one_is_a_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "bytchat-x\n").unwrap();
        assert_eq!(&*read(Some(path.clone())).unwrap().unwrap(), "bytchat-x");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(read(Some(path.clone())), Err(Failure::Usage(_))));
        assert!(matches!(read(Some(path.join("none"))), Err(Failure::File { .. })));
    }
}
