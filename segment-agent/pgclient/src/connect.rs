//! Making a session.
