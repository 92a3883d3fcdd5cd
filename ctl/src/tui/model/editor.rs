//! A text that is being written, and the cursor in it.

use unicode_segmentation::UnicodeSegmentation;

/// A text and a cursor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Editor {
    text: String,
    /// In bytes, always between characters as people see them.
    cursor: usize,
}

impl Editor {
    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where the cursor is, in bytes.
    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Takes the text out.
    pub(crate) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Puts a text that could not be sent before what was written since.
    pub(crate) fn give_back(&mut self, text: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        self.text.insert_str(0, &format!("{text}{gap}"));
        self.cursor += text.len() + gap.len();
    }

    /// Writes at the cursor: lines stay lines, a tab becomes spaces, other controls are left out.
    /// False, and nothing is written, if the text would be longer than `bytes_max`.
    pub(crate) fn insert(&mut self, text: &str, bytes_max: usize) -> bool {
        let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', "    ");
        let text: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
        let fits = self.text.len() + text.len() <= bytes_max;
        if fits {
            self.text.insert_str(self.cursor, &text);
            self.cursor += text.len();
        }
        fits
    }

    /// Erases up to a place before or after the cursor.
    fn erase(&mut self, to: usize) {
        let (from, to) = (self.cursor.min(to), self.cursor.max(to));
        self.text.replace_range(from..to, "");
        self.cursor = from;
    }

    /// Erases the character before the cursor.
    pub(crate) fn backspace(&mut self) {
        self.erase(self.before());
    }

    /// Erases the character at the cursor.
    pub(crate) fn delete(&mut self) {
        self.erase(self.after());
    }

    /// Erases the word before the cursor.
    pub(crate) fn erase_word(&mut self) {
        self.erase(self.word_before());
    }

    /// Erases the line up to the cursor.
    pub(crate) fn erase_line(&mut self) {
        self.erase(self.line_start());
    }

    /// Erases the line from the cursor on.
    pub(crate) fn erase_rest(&mut self) {
        self.erase(self.line_end());
    }

    /// A character to the left.
    pub(crate) fn left(&mut self) {
        self.cursor = self.before();
    }

    /// A character to the right.
    pub(crate) fn right(&mut self) {
        self.cursor = self.after();
    }

    /// A word to the left.
    pub(crate) fn word_left(&mut self) {
        self.cursor = self.word_before();
    }

    /// A word to the right.
    pub(crate) fn word_right(&mut self) {
        let rest = &self.text[self.cursor..];
        let mut words = rest.unicode_word_indices();
        self.cursor += words.next().map_or(rest.len(), |(at, word)| at + word.len());
    }

    /// To the start of the line.
    pub(crate) fn home(&mut self) {
        self.cursor = self.line_start();
    }

    /// To the end of the line.
    pub(crate) fn end(&mut self) {
        self.cursor = self.line_end();
    }

    /// A line up; false if there is none.
    pub(crate) fn up(&mut self) -> bool {
        let start = self.line_start();
        let column = self.column();
        let Some(end) = start.checked_sub(1) else {
            return false;
        };
        let above = self.text[..end].rfind('\n').map_or(0, |at| at + 1);
        self.cursor = self.place(above, end, column);
        true
    }

    /// A line down; false if there is none.
    pub(crate) fn down(&mut self) -> bool {
        let end = self.line_end();
        let column = self.column();
        if end == self.text.len() {
            return false;
        }
        let below = end + 1;
        let its_end = self.text[below..].find('\n').map_or(self.text.len(), |at| below + at);
        self.cursor = self.place(below, its_end, column);
        true
    }

    fn before(&self) -> usize {
        let last = self.text[..self.cursor].grapheme_indices(true).next_back();
        last.map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let next = self.text[self.cursor..].graphemes(true).next();
        self.cursor + next.map_or(0, str::len)
    }

    fn word_before(&self) -> usize {
        let last = self.text[..self.cursor].unicode_word_indices().next_back();
        last.map_or(0, |(at, _)| at)
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at)
    }

    fn column(&self) -> usize {
        self.text[self.line_start()..self.cursor].graphemes(true).count()
    }

    fn place(&self, start: usize, end: usize, column: usize) -> usize {
        let mut graphemes = self.text[start..end].grapheme_indices(true);
        graphemes.nth(column).map_or(end, |(at, _)| start + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editor(text: &str) -> Editor {
        let mut editor = Editor::default();
        assert!(editor.insert(text, 1000));
        editor
    }

    #[test]
    fn what_is_typed_stands_at_the_cursor() {
        let mut editor = editor("hllo");
        editor.home();
        editor.right();
        editor.insert("e", 1000);
        assert_eq!((editor.text(), editor.cursor()), ("hello", 2));
        editor.end();
        editor.backspace();
        editor.left();
        editor.delete();
        assert_eq!(editor.text(), "hel");
    }

    #[test]
    fn a_character_is_what_people_see_as_one() {
        let mut editor = editor("a👩‍👧e\u{301}");
        editor.backspace();
        assert_eq!(editor.text(), "a👩‍👧");
        editor.left();
        assert_eq!(editor.cursor(), 1);
        editor.delete();
        assert_eq!(editor.text(), "a");
    }

    #[test]
    fn pasted_controls_are_left_out_and_lines_kept() {
        assert_eq!(editor("a\r\nb\rc\td\u{1b}[2J\u{7}").text(), "a\nb\nc    d[2J");
    }

    #[test]
    fn a_text_that_does_not_fit_is_not_cut() {
        let mut editor = editor("abc");
        assert!(!editor.insert("def", 5));
        assert_eq!(editor.text(), "abc");
        assert!(editor.insert("de", 5));
    }

    #[test]
    fn lines_are_walked_in_columns() {
        let mut editor = editor("first\nx\nthird line");
        assert!(editor.up());
        assert_eq!(editor.cursor(), 7);
        assert!(editor.up());
        assert_eq!(editor.cursor(), 1);
        assert!(!editor.up());
        assert!(editor.down());
        assert!(editor.down());
        assert!(!editor.down());
        assert_eq!(editor.cursor(), 9);
    }

    #[test]
    fn words_and_lines_are_erased() {
        let mut editor = editor("one two\nthree four");
        editor.erase_word();
        assert_eq!(editor.text(), "one two\nthree ");
        editor.erase_line();
        assert_eq!(editor.text(), "one two\n");
        assert!(editor.up());
        editor.word_right();
        editor.erase_rest();
        assert_eq!(editor.text(), "one\n");
        assert!(editor.down());
        editor.word_left();
        assert_eq!(editor.cursor(), 0);
    }

    #[test]
    fn what_comes_back_stands_before_what_was_written_since() {
        let mut editor = editor("new");
        editor.give_back("old");
        assert_eq!((editor.text(), editor.cursor()), ("old\nnew", 7));
        let text = editor.take();
        editor.give_back(&text);
        assert_eq!((editor.text(), editor.cursor()), ("old\nnew", 7));
    }
}
