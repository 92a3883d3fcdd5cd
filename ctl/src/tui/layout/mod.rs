//! Where everything stands on the screen: plain functions of the model and a size, used by those
//! who draw and by those who scroll.

pub(crate) mod areas;
pub(crate) mod compose;
pub(crate) mod help;
pub(crate) mod list;
pub(crate) mod talk;
pub(crate) mod text;
