//! Why a restore config cannot be used.

/// Every variant that concerns one segment names its content id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the restore config is not valid JSON: {reason}{}", hint.map(|h| format!("; {h}")).unwrap_or_default())]
    Json { reason: String, hint: Option<&'static str> },
    #[error(
        "the restore config has no segments: expected {{\"segments\": {{\"-1\": {{\"hostname\": ..., \"port\": ..., \"data_dir\": ...}}, ...}}}}"
    )]
    NoSegments,
    #[error(
        "{key:?} in the restore config is no content id: a whole number such as \"-1\" (the coordinator) or \"0\" is expected"
    )]
    NotAContentId { key: String },
    #[error("content id {content} stands twice in the restore config: keep one of them")]
    Duplicate { content: i32 },
    #[error("content id {content} in the restore config: {problem}")]
    Place { content: i32, problem: PlaceProblem },
    #[error(
        "content ids {first} and {second} in the restore config share {what} on host {hostname}: give each its own"
    )]
    Clash { first: i32, second: i32, hostname: String, what: String },
    #[error(
        "mirrors in the restore config must be a map of content ids, each once and each of a segment, to hostname, port and data_dir"
    )]
    Mirrors,
    #[error("{of} in the restore config: {problem}")]
    Replica { of: String, problem: PlaceProblem },
    #[error(
        "a mirror or the standby in the restore config takes the port or the data_dir of another server: port {port} on host {hostname}"
    )]
    ReplicaClash { hostname: String, port: u16 },
    #[error("could not find content ID {} in the provided restore configuration: add {}",
        join(missing), if missing.len() == 1 { "it" } else { "them" })]
    Missing { missing: Vec<i32> },
}

/// What is wrong with one segment's entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceProblem {
    #[error("{0} is missing")]
    Absent(&'static str),
    #[error("{field} stands twice")]
    Twice { field: &'static str },
    #[error("{field} must be {expected}, found {found}")]
    WrongType { field: &'static str, expected: &'static str, found: String },
    #[error("hostname is empty or holds white space or a leading dash: {0:?}")]
    Hostname(String),
    #[error("port {0} is outside 1 to 65535")]
    Port(String),
    #[error("{field} {text:?} is not absolute")]
    RelativeDirectory { field: &'static str, text: String },
    #[error("{field} {text:?} holds a \"..\" or a control character")]
    UnclearDirectory { field: &'static str, text: String },
    #[error("{field} is the root directory")]
    RootDirectory { field: &'static str },
    #[error("{0:?} in tablespaces is neither the oid of a tablespace nor the absolute directory that it had")]
    TablespaceName(String),
    #[error("tablespaces are those of its primary: leave them out")]
    ReplicaTablespaces,
    #[error("the tablespace directory {space} and {other} are one directory, or one lies in the other")]
    Nested { space: String, other: String },
}

fn join(contents: &[i32]) -> String {
    contents.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}
