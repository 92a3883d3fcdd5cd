//! Places in the 160-bit keyspace and the distance between them (Kademlia, 2002).

use crate::id::{NodeId, UserId, identifier, sha512_160};

identifier!(
    /// A place in the keyspace.
    Point,
    20,
    "a point"
);

/// How far two points are apart: their exclusive or, compared as a big-endian number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance(pub [u8; 20]);

impl Point {
    /// Where a user's record and mailbox lie: at the user id itself.
    pub fn of_user(user: UserId) -> Self {
        Self(user.0)
    }

    /// Where a user's profile lies (SPEC 4.4).
    pub fn of_profile(user: UserId) -> Self {
        Self(sha512_160(&[b"meta", &user.0]))
    }

    /// Where a user's locations lie (SPEC 4.5).
    pub fn of_location(user: UserId) -> Self {
        Self(sha512_160(&[b"location", &user.0]))
    }

    /// Where a node stands.
    pub fn of_node(node: NodeId) -> Self {
        Self(node.0)
    }

    /// How far it is to another point.
    pub fn distance(self, other: Self) -> Distance {
        Distance(std::array::from_fn(|i| self.0[i] ^ other.0[i]))
    }
}

impl Distance {
    /// How many leading bits are zero: 160 for the same point.
    pub fn leading_zeros(self) -> u32 {
        let zeros = self.0.iter().take_while(|byte| **byte == 0).count();
        let bits = self.0.get(zeros).map_or(0, |byte| byte.leading_zeros());
        u32::try_from(zeros).expect("at most 20 bytes") * 8 + bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_symmetric_and_zero_to_itself() {
        let (a, b) = (Point([3; 20]), Point([9; 20]));
        assert_eq!(a.distance(b), b.distance(a));
        assert_eq!(a.distance(a).leading_zeros(), 160);
        assert_eq!(a.distance(b).leading_zeros(), 4);
    }

    #[test]
    fn a_users_points_differ() {
        let user = UserId([1; 20]);
        assert_ne!(Point::of_user(user), Point::of_profile(user));
        assert_ne!(Point::of_profile(user), Point::of_location(user));
    }
}
