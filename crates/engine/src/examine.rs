//! What `create` would say to a bundle, and what it would do, without doing it: `check` and `plan`.
//!
//! The code is that of `create`, up to where it would begin; nothing is changed, and nothing of
//! another container is looked at.

use cgroup::{Cgroup, Resources};
use plan::{CgroupDriver, Refusals};
use spec::Place;

use crate::bundle::{self, Bundle};
use crate::create::{Cgroups, choice};
use crate::error::{Error, Result};
use crate::{device_rules, limits, probe};

/// What a bundle is looked at for.
#[derive(Debug)]
pub struct Question<'a> {
    /// The id that the container would have.
    pub id: &'a str,
    /// The bundle.
    pub bundle: &'a Bundle,
    /// Who would make the cgroup.
    pub cgroups: Cgroups,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub keep_keyring: bool,
}

impl<'a> Question<'a> {
    /// A terminal is nobody's problem here: it is taken for one in the foreground.
    fn options(&self) -> plan::Options<'a> {
        plan::Options {
            id: self.id,
            detach: false,
            command: plan::Command::Run,
            console_socket: false,
            keep_keyring: self.keep_keyring,
            no_pivot: self.no_pivot,
            cgroups: choice(self.cgroups),
        }
    }
}

/// Something about a bundle that its author should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether `create` would fail; else it would warn, or say nothing.
    pub is_problem: bool,
    /// Where in the configuration; `None` where it is about the file as a whole.
    pub place: Option<Place>,
    /// The same as a JSON pointer.
    pub pointer: String,
    /// What is wrong.
    pub sentence: String,
    /// What would be right.
    pub hint: String,
}

/// Everything that is wrong with a bundle on this host, in the order of the file.
pub fn check(question: &Question<'_>) -> Result<Vec<Finding>> {
    crate::store::check_id(question.id)?;
    let bytes = &question.bundle.bytes;
    let mended = bundle::mend(&question.bundle.file, bytes)?;
    let mut findings = Findings { mended: &mended, list: Vec::new() };
    for error in &mended.errors {
        let place = Some(Place { line: error.line, column: error.column });
        let (pointer, sentence) = (error.pointer.clone(), error.message.clone());
        let hint = error.hint();
        findings.list.push(Finding { is_problem: true, place, pointer, sentence, hint });
    }
    if mended.is_readable {
        findings.of_what_can_be_read(question)?;
    }
    for at in bundle::nuls(bytes) {
        let place = Some(spec::place(bytes, at));
        let sentence = "a string holds a NUL character, which no path or argument can".to_owned();
        let hint = "a string without \\u0000".to_owned();
        let pointer = spec::pointer_at(bytes, at);
        findings.list.push(Finding { is_problem: true, place, pointer, sentence, hint });
    }
    findings.list.sort_by_key(|finding| finding.place);
    Ok(findings.list)
}

