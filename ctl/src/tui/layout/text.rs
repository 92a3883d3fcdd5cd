//! Texts of strangers made fit for cells: tamed, measured, cut and wrapped.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::print::tame;

/// Marks that may be heaped on one character: enough for every script, too few to climb over the
/// lines above.
const MARKS_MAX: usize = 8;
/// Cells between the stops of a tab.
const TAB: usize = 4;

/// How many cells a tamed text takes.
pub(crate) fn width(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// A text on one line, tamed.
pub(crate) fn line(text: &str) -> String {
    pieces(text).collect()
}

/// A tamed text cut to a number of cells; what is cut is marked.
pub(crate) fn fit(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut fitted = String::new();
    let mut used = 1;
    for grapheme in text.graphemes(true) {
        used += grapheme.width();
        if used > cells {
            break;
        }
        fitted.push_str(grapheme);
    }
    if cells > 0 {
        fitted.push('…');
    }
    fitted
}

/// A text in rows of a number of cells, broken between words where that can be done; tamed.
pub(crate) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    lines.flat_map(|line| wrap_line(line, cells)).collect()
}

fn wrap_line(line: &str, cells: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let (mut row, mut used) = (String::new(), 0);
    // Where the row can be broken: after its last space.
    let mut gap = None;
    for piece in pieces(line) {
        let piece = if piece.width() > cells { Cow::Borrowed("…") } else { piece };
        let (wide, space) = (piece.width(), piece == " ");
        while used + wide > cells {
            let at = gap.take().filter(|_| !space).unwrap_or(row.len());
            let rest = row.split_off(at);
            rows.push(row.trim_end().to_owned());
            used = width(&rest);
            row = rest;
        }
        if space && row.is_empty() && !rows.is_empty() {
            continue;
        }
        row.push_str(&piece);
        used += wide;
        if space && !row.trim_start().is_empty() {
            gap = Some(row.len());
        }
    }
    rows.push(row);
    rows
}

/// A line as what is put into cells, one character as people see them after the other.
pub(crate) fn pieces(line: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut column = 0;
    line.graphemes(true).flat_map(move |grapheme| {
        let pieces = piece(grapheme, column);
        column += pieces.iter().map(|piece| piece.width()).sum::<usize>();
        pieces
    })
}

fn piece(grapheme: &str, column: usize) -> Vec<Cow<'_, str>> {
    if grapheme == "\t" {
        return vec![" ".into(); TAB - column % TAB];
    }
    if grapheme.is_ascii() && !grapheme.contains(|c: char| c.is_control()) {
        return vec![grapheme.into()];
    }
    // What is escaped, or comes apart, is several characters.
    let tamed = tame(&simple(grapheme));
    tamed.graphemes(true).map(|part| Cow::Owned(part.to_owned())).collect()
}

/// Takes from a character what terminals disagree about: pictures joined into one become several,
/// flags the letters that they are made of, and wishes for another look or tint are dropped. So
/// what we count is what they show, and nothing is left behind when it is drawn over.
fn simple(grapheme: &str) -> String {
    let mut simple = String::new();
    let mut picture = false;
    for c in grapheme.chars().take(1 + MARKS_MAX) {
        let look = matches!(c, '\u{fe00}'..='\u{fe0f}');
        let joins = matches!(c, '\u{200d}' | '\u{1f3fb}'..='\u{1f3ff}') && picture;
        if !look && !joins {
            simple.push(flag_letter(c).unwrap_or(c));
            picture = matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}');
        }
    }
    simple
}

/// The letter that is half a flag.
fn flag_letter(c: char) -> Option<char> {
    let letter = u32::from(c).checked_sub(0x1_f1e6).filter(|letter| *letter < 26)?;
    char::from_u32(u32::from('A') + letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole_where_they_fit() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible", 6), ["incomp", "rehens", "ible"]);
        assert_eq!(wrap("a incomprehensible", 6), ["a", "incomp", "rehens", "ible"]);
        assert_eq!(wrap("a\r\n\nb", 6), ["a", "", "b"]);
        assert_eq!(wrap("", 6), [""]);
    }

    #[test]
    fn indented_lines_stay_so() {
        assert_eq!(wrap("  a\n\tb\nab\tc", 9), ["  a", "    b", "ab  c"]);
    }

    #[test]
    fn wide_characters_take_two_cells() {
        assert_eq!(wrap("日本語日本語", 5), ["日本", "語日", "本語"]);
        assert_eq!(wrap("日", 1), ["…"]);
        assert_eq!(width("日本e\u{301}"), 5);
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 0), "");
    }

    #[test]
    fn no_row_is_wider_than_it_may_be() {
        let text = "x\u{1b}[2J \u{202e}abc\u{200b}d 👩‍👩‍👧‍👦❤️🇩🇪👍🏽 e\u{301}\u{301} 日本\t語";
        for cells in 1..40 {
            for row in wrap(text, cells) {
                assert!(width(&row) <= cells, "{cells}: {row:?}");
                assert!(!row.contains(char::is_control), "{row:?}");
            }
        }
    }

    #[test]
    fn what_deceives_is_shown_instead_of_done() {
        assert_eq!(line("a\u{1b}[2J"), "a\\u{1b}[2J");
        assert_eq!(line("\u{202e}abc"), "\\u{202e}abc");
        assert_eq!(line("pay\u{200b}pal"), "pay\\u{200b}pal");
        assert_eq!(wrap("\u{202e}", 4), ["\\u{2", "02e}"]);
    }

    #[test]
    fn joined_pictures_come_apart_and_letters_do_not() {
        assert_eq!(line("👩\u{200d}👩\u{200d}👧"), "👩👩👧");
        assert_eq!(line("❤\u{fe0f}"), "❤");
        assert_eq!(line("👍🏽 🇩🇪 🇦🇿"), "👍 DE AZ");
        // Sinhala writes this conjunct with a joiner.
        assert_eq!(line("\u{d9a}\u{dca}\u{200d}\u{dbb}"), "\u{d9a}\u{dca}\u{200d}\u{dbb}");
    }

    #[test]
    fn heaped_marks_are_cut() {
        let heap = format!("a{}b", "\u{301}".repeat(100));
        assert_eq!(line(&heap).chars().count(), 2 + MARKS_MAX);
    }
}
