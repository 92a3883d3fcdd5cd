//! Entries for the journal in its own protocol: each value a field of its own, and all of them in
//! the message too, for people.
//!
//! The format stands in <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::fmt::{Debug, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytchat_proto::limits::{JOURNAL_TIMEOUT_MS, JOURNAL_VALUE_BYTES_MAX};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

const SOCKET: &str = "/run/systemd/journal/socket";
/// Names of our own fields begin so; the journal's own names are left alone.
const PREFIX: &str = "BYTCHAT_";

/// Writes to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

/// What an event or a span says.
#[derive(Debug, Default)]
struct Values {
    message: String,
    fields: Vec<(&'static str, String)>,
}

/// The bytes of an entry.
#[derive(Debug, Default)]
struct Entry(Vec<u8>);

impl Journal {
    /// Opens the way to the journal of this machine.
    pub(super) fn open() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(Duration::from_millis(JOURNAL_TIMEOUT_MS)))?;
        let journal = Self { socket, path: path.to_owned() };
        // The journal passes an empty entry over.
        journal.socket.send_to(&[], &journal.path)?;
        Ok(journal)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut values = Values::default();
        attributes.record(&mut values);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(values);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(values) = span.extensions_mut().get_mut::<Values>()
        {
            record.record(values);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut values = Values::default();
        event.record(&mut values);
        let mut entry = Entry::default();
        entry.add("PRIORITY", priority(*event.metadata().level()));
        entry.add("SYSLOG_IDENTIFIER", "bytchatd");
        entry.add("TARGET", event.metadata().target());
        let mut message = String::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            message.push_str(span.name());
            if let Some(values) = span.extensions().get::<Values>() {
                message.push_str(&format!("{{{}}}", values.text().trim_start()));
                entry.add_all(values);
            }
            message.push_str(": ");
        }
        entry.add("MESSAGE", &(message + &values.message + &values.text()));
        entry.add_all(&values);
        // There is nowhere to say that the log does not work.
        drop(self.socket.send_to(&entry.0, &self.path));
    }
}

/// The levels of syslog that people filter by.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

impl Values {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => {
                self.fields.retain(|(other, _)| *other != name);
                self.fields.push((name, value));
            }
        }
    }

    /// The fields as people read them, each with a blank before.
    fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.fields {
            write!(text, " {name}={value}").expect("strings take any text");
        }
        text
    }
}

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

impl Entry {
    fn add_all(&mut self, values: &Values) {
        for (name, value) in &values.fields {
            let letters = name.chars().filter(char::is_ascii);
            let name =
                letters.map(|c| if c.is_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
            self.add(&name.fold(PREFIX.to_owned(), |name, c| name + &c.to_string()), value);
        }
    }

    /// Adds a field. The length stands before the value, so that no value can begin a field.
    fn add(&mut self, name: &str, value: &str) {
        let mut length = value.len().min(JOURNAL_VALUE_BYTES_MAX);
        while !value.is_char_boundary(length) {
            length -= 1;
        }
        self.0.extend(name.as_bytes());
        self.0.push(b'\n');
        self.0.extend(u64::try_from(length).unwrap_or_default().to_le_bytes());
        self.0.extend(&value.as_bytes()[..length]);
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// The fields of an entry, as the journal reads them.
    fn read(mut bytes: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
            let length: [u8; 8] = bytes[end + 1..end + 9].try_into().unwrap();
            let length = usize::try_from(u64::from_le_bytes(length)).unwrap();
            let value = &bytes[end + 9..end + 9 + length];
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            fields.push((text(&bytes[..end]), text(value)));
            assert_eq!(bytes[end + 9 + length], b'\n');
            bytes = &bytes[end + 10 + length..];
        }
        fields
    }

    fn entry_of(log: impl FnOnce()) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let socket = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::at(&path).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), log);
        let mut bytes = vec![0; 65536];
        assert_eq!(socket.recv(&mut bytes).unwrap(), 0);
        let length = socket.recv(&mut bytes).unwrap();
        read(&bytes[..length])
    }

    #[test]
    fn every_value_is_a_field_and_stands_in_the_message() {
        let fields = entry_of(|| {
            let span = tracing::info_span!("link", peer = tracing::field::Empty);
            let _inside = span.enter();
            span.record("peer", "abc");
            tracing::warn!(size = 7, "it is large");
        });
        let field = |name| fields.iter().find(|(other, _)| other == name).unwrap().1.as_str();
        assert_eq!(field("MESSAGE"), "link{peer=abc}: it is large size=7");
        assert_eq!((field("PRIORITY"), field("SYSLOG_IDENTIFIER")), ("4", "bytchatd"));
        assert_eq!((field("BYTCHAT_PEER"), field("BYTCHAT_SIZE")), ("abc", "7"));
        assert!(field("TARGET").starts_with("bytchatd::log"));
    }

    #[test]
    fn a_value_cannot_begin_a_field_and_has_a_limit() {
        let long = "ü".repeat(JOURNAL_VALUE_BYTES_MAX);
        let fields = entry_of(|| tracing::error!(reason = "x\nPRIORITY=0", long, "planted"));
        let priorities: Vec<_> = fields.iter().filter(|(name, _)| name == "PRIORITY").collect();
        assert_eq!(priorities, [&("PRIORITY".to_owned(), "3".to_owned())]);
        let long = fields.iter().find(|(name, _)| name == "BYTCHAT_LONG").unwrap();
        assert_eq!(long.1.len(), JOURNAL_VALUE_BYTES_MAX);
    }
}
