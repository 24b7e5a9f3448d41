//! The rules of the device cgroup: lines for v1's files, a program on v2's directory.
//!
//! In the runtime's process. At `create` they are complete before anybody is in the cgroup. At
//! `update` the container runs: what both the old and the new rules allow is allowed all the time.
//! v2 replaces one program by the other; on v1 only the difference is written. Only when a v1 list
//! that denies by default becomes one that allows, or the other way round, is there a moment when
//! the default is all there is: then the container is frozen.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bpf::devices::{Change, Hole, List, Table, changes};
use cgroup::systemd::{Property, device_properties};
use cgroup::{Cgroup, Created, DeviceRule, Join, Write};
use plan::{CgroupDriver, DeviceRules, Refusal, Refusals};

use crate::error::{Error, Result, Step};
use crate::store::Record;

/// The name by which our program is known among those on a cgroup.
const PROGRAM: &str = "tare_devices";

const FIELD: &str = "linux.resources.devices";

/// Refuses what the layout has no way to say, before anything is done.
pub(crate) fn check(cgroup: &Cgroup, plan: &plan::Create<'_>) -> Result<()> {
    if !plan.rootless && cgroup.has_v1_devices() {
        list(&plan.cgroup.devices, "/linux/resources/devices")?;
    }
    Ok(())
}

/// Applies the rules of a new container: before anybody is in its cgroup; with `rootless` there may be
/// none. Returns v2's program, which the cgroup holds by now.
pub(crate) fn set(
    cgroup: &Cgroup,
    created: Option<&Created>,
    join: &Join,
    plan: &plan::Create<'_>,
    rootless: bool,
) -> Result<Option<OwnedFd>> {
    let nowhere = rootless && cgroup.is_empty();
    if plan.rootless || nowhere || matches!(plan.cgroup.driver, CgroupDriver::Disabled) {
        // Devices are the host's root's to give: a user has none to lose.
        return Ok(None);
    }
    let _step = crate::trace::step("set the device rules", "");
    let is_new = |name| {
        let mut paths = cgroup.paths();
        let path = paths.find(|(other, _)| *other == name).map(|(_, path)| path);
        path.is_some_and(|path| created.is_some_and(|created| created.is_new(path)))
    };
    let rules = &plan.cgroup.devices;
    if cgroup.has_v1_devices() {
        let to = list(rules, "/linux/resources/devices")?;
        let from = if is_new("devices") { None } else { present_list(cgroup)? };
        write(cgroup, &changes(from.as_ref().filter(|from| !from.allow), &to))?;
        return Ok(None);
    }
    let Some(directory) = join.dir() else {
        return Ok(None);
    };
    let program = load(&rules.table)?;
    let old = if is_new("") { None } else { find(directory)?.0 };
    attach(directory, &program, old.as_ref())?;
    Ok(Some(program))
}

/// The rules of a new container as lines of v1's files, from nothing.
pub(crate) fn with_lines<T>(
    plan: &plan::Create<'_>,
    act: impl FnOnce(&[DeviceRule<'_>]) -> T,
) -> Result<T> {
    let changes = changes(None, &list(&plan.cgroup.devices, "/linux/resources/devices")?);
    Ok(act(&lines(&changes)))
}

/// The list of v1 that a container has now: that of its record where the kernel doesn't tell.
pub(crate) fn present(record: &Record<'_>, cgroup: &Cgroup) -> Option<List> {
    let recorded: Option<Table> = record.devices.parse().ok();
    let known = known_list(cgroup, recorded.as_ref()).ok().flatten();
    known.or_else(|| recorded?.list().ok())
}

/// A list of v1 as systemd keeps it.
pub(crate) fn properties(list: &List) -> Vec<Property> {
    let changes = changes(None, list);
    device_properties(&lines(&changes))
}

/// Gives a cgroup of v1 this list, whatever it has.
pub(crate) fn reset(cgroup: &Cgroup, list: &List) -> Result<()> {
    write(cgroup, &changes(None, list))
}

fn lines(changes: &[Change]) -> Vec<DeviceRule<'_>> {
    changes.iter().map(|change| DeviceRule { allow: change.allow, line: &change.line }).collect()
}

/// What will be written for the rules of a new container, or how long their program will be.
pub(crate) fn foresee(
    cgroup: &Cgroup,
    plan: &plan::Create<'_>,
) -> Result<(Vec<Write>, Option<usize>)> {
    if plan.rootless || cgroup.is_empty() {
        return Ok((Vec::new(), None));
    }
    if !cgroup.has_v1_devices() {
        return Ok((Vec::new(), Some(plan.cgroup.devices.table.program().len())));
    }
    let mut paths = cgroup.paths();
    let directory = paths.find(|(name, _)| *name == "devices").map_or("", |(_, path)| path);
    let write = |rule: &DeviceRule<'_>| Write {
        file: format!("{directory}/devices.{}", if rule.allow { "allow" } else { "deny" }),
        value: rule.line.to_owned(),
        or: None,
    };
    with_lines(plan, |rules| (rules.iter().map(write).collect(), None))
}

