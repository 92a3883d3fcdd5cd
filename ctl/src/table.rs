//! Tables: aligned on a terminal and as wide as it is, tabs in a pipe.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::color::{Palette, Tone};
use crate::print::tame;

/// Between two columns.
const GAP: usize = 2;
/// Columns of prose, which may be cut where there is no room.
const ELASTIC: [&str; 2] = ["TEXT", "NOTE"];
/// Prose that is cut shorter says nothing; then rows take several lines.
const ELASTIC_MIN: usize = 24;

/// How the output looks at a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// Columns of the terminal; `None` in a pipe.
    pub(crate) width: Option<usize>,
    /// The colours.
    pub(crate) palette: Palette,
}

/// The lines of a table. Cells may come from strangers.
pub(crate) fn layout<const N: usize>(
    heading: [&str; N],
    rows: &[[String; N]],
    form: Form,
) -> Vec<String> {
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| tame(cell))).collect();
    let paint = |row: &[String; N]| -> [String; N] {
        std::array::from_fn(|i| form.palette.paint(tone(heading[i], &row[i]), &row[i]))
    };
    let Some(width) = form.width else {
        return rows.iter().map(|row| paint(row).join("\t")).collect();
    };
    if rows.is_empty() {
        return Vec::new();
    }
    let plan = Plan::new(heading, &rows, width);
    let head = heading.map(str::to_owned);
    let head = plan.lines(&head, |_, cell| form.palette.paint(Some(Tone::Head), cell));
    let body = rows.iter().flat_map(|row| {
        plan.lines(row, |i, cell| form.palette.paint(tone(heading[i], cell), cell))
    });
    head.into_iter().chain(body).collect()
}

/// How wide each column is, and where a row goes on in the next line.
struct Plan<const N: usize> {
    widths: [usize; N],
    breaks: [bool; N],
}

impl<const N: usize> Plan<N> {
    fn new(heading: [&str; N], rows: &[[String; N]], width: usize) -> Self {
        let mut widths = heading.map(UnicodeWidthStr::width);
        for row in rows {
            for (column, cell) in widths.iter_mut().zip(row) {
                *column = (*column).max(cell.width());
            }
        }
        let elastic = heading.iter().position(|name| ELASTIC.contains(name));
        let total = widths.iter().sum::<usize>() + GAP * N.saturating_sub(1);
        let over = total.saturating_sub(width);
        if over == 0 {
            return Self { widths, breaks: [false; N] };
        }
        if let Some(column) = elastic {
            let left = widths[column].saturating_sub(over);
            if left >= ELASTIC_MIN.min(widths[column]) {
                widths[column] = left;
                return Self { widths, breaks: [false; N] };
            }
            widths[column] = widths[column].min(width.saturating_sub(GAP).max(1));
        }
        Self { widths, breaks: breaks(&widths, width) }
    }

    /// A row as one line, or as several of which the further ones are indented.
    fn lines(&self, row: &[String; N], paint: impl Fn(usize, &str) -> String) -> Vec<String> {
        let mut lines = vec![String::new()];
        let mut pending = 0;
        for (i, cell) in row.iter().enumerate() {
            if self.breaks[i] {
                lines.push(String::new());
                pending = GAP;
            }
            let shown = cut(cell, self.widths[i]);
            let line = lines.last_mut().expect("there is a line");
            // Spaces before a cell, not after it: no line ends with spaces.
            if !shown.is_empty() {
                line.extend(std::iter::repeat_n(' ', pending));
                line.push_str(&paint(i, &shown));
                pending = 0;
            }
            pending += self.widths[i].saturating_sub(shown.width()) + GAP;
        }
        lines.retain(|line| !line.is_empty());
        lines
    }
}

/// Before which columns a new line begins.
fn breaks<const N: usize>(widths: &[usize; N], width: usize) -> [bool; N] {
    let mut used = 0;
    std::array::from_fn(|i| {
        let room = used + GAP + widths[i] <= width;
        let breaks = i > 0 && !room;
        used = if i == 0 {
            widths[i]
        } else if breaks {
            GAP + widths[i]
        } else {
            used + GAP + widths[i]
        };
        breaks
    })
}

