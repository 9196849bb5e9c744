//! The service file.
