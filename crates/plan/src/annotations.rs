//! What annotations ask of the runtime: crun's `run.oci.*` (crun(1)), which podman and CRI-O set.

use std::borrow::Cow;

use crate::refusal::Findings;

const KEEP_GROUPS: &str = "run.oci.keep_original_groups";
const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";
const MOUNT_CONTEXT_TYPE: &str = "run.oci.mount_context_type";
const SECCOMP_RECEIVER: &str = "run.oci.seccomp.receiver";
const DELEGATE_CGROUP: &str = "run.oci.delegate-cgroup";
const SYSTEMD_SUBGROUP: &str = "run.oci.systemd.subgroup";
const HOOKS_STDOUT: &str = "run.oci.hooks.stdout";
const HOOKS_STDERR: &str = "run.oci.hooks.stderr";

/// The annotations of this family that have a meaning, sorted.
pub const ANNOTATIONS: [&str; 8] = [
    DELEGATE_CGROUP,
    HOOKS_STDERR,
    HOOKS_STDOUT,
    KEEP_GROUPS,
    MOUNT_CONTEXT_TYPE,
    PIDFD_RECEIVER,
    SECCOMP_RECEIVER,
    SYSTEMD_SUBGROUP,
];

fn get<'m>(annotations: &'m spec::StringMap<'_>, name: &'static str) -> Option<&'m str> {
    annotations.get(&spec::Text::new(name)).map(spec::Text::as_str)
}

/// Whether the process keeps the supplementary groups of the runtime's caller (podman's
/// `--group-add keep-groups`).
pub fn keep_groups(annotations: &spec::StringMap<'_>) -> bool {
    get(annotations, KEEP_GROUPS).is_some_and(|value| value != "0")
}

/// Files that what hooks print is appended to: their standard output's, their standard error's.
pub fn hook_files<'a>(annotations: &'a spec::StringMap<'_>) -> [Option<&'a str>; 2] {
    [HOOKS_STDOUT, HOOKS_STDERR].map(|name| get(annotations, name))
}

/// The socket that gets the listener of a filter that notifies: `listenerPath`, the annotation, or
/// what the variable `RUN_OCI_SECCOMP_RECEIVER` says, as an absolute path; empty if nobody is named.
pub fn seccomp_receiver<'a>(
    profile: &'a spec::Seccomp<'a>,
    annotations: &'a spec::StringMap<'a>,
    bundle: &str,
    variable: &'a str,
) -> Cow<'a, str> {
    let annotated = || get(annotations, SECCOMP_RECEIVER).unwrap_or(variable);
    let path = match &*profile.listener_path {
        "" => annotated(),
        path => path,
    };
    match path.is_empty() || path.starts_with('/') {
        true => Cow::Borrowed(path),
        false => Cow::Owned(format!("{bundle}/{path}")),
    }
}

/// The cgroup below the scope that is the container's; empty: the scope itself is.
pub(crate) fn subgroup<'a>(
    annotations: &'a spec::StringMap<'a>,
    findings: &mut Findings,
) -> &'a str {
    path_below(annotations, SYSTEMD_SUBGROUP, findings)
}

/// The cgroup below the container's that its process is in, to manage it; empty: there is none.
pub(crate) fn delegated_cgroup<'a>(
    annotations: &'a spec::StringMap<'a>,
    findings: &mut Findings,
) -> &'a str {
    path_below(annotations, DELEGATE_CGROUP, findings)
}

fn path_below<'a>(
    annotations: &'a spec::StringMap<'a>,
    name: &'static str,
    findings: &mut Findings,
) -> &'a str {
    let path = get(annotations, name).unwrap_or_default().trim_matches('/');
    if !path.is_empty() && path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        let sentence = format!("{path:?} is no path below a cgroup");
        findings.refuse(format!("/annotations/{name}"), sentence, "a name, such as container");
    }
    path
}

/// The option of mount(8) by which file systems get `mountLabel`.
pub(crate) fn mount_context_type(
    annotations: &spec::StringMap<'_>,
    findings: &mut Findings,
) -> &'static str {
    const OPTIONS: [&str; 4] = ["context", "fscontext", "defcontext", "rootcontext"];
    let wanted = get(annotations, MOUNT_CONTEXT_TYPE).unwrap_or("context");
    OPTIONS.into_iter().find(|option| *option == wanted).unwrap_or_else(|| {
        let sentence = format!("invalid mount context type {wanted:?}");
        let hint = format!("one of {}", OPTIONS.join(", "));
        findings.refuse(format!("/annotations/{MOUNT_CONTEXT_TYPE}"), sentence, hint);
        "context"
    })
}

/// The socket that gets a descriptor of the init.
pub(crate) fn pidfd_receiver<'a>(
    annotations: &'a spec::StringMap<'a>,
    findings: &mut Findings,
) -> Option<&'a str> {
    let path = get(annotations, PIDFD_RECEIVER)?;
    if !path.starts_with('/') {
        let sentence = format!("{path:?} is not an absolute path");
        let hint = "the absolute path of a socket that somebody listens on";
        findings.refuse(format!("/annotations/{PIDFD_RECEIVER}"), sentence, hint);
    }
    Some(path)
}
