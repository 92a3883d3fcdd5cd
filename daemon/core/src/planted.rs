//! Deliberate faults, so that the tests can be seen to find them. They exist only with the feature
//! `planted`, which nothing but `bytchat-tests` asks for; elsewhere `planted!` is `false`.

#[cfg(feature = "planted")]
pub use plants::{Plant, plant};

#[cfg(feature = "planted")]
mod plants {
    use std::cell::Cell;

    /// A fault.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Plant {
        /// An answer is given before what it says is on disk.
        AnswerBeforeCommit,
        /// A holder keeps what is brought twice two times.
        NoDeduplication,
        /// A holder brings mail to nobody who should hold it too.
        NoRepair,
        /// A contact is believed without its signature.
        UncheckedSignature,
        /// A holder keeps mail until any time that is named.
        TtlOverflow,
        /// Nobody is woken when there is mail to be pushed.
        LostWakeUp,
        /// A node keeps notices for a user without any bound.
        UnboundedQueue,
        /// A clock that has jumped is believed at once.
        TrustedClock,
        /// A message does not say that an earlier one is missing.
        HiddenGap,
        /// A record is replaced by an older one.
        StaleAccepted,
        /// What a device has removed can be brought again.
        ForgottenTombstone,
        /// A recipient who was not found once is looked for no more.
        LookupNotRetried,
    }

    thread_local! {
        static PLANT: Cell<Option<Plant>> = const { Cell::new(None) };
    }

    /// All nodes of this thread have this fault from now on.
    pub fn plant(plant: Option<Plant>) {
        PLANT.set(plant);
    }

    /// Whether a fault is planted.
    pub(crate) fn is(plant: Plant) -> bool {
        PLANT.get() == Some(plant)
    }
}

#[cfg(feature = "planted")]
pub(crate) use plants::is;

#[cfg(feature = "planted")]
macro_rules! planted {
    ($plant:ident) => {
        $crate::planted::is($crate::planted::Plant::$plant)
    };
}

#[cfg(not(feature = "planted"))]
macro_rules! planted {
    ($plant:ident) => {
        false
    };
}

pub(crate) use planted;
