//! The rows of a conversation, laid out from the lower edge of the screen upwards, so that a
//! long history costs no more than a short one.

use std::ops::Bound::{Excluded, Unbounded};

use bytchat_proto::rpc::message::{Direction, Message, State};
use bytchat_proto::timestamp::Timestamp;
use ratatui::layout::Rect;

use super::text;
use crate::print::time;
use crate::tui::model::{Chat, Edge, Reading, Zone};

/// From so many columns on, time, name, text and state stand side by side.
const ROOMY: usize = 48;
/// Cells of a name.
const NAME_CELLS: usize = 12;
/// Cells of a time, of a state, and between columns.
const TIME_CELLS: usize = 5;
const STATE_CELLS: usize = 9;
const GAP: usize = 2;
/// What our own messages bear as name.
const OURSELVES: &str = "you";

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKind {
    /// The day of what follows.
    Day,
    /// What follows was new when the conversation was opened.
    New,
    /// A remark about what is missing.
    Remark,
    /// A part of a message.
    Text,
}

/// How far a message of ours has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The daemon has not taken it yet.
    Sending,
    /// As the daemon says.
    Is(State),
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// What it is.
    pub(crate) kind: RowKind,
    /// Whether we wrote it.
    pub(crate) mine: bool,
    /// Before the text: time and name, with the space that follows.
    pub(crate) left: String,
    /// The text.
    pub(crate) text: String,
    /// At the right edge, or behind the name where columns are few.
    pub(crate) mark: Option<Mark>,
}

/// A conversation and the place that there is for it.
pub(crate) struct Talk<'a> {
    chat: &'a Chat,
    width: usize,
    height: usize,
    name: usize,
    zone: Zone,
}

impl Mark {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Is(state) => state.as_str(),
        }
    }
}

impl<'a> Talk<'a> {
    /// Lays a conversation out for a part of the screen.
    pub(crate) fn new(chat: &'a Chat, area: Rect, zone: Zone) -> Self {
        let name = text::width(&chat.short_name()).max(OURSELVES.len()).min(NAME_CELLS);
        Self { chat, width: area.width.into(), height: area.height.into(), name, zone }
    }

    /// Whether there is a column for the state.
    pub(crate) fn is_roomy(&self) -> bool {
        self.width >= ROOMY
    }

    /// The rows that are seen, the highest first; fewer than there is place for if there are no
    /// more.
    pub(crate) fn window(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        if self.chat.scroll.is_none() {
            for pending in self.chat.pending.iter().rev() {
                if rows.len() >= self.height {
                    break;
                }
                let left = (String::new(), OURSELVES.to_owned());
                let block = self.message(left, &pending.text, true, Some(Mark::Sending));
                rows.extend(block.into_iter().rev());
            }
        }
        let mut at = self.edge();
        while let Some(Edge { seq, skip }) = at.filter(|_| rows.len() < self.height) {
            let block = self.block(seq);
            rows.extend(block.into_iter().rev().skip(skip));
            at = self.before(seq).map(|seq| Edge { seq, skip: 0 });
        }
        if rows.len() < self.height && self.chat.reading == Reading::Yes {
            rows.extend(self.beginning());
        }
        rows.truncate(self.height);
        rows.reverse();
        rows
    }

    /// The edge after going up some rows; never so far that the upper end comes down.
    pub(crate) fn up(&self, rows: usize) -> Option<Edge> {
        let Edge { mut seq, mut skip } = self.edge()?;
        skip += rows;
        loop {
            let height = self.block(seq).len();
            if skip < height {
                break;
            }
            let Some(before) = self.before(seq) else {
                skip = height.saturating_sub(1);
                break;
            };
            skip -= height;
            seq = before;
        }
        let edge = Edge { seq, skip };
        let above = self.above(edge, self.height);
        self.down_from(edge, self.height - above)
    }

    /// The edge after going down some rows; `None` at the end.
    pub(crate) fn down(&self, rows: usize) -> Option<Edge> {
        self.down_from(self.edge()?, rows)
    }

