//! The completions, in the shells that they are for.

use std::path::Path;
use std::process::Command;

use bytchat_tests::daemon::Ran;
use tempfile::TempDir;

use crate::built::{has_tools, packages};

const BASH: &str = r#"
source "$1"
function=$(complete -p bytctl | sed 's/.* -F \([^ ]*\) .*/\1/')
complete_words() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    "$function" bytctl "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}"
}
complete_words bytctl acco
complete_words bytctl account im
complete_words bytctl send bob --wa
"#;

/// zsh completes only where somebody types, so somebody types, in a pseudo-terminal.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i +o prompt_sp
zpty -w shell "PS1=; fpath=(${1:h} \$fpath); autoload -U compinit; compinit -u -D"
zpty -w shell "bytctl() { print -r -- \"got <\$*>\" }; echo rea''dy"
zpty -r shell line '*ready*'
for words in 'acco' 'account im' 'send bob --wa'; do
    zpty -w -n shell "bytctl $words"$'\t\n'
    zpty -r shell line '*got <*>*'
    print -r -- "${${line##*got <}%%>*}"
done
"#;

const FISH: &str = r#"
source $argv[1]
for words in 'acco' 'account im' 'send bob --wa'
    complete --do-complete "bytctl $words"
end
"#;

/// Runs a script in a shell, with the file of completions; it must end in good time.
fn complete(shell: &[&str], script: &str, root: &TempDir, file: &str) -> String {
    let home = TempDir::with_prefix("bytchat-home-").unwrap();
    let mut command = Command::new("timeout");
    command.arg("60").args(shell).args(["-c", script]);
    if shell[0] != "fish" {
        command.arg(shell[0]);
    }
    command.arg(root.path().join(file)).env("HOME", home.path()).env("TERM", "vt100");
    Ran::of(command.env_remove("BASH_ENV"), b"").ok().to_owned()
}

fn check(shell: &[&str], script: &str, file: &str) {
    let what = format!("completion in {}", shell[0]);
    let Some(built) = packages(&what) else { return };
    if !has_tools(&what, &[shell[0]]) {
        return;
    }
    let root = built.unpacked();
    assert!(Path::new(&root.path().join(file)).exists());
    let got = complete(shell, script, &root, file);
    let lines: Vec<_> = got.lines().map(str::trim_end).collect();
    let expected = ["account", "import", "--wait"];
    assert_eq!(lines.len(), expected.len(), "{}: {got}", shell[0]);
    for (line, word) in lines.iter().zip(expected) {
        // fish adds an explanation after a tab; zsh shows the whole command.
        let first = line.split('\t').next().unwrap_or_default();
        assert_eq!(first.split(' ').next_back(), Some(word), "{}: {got}", shell[0]);
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let file = "usr/share/bash-completion/completions/bytctl";
    check(&["bash", "--norc"], BASH, file);
}

#[test]
fn zsh_completes_commands_and_options() {
    check(&["zsh", "-f"], ZSH, "usr/share/zsh/vendor-completions/_bytctl");
}

#[test]
fn fish_completes_commands_and_options() {
    let file = "usr/share/fish/vendor_completions.d/bytctl.fish";
    check(&["fish", "--no-config"], FISH, file);
}
