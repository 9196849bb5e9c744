//! The commands of one log file.