/// What `update` is to do to the device rules of a container that lives.
#[derive(Debug)]
pub(crate) struct Update {
    table: Table,
    how: How,
}

#[derive(Debug)]
enum How {
    /// From one v1 list, if it is known, to the other.
    List(Option<List>, List),
    /// A v2 program.
    Program(OwnedFd),
}

impl Update {
    /// Decides, and changes nothing yet. None: nothing is to be done.
    ///
    /// Engines hand over all resources of a container, also to change its memory. So rules that
    /// come to what is on record leave everything as it is, be it that somebody else has changed
    /// the cgroup since.
    pub(crate) fn of(
        record: &Record<'_>,
        cgroup: &Cgroup,
        rules: &[spec::DeviceRule<'_>],
    ) -> Result<Option<Update>> {
        if rules.is_empty() || record.rootless {
            return Ok(None);
        }
        let recorded: Option<Table> = record.devices.parse().ok();
        let from = match cgroup.has_v1_devices() {
            true => known_list(cgroup, recorded.as_ref())?,
            false => None,
        };
        let present = match &from {
            Some(list) => Table::of(&list.rules()),
            None => recorded.clone(),
        };
        let present = present.ok_or_else(unknown)?;
        let own = record.own_devices.parse::<Table>().map(|table| table.rules());
        let own: Vec<_> = own
            .unwrap_or_default()
            .into_iter()
            .filter(|rule| rule.allow && rule.kind != bpf::devices::Kind::All)
            .collect();
        let wanted = plan::updated_devices(rules, &present, &own)?;
        if recorded.as_ref() == Some(&wanted.table) {
            return Ok(None);
        }
        let how = match cgroup.has_v1_devices() {
            true => How::List(from, list(&wanted, "/devices")?),
            false => How::Program(load(&wanted.table)?),
        };
        Ok(Some(Update { table: wanted.table, how }))
    }

    /// The list of v1 that it leads to.
    pub(crate) fn list(&self) -> Option<&List> {
        match &self.how {
            How::List(_, to) => Some(to),
            How::Program(_) => None,
        }
    }

    /// What is to be on record afterwards.
    pub(crate) fn record(&self) -> String {
        self.table.to_string()
    }

    /// Does it, or leaves everything as it was.
    pub(crate) fn apply(&self, cgroup: &Cgroup, warn: &dyn Fn(&str)) -> Result<Undo<'_>> {
        match &self.how {
            How::List(from, to) => {
                rewrite(cgroup, from.as_ref(), to)?;
                Ok(Undo::List(from.as_ref(), to))
            }
            How::Program(program) => {
                let join = cgroup.join(&[])?;
                let Some(directory) = join.dir() else {
                    return Ok(Undo::Nothing);
                };
                let (old, others) = find(directory)?;
                if old.is_none() && others > 0 {
                    warn("update: another program has a say about the container's devices");
                }
                attach(directory, program, old.as_ref())?;
                Ok(Undo::Program(join, program, old))
            }
        }
    }
}

/// The way back from an update.
#[derive(Debug)]
pub(crate) enum Undo<'u> {
    Nothing,
    List(Option<&'u List>, &'u List),
    Program(Join, &'u OwnedFd, Option<OwnedFd>),
}