    /// How many rows stand above the lower edge, counted up to a limit.
    pub(crate) fn rows_above(&self, limit: usize) -> usize {
        self.edge().map_or(0, |edge| self.above(edge, limit))
    }

    fn above(&self, edge: Edge, limit: usize) -> usize {
        let (mut at, mut rows) = (Some(edge), 0);
        while let Some(Edge { seq, skip }) = at.filter(|_| rows < limit) {
            rows += self.block(seq).len().saturating_sub(skip);
            at = self.before(seq).map(|seq| Edge { seq, skip: 0 });
        }
        rows.min(limit)
    }

    fn down_from(&self, edge: Edge, rows: usize) -> Option<Edge> {
        let Edge { mut seq, mut skip } = edge;
        let mut left = rows;
        while left > skip {
            left -= skip;
            let (after, _) = self.chat.messages.range((Excluded(seq), Unbounded)).next()?;
            seq = *after;
            skip = self.block(seq).len();
        }
        skip -= left;
        let end = self.chat.messages.keys().next_back() == Some(&seq);
        (skip > 0 || !end).then_some(Edge { seq, skip })
    }

    /// The edge as it is: where the person has scrolled to, or the end.
    fn edge(&self) -> Option<Edge> {
        let messages = &self.chat.messages;
        let scrolled = self.chat.scroll.filter(|edge| messages.contains_key(&edge.seq));
        let end = messages.keys().next_back().map(|seq| Edge { seq: *seq, skip: 0 });
        scrolled.or(end)
    }

    fn before(&self, seq: u64) -> Option<u64> {
        self.chat.messages.range(..seq).next_back().map(|(seq, _)| *seq)
    }

    /// All rows of a message with what stands before it.
    fn block(&self, seq: u64) -> Vec<Row> {
        let Some(message) = self.chat.messages.get(&seq) else {
            return Vec::new();
        };
        let before = self.before(seq).and_then(|seq| self.chat.messages.get(&seq));
        let written = self.clock(message);
        let (day, clock) = (&written[..10], &written[11..16]);
        let mut rows = Vec::new();
        if before.is_none_or(|before| &self.clock(before)[..10] != day) {
            rows.push(row(RowKind::Day, day.to_owned()));
        }
        if self.chat.new_from == Some(seq) {
            rows.push(row(RowKind::New, "new".to_owned()));
        }
        if message.gap {
            rows.push(row(RowKind::Remark, "an earlier message is missing".to_owned()));
        }
        let mine = message.direction == Direction::Out;
        let mark = mine.then_some(Mark::Is(message.state));
        let name = if mine { OURSELVES.to_owned() } else { self.chat.short_name() };
        rows.extend(self.message((clock.to_owned(), name), &shown(message), mine, mark));
        rows
    }

    /// When a message was written, by the person's clock.
    fn clock(&self, message: &Message) -> String {
        time(self.zone.clock(written_at(message)))
    }

    fn message(
        &self,
        (clock, name): (String, String),
        body: &str,
        mine: bool,
        mark: Option<Mark>,
    ) -> Vec<Row> {
        if !self.is_roomy() {
            let left = format!("{clock:TIME_CELLS$} {name}");
            let head = Row { left, mark, mine, ..row(RowKind::Text, String::new()) };
            let texts = text::wrap(body, self.width.saturating_sub(1)).into_iter();
            let texts =
                texts.map(|text| Row { left: " ".to_owned(), mine, ..row(RowKind::Text, text) });
            return [head].into_iter().chain(texts).collect();
        }
        let left = TIME_CELLS + GAP + self.name + GAP;
        let cells = self.width.saturating_sub(left + GAP + STATE_CELLS);
        let name = text::fit(&name, self.name);
        let pad = " ".repeat(self.name - text::width(&name) + GAP);
        let mut first = Some(format!("{clock:TIME_CELLS$}{:GAP$}{name}{pad}", ""));
        let mut mark = mark;
        text::wrap(body, cells)
            .into_iter()
            .map(|text| Row {
                left: first.take().unwrap_or_else(|| " ".repeat(left)),
                mark: mark.take(),
                mine,
                ..row(RowKind::Text, text)
            })
            .collect()
    }

