//! The nearest known name.
