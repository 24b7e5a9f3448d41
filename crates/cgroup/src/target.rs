//! Where limits go: to the files of a cgroup, or, to be shown before anything is done, to a list.
//!
//! One code decides which file gets what (`set`, `v1`, `v2`); only the last step differs.

use std::cell::RefCell;

use nix::errno::Errno;

use crate::cgroup::{Cgroup, Dir};
use crate::error::{Error, Result};
use crate::file;
use crate::resources::Resources;
use crate::v2;

/// A write to a control file that would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Absolute path of the file.
    pub file: String,
    /// What is written to it.
    pub value: String,
    /// The file's name and the value where the kernel doesn't have this file (BFQ's names).
    pub or: Option<(String, String)>,
}

/// Limits on their way: into a cgroup's files, or into a list.
#[derive(Clone, Copy)]
pub(crate) struct Limiter<'t> {
    pub(crate) cgroup: &'t Cgroup,
    told: Option<&'t RefCell<Vec<Write>>>,
}

/// One directory of it.
#[derive(Clone, Copy)]
pub(crate) struct Target<'t> {
    pub(crate) dir: &'t str,
    /// The top of the hierarchy.
    mount: &'t str,
    is_v2: bool,
    told: Option<&'t RefCell<Vec<Write>>>,
}

impl Cgroup {
    /// Applies the limits that are set, and touches nothing else.
    ///
    /// On v2 a controller that is not enabled here is enabled on the way down, if that is ours
    /// to do.
    ///
    /// # Errors
    /// [`Error::NoController`] for a limit whose controller is not available, [`Error::Value`]
    /// for one that makes no sense, and what the kernel says. Limits set before the error stay.
    pub fn set(&self, resources: &Resources<'_>) -> Result<()> {
        Limiter { cgroup: self, told: None }.set(resources)
    }

    /// What [`set`](Cgroup::set) would write to this cgroup if it were new, in its order, and why it
    /// would fail before the kernel is asked. Nothing is written; the cgroup need not exist.
    pub fn writes(&self, resources: &Resources<'_>) -> (Vec<Write>, Result<()>) {
        let told = RefCell::default();
        let result = Limiter { cgroup: self, told: Some(&told) }.set(resources);
        (told.into_inner(), result)
    }
}

impl<'t> Limiter<'t> {
    /// The directory that has this v1 controller.
    pub(crate) fn v1_dir(self, controller: &str) -> Option<Target<'t>> {
        self.cgroup.v1_entry(controller).map(|dir| self.target(dir))
    }

    /// The directory of v2.
    pub(crate) fn v2_dir(self) -> Option<Target<'t>> {
        self.cgroup.v2.as_ref().map(|dir| self.target(dir))
    }

    /// The v2 directory, if this controller can only be there.
    pub(crate) fn v2_dir_of(self, controller: &str) -> Option<Target<'t>> {
        self.cgroup.v2_entry_of(controller).map(|dir| self.target(dir))
    }

    fn target(self, dir: &'t Dir) -> Target<'t> {
        let mount = dir.path.get(..dir.mount).unwrap_or(&dir.path);
        Target { dir: &dir.path, mount, is_v2: dir.names.is_empty(), told: self.told }
    }
}

impl Target<'_> {
    /// Tells instead of writing: `false` where it is to be written. The kernel's answer for a
    /// controller that v2 doesn't have is known before.
    fn tell(self, name: &str, value: &str, or: Option<(&str, String)>) -> Result<bool> {
        let Some(told) = self.told else { return Ok(false) };
        let (file, value) = (file::join(self.dir, name), value.to_owned());
        let controller = name.split('.').next().unwrap_or_default();
        let has = || self.controllers().is_ok_and(|list| v2::contains(&list, controller));
        if self.is_v2 && controller != "cgroup" && !has() {
            return Err(Error::Write { file, value, errno: Errno::ENOENT });
        }
        let or = or.map(|(file, value)| (file.to_owned(), value));
        told.borrow_mut().push(Write { file, value, or });
        Ok(true)
    }

    /// v2's controllers that this directory has; of one that is only planned, what the top has.
    pub(crate) fn controllers(self) -> Result<String> {
        file::read(if self.told.is_some() { self.mount } else { self.dir }, "cgroup.controllers")
    }

    /// Enables a controller for this directory, unless nothing is to be done.
    pub(crate) fn enable(self, controller: &str) -> bool {
        self.told.is_none() && v2::enable(self.dir, controller)
    }

    /// Reads a file; one that a new directory would have holds `new`.
    pub(crate) fn read(self, file: &str, new: &str) -> Result<String> {
        match self.told {
            Some(_) => Ok(new.to_owned()),
            None => file::read(self.dir, file),
        }
    }
}

/// As [`file::write`].
pub(crate) fn write(to: Target<'_>, file: &str, value: &str) -> Result<()> {
    match to.tell(file, value, None)? {
        true => Ok(()),
        false => file::write(to.dir, file, value),
    }
}

/// Writes to the first file, or where the kernel doesn't have that to the second: then that one's
/// error is the one to report.
pub(crate) fn write_either(
    to: Target<'_>,
    (file, value): (&str, &str),
    (other, other_value): (&str, String),
) -> Result<()> {
    if to.tell(file, value, Some((other, other_value.clone())))? {
        return Ok(());
    }
    match file::write(to.dir, file, value) {
        Err(error) if error.errno() == Some(Errno::ENOENT) => {
            file::write(to.dir, other, &other_value)
        }
        result => result,
    }
}

/// As [`file::write_lines`].
pub(crate) fn write_lines<L: AsRef<str>>(
    to: Target<'_>,
    file: &str,
    mut values: impl Iterator<Item = L>,
) -> Result<()> {
    match to.told {
        None => file::write_lines(to.dir, file, values),
        Some(_) => values.try_for_each(|value| write(to, file, value.as_ref())),
    }
}

/// As [`file::write_related`].
pub(crate) fn write_related(
    to: Target<'_>,
    values: &[(&str, String)],
    may_lack: &str,
) -> Result<()> {
    match to.told {
        None => file::write_related(to.dir, values, may_lack),
        Some(_) => values.iter().try_for_each(|(file, value)| write(to, file, value)),
    }
}
