//! Places for so many: of front ends, calls, subscriptions, and bytes that are held for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytchat_proto::limits::RPC_FREE_BYTES;
use bytchat_proto::rpc::{ErrorKind, RpcError};

/// Places for so many in all and for so many of one Unix user.
#[derive(Debug)]
pub(super) struct Quota {
    what: &'static str,
    max: usize,
    per_user: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: BTreeMap<u32, usize>,
}

/// Places that are taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    quota: Arc<Quota>,
    uid: u32,
    count: usize,
}

impl Quota {
    pub(super) fn new(what: &'static str, max: usize, per_user: usize) -> Arc<Self> {
        Arc::new(Self { what, max, per_user, taken: Mutex::default() })
    }

    /// Takes a place, or says which limit is reached.
    pub(super) fn take(self: &Arc<Self>, uid: u32) -> Result<Place, RpcError> {
        let mut place = self.none(uid);
        place.resize(1)?;
        Ok(place)
    }

    /// Takes nothing yet.
    pub(super) fn none(self: &Arc<Self>, uid: u32) -> Place {
        Place { quota: Arc::clone(self), uid, count: 0 }
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    // SPEC 8.7: no Unix user takes all places.
    /// Takes more places or gives some back; says which limit is reached, and then stays as it was.
    pub(super) fn resize(&mut self, count: usize) -> Result<(), RpcError> {
        if count == self.count {
            return Ok(());
        }
        let Quota { what, max, per_user, .. } = *self.quota;
        let mut taken = self.quota.lock();
        let own = taken.of.get(&self.uid).copied().unwrap_or_default();
        let own = own.saturating_sub(self.count).saturating_add(count);
        let all = taken.all.saturating_sub(self.count).saturating_add(count);
        if count > self.count && own > per_user {
            let error = format!("you have {per_user} {what} at once, which is the limit");
            return Err(ErrorKind::Busy.because(error));
        }
        if count > self.count && all > max {
            let error = format!("the daemon serves {max} {what}, which is the limit");
            return Err(ErrorKind::Busy.because(error));
        }
        taken.all = all;
        match own {
            0 => drop(taken.of.remove(&self.uid)),
            own => drop(taken.of.insert(self.uid, own)),
        }
        self.count = count;
        Ok(())
    }

    /// Hands over as many of its places, or all if there are fewer.
    pub(super) fn part(&mut self, count: usize) -> Self {
        let count = count.min(self.count);
        self.count -= count;
        Self { quota: Arc::clone(&self.quota), uid: self.uid, count }
    }

    /// Counts the bytes of a request or of an answer, unless they are few.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), RpcError> {
        self.resize(if bytes > RPC_FREE_BYTES { bytes } else { 0 })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // To give back always works.
        drop(self.resize(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_grows_within_the_limits_and_gives_back_what_it_took() {
        let quota = Quota::new("things", 10, 6);
        let (mut one, mut two) = (quota.none(1), quota.none(2));
        one.resize(6).unwrap();
        assert!(one.resize(7).unwrap_err().message.contains("you have 6 things"));
        assert!(two.resize(5).unwrap_err().message.contains("the daemon serves 10 things"));
        two.resize(4).unwrap();
        assert_eq!(quota.taken(), 10);
        one.resize(2).unwrap();
        two.resize(5).unwrap();
        drop(one);
        assert_eq!(quota.taken(), 5);
        let (some, rest) = (two.part(2), two.part(9));
        assert_eq!((some.count, rest.count, two.count), (2, 3, 0));
        drop(some);
        assert_eq!(quota.taken(), 3);
        drop((two, rest));
        assert_eq!(quota.taken(), 0);
        assert!(quota.lock().of.is_empty());
    }
}