struct Findings<'m> {
    mended: &'m spec::Mended,
    list: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, is_problem: bool, pointer: &str, sentence: String, hint: String) {
        let (place, pointer) = self.mended.place(pointer);
        // What couldn't be read is missing only here.
        if !self.mended.hides(&pointer) {
            let place = Some(place);
            self.list.push(Finding { is_problem, place, pointer, sentence, hint });
        }
    }

    fn refused(&mut self, refusals: Refusals) {
        for plan::Refusal { pointer, sentence, hint } in refusals.0 {
            self.add(true, &pointer, sentence, hint);
        }
    }

    fn of_what_can_be_read(&mut self, question: &Question<'_>) -> Result<()> {
        let file = || question.bundle.file.clone();
        let config: spec::Spec<'_> = spec::parse(self.mended.bytes())
            .map_err(|error| Error::Parse { file: file(), error })?;
        let receiver = probe::seccomp_receiver();
        let host = probe::host(&config, question.id, &question.bundle.directory, &receiver)?;
        match plan::create(&config, &host, &question.options()) {
            Err(refusals) => self.refused(refusals),
            Ok(plan) => {
                for warning in &plan.warnings {
                    // It begins with its place, if it has one.
                    let (pointer, sentence) = match warning.split_once(": ") {
                        Some((pointer, rest)) if pointer.starts_with('/') => (pointer, rest),
                        _ => ("", &**warning),
                    };
                    self.add(false, pointer, sentence.to_owned(), String::new());
                }
                self.of_cgroup(&plan);
            }
        }
        for spec::Unread { pointer, meant } in spec::unread(self.mended.bytes()) {
            let hint = meant.map_or_else(String::new, |meant| format!("{meant:?}?"));
            self.add(false, &pointer, "this property is not read".to_owned(), hint);
        }
        Ok(())
    }

    /// What `create` finds out about its cgroup before it makes it.
    fn of_cgroup(&mut self, plan: &plan::Create<'_>) {
        let place = match limits::place(plan) {
            Ok((place, _)) => place,
            Err(error) => {
                let hint = match plan.cgroup.driver {
                    CgroupDriver::Systemd(_) => "a machine whose first process is systemd",
                    _ => "a path of a cgroup of its own, such as /web",
                };
                self.add(true, "/linux/cgroupsPath", error.to_string(), hint.to_owned());
                return;
            }
        };
        match device_rules::check(&place, plan) {
            Err(Error::Refused(refusals)) => self.refused(refusals),
            Err(error) => {
                let hint = "rules that this kernel can hold".to_owned();
                self.add(true, "/linux/resources/devices", error.to_string(), hint);
            }
            Ok(()) => {}
        }
        for cgroup::Ignored { field, reason } in place.ignored(&plan.cgroup.resources) {
            let pointer = format!("/linux/resources/{}", field.replace('.', "/"));
            self.add(false, &pointer, reason.to_owned(), String::new());
        }
        for (group, limits) in groups(&plan.cgroup.resources) {
            if let (_, Err(error)) = place.writes(&limits) {
                let hint = match error {
                    cgroup::Error::NoController { .. } => "no such limit, or a kernel that has it",
                    cgroup::Error::UnifiedOnV1 { .. } => "none: only cgroup v2 has such files",
                    _ => "a value that the controller takes: config-linux.md, \"Control groups\"",
                };
                let pointer = format!("/linux/resources/{group}");
                self.add(true, &pointer, error.to_string(), hint.to_owned());
            }
        }
    }
}

/// The limits, a group at a time: setting them ends at the first error.
fn groups<'r>(limits: &Resources<'r>) -> Vec<(&'static str, Resources<'r>)> {
    let none = Resources::default;
    let Resources { memory, cpu, pids, block_io, hugepages, network, rdma, unified } =
        limits.clone();
    vec![
        ("memory", Resources { memory, ..none() }),
        ("cpu", Resources { cpu, ..none() }),
        ("pids", Resources { pids, ..none() }),
        ("blockIO", Resources { block_io, ..none() }),
        ("hugepageLimits", Resources { hugepages, ..none() }),
        ("network", Resources { network, ..none() }),
        ("rdma", Resources { rdma, ..none() }),
        ("unified", Resources { unified, ..none() }),
    ]
}

/// What `create` knows beside its plan when it begins.
#[derive(Debug)]
pub struct Prospect {
    /// Where the cgroup would be.
    pub cgroup: Cgroup,
    /// What would be written to its files for the limits.
    pub limits: Vec<cgroup::Write>,
    /// What would be written for the device rules; nothing where they are a program (v2).
    pub devices: Vec<cgroup::Write>,
    /// How long that program would be.
    pub device_program: Option<usize>,
    /// The properties that systemd would be asked for.
    pub unit: Vec<cgroup::systemd::Property>,
    /// Limits that this kernel has nothing for.
    pub ignored: Vec<cgroup::Ignored>,
}

/// Plans what `create` would do with a bundle, and hands it to `show`; or says what is wrong.
pub fn plan<T>(
    question: &Question<'_>,
    show: impl FnOnce(&plan::Create<'_>, &Prospect) -> T,
) -> Result<T> {
    crate::store::check_id(question.id)?;
    let config = bundle::parse(&question.bundle.file, &question.bundle.bytes)?;
    let receiver = probe::seccomp_receiver();
    let host = probe::host(&config, question.id, &question.bundle.directory, &receiver)?;
    let plan = plan::create(&config, &host, &question.options())?;
    let (cgroup, unit) = limits::place(&plan)?;
    device_rules::check(&cgroup, &plan)?;
    let limits = &plan.cgroup.resources;
    let (writes, result) = cgroup.writes(limits);
    result?;
    let (devices, device_program) = device_rules::foresee(&cgroup, &plan)?;
    let prospect = Prospect {
        limits: writes,
        devices,
        device_program,
        unit: unit.map(|unit| unit.properties().to_vec()).unwrap_or_default(),
        ignored: cgroup.ignored(limits),
        cgroup,
    };
    Ok(show(&plan, &prospect))
}
