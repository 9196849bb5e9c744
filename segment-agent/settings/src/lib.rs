//! To be laid down.
