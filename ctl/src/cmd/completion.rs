//! `bytctl completion …`: what a shell has to know to complete commands and options.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::{generate, shells};

use crate::args::{Args, Shell};
use crate::failure::Failure;

const NAME: &str = "bytctl";

pub(super) fn run(shell: Shell) -> Result<(), Failure> {
    std::io::stdout().lock().write_all(&script(shell))?;
    Ok(())
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let mut tree = Args::command();
    match shell {
        Shell::Bash => generate(shells::Bash, &mut tree, NAME, &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut tree, NAME, &mut script),
        Shell::Fish => generate(shells::Fish, &mut tree, NAME, &mut script),
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell)).unwrap();
            for command in Args::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell:?}: {}", command.get_name());
            }
        }
    }
}
