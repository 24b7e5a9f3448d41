//! The six kinds of hooks.

use crate::refusal::Findings;

/// When hooks run (config.md, "POSIX-platform Hooks").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// Deprecated: as `createRuntime`, before it.
    Prestart,
    /// In the runtime's namespaces, before pivot_root.
    CreateRuntime,
    /// In the container's namespaces, before pivot_root.
    CreateContainer,
    /// In the container, before its process starts.
    StartContainer,
    /// In the runtime's namespaces, after the process started.
    Poststart,
    /// In the runtime's namespaces, after the container was deleted.
    Poststop,
}

impl HookKind {
    /// All kinds, in the order in which they run.
    pub const ALL: [HookKind; 6] = [
        Self::Prestart,
        Self::CreateRuntime,
        Self::CreateContainer,
        Self::StartContainer,
        Self::Poststart,
        Self::Poststop,
    ];

    /// The specification's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }
}

/// The hooks of a container, checked.
#[derive(Debug, Clone, Copy)]
pub struct Hooks<'a>(Option<&'a spec::Hooks<'a>>);

impl<'a> Hooks<'a> {
    /// No hooks at all.
    pub const NONE: Hooks<'static> = Hooks(None);

    /// The hooks of one kind, in order.
    pub fn of(&self, kind: HookKind) -> &'a [spec::Hook<'a>] {
        let Some(hooks) = self.0 else { return &[] };
        match kind {
            HookKind::Prestart => &hooks.prestart,
            HookKind::CreateRuntime => &hooks.create_runtime,
            HookKind::CreateContainer => &hooks.create_container,
            HookKind::StartContainer => &hooks.start_container,
            HookKind::Poststart => &hooks.poststart,
            HookKind::Poststop => &hooks.poststop,
        }
    }

    /// Whether there is a hook of one of these kinds.
    pub fn any(&self, kinds: &[HookKind]) -> bool {
        kinds.iter().any(|kind| !self.of(*kind).is_empty())
    }
}

pub(crate) fn hooks<'a>(hooks: Option<&'a spec::Hooks<'a>>, findings: &mut Findings) -> Hooks<'a> {
    let plan = Hooks(hooks);
    for kind in HookKind::ALL {
        for (n, hook) in plan.of(kind).iter().enumerate() {
            let at = format!("/hooks/{}/{n}", kind.name());
            if !hook.path.starts_with('/') {
                let sentence = format!("{:?} is not an absolute path", hook.path);
                findings.refuse(format!("{at}/path"), sentence, "the absolute path of a program");
            }
            if let Some(timeout @ ..=0) = hook.timeout {
                let sentence = format!("{timeout} is not greater than zero");
                findings.refuse(format!("{at}/timeout"), sentence, "seconds, 1 or more; or none");
            }
        }
    }
    plan
}
