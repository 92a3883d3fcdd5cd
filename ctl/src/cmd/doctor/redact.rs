//! Texts without what belongs to people: addresses, aliases, ids, hosts, homes.

use std::net::{IpAddr, SocketAddr};

/// What stands where something was left out.
const GONE: &str = "[left out]";
/// The shortest id has as many characters.
const ID_CHARS: usize = 26;

/// The text with everything left out that names a person or a place; `own` are further words to
/// leave out, such as the home of who asks.
pub(super) fn redact(text: &str, own: &[String]) -> String {
    let mut text = text.to_owned();
    for word in own.iter().filter(|word| word.len() > 1) {
        text = text.replace(word.as_str(), GONE);
    }
    let lines = text.lines().map(|line| {
        let words = line.split(' ').map(|word| if names(word) { GONE } else { word });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn names(word: &str) -> bool {
    let bare =
        word.trim_matches(|c: char| !c.is_alphanumeric() && c != '[' && c != ']' && c != ':');
    let bare = bare.trim_end_matches([':', ',', '.']);
    let is_address = bare.parse::<SocketAddr>().is_ok() || bare.parse::<IpAddr>().is_ok();
    let is_id = bare.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part.len() >= ID_CHARS);
    is_address || is_id || word.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_places_are_left_out_and_the_rest_stays() {
        let own = ["/home/ann".to_owned(), "ann".to_owned()];
        for (text, left) in [
            ("listens at 127.0.0.1:4848 [::1]:9", "listens at [left out] [left out]"),
            ("(192.0.2.1), 2001:db8::1.", "[left out] [left out]"),
            ("alice@pod.example is there", "[left out] is there"),
            ("id aeaqcaibaeaqcaibaeaqcaibaeaqcaib;", "id [left out]"),
            ("name=aeaqcaibaeaqcaibaeaqcaibaeaqcaib", "[left out]"),
            ("/home/ann/.local is of ann", "[left out]/.local is of [left out]"),
            ("3 nodes are known, 1 linked", "3 nodes are known, 1 linked"),
            ("/run/bytchat/bytchatd.sock", "/run/bytchat/bytchatd.sock"),
            ("two\nlines", "two\nlines"),
        ] {
            assert_eq!(redact(text, &own), left);
        }
    }
}
