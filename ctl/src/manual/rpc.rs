//! The page bytchat-rpc(7): the language of front ends, from the table of methods, the table of
//! errors and the limits.

use bytchat_proto::limits::{RPC_CALLS_PER_CLIENT_MAX, RPC_LINE_BYTES_MAX, RPC_WRITE_TIMEOUT_MS};
use bytchat_proto::rpc::{Deprecation, ErrorKind, openrpc};
use clap_mangen::roff::{Roff, roman};

use super::{MANUAL, entry, paragraph, section, verbatim, version};

/// The page as roff text.
pub(super) fn page() -> String {
    let mut page = Roff::new();
    let version = version();
    page.control("TH", ["BYTCHAT-RPC", "7", "\"\"", version.as_str(), MANUAL]);
    section(&mut page, "NAME");
    page.text([roman("bytchat-rpc - what front ends say to the BytChat daemon")]);
    section(&mut page, "SYNOPSIS");
    verbatim(
        &mut page,
        "echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.status\"}' |\n\
         nc -U -N /run/bytchat/bytchatd.sock",
    );
    description(&mut page);
    section(&mut page, "METHODS");
    for method in openrpc::methods() {
        let summary = one_line(method.summary);
        let leaving = |it: Deprecation| {
            format!("{summary} Deprecated since {}: call {} instead.", it.since, it.instead)
        };
        let text = method.deprecated.map_or_else(|| summary.clone(), leaving);
        let text = format!("{text} Takes the role {}.", method.role);
        entry(&mut page, method.name, &text);
    }
    paragraph(
        &mut page,
        "rpc.discover tells all of it to programs, as an OpenRPC document: parameters, results, \
         errors, roles and examples. GET /openrpc.json, bytchatd --openrpc and \
         /usr/share/bytchat/openrpc.json have the same.",
    );
    section(&mut page, "ERRORS");
    page.text([roman(
        "The member code of an error has the number, data.kind the name, message says what \
         happened, and data.hint what can be done. Numbers and names do not change their meaning.",
    )]);
    for kind in ErrorKind::ALL {
        let hint = format!("Hint: {}.", kind.hint());
        entry(&mut page, &format!("{} {}", kind.code(), kind.name()), &hint);
    }
    section(&mut page, "SEE ALSO");
    page.text([roman("bytctl-rpc(1), bytctl(1), bytchatd(8)")]);
    page.render()
}

fn description(page: &mut Roff) {
    section(page, "DESCRIPTION");
    page.text([roman(format!(
        "The daemon serves front ends on a Unix socket with JSON-RPC 2.0: one object a line, \
         UTF-8, up to {RPC_LINE_BYTES_MAX} bytes. Lines of one connection may be answered in any \
         order. A request with an id is answered once, one without is run and not answered, and \
         a batch is answered together."
    ))]);
    paragraph(
        page,
        "The kernel says which Unix user calls. A caller sees and uses the accounts of that user \
         alone; what belongs to others does not exist for it.",
    );
    paragraph(
        page,
        "What a caller may is its role: observe, read, send or admin, each of which includes \
         those before it. The daemon's configuration gives roles to users and groups, see \
         bytchatd.toml(5); session.show says which one a caller has.",
    );
    paragraph(
        page,
        "session.restrict gives rights up for the rest of a connection: to a lower role, to some \
         accounts or methods, to a time, or to what a token says. Over HTTP, Authorization: Bearer \
         and a token do so for one request. token.create makes tokens; they are good for their own \
         Unix user alone, and never give more than that user may.",
    );
    paragraph(
        page,
        "Parameters are one object with names. An unknown, missing or ill-typed parameter is \
         refused with a sentence that names it. Results are objects; members may be added, so \
         ignore those that you do not know.",
    );
    paragraph(
        page,
        "message.send is answered when the message is on disk. Calls that change something take a \
         client_id, with which they may be repeated for seven days: the same call gives the first \
         answer again, marked replayed, and another one the error conflict. With dry_run they only \
         say what would happen. With expect_rev an edit is done only if nobody else has edited \
         since.",
    );
    paragraph(
        page,
        "A list that goes on has a member next: pass it as before (message.inbox, \
         message.history) or after (all others). A page with fewer entries than were asked for \
         need not be the last one.",
    );
    paragraph(
        page,
        "A method that is deprecated stays for two more minor versions at least. session.set with \
         deprecated false refuses such methods on the connection, so that the tests of a front \
         end find them early.",
    );
    paragraph(
        page,
        "Events have numbers that only grow. event.list reads after a number, waits if asked to, \
         and says from which number the log still reaches back, so that a gap is seen and not \
         guessed.",
    );
    paragraph(
        page,
        &format!(
            "At most {RPC_CALLS_PER_CLIENT_MAX} calls of a connection are in flight. A front end \
             that does not read its answers is cut off after {RPC_WRITE_TIMEOUT_MS} ms."
        ),
    );
}

/// A doc comment as one line.
fn one_line(doc: &str) -> String {
    let words: Vec<_> = doc.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SPEC 8.54: the page says what is on its way out, and what stands for it.
    #[test]
    fn a_deprecated_method_is_marked() {
        let page = page();
        let leaving: Vec<_> = openrpc::methods().filter(|it| it.deprecated.is_some()).collect();
        assert_eq!(leaving.iter().map(|it| it.name).collect::<Vec<_>>(), ["cursor.get"]);
        assert!(page.contains("Deprecated since 0.1: call cursor.list instead."), "{page}");
        assert_eq!(page.matches("Deprecated since").count(), leaving.len());
    }
}