    /// What stands above the first message that is here.
    fn beginning(&self) -> Option<Row> {
        if self.chat.full {
            let remark = "there is more: `bytctl history` lists it".to_owned();
            return Some(row(RowKind::Remark, remark));
        }
        let older = self.chat.older.is_some();
        older.then(|| row(RowKind::Remark, "reading older messages…".to_owned()))
    }
}

fn row(kind: RowKind, text: String) -> Row {
    Row { kind, mine: false, left: String::new(), text, mark: None }
}

/// When a message was written. The clock is its author's; that it came before it was written is
/// not believed.
fn written_at(message: &Message) -> Timestamp {
    message.sent_at.min(message.received_at)
}

fn shown(message: &Message) -> String {
    if message.content_type.starts_with("text/") {
        return message.text.clone();
    }
    format!("[{}: cannot be shown here]", message.content_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::{chat, received};

    const AREA: Rect = Rect { x: 0, y: 0, width: 60, height: 5 };

    fn talk(chat: &Chat) -> Talk<'_> {
        Talk::new(chat, AREA, Zone::default())
    }

    fn texts(chat: &Chat) -> Vec<String> {
        let rows = talk(chat).window();
        rows.into_iter().map(|row| row.text).collect()
    }

    #[test]
    fn the_end_is_shown_and_what_stands_above_it() {
        let chat = chat(1..=9);
        assert_eq!(texts(&chat), ["text 5", "text 6", "text 7", "text 8", "text 9"]);
    }

    #[test]
    fn one_scrolls_by_rows_and_not_beyond_either_end() {
        let mut chat = chat(1..=9);
        chat.scroll_to(talk(&chat).up(2));
        assert_eq!(texts(&chat)[4], "text 7");
        chat.scroll_to(talk(&chat).up(100));
        assert_eq!(texts(&chat), ["1970-01-01", "text 1", "text 2", "text 3", "text 4"]);
        chat.scroll_to(talk(&chat).down(1));
        assert_eq!(texts(&chat)[4], "text 5");
        chat.scroll_to(talk(&chat).down(100));
        assert_eq!(chat.scroll, None);
    }

    #[test]
    fn up_and_down_again_is_where_one_was() {
        let mut chat = chat(1..=30);
        chat.insert(received(31, "one\ntwo\nthree\nfour\nfive\nsix\nseven"));
        for rows in 1..20 {
            chat.scroll_to(talk(&chat).up(rows));
            let before = texts(&chat);
            chat.scroll_to(talk(&chat).up(3));
            chat.scroll_to(talk(&chat).down(3));
            assert_eq!(texts(&chat), before);
            chat.show_end();
        }
    }

    #[test]
    fn what_comes_in_below_does_not_move_what_is_read() {
        let mut chat = chat(1..=9);
        chat.scroll_to(talk(&chat).up(3));
        let before = texts(&chat);
        chat.insert(received(10, "news"));
        assert_eq!(texts(&chat), before);
        assert_eq!(chat.below, 1);
    }

    #[test]
    fn a_short_conversation_does_not_scroll() {
        let chat = chat(1..=3);
        assert_eq!(talk(&chat).up(2), None);
    }

    #[test]
    fn no_size_is_too_small() {
        let chat = chat(1..=3);
        for width in 0..60 {
            for height in 0..3 {
                let area = Rect { width, height, ..AREA };
                let talk = Talk::new(&chat, area, Zone::default());
                assert!(talk.window().len() <= height.into());
                chat.clone().scroll_to(talk.up(1));
            }
        }
    }

    #[test]
    fn an_author_cannot_write_from_the_future() {
        let mut message = received(1, "x");
        message.sent_at = Timestamp(u64::MAX);
        assert_eq!(written_at(&message), message.received_at);
    }
}
