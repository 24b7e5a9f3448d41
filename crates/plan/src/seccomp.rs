//! `linux.seccomp`: the filter, and who is asked about the calls that it notifies.

use std::borrow::Cow;

use bpf::seccomp::{Arch, Filter};

use crate::Host;
use crate::refusal::Findings;

/// The filter of system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seccomp<'a> {
    /// The program.
    pub filter: Filter,
    /// Who gets its listener, if it notifies (`SCMP_ACT_NOTIFY`).
    pub agent: Option<Agent<'a>>,
}

/// Who decides about the calls that a filter notifies (seccomp_unotify(2)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent<'a> {
    /// `listenerPath`: its socket, as an absolute path.
    pub path: Cow<'a, str>,
    /// `listenerMetadata`: handed through.
    pub metadata: &'a str,
}

pub(crate) fn seccomp<'a>(
    linux: &'a spec::Linux<'a>,
    host: &Host<'_>,
    findings: &mut Findings,
) -> Option<Seccomp<'a>> {
    let profile = linux.seccomp.as_ref()?;
    match bpf::seccomp::compile(profile, Arch::native()) {
        // `None`: a profile that asks for nothing.
        Ok(filter) => filter.map(|filter| {
            let agent = filter.notify.then(|| agent(profile, host, findings));
            Seccomp { filter, agent }
        }),
        Err(problems) => {
            for problem in problems {
                let pointer = format!("/linux/seccomp/{}", problem.pointer);
                findings.refuse(pointer, problem.sentence, problem.hint);
            }
            None
        }
    }
}

fn agent<'a>(
    profile: &'a spec::Seccomp<'a>,
    host: &Host<'_>,
    findings: &mut Findings,
) -> Agent<'a> {
    let path = &*profile.listener_path;
    if !host.listener.is_empty() {
        let sentence = format!("failed to connect with seccomp agent {path:?}: {}", host.listener);
        let hint = "the path of a socket that an agent listens on, absolute or below the bundle";
        findings.refuse("/linux/seccomp/listenerPath", sentence, hint);
    }
    let path = match path.starts_with('/') {
        true => Cow::Borrowed(path),
        false => Cow::Owned(format!("{}/{path}", host.bundle)),
    };
    Agent { path, metadata: &profile.listener_metadata }
}
