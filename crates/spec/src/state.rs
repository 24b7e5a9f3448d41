//! The container's state as hooks read it on stdin (runtime.md, "State").

use serde::Serialize;

use crate::StringMap;

/// Where in its life a container is (runtime.md, "State").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerStatus {
    /// The environment is being made.
    Creating,
    /// The environment exists, the user's program has not been run.
    Created,
    /// The user's program was run and has not ended.
    Running,
    /// Its tasks are frozen (an addition of every runtime to the specification).
    Paused,
    /// The process has ended.
    Stopped,
}

impl ContainerStatus {
    /// The word of the specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// What the agent of a seccomp filter gets beside the descriptors (config-linux.md, "The Container
/// Process State").
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerProcessState<'a> {
    /// The version of the specification that this follows.
    pub oci_version: &'a str,
    /// What the descriptors are, in their order.
    pub fds: &'a [&'a str],
    /// The process that the filter is for, in the pid namespace of the runtime.
    pub pid: i32,
    /// `listenerMetadata`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub metadata: &'a str,
    /// The container that the process is in.
    pub state: &'a State<'a>,
}

/// The state that a hook gets.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State<'a> {
    /// The version of the specification that this follows.
    pub oci_version: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// Where in its life it is.
    pub status: ContainerStatus,
    /// The init process, in the pid namespace of the reader; absent once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The bundle's absolute path.
    pub bundle: &'a str,
    /// The configuration's annotations.
    #[serde(skip_serializing_if = "StringMap::is_empty")]
    pub annotations: &'a StringMap<'a>,
}
