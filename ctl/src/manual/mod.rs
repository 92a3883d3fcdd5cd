//! The manual pages: one for each command, from the command tree, and one for the RPC.

mod prose;
mod rpc;

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use serde_json::{Value, json};

use crate::args::Args;
use crate::failure::Failure;

const MANUAL: &str = "BytChat";

/// Writes every page into a folder, as `bytctl-send.1` and so on. Their dates stay empty: only
/// who packages knows them.
pub(crate) fn write(folder: &Path) -> Result<(), Failure> {
    for (name, page) in pages() {
        let path = folder.join(name);
        fs::write(&path, page).map_err(|source| Failure::File { what: "write", path, source })?;
    }
    Ok(())
}

/// What the exit codes mean, a code a line.
pub(crate) fn exit_codes() -> String {
    let lines = prose::exits().map(|(code, meaning)| format!("{code:>3}  {meaning}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The exit codes as programs read them.
pub(crate) fn exit_codes_json() -> Value {
    prose::exits().map(|(code, meaning)| json!({ "code": code, "meaning": meaning })).collect()
}

/// The pages with their file names.
fn pages() -> Vec<(String, String)> {
    let mut tree = Args::command().disable_help_subcommand(true);
    tree.build();
    let mut pages = vec![("bytchat-rpc.7".to_owned(), rpc::page())];
    collect(&tree, None, &mut pages);
    pages
}

fn collect(command: &Command, above: Option<&str>, pages: &mut Vec<(String, String)>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    pages.push((format!("{name}.1"), page(command, name, above)));
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        collect(below, Some(name), pages);
    }
}

fn page(command: &Command, name: &str, above: Option<&str>) -> String {
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .date("\"\"")
        .source(version())
        .manual(MANUAL);
    let mut text = Vec::new();
    write_sections(&man, command, &mut text).expect("memory takes any text");
    let mut rest = Roff::new();
    match above {
        None => prose::program(&mut rest),
        Some(above) => prose::command(&mut rest, name, above),
    }
    // Before possible values the library breaks the line twice, which is an empty line.
    let text = String::from_utf8(text).expect("pages are text");
    text.replace("\n.br\n\n.br\n", "\n.sp\n") + &rest.to_roff()
}

fn write_sections(man: &Man, command: &Command, text: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(text)?;
    man.render_name_section(text)?;
    man.render_synopsis_section(text)?;
    man.render_description_section(text)?;
    man.render_options_section(text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(text)?;
    }
    Ok(())
}

fn version() -> String {
    format!("BytChat {}", env!("CARGO_PKG_VERSION"))
}

fn section(page: &mut Roff, heading: &str) {
    page.control("SH", [heading]);
}

fn paragraph(page: &mut Roff, text: &str) {
    page.control("PP", []);
    page.text([roman(text)]);
}

fn entry(page: &mut Roff, term: &str, text: &str) {
    page.control("TP", []);
    page.text([bold(term)]);
    page.text([roman(text)]);
}

/// Lines that stay as they are.
fn verbatim(page: &mut Roff, lines: &str) {
    page.control("RS", ["4"]);
    page.control("nf", []);
    for line in lines.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    page.control("RE", []);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytchat_proto::rpc::{Call, ErrorKind};

    fn find(name: &str) -> String {
        let page = pages().into_iter().find(|(file, _)| file == name);
        page.unwrap_or_else(|| panic!("no page {name}")).1
    }

    #[test]
    fn every_command_has_a_page_and_its_parent_names_it() {
        let names: Vec<_> = pages().into_iter().map(|(name, _)| name).collect();
        for name in ["bytctl.1", "bytctl-send.1", "bytctl-account.1", "bytctl-account-create.1"] {
            assert!(names.contains(&name.to_owned()), "{name} of {names:?}");
        }
        for (parent, page) in pages() {
            for name in names.iter().filter(|name| is_below(name, &parent)) {
                let name = name.trim_end_matches(".1").replace('-', r"\-");
                assert!(page.contains(&format!("{name}(1)")), "{name} in {parent}");
            }
        }
    }

    fn is_below(name: &str, parent: &str) -> bool {
        let prefix = format!("{}-", parent.trim_end_matches(".1"));
        name.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('-'))
    }

    #[test]
    fn examples_belong_to_commands_that_exist_and_parse() {
        use clap::Parser;
        let names: Vec<_> = pages().into_iter().map(|(name, _)| name).collect();
        for (command, examples) in prose::EXAMPLES {
            assert!(names.contains(&format!("{command}.1")), "{command}");
            for line in examples.lines() {
                let call = line.split('|').find(|part| part.contains("bytctl")).unwrap();
                let call = call.split('>').next().unwrap();
                let words = call.split_whitespace().map(|word| word.trim_matches('\''));
                Args::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }

    #[test]
    fn the_exit_codes_are_those_of_the_table_of_errors() {
        let page = find("bytctl.1");
        for kind in ErrorKind::ALL {
            let known = prose::EXITS.iter().find(|(code, _)| *code == kind.exit_code());
            assert!(known.is_some(), "{kind:?} has an exit code without meaning");
            assert!(page.contains(&kind.name().replace('-', r"\-")), "{kind:?}");
        }
    }

    #[test]
    fn the_page_of_the_rpc_tells_every_method_and_every_error() {
        let page = find("bytchat-rpc.7");
        for method in Call::METHODS {
            assert!(page.contains(&format!("\n\\fB{method}\\fR\n")), "{method}");
        }
        for kind in ErrorKind::ALL {
            assert!(page.contains(&kind.code().to_string().replace('-', r"\-")), "{kind:?}");
        }
    }
}
