//! The manual pages of the daemon and of its file, from its flags and from the table of keys.

use clap::{CommandFactory, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Args;
use super::keys::{TABLES, Table};

const MANUAL: &str = "BytChat";

/// A manual page of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// The daemon.
    #[value(name = "bytchatd.8")]
    Daemon,
    /// Its configuration file.
    #[value(name = "bytchatd.toml.5")]
    File,
}

impl Page {
    /// The page as roff text. Its date stays empty: only who packages knows it.
    pub fn render(self) -> String {
        match self {
            Self::Daemon => daemon(),
            Self::File => file(),
        }
    }
}

fn daemon() -> String {
    let version = format!("BytChat {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(Args::command())
        .title("BYTCHATD")
        .section("8")
        .date("\"\"")
        .source(version)
        .manual(MANUAL);
    let mut page = Vec::new();
    let parts = [
        man.render_title(&mut page),
        man.render_name_section(&mut page),
        man.render_synopsis_section(&mut page),
        man.render_description_section(&mut page),
        man.render_options_section(&mut page),
    ];
    parts.into_iter().collect::<Result<(), _>>().expect("memory takes any text");
    let mut rest = Roff::new();
    for (heading, entries) in SECTIONS {
        rest.control("SH", [*heading]);
        for (term, text) in *entries {
            list_entry(&mut rest, term, text);
        }
    }
    see_also(&mut rest, "bytctl(1), bytchatd.toml(5), bytchat-rpc(7), systemctl(1), journalctl(1)");
    String::from_utf8(page).expect("pages are text") + &rest.to_roff()
}

/// What the flags do not say: headings, and terms with their explanation.
const SECTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "SIGNALS",
        &[
            ("SIGTERM, SIGINT", "Finish what is under way, bring it to the disk, and stop."),
            (
                "SIGHUP",
                "Read the file again. log, bootstrap, dns, [api] and [[pods]] change at once, \
                 [api] for front ends that connect afterwards; for what else has changed the log \
                 says that a restart is needed.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "BYTCHAT_LOG",
                "What is logged, to stderr: a level such as debug, or a filter such as \
                 info,bytchatd::net=debug. Without it: info.",
            ),
            (
                "STATE_DIRECTORY, RUNTIME_DIRECTORY, CONFIGURATION_DIRECTORY, \
                 CREDENTIALS_DIRECTORY",
                "Folders that systemd names. They come before those of the user.",
            ),
            (
                "XDG_RUNTIME_DIR, XDG_DATA_HOME, XDG_CONFIG_HOME",
                "Folders of the user, when systemd names none.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            ("/etc/bytchat/bytchatd.toml", "The configuration of the system's daemon."),
            ("~/.config/bytchat/bytchatd.toml", "The configuration of a user's daemon."),
            (
                "/var/lib/bytchat, ~/.local/share/bytchat",
                "Keys and messages. The keys of accounts are people's identities.",
            ),
            (
                "/run/bytchat/bytchatd.sock, $XDG_RUNTIME_DIR/bytchat/bytchatd.sock",
                "The socket for front ends. Members of the groups bytchat, bytchat-read and \
                 bytchat-admin may use the system's, each for what bytchatd.toml(5) says under \
                 allow: adduser NAME bytchat.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "It was told to stop, or did what it was asked to."),
            ("1", "It cannot go on; the log says why."),
            ("78", "A flag or the configuration file is wrong. systemd does not try again."),
        ],
    ),
];

fn file() -> String {
    let mut page = Roff::new();
    let version = format!("BytChat {}", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["BYTCHATD.TOML", "5", "\"\"", version.as_str(), MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman("bytchatd.toml - configuration of the BytChat daemon")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "The daemon reads /etc/bytchat/bytchatd.toml if the system's systemd starts it, and \
         ~/.config/bytchat/bytchatd.toml if a user does; the flag --config names another file. \
         The file is TOML. It may be empty or absent. A key that does not exist is an error, and \
         so is a value of the wrong kind: the daemon names the line, says what would do, and \
         does not start. Flags of bytchatd(8) override the file.",
    )]);
    page.control("PP", []);
    page.text([roman(
        "bytchatd --check-config reads the file and prints what is in effect. bytchatd \
         --example-config prints a file in which all that follows is commented out.",
    )]);
    for table in TABLES {
        keys(&mut page, table);
    }
    see_also(&mut page, "bytchatd(8), bytctl(1)");
    page.render()
}

fn keys(page: &mut Roff, table: &Table) {
    if table.opens.is_empty() {
        page.control("SH", ["KEYS BEFORE ALL TABLES"]);
    } else {
        page.control("SH", [format!("TABLE {}", table.opens).as_str()]);
        page.text([roman(table.doc)]);
    }
    for key in table.keys {
        list_entry(page, key.name, key.doc);
        page.control("IP", []);
        page.text([roman(format!("It is {}.", key.expected))]);
        page.control("br", []);
        page.text([roman(format!("Default: {}.", key.default))]);
        page.control("br", []);
        page.text([roman("Example: "), bold(format!("{} = {}", key.name, key.example))]);
    }
}

fn list_entry(page: &mut Roff, term: &str, text: &str) {
    page.control("TP", []);
    page.text([bold(term)]);
    page.text([roman(text)]);
}

fn see_also(page: &mut Roff, pages: &str) {
    page.control("SH", ["SEE ALSO"]);
    page.text([roman(pages)]);
}