/// The beginning of a text, marked if there is more.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used < width
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// The colour of a cell, by its column and what it says.
fn tone(heading: &str, cell: &str) -> Option<Tone> {
    match (heading, cell) {
        ("ID" | "NODE", _) | ("LINK", "known") => Some(Tone::Faint),
        ("STATE", "delivered" | "read") | ("STANDING", "accepted") | ("LINK", "linked") => {
            Some(Tone::Good)
        }
        ("STATE", "queued" | "request") | ("STANDING", "request") => Some(Tone::Warn),
        ("STATE", "expired") | ("STANDING", "blocked") => Some(Tone::Bad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::When;

    fn form(width: Option<usize>) -> Form {
        Form { width, palette: Palette::default() }
    }

    fn rows<const N: usize, const M: usize>(rows: [[&str; N]; M]) -> Vec<[String; N]> {
        rows.iter().map(|row| row.map(str::to_owned)).collect()
    }

    #[test]
    fn a_terminal_gets_aligned_columns() {
        let rows = rows([["a", "tab\there"], ["longer", "b"]]);
        assert_eq!(
            layout(["ID", "TEXT"], &rows, form(Some(80))),
            ["ID      TEXT", "a       tab\\there", "longer  b"]
        );
        assert!(layout(["ID", "TEXT"], &[], form(Some(80))).is_empty());
    }

    #[test]
    fn a_pipe_gets_tabs_between_cells_and_none_within() {
        let rows = rows([["a", "tab\there"], ["longer", "b"]]);
        assert_eq!(layout(["ID", "TEXT"], &rows, form(None)), ["a\ttab\\there", "longer\tb"]);
    }

    #[test]
    fn wide_and_combining_characters_are_counted_as_they_show() {
        let rows = rows([["漢字", "x"], ["e\u{301}", "y"], ["🙂", "z"]]);
        assert_eq!(
            layout(["N", "V"], &rows, form(Some(80))),
            ["N     V", "漢字  x", "e\u{301}     y", "🙂    z"]
        );
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字漢字", 4), "漢…");
        assert_eq!(cut("漢字", 4), "漢字");
    }

    #[test]
    fn prose_is_cut_to_the_width_of_the_terminal() {
        let text = "y".repeat(60);
        let rows = rows([["state", text.as_str(), "id"]]);
        for width in [40, 60, 70] {
            let lines = layout(["STATE", "TEXT", "ID"], &rows, form(Some(width)));
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert!(lines.iter().all(|line| line.width() <= width), "{lines:?}");
            assert!(lines[1].contains('…') && lines[1].ends_with("id"), "{lines:?}");
        }
        let lines = layout(["STATE", "TEXT", "ID"], &rows, form(Some(71)));
        assert!(lines[1].contains(&text), "{lines:?}");
    }

    #[test]
    fn a_row_without_room_goes_on_in_the_next_line_and_ids_stay_whole() {
        let (id, text) = ("i".repeat(52), "y".repeat(90));
        let rows = rows([["2026-11-21", "delivered", text.as_str(), id.as_str()]]);
        let lines = layout(["SENT", "STATE", "TEXT", "ID"], &rows, form(Some(60)));
        let cut = format!("  {}…", "y".repeat(57));
        let id = format!("  {id}");
        assert_eq!(
            lines,
            ["SENT        STATE", "  TEXT", "  ID", "2026-11-21  delivered", &cut, &id]
        );
    }

    #[test]
    fn a_terminal_of_any_width_is_no_panic() {
        let rows = rows([["漢", "", "three\u{1b}[2J"]]);
        for width in 0..40 {
            let lines = layout(["A", "TEXT", "C"], &rows, form(Some(width)));
            assert!(lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:?}");
        }
    }

    #[test]
    fn colours_do_not_move_columns() {
        let palette = Palette::choose(When::Always, true, |_| None);
        let rows = rows([["request", "a"], ["read", "b"]]);
        assert_eq!(
            layout(["STATE", "X"], &rows, Form { width: Some(80), palette }),
            [
                "\u{1b}[1mSTATE\u{1b}[0m    \u{1b}[1mX\u{1b}[0m",
                "\u{1b}[33mrequest\u{1b}[0m  a",
                "\u{1b}[32mread\u{1b}[0m     b",
            ]
        );
    }
}
