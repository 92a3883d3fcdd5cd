//! `bytctl send --lines`: each line of stdin is a message.

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
    let mut number = 0_u64;
    while let Some(line) = next(&mut lines, number + 1)? {
        number += 1;
        if line.trim().is_empty() {
            continue;
        }
        // What stands before is sent, and said to be: who goes on begins here.
        if let Err(failure) = send(context, command, line) {
            context.printer.warn(&format!("stopped at line {number}, which is not sent"));
            return Err(failure);
        }
    }
    Ok(())
}

/// The next line without its end, or `None` at the end.
fn next(lines: &mut impl BufRead, number: u64) -> Result<Option<String>, Failure> {
    let limit = u64::try_from(TEXT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(2);
    let mut bytes = Vec::new();
    lines.take(limit).read_until(b'\n', &mut bytes).map_err(|source| Failure::File {
        what: "read",
        path: "stdin".into(),
        source,
    })?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    if bytes.ends_with(b"\r") {
        bytes.pop();
    }
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(Failure::refused(&ErrorKind::TooLarge.because(format!(
            "a message has at most {TEXT_BYTES_MAX} bytes, line {number} has more"
        ))));
    }
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|error| {
        let why = error.utf8_error();
        Failure::Usage(format!("line {number} of stdin is no UTF-8 text: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut text: &[u8]) -> Vec<Result<Option<String>, Failure>> {
        (1..=4).map(|number| next(&mut text, number)).collect()
    }

    #[test]
    fn lines_end_with_either_end_or_with_the_text() {
        let lines: Vec<_> = all("a\nGrüße\r\n\nc".as_bytes()).into_iter().flatten().collect();
        let lines: Vec<_> = lines.iter().flatten().collect();
        assert_eq!(lines, ["a", "Grüße", "", "c"]);
        assert!(matches!(all(b"")[0], Ok(None)));
    }

    #[test]
    fn what_is_no_message_is_named_by_its_line() {
        let long = vec![b'x'; TEXT_BYTES_MAX + 1];
        let failure = all(&[b"a\n", &long[..]].concat()).remove(1).unwrap_err();
        assert!(failure.to_string().contains("line 2"), "{failure}");
        assert_eq!(failure.kind(), Some(ErrorKind::TooLarge));
        assert!(all(b"a\n\xff\n").remove(1).unwrap_err().to_string().contains("line 2"));
        let most = vec![b'x'; TEXT_BYTES_MAX];
        assert!(all(&[&most[..], b"\r\n"].concat())[0].is_ok());
    }
}
