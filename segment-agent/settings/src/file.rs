//! Config files by extension.
