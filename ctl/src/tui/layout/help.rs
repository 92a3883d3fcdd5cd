//! The keys and words that the help explains.

/// The keys: what, and for what. Short enough for 40 columns.
pub(crate) const KEYS: &[(&str, &str)] = &[
    ("In the list", ""),
    ("Up Down j k", "choose"),
    ("Enter", "open"),
    ("n", "write to somebody"),
    ("a  b", "accept, block"),
    ("s or F2", "another account"),
    ("q", "quit"),
    ("In a conversation", ""),
    ("Enter", "send"),
    ("Alt+Enter Ctrl-J", "new line"),
    ("PgUp PgDn", "older, newer"),
    ("Ctrl-End", "to the end"),
    ("Alt+Up Alt+Down", "another one"),
    ("Esc or Tab", "back to the list"),
    ("Ctrl-W Ctrl-U", "erase word, line"),
    ("Everywhere", ""),
    ("F1", "this help"),
    ("Ctrl-L", "read all anew"),
    ("Ctrl-Z  Ctrl-C", "shell, quit"),
    ("What became of it", ""),
    ("sending", "not yet on disk"),
    ("queued", "on our disk"),
    ("stored", "holders have it"),
    ("delivered", "they have it"),
    ("read", "seen by a person"),
    ("expired", "nobody took it"),
];

/// The highest line from which the help can be shown so that it fills its box.
pub(crate) fn top_max(rows: u16) -> usize {
    KEYS.len().saturating_sub(usize::from(rows.saturating_sub(2)))
}
