//! `bytctl completion …`: what a shell has to know to complete commands, options and contacts.

use clap::{Command, CommandFactory};
use clap_complete::{generate, shells};
use serde_json::json;

use crate::args::{Args, Shell};
use crate::failure::Failure;
use crate::print::Printer;

const NAME: &str = "bytctl";

/// In bash `@` and `:` part words, so that the line is read as a whole, and what stands before the
/// part that bash means to replace is taken off again.
const BASH: &str = r#"
    local line="${COMP_LINE:0:COMP_POINT}" typed candidates
    local -a said
    read -ra said <<<"$line"
    [[ $line == *[[:space:]] ]] && said+=("")
    typed="${said[-1]}"
    mapfile -t candidates < <(command "$1" __complete line -- "${said[@]:1}" 2>/dev/null)
    if ((${#candidates[@]})); then
        COMPREPLY=("${candidates[@]#"${typed%"$2"}"}")
        return 0
    fi
"#;

const ZSH: &str = r#"
    local -a candidates said
    said=("${(@)words[2,CURRENT]}")
    candidates=(${(f)"$(command "$words[1]" __complete line -- "${(@)said}" 2>/dev/null)"})
    if (( $#candidates )); then
        compadd -- $candidates
        return
    fi
"#;

const FISH: &str = "
function __fish_bytctl_known
    set -l said (commandline -opc) (commandline -ct)
    command $said[1] __complete line -- $said[2..-1] 2>/dev/null
end
complete -c bytctl -a \"(__fish_bytctl_known)\"
";

pub(super) fn run(printer: &mut Printer, shell: Shell) -> Result<(), Failure> {
    let script = script(shell);
    match printer.json() {
        true => printer.value(&json!({ "script": script })),
        false => printer.line(script.trim_end()),
    }
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut tree = visible(&Args::command());
    match shell {
        Shell::Bash => generate(shells::Bash, &mut tree, NAME, &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut tree, NAME, &mut script),
        Shell::Fish => generate(shells::Fish, &mut tree, NAME, &mut script),
    }
    let script = String::from_utf8(script).expect("scripts are text");
    let first = |what| script.replacen("_bytctl() {\n", &format!("_bytctl() {{{what}"), 1);
    match shell {
        Shell::Bash => first(BASH),
        Shell::Zsh => first(ZSH),
        Shell::Fish => script + FISH,
    }
}

/// The commands that people type; the library tells hidden ones too.
fn visible(tree: &Command) -> Command {
    let shown = tree.get_subcommands().filter(|below| !below.is_hide_set()).cloned();
    let program = Command::new(NAME).version(env!("CARGO_PKG_VERSION"));
    program.args(tree.get_arguments().cloned()).subcommands(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_command_and_whom_to_ask() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for command in Args::command().get_subcommands().filter(|c| !c.is_hide_set()) {
                assert!(script.contains(command.get_name()), "{shell:?}: {}", command.get_name());
            }
            assert_eq!(script.matches("__complete line --").count(), 1, "{shell:?}");
            assert_eq!(script.matches("__complete").count(), 1, "{shell:?}");
        }
    }
}
