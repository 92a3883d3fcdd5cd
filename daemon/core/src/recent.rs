//! What was noted lately: the last so many, so that memory has a bound.

use std::collections::{BTreeSet, VecDeque};

/// A set with room for so many, which forgets its oldest member when there is one too many.
#[derive(Clone, Debug)]
pub struct Recent<T, const ROOM: usize> {
    members: BTreeSet<T>,
    order: VecDeque<T>,
}

impl<T, const ROOM: usize> Default for Recent<T, ROOM> {
    fn default() -> Self {
        Self { members: BTreeSet::new(), order: VecDeque::new() }
    }
}

impl<T: Copy + Ord, const ROOM: usize> Recent<T, ROOM> {
    /// Notes a member; one that is there keeps its place.
    pub fn add(&mut self, member: T) {
        if self.members.insert(member) {
            self.order.push_back(member);
        }
        if self.order.len() > ROOM
            && let Some(first) = self.order.pop_front()
        {
            self.members.remove(&first);
        }
    }

    /// Whether it was noted and not forgotten.
    pub fn has(&self, member: &T) -> bool {
        self.members.contains(member)
    }

    /// How many are remembered.
    pub fn count(&self) -> usize {
        self.members.len().max(self.order.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_nothing_is_kept_twice() {
        let mut recent = Recent::<u8, 3>::default();
        for member in [1, 1, 2, 3, 1, 4] {
            recent.add(member);
        }
        assert_eq!([1, 2, 3, 4].map(|member| recent.has(&member)), [false, true, true, true]);
        assert_eq!(recent.count(), 3);
    }
}
