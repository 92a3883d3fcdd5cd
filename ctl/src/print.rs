//! Output: tables and sentences for people, tabs for pipes, JSON for programs.

use std::io::{self, IsTerminal, Write};

use bytchat_proto::timestamp::Timestamp;
use serde_json::Value;

use crate::color::{Palette, Tone, When};
use crate::failure::Failure;
use crate::table::{Form, layout};

/// Columns of a terminal that does not say how many it has.
const WIDTH_USUAL: usize = 80;

/// Writes results to stdout and remarks to stderr.
pub(crate) struct Printer {
    out: Box<dyn Write>,
    json: bool,
    form: Form,
    aside: Palette,
}

impl Printer {
    /// Writes to stdout.
    pub(crate) fn stdout(json: bool, colors: When) -> Self {
        let out = io::stdout();
        let terminal = out.is_terminal();
        let palette = Palette::choose(colors, terminal, |name| std::env::var_os(name));
        let width = terminal.then(|| columns(&out));
        Self { form: Form { width, palette }, aside: aside(colors), out: Box::new(out), json }
    }

    /// Whether programs read it.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether a person reads it as it comes.
    pub(crate) fn terminal(&self) -> bool {
        self.form.width.is_some()
    }

    /// The colours of the output.
    pub(crate) fn palette(&self) -> Palette {
        self.form.palette
    }

    /// One value on one line.
    pub(crate) fn value(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&value.to_string())
    }

    /// One line as it is.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{text}")?;
        self.out.flush()?;
        Ok(())
    }

    /// Names and values, one pair a line.
    pub(crate) fn pairs(&mut self, pairs: &[(&str, String)]) -> Result<(), Failure> {
        let widest = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in pairs {
            let value = tame(value);
            if self.terminal() {
                let name = self.palette().paint(Some(Tone::Faint), &format!("{name:widest$}"));
                writeln!(self.out, "{name}  {value}")?;
            } else {
                writeln!(self.out, "{name}\t{value}")?;
            }
        }
        self.out.flush()?;
        Ok(())
    }

    /// A table: aligned with a heading on a terminal, rows with tabs in a pipe.
    pub(crate) fn table<const N: usize>(
        &mut self,
        heading: [&str; N],
        rows: &[[String; N]],
    ) -> Result<(), Failure> {
        for line in layout(heading, rows, self.form) {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()?;
        Ok(())
    }

    /// A remark on the side.
    pub(crate) fn remark(&self, text: &str) {
        if self.json {
            return;
        }
        self.warn(text);
    }

    /// A remark on the side that programs log as well.
    pub(crate) fn warn(&self, text: &str) {
        let text = self.aside.paint(Some(Tone::Faint), text);
        // A closed stderr is no reason to end.
        match writeln!(io::stderr(), "{text}") {
            Ok(()) | Err(_) => {}
        }
    }
}

/// The colours of what is said on stderr.
pub(crate) fn aside(colors: When) -> Palette {
    Palette::choose(colors, io::stderr().is_terminal(), |name| std::env::var_os(name))
}

/// How many columns a terminal has.
fn columns(out: &io::Stdout) -> usize {
    let said = rustix::termios::tcgetwinsize(out).ok().map(|size| usize::from(size.ws_col));
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    said.filter(|columns| *columns > 0).or_else(told).unwrap_or(WIDTH_USUAL)
}

/// Takes from a text of strangers what could move the cursor, hide words or forge rows.
pub(crate) fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}');
        let hides = matches!(c, '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'
            | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
        if c.is_control() || turns || hides {
            tamed.extend(c.escape_default());
        } else {
            tamed.push(c);
        }
    }
    tamed
}

/// Like `tame`, but lines stay lines.
pub(crate) fn tame_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(tame).collect();
    lines.join("\n")
}

/// The beginning of a text, marked if there is more.
pub(crate) fn shorten(text: &str, chars: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    if first.len() == text.len() && text.chars().count() <= chars {
        return text.to_owned();
    }
    let begin: String = first.chars().take(chars.saturating_sub(1)).collect();
    begin + "…"
}

/// A time in UTC, by RFC 3339.
pub(crate) fn time(at: Timestamp) -> String {
    let (days, ms) = (at.0 / 86_400_000, at.0 % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let ms = ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The same for people, who read many below each other.
pub(crate) fn short_time(at: Timestamp) -> String {
    let time = time(at);
    let (date, rest) = time.split_once('T').unwrap_or((&time, ""));
    let seconds = rest.split_once('.').map_or(rest, |(seconds, _)| seconds);
    format!("{date} {seconds}Z")
}

/// Year, month and day of a day since 1970, by Hinnant's `civil_from_days`: years begin in
/// March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_795_231_949_123, "2026-11-21T03:32:29.123Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(time(Timestamp(ms)), text);
        }
        assert!(time(Timestamp(u64::MAX)).ends_with('Z'));
        assert_eq!(short_time(Timestamp(1_795_231_949_123)), "2026-11-21 03:32:29Z");
    }

    #[test]
    fn what_could_deceive_a_terminal_is_escaped() {
        assert_eq!(tame("a\u{1b}[2Jb\u{202e}c\r"), "a\\u{1b}[2Jb\\u{202e}c\\r");
        assert_eq!(tame("pay\u{200b}pal\u{e0041}"), "pay\\u{200b}pal\\u{e0041}");
        assert_eq!(tame("a\u{200b}\u{feff}\u{e0041}"), "a\\u{200b}\\u{feff}\\u{e0041}");
        assert_eq!(tame("Grüße 🙂 👩\u{200d}🔧"), "Grüße 🙂 👩\u{200d}🔧");
        assert_eq!(tame_lines("a\nb\u{7}"), "a\nb\\u{7}");
    }

    #[test]
    fn long_texts_and_further_lines_are_cut_visibly() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("longer", 5), "long…");
        assert_eq!(shorten("two\nlines", 50), "two…");
    }
}
