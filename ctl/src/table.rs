//! Tables: aligned on a terminal and as wide as it is, tabs in a pipe.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::color::{Palette, Tone};
use crate::print::tame;

/// Between two columns.
const GAP: usize = 2;
/// Columns of prose, which may be cut where there is no room.
const ELASTIC: [&str; 1] = ["TEXT"];
/// Prose that is cut shorter says nothing; then rows take several lines.
const ELASTIC_MIN: usize = 24;
/// A last column that is never cut and may run over the edge.
const OPEN: &str = "VALUE";

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
    /// The last column is as wide as it likes.
    open: bool,
}

impl<const N: usize> Plan<N> {
    fn new(heading: [&str; N], rows: &[[String; N]], width: usize) -> Self {
        let mut widths = heading.map(UnicodeWidthStr::width);
        for row in rows {
            for (column, cell) in widths.iter_mut().zip(row) {
                *column = (*column).max(cell.width());
            }
        }
        let open = heading.last() == Some(&OPEN);
        if let (true, Some(last)) = (open, widths.last_mut()) {
            *last = OPEN.len();
        }
        let whole = widths;
        // First with as little prose as makes sense, then with as much as there is room for.
        let elastic = heading.iter().position(|name| ELASTIC.contains(name));
        if let Some(column) = elastic {
            widths[column] = widths[column].min(ELASTIC_MIN);
        }
        let breaks = breaks(&widths, width, elastic);
        if let Some(column) = elastic {
            let room = width.saturating_sub(used(&widths, &breaks, column));
            widths[column] = (widths[column] + room).min(whole[column]).min(width.max(1));
        }
        Self { widths, breaks, open }
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
            let whole = self.open && i + 1 == N;
            let shown = if whole { cell.clone() } else { cut(cell, self.widths[i]) };
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

/// Before which columns a new line begins. Prose that begins one has it for itself.
fn breaks<const N: usize>(widths: &[usize; N], width: usize, elastic: Option<usize>) -> [bool; N] {
    let mut used = 0;
    std::array::from_fn(|i| {
        let room = i == 0 || used + GAP + widths[i] <= width;
        used = match (i, room) {
            (0, _) => widths[i],
            (_, true) => used + GAP + widths[i],
            (_, false) if elastic == Some(i) => width,
            (_, false) => GAP + widths[i],
        };
        !room
    })
}

/// How much of its line is taken by all the columns that share a line with this one.
fn used<const N: usize>(widths: &[usize; N], breaks: &[bool; N], column: usize) -> usize {
    let begin = (0..=column).rev().find(|i| breaks[*i]).unwrap_or(0);
    let end = (column + 1..N).find(|i| breaks[*i]).unwrap_or(N);
    let indent = if begin == 0 { 0 } else { GAP };
    let line = &widths[begin..end];
    indent + line.iter().sum::<usize>() + GAP * line.len().saturating_sub(1)
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
        let shown = |width| layout(["SENT", "STATE", "TEXT", "ID"], &rows, form(Some(width)));
        let id = format!("  {id}");
        let line = format!("2026-11-21  delivered  {}…", "y".repeat(36));
        assert_eq!(shown(60), ["SENT        STATE      TEXT", "  ID", line.as_str(), &id]);
        let cut = format!("  {}…", "y".repeat(37));
        let head = ["SENT        STATE", "  TEXT", "  ID"];
        assert_eq!(shown(40)[..3], head);
        assert_eq!(shown(40)[3..], ["2026-11-21  delivered", &cut, &id]);
    }

    #[test]
    fn a_value_at_the_end_may_run_over_the_edge() {
        let long = "v".repeat(50);
        let rows = rows([["a", long.as_str()]]);
        let line = format!("a    {long}");
        assert_eq!(layout(["KEY", "VALUE"], &rows, form(Some(20))), ["KEY  VALUE", line.as_str()]);
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
