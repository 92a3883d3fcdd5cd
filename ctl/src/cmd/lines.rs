//! `bytctl send --lines`: each line of stdin is a message. A line that cannot be one is told and
//! does not keep the next ones back.

use std::io::{self, BufRead, IsTerminal, Read};

use bytchat_proto::limits::TEXT_BYTES_MAX;
use bytchat_proto::rpc::ErrorKind;

use super::Context;
use super::send::send;
use crate::args;
use crate::failure::Failure;

pub(super) fn run(context: &mut Context, command: &args::Send) -> Result<(), Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        context.printer.remark("each line is sent as a message; Ctrl-D ends");
    }
    let mut lines = stdin.lock();
    let (mut number, mut left_out) = (0_u64, 0_u64);
    while let Some(line) = next(&mut lines)? {
        number += 1;
        let line = match line {
            Line::Text(line) if line.trim().is_empty() => continue,
            Line::Text(line) => line,
            Line::Broken(line) => {
                let why =
                    format!("line {number} is no UTF-8: its broken bytes are sent as \u{fffd}");
                context.printer.warn(&why);
                line
            }
            Line::TooLong => {
                let why = format!("a message has at most {TEXT_BYTES_MAX} bytes");
                context.printer.warn(&format!("line {number} is not sent: {why}"));
                left_out += 1;
                continue;
            }
        };
        // What stands before is sent, and said to be: who goes on begins here.
        if let Err(failure) = send(context, command, line) {
            context.printer.warn(&format!("stopped at line {number}, which is not sent"));
            return Err(failure);
        }
    }
    match left_out {
        0 => Ok(()),
        _ => Err(Failure::refused(&ErrorKind::TooLarge.because(format!(
            "{left_out} lines of more than {TEXT_BYTES_MAX} bytes were not sent"
        )))),
    }
}

/// A line of stdin without its end.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Text(String),
    /// What of it is no text is replaced.
    Broken(String),
    /// It was passed over.
    TooLong,
}

/// The next line, or `None` at the end.
fn next(lines: &mut impl BufRead) -> Result<Option<Line>, Failure> {
    let failed = |source| Failure::File { what: "read", path: "stdin".into(), source };
    let limit = u64::try_from(TEXT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(2);
    let mut bytes = Vec::new();
    lines.by_ref().take(limit).read_until(b'\n', &mut bytes).map_err(failed)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let ended = bytes.ends_with(b"\n");
    if ended {
        bytes.pop();
    }
    if bytes.ends_with(b"\r") {
        bytes.pop();
    }
    if bytes.len() > TEXT_BYTES_MAX {
        let mut rest = bytes;
        // The rest of it, a piece at a time.
        let mut more = !ended;
        while more {
            rest.clear();
            lines.by_ref().take(limit).read_until(b'\n', &mut rest).map_err(failed)?;
            more = !rest.is_empty() && !rest.ends_with(b"\n");
        }
        return Ok(Some(Line::TooLong));
    }
    Ok(Some(match String::from_utf8(bytes) {
        Ok(text) => Line::Text(text),
        Err(error) => Line::Broken(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut text: &[u8]) -> Vec<Line> {
        std::iter::from_fn(|| next(&mut text).unwrap()).collect()
    }

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    #[test]
    fn lines_end_with_either_end_or_with_the_text() {
        let lines = ["a", "Grüße", "", "c"].map(text);
        assert_eq!(all("a\nGrüße\r\n\nc".as_bytes()), lines);
        assert_eq!(all(b""), []);
    }

    #[test]
    fn what_is_no_message_is_passed_over_and_the_next_line_is_not() {
        for beyond in [1, 2, 3, TEXT_BYTES_MAX + 7, 3 * TEXT_BYTES_MAX] {
            let long = vec![b'x'; TEXT_BYTES_MAX + beyond];
            let lines = all(&[b"a\n", &long[..], b"\nb\n"].concat());
            assert_eq!(lines, [text("a"), Line::TooLong, text("b")], "{beyond}");
            assert_eq!(all(&long), [Line::TooLong]);
        }
        assert_eq!(
            all(b"a\nb\xff\nc"),
            [text("a"), Line::Broken("b\u{fffd}".to_owned()), text("c"),]
        );
        let most = "x".repeat(TEXT_BYTES_MAX);
        assert_eq!(all(format!("{most}\r\nb").as_bytes()), [text(&most), text("b")]);
    }
}
