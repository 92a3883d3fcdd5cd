//! Choices out of bytes: what is used up goes on as zeros, so that every input is a whole run.

/// What is left of an input.
pub(super) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `bound`, which is small.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// Whether something rare happens; not when nothing is left.
    pub(super) fn chance(&mut self, of_256: u8) -> bool {
        self.byte() > u8::MAX - of_256
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// A number of any size; the ends of its range are likely.
    pub(super) fn number(&mut self) -> u64 {
        match self.byte() {
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX - u64::from(self.byte()),
            3 => i64::MAX.unsigned_abs(),
            4..=127 => u64::from(self.byte()),
            _ => u64::from_be_bytes(self.array()),
        }
    }

    /// One of several things.
    pub(super) fn pick<'s, T>(&mut self, of: &'s [T]) -> &'s T {
        &of[self.below(of.len())]
    }

    /// Some bytes, their number first.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let long = usize::from(u16::from_be_bytes(self.array()));
        let (front, rest) = self.0.split_at(long.min(self.0.len()));
        self.0 = rest;
        front
    }

    /// The next bytes as a source of their own.
    pub(super) fn part(&mut self, bytes: usize) -> Self {
        let (front, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        Self(front)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
