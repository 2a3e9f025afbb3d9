//! Sizes, for people.

pub use crate::model::readable::size;
