//! How full things are: each collection that others can make grow, beside its limit.

/// One collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// What is counted.
    pub what: &'static str,
    /// How many there are, or how many bytes.
    pub got: usize,
    /// How many there may be.
    pub max: usize,
}

/// What is counted of a whole node.
#[derive(Clone, Debug, Default)]
pub struct Fills(Vec<Fill>);

impl Fills {
    /// Notes one collection.
    pub fn note(&mut self, what: &'static str, got: usize, max: usize) {
        self.0.push(Fill { what, got, max });
    }

    /// Notes the fullest of several of a kind, if there is any.
    pub fn most(&mut self, what: &'static str, got: impl Iterator<Item = usize>, max: usize) {
        self.0.extend(got.max().map(|got| Fill { what, got, max }));
    }

    /// All of them.
    pub fn all(&self) -> &[Fill] {
        &self.0
    }

    /// Those that are above their limits: none, whatever happens.
    pub fn above(&self) -> impl Iterator<Item = &Fill> {
        self.0.iter().filter(|fill| fill.got > fill.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_its_limit_is_named() {
        let mut fills = Fills::default();
        fills.note("letters", 3, 3);
        fills.most("none", std::iter::empty(), 0);
        fills.most("words", [1, 5, 2].into_iter(), 4);
        let above: Vec<&Fill> = fills.above().collect();
        assert_eq!(above, [&Fill { what: "words", got: 5, max: 4 }]);
        assert_eq!(fills.all().len(), 2);
    }
}
