//! `linux.seccomp`: the filter, and who is asked about the calls that it notifies.

use std::borrow::Cow;

use bpf::seccomp::{Arch, Filter};

use crate::Host;
use crate::annotations::seccomp_receiver;
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
    /// Its socket, as an absolute path: `listenerPath`, or who is named in its place.
    pub path: Cow<'a, str>,
    /// `listenerMetadata`: handed through.
    pub metadata: &'a str,
}

pub(crate) fn seccomp<'a>(
    config: &'a spec::Spec<'a>,
    linux: &'a spec::Linux<'a>,
    host: &Host<'a>,
    findings: &mut Findings,
) -> Option<Seccomp<'a>> {
    let profile = linux.seccomp.as_ref()?;
    match bpf::seccomp::compile(profile, Arch::native()) {
        // `None`: a profile that asks for nothing.
        Ok(filter) => filter.map(|filter| {
            let agent = filter.notify.then(|| agent(profile, config, host, findings));
            Seccomp { filter, agent }
        }),
        Err(problems) => {
            findings.refuse_problems("/linux/seccomp", problems);
            None
        }
    }
}

fn agent<'a>(
    profile: &'a spec::Seccomp<'a>,
    config: &'a spec::Spec<'a>,
    host: &Host<'a>,
    findings: &mut Findings,
) -> Agent<'a> {
    let path = seccomp_receiver(profile, &config.annotations, host.bundle, host.receiver);
    if path.is_empty() {
        let sentence = "is empty, but a rule says SCMP_ACT_NOTIFY";
        findings.refuse("/linux/seccomp/listenerPath", sentence, "the path of the agent's socket");
    } else if !host.listener.is_empty() {
        let sentence = format!("failed to connect with seccomp agent {path:?}: {}", host.listener);
        let hint = "the path of a socket that an agent listens on, absolute or below the bundle";
        findings.refuse("/linux/seccomp/listenerPath", sentence, hint);
    }
    Agent { path, metadata: &profile.listener_metadata }
}
