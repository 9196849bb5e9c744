//! Restores of deltas with all that they are based on, and to other places than they came from.

mod objects;
mod own;
mod places;
mod points;
