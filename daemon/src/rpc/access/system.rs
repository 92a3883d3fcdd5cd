//! The system's databases of users and groups.
//!
//! The kernel knows the groups of a caller, too (SO_PEERGROUPS), but no library gives them
//! without unsafe code of our own. So the database is asked, as at a login; the group with which
//! the caller connected, which `newgrp` and `sg` change, comes with SO_PEERCRED.

/// Whom the system knows. All of it may block.
pub(super) trait People: Send + Sync + 'static {
    /// The number of a user.
    fn uid(&self, name: &str) -> Option<u32>;
    /// The number of a group.
    fn gid(&self, name: &str) -> Option<u32>;
    /// The groups that a user is in; none if nobody has that number.
    fn groups_of(&self, uid: u32) -> Vec<u32>;
}

/// This machine.
#[derive(Debug)]
pub(super) struct System;

impl People for System {
    fn uid(&self, name: &str) -> Option<u32> {
        uzers::get_user_by_name(name).map(|user| user.uid())
    }

    fn gid(&self, name: &str) -> Option<u32> {
        uzers::get_group_by_name(name).map(|group| group.gid())
    }

    fn groups_of(&self, uid: u32) -> Vec<u32> {
        // The user's own group is among them.
        let groups = uzers::get_user_by_uid(uid).and_then(|user| user.groups());
        groups.unwrap_or_default().iter().map(uzers::Group::gid).collect()
    }
}
