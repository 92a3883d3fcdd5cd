//! The rows of the text that is being written, and where its cursor is.

use ratatui::layout::Position;
use unicode_segmentation::UnicodeSegmentation;

use super::text;
use crate::tui::model::{Editor, Model};

/// Before the text.
pub(crate) const PROMPT: &str = "> ";

/// A text in rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The rows.
    pub(crate) rows: Vec<String>,
    /// The cell of the cursor.
    pub(crate) cursor: Position,
}

/// How many rows the place for writing would like to have in a number of columns.
pub(crate) fn rows(model: &Model, columns: u16) -> usize {
    let Some(chat) = model.chat() else {
        return 0;
    };
    if !chat.is_open() {
        return 1;
    }
    written(&chat.draft, cells(columns)).rows.len()
}

/// The columns that are left beside the prompt.
pub(crate) fn cells(columns: u16) -> usize {
    usize::from(columns).saturating_sub(PROMPT.len()).max(1)
}

/// Lays a text out in rows of a number of cells.
pub(crate) fn written(editor: &Editor, cells: usize) -> Written {
    let mut rows = vec![String::new()];
    let (mut used, mut cursor) = (0, (0, 0));
    for (at, grapheme) in editor.text().grapheme_indices(true) {
        let pieces: Vec<_> = match grapheme {
            "\n" => Vec::new(),
            _ => text::pieces(grapheme).collect(),
        };
        let wide: usize = pieces.iter().map(|piece| text::width(piece)).sum();
        if grapheme != "\n" && used + wide > cells && used > 0 {
            rows.push(String::new());
            used = 0;
        }
        if at <= editor.cursor() {
            cursor = (used, rows.len() - 1);
        }
        if grapheme == "\n" {
            rows.push(String::new());
            used = 0;
        } else if let Some(row) = rows.last_mut() {
            row.extend(pieces);
            used += wide;
        }
    }
    if editor.cursor() >= editor.text().len() {
        if used >= cells {
            rows.push(String::new());
            used = 0;
        }
        cursor = (used, rows.len() - 1);
    }
    let cell = |number| u16::try_from(number).unwrap_or(u16::MAX);
    Written { rows, cursor: Position::new(cell(cursor.0), cell(cursor.1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, back: usize, cells: usize) -> (Vec<String>, (u16, u16)) {
        let mut editor = Editor::default();
        assert!(editor.insert(text, 1000));
        for _ in 0..back {
            editor.left();
        }
        let written = written(&editor, cells);
        (written.rows, (written.cursor.x, written.cursor.y))
    }

    fn rows(rows: &[&str]) -> Vec<String> {
        rows.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_cursor_is_where_the_next_character_comes() {
        assert_eq!(at("", 0, 5), (rows(&[""]), (0, 0)));
        assert_eq!(at("abc", 0, 5), (rows(&["abc"]), (3, 0)));
        assert_eq!(at("abc", 1, 5), (rows(&["abc"]), (2, 0)));
        assert_eq!(at("abcde", 0, 5), (rows(&["abcde", ""]), (0, 1)));
        assert_eq!(at("abcdef", 1, 5), (rows(&["abcde", "f"]), (0, 1)));
        assert_eq!(at("ab\ncd", 0, 5), (rows(&["ab", "cd"]), (2, 1)));
        assert_eq!(at("ab\ncd", 3, 5), (rows(&["ab", "cd"]), (2, 0)));
        assert_eq!(at("ab\n", 0, 5), (rows(&["ab", ""]), (0, 1)));
        assert_eq!(at("日本語", 1, 5), (rows(&["日本", "語"]), (0, 1)));
    }
}
