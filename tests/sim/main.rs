//! Whole networks on virtual time.

mod mail;
