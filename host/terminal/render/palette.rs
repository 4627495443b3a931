//! The colours of what is told to people, or none.
//!
//! It does not decide when to colour: that is `cli::Color::applies`.

use clap::builder::styling::{AnsiColor, Color, Style};

/// A style for each kind of word that stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// The word `error:`.
    pub error: Style,
    /// The word `because:`.
    pub because: Style,
    /// The word `hint:`.
    pub hint: Style,
    /// The word `warning:`.
    pub warning: Style,
}

impl Palette {
    /// No colours.
    pub const PLAIN: Self =
        Self { error: Style::new(), because: Style::new(), hint: Style::new(), warning: Style::new() };
    /// The colours of a terminal.
    pub const COLORED: Self = Self {
        error: bold(AnsiColor::Red),
        because: Style::new().bold(),
        hint: bold(AnsiColor::Cyan),
        warning: bold(AnsiColor::Yellow),
    };

    /// Returns [`Palette::COLORED`] or [`Palette::PLAIN`].
    pub const fn of(colored: bool) -> Self {
        if colored { Self::COLORED } else { Self::PLAIN }
    }
}

const fn bold(color: AnsiColor) -> Style {
    Style::new().bold().fg_color(Some(Color::Ansi(color)))
}
