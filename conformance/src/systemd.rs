//! What systemd says of the units that it has.

use crate::case::{Case, Kept};
use crate::container::Container;
use crate::layout;
use crate::verdict::{Verdict, is, needs};

/// Skips where systemd does not make the cgroups.
pub(crate) fn makes() -> Verdict {
    needs(layout::systemd(), "systemd as the init, making the cgroups (--systemd)")
}

/// The unit of a container whose `cgroupsPath` is that of every test.
pub(crate) fn unit(id: &str) -> String {
    format!("{}{id}.scope", layout::SCOPE)
}

/// The slice that a container is in by default.
pub(crate) fn slice() -> &'static str {
    if layout::rootless() { "user.slice" } else { "system.slice" }
}

/// A call of systemctl, for whichever systemd makes the cgroups; returns what it printed.
#[track_caller]
pub(crate) fn ctl<'a>(t: &Case, args: impl IntoIterator<Item = &'a str>) -> Verdict<String> {
    t.host(["systemctl", whose()].into_iter().chain(args))
}

fn whose() -> &'static str {
    if layout::rootless() { "--user" } else { "--system" }
}

/// A property of systemd itself.
#[track_caller]
pub(crate) fn manager(t: &Case, property: &str) -> Verdict<String> {
    ctl(t, ["show", "--value", "--property", property])
}

/// A property of a unit, as systemctl writes it. A unit that isn't there has those of a new one.
#[track_caller]
pub(crate) fn property(t: &Case, unit: &str, name: &str) -> Verdict<String> {
    ctl(t, ["show", "--value", "--property", name, unit])
}

/// The container's unit has these properties; of `a|b` either will do.
#[track_caller]
pub(crate) fn shows(c: &Container<'_>, wanted: &[(&str, &str)]) -> Verdict {
    for (name, value) in wanted {
        let found = property(c.case, &unit(&c.id), name)?;
        if !value.split('|').any(|either| either == found) {
            is((*name, found.as_str()), (*name, *value))?;
        }
    }
    Ok(())
}

/// There is no such unit: neither running nor failed. Systemd knows of every slice, also of one that
/// there isn't.
#[track_caller]
pub(crate) fn gone(t: &Case, unit: &str) -> Verdict {
    let (name, wanted) = match unit.ends_with(".slice") {
        true => ("ActiveState", "inactive"),
        false => ("LoadState", "not-found"),
    };
    t.until(&format!("no {unit}"), || Ok(property(t, unit, name)? == wanted))
}

/// Has systemd read its units anew, which makes it write all it knows to their cgroups.
#[track_caller]
pub(crate) fn reload(t: &Case) -> Verdict {
    ctl(t, ["daemon-reload"]).map(drop)
}

/// A unit of somebody else's, which ends with this value.
pub(crate) struct Other<'t> {
    case: &'t Case,
    unit: String,
    _process: Kept<'t>,
}

impl<'t> Other<'t> {
    /// Starts a scope of this name in which a process sleeps.
    #[track_caller]
    pub(crate) fn scope(
        t: &'t Case,
        unit: &str,
        slice: &str,
        properties: &[&str],
    ) -> Verdict<Self> {
        let scope =
            ["systemd-run", whose(), "--scope", "--quiet", "--unit", unit, "--slice", slice];
        let properties = properties.iter().flat_map(|property| ["--property", *property]);
        let line = scope.into_iter().chain(properties).chain(["sleep", "1000"]);
        let other = Self { case: t, unit: unit.to_owned(), _process: t.keep(line)? };
        t.until("the other's unit", || Ok(property(t, unit, "LoadState")? == "loaded"))?;
        Ok(other)
    }

    /// Does its process live?
    pub(crate) fn runs(&self) -> Verdict<bool> {
        Ok(property(self.case, &self.unit, "ActiveState")? == "active")
    }

    /// Leaves what has its name by now to who made that.
    pub(crate) fn forget(mut self) {
        self.unit.clear();
    }

    /// Has it failed?
    pub(crate) fn failed(&self) -> Verdict<bool> {
        Ok(property(self.case, &self.unit, "ActiveState")? == "failed")
    }
}

impl Drop for Other<'_> {
    fn drop(&mut self) {
        if !self.unit.is_empty() {
            let _ = ctl(self.case, ["stop", &self.unit]);
            let _ = ctl(self.case, ["reset-failed", &self.unit]);
        }
    }
}