impl Undo<'_> {
    /// Goes it.
    pub(crate) fn undo(self, cgroup: &Cgroup) -> Result<()> {
        match self {
            Undo::Nothing => Ok(()),
            Undo::List(from, to) => rewrite(cgroup, Some(to), &before(from)),
            Undo::Program(join, program, old) => match (join.dir(), old) {
                (Some(directory), Some(old)) => attach(directory, &old, Some(program)),
                (Some(directory), None) => {
                    sys::detach_device_program(directory, program.as_fd()).step(|| FIELD.to_owned())
                }
                (None, _) => Ok(()),
            },
        }
    }
}

fn unknown() -> Error {
    Error::Usage(format!("{FIELD}: what the container may use is not on record"))
}

fn list(rules: &DeviceRules, pointer: &str) -> Result<List> {
    let refusal = |hole: Hole| {
        let rule = hole.rule(&rules.rules).map(|rule| format!("{rule}: ")).unwrap_or_default();
        let hint = "rules that treat all devices of a wildcard alike, or cgroup v2";
        let (pointer, sentence) = (pointer.to_owned(), format!("{rule}{hole}"));
        Refusals(vec![Refusal { pointer, sentence, hint: hint.to_owned() }])
    };
    Ok(rules.table.list().map_err(refusal)?)
}

/// What the kernel says that a v1 cgroup may use.
fn present_list(cgroup: &Cgroup) -> Result<Option<List>> {
    Ok(List::parse(&cgroup.devices()?))
}

/// The same, with the exceptions of a list that allows by default, which the kernel doesn't tell.
fn known_list(cgroup: &Cgroup, recorded: Option<&Table>) -> Result<Option<List>> {
    let Some(present) = present_list(cgroup)? else {
        return Ok(None);
    };
    if !present.allow {
        return Ok(Some(present));
    }
    let recorded = recorded.and_then(|table| table.list().ok());
    Ok(recorded.filter(|list| list.allow))
}

/// The list that was there before; where nobody knows its exceptions, it has none.
fn before(from: Option<&List>) -> List {
    from.cloned().unwrap_or_else(List::allow_all)
}

/// Writes what leads from one list to the other while the container runs. If that fails, writes
/// what leads back.
fn rewrite(cgroup: &Cgroup, from: Option<&List>, to: &List) -> Result<()> {
    let changes_to = changes(from, to);
    let freeze = changes_to.first().is_some_and(Change::is_reset) && !cgroup.is_frozen()?;
    if freeze {
        cgroup.freeze()?;
    }
    let mut result = write(cgroup, &changes_to);
    if result.is_err() {
        // The error that matters is the first one.
        let now = present_list(cgroup).ok().flatten().filter(|list| !list.allow);
        let _ = write(cgroup, &changes(now.as_ref(), &before(from)));
    }
    if freeze {
        result = result.and(cgroup.thaw().map_err(Error::Cgroup));
    }
    result
}

fn write(cgroup: &Cgroup, changes: &[Change]) -> Result<()> {
    Ok(cgroup.set_devices(&lines(changes))?)
}

fn load(table: &Table) -> Result<OwnedFd> {
    let program = table.program();
    let bytes: Vec<u8> = program.iter().flat_map(|instruction| instruction.to_bytes()).collect();
    sys::load_device_program(&bytes, PROGRAM).step(|| FIELD.to_owned())
}

/// Our program on a cgroup, and how many others there are.
fn find(directory: BorrowedFd<'_>) -> Result<(Option<OwnedFd>, usize)> {
    let programs = sys::device_programs(directory).step(|| FIELD.to_owned())?;
    let all = programs.len();
    let ours = programs.into_iter().find(|(name, _)| name == PROGRAM);
    let others = all - usize::from(ours.is_some());
    Ok((ours.map(|(_, program)| program), others))
}

fn attach(directory: BorrowedFd<'_>, program: &OwnedFd, old: Option<&OwnedFd>) -> Result<()> {
    sys::attach_device_program(directory, program.as_fd(), old.map(AsFd::as_fd))
        .step(|| FIELD.to_owned())
}
