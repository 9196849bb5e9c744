//! Memory of an agent stays under its budget, whatever the number and size of its segments.
