//! What things look like. Colour only helps: every difference is also one of words, place or
//! weight.

use bytchat_proto::rpc::message::State;
use ratatui::style::{Color, Modifier, Style};

use crate::tui::layout::talk::Mark;

/// The looks of a screen with or without colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    colour: bool,
}

impl Theme {
    /// With colour or without.
    pub(crate) fn new(colour: bool) -> Self {
        Self { colour }
    }

    fn with(self, style: Style, colour: Color) -> Style {
        if self.colour { style.fg(colour) } else { style }
    }

    /// The bar at the top, and what is chosen.
    pub(crate) fn bar() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Headings and names.
    pub(crate) fn strong() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Times, rules and hints.
    pub(crate) fn quiet() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What went wrong.
    pub(crate) fn bad(self) -> Style {
        self.with(Self::strong(), Color::Red)
    }

    /// A banner across the screen.
    pub(crate) fn banner(self) -> Style {
        self.with(Self::strong().add_modifier(Modifier::REVERSED), Color::Yellow)
    }

    /// What was not read yet.
    pub(crate) fn unread(self) -> Style {
        self.with(Self::strong(), Color::Cyan)
    }

    /// The name before a message.
    pub(crate) fn author(self, mine: bool) -> Style {
        self.with(Style::new(), if mine { Color::Green } else { Color::Cyan })
    }

    /// How far a message has come.
    pub(crate) fn mark(self, mark: Mark) -> Style {
        match mark {
            Mark::Is(State::Delivered) => self.with(Style::new(), Color::Green),
            Mark::Is(State::Read) => self.with(Self::strong(), Color::Green),
            Mark::Is(State::Expired) => self.bad(),
            Mark::Sending | Mark::Is(State::Queued | State::Stored) => Self::quiet(),
        }
    }
}
