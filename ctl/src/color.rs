//! Colours, where a terminal shows them and nobody minds.

use std::ffi::OsString;

use clap::ValueEnum;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set; in a pipe with `CLICOLOR_FORCE`
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A heading.
    Head,
    /// All is well.
    Good,
    /// Somebody should look.
    Warn,
    /// Something is wrong.
    Bad,
    /// Rarely read.
    Faint,
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Palette {
    on: bool,
}

impl Palette {
    /// Decides by the option, then by the environment, then by where the output goes.
    pub(crate) fn choose(
        when: When,
        terminal: bool,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let forced = variable("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0");
        let dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let on = match when {
            When::Always => true,
            When::Never => false,
            When::Auto if set("NO_COLOR") => false,
            When::Auto => forced || (terminal && !dumb),
        };
        Self { on }
    }

    /// The text in a tone; it has to be tamed already.
    pub(crate) fn paint(self, tone: Option<Tone>, text: &str) -> String {
        let code = match tone {
            _ if !self.on || text.is_empty() => return text.to_owned(),
            None => return text.to_owned(),
            Some(Tone::Head) => "1",
            Some(Tone::Good) => "32",
            Some(Tone::Warn) => "33",
            Some(Tone::Bad) => "1;31",
            Some(Tone::Faint) => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(when: When, terminal: bool, set: &'static [(&str, &str)]) -> bool {
        let variable = |name: &str| {
            let pair = set.iter().find(|(known, _)| *known == name);
            pair.map(|(_, value)| value.into())
        };
        Palette::choose(when, terminal, variable).on
    }

    #[test]
    fn the_option_comes_before_the_environment_and_that_before_the_terminal() {
        assert!(on(When::Auto, true, &[]));
        assert!(!on(When::Auto, false, &[]));
        assert!(!on(When::Auto, true, &[("NO_COLOR", "1")]));
        assert!(on(When::Auto, true, &[("NO_COLOR", "")]));
        assert!(on(When::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!on(When::Auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!on(When::Auto, true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(!on(When::Auto, true, &[("TERM", "dumb")]));
        assert!(on(When::Always, false, &[("NO_COLOR", "1")]));
        assert!(!on(When::Never, true, &[("CLICOLOR_FORCE", "1")]));
    }

    #[test]
    fn a_painted_text_ends_its_colour() {
        let palette = Palette { on: true };
        assert_eq!(palette.paint(Some(Tone::Good), "ok"), "\x1b[32mok\x1b[0m");
        assert_eq!(palette.paint(None, "ok"), "ok");
        assert_eq!(Palette::default().paint(Some(Tone::Bad), "no"), "no");
    }
}
