//! The agent protocol: jobs that outlive connections.
