//! Which unit a container's cgroup is, and where its directory will be.

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::layout::Layout;

/// What units of this runtime start with, where the configuration names none.
const PREFIX: &str = "tare";

const SLICE: &str = ".slice";

/// systemd.unit(5): a name has at most 255 bytes.
const LONGEST: usize = 255;

/// Whose systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instance {
    /// The machine's.
    System,
    /// That of the user who calls, whose units are below `user@UID.service`.
    User,
}

/// The unit of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    name: String,
    slice: String,
    instance: Instance,
}

impl Unit {
    /// The unit that `linux.cgroupsPath` names as `SLICE:PREFIX:NAME`, or that of the container `id`
    /// where it names none.
    ///
    /// The unit is `PREFIX-NAME.scope`, `NAME.scope` without a prefix, and `NAME` itself if that is
    /// the name of a slice. Without a slice it is in `system.slice`, a user's in `user.slice`; the
    /// slice `-` is the top.
    ///
    /// # Errors
    /// [`Error::CgroupsPath`] for a path of another form; [`Error::UnitName`] for a name that no
    /// unit can have.
    pub fn parse(cgroups_path: Option<&str>, id: &str, instance: Instance) -> Result<Unit> {
        let path = cgroups_path.filter(|path| !path.is_empty());
        let fields: Vec<&str> = path.map_or(vec!["", PREFIX, id], |path| path.split(':').collect());
        let [slice, prefix, name] = fields[..] else {
            return Err(Error::CgroupsPath { path: path.unwrap_or_default().to_owned() });
        };
        let name = match (name.ends_with(SLICE), prefix) {
            (true, _) => name.to_owned(),
            (false, "") => format!("{name}.scope"),
            (false, prefix) => format!("{prefix}-{name}.scope"),
        };
        let slice = match (slice, instance) {
            ("", Instance::System) => "system.slice",
            ("", Instance::User) => "user.slice",
            ("-", _) => "-.slice",
            (slice, _) => slice,
        };
        let unit = Unit { name, slice: slice.to_owned(), instance };
        unit.group()?;
        Ok(unit)
    }

    /// The unit whose name was stored.
    pub fn stored(name: &str, instance: Instance) -> Unit {
        Unit { name: name.to_owned(), slice: String::new(), instance }
    }

    /// Its name, such as `tare-web.scope`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The slice that it is in.
    pub fn slice(&self) -> &str {
        &self.slice
    }

    /// Whose it is.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// Is it a slice, which systemd puts no processes into?
    pub fn is_slice(&self) -> bool {
        self.name.ends_with(SLICE)
    }

    /// Its control group, relative to that of its systemd.
    fn group(&self) -> Result<String> {
        // The place of a slice follows from its name alone.
        if self.is_slice() {
            return match expand_slice(&self.name)? {
                top if top.is_empty() => Err(Error::UnitName { name: self.name.clone() }),
                path => expand_slice(&self.slice).map(|_| path),
            };
        }
        check_name(&self.name)?;
        if self.name.starts_with(".") {
            return Err(Error::UnitName { name: self.name.clone() });
        }
        Ok(format!("{}/{}", expand_slice(&self.slice)?, self.name))
    }

    /// Where its cgroup is to be, or one that is `below` that; nothing is made yet. `manager` is the
    /// control group of its systemd ([`Systemd::control_group`](super::Systemd::control_group)).
    ///
    /// # Errors
    /// As [`Unit::parse`]; [`Error::UserUnitOnV1`].
    pub fn place(&self, layout: &Layout, manager: &str, below: &str) -> Result<Cgroup> {
        let slash = if below.is_empty() { "" } else { "/" };
        let path = [&below_mount(layout, manager), &self.group()?[..], slash, below].concat();
        let place = layout.place(Some(&path), &self.name)?;
        match self.instance {
            // v1's hierarchies are root's, all but the one that has no controller.
            Instance::User if !place.is_unified() => Err(Error::UserUnitOnV1),
            _ => Ok(place),
        }
    }
}

impl Layout {
    /// Whether a control group, by its systemd's name, is this cgroup.
    pub fn shows(&self, control_group: &str, cgroup: &Cgroup) -> bool {
        let inside = below_mount(self, control_group);
        let is_there = |mount: &str| {
            cgroup.paths().any(|(_, path)| path.strip_prefix(mount) == Some(&inside[..]))
        };
        !inside.is_empty() && self.v1.iter().chain(&self.v2).any(|own| is_there(&own.mount))
    }
}

/// A control group, as the mounts of the cgroups show it: in a container they may show only what is
/// below its own.
fn below_mount(layout: &Layout, manager: &str) -> String {
    let named = |name: &str| name == "name=systemd";
    let of_systemd = layout.v1.iter().find(|hierarchy| hierarchy.names.iter().any(|n| named(n)));
    let root = of_systemd.or(layout.v2.as_ref()).map_or("/", |hierarchy| &hierarchy.root[..]);
    let inside = manager.strip_prefix(root.trim_end_matches('/')).unwrap_or(manager);
    inside.trim_end_matches('/').to_owned()
}

/// The path of a slice: `a-b.slice` is `/a.slice/a-b.slice`, and `-.slice` is "".
fn expand_slice(slice: &str) -> Result<String> {
    let invalid = || Error::SliceName { slice: slice.to_owned() };
    check_name(slice).map_err(|_| invalid())?;
    let name = slice.strip_suffix(SLICE).ok_or_else(invalid)?;
    if name == "-" {
        return Ok(String::new());
    }
    let mut path = String::new();
    for (at, component) in name.split('-').scan(0, |end, component| {
        *end += component.len() + 1;
        Some((*end - 1, component))
    }) {
        if component.is_empty() {
            return Err(invalid());
        }
        path.push('/');
        path.push_str(&name[..at]);
        path.push_str(SLICE);
    }
    Ok(path)
}

/// The bytes that a name may have (systemd.unit(5)): no slash, so no path leaves its place by it.
fn check_name(name: &str) -> Result<()> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    match (1..=LONGEST).contains(&name.len()) && name.bytes().all(valid) {
        true => Ok(()),
        false => Err(Error::UnitName { name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "29 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

    fn v2() -> Layout {
        Layout::parse(MOUNTS, "0::/init.scope\n")
    }

    fn place(unit: &Unit, manager: &str) -> String {
        unit.place(&v2(), manager, "").unwrap().paths().next().unwrap().1.to_owned()
    }

    #[test]
    fn units_and_their_places() {
        let top = "/sys/fs/cgroup";
        for (given, name, slice, path) in [
            (None, "tare-web.scope", "system.slice", "/system.slice/tare-web.scope"),
            (Some(""), "tare-web.scope", "system.slice", "/system.slice/tare-web.scope"),
            (Some("a.slice:p:n"), "p-n.scope", "a.slice", "/a.slice/p-n.scope"),
            (Some(":p:n"), "p-n.scope", "system.slice", "/system.slice/p-n.scope"),
            (Some("a.slice::n"), "n.scope", "a.slice", "/a.slice/n.scope"),
            (
                Some("a-b-c.slice:p:n"),
                "p-n.scope",
                "a-b-c.slice",
                "/a.slice/a-b.slice/a-b-c.slice/p-n.scope",
            ),
            (Some("-.slice:p:n"), "p-n.scope", "-.slice", "/p-n.scope"),
            (Some("-:p:n"), "p-n.scope", "-.slice", "/p-n.scope"),
            (Some("a.slice:p:a-n.slice"), "a-n.slice", "a.slice", "/a.slice/a-n.slice"),
        ] {
            let unit = Unit::parse(given, "web", Instance::System).unwrap();
            assert_eq!((unit.name(), unit.slice()), (name, slice), "{given:?}");
            assert_eq!(place(&unit, ""), [top, path].concat(), "{given:?}");
        }
    }

    #[test]
    fn a_users_units_are_below_the_users_systemd() {
        let unit = Unit::parse(None, "web", Instance::User).unwrap();
        assert_eq!(unit.slice(), "user.slice");
        let manager = "/user.slice/user-1000.slice/user@1000.service";
        let expected = format!("/sys/fs/cgroup{manager}/user.slice/tare-web.scope");
        assert_eq!(place(&unit, manager), expected);
        let v1 = "33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
        let layout = Layout::parse(v1, "1:name=systemd:/\n");
        assert_eq!(unit.place(&layout, manager, ""), Err(Error::UserUnitOnV1));
    }

    #[test]
    fn in_a_container_the_mount_may_show_only_a_part() {
        let mounts = "29 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let layout = Layout::parse(mounts, "0::/docker/abc/init.scope\n");
        let unit = Unit::parse(None, "web", Instance::System).unwrap();
        let place = unit.place(&layout, "/docker/abc", "").unwrap();
        assert_eq!(place.paths().next().unwrap().1, "/sys/fs/cgroup/system.slice/tare-web.scope");
    }

    #[test]
    fn a_units_control_group_is_a_cgroup_or_another() {
        let cgroup = Cgroup::from_paths([("", "/sys/fs/cgroup/system.slice/x.scope")]);
        assert!(v2().shows("/system.slice/x.scope", &cgroup));
        assert!(!v2().shows("/x.scope", &cgroup));
        assert!(!v2().shows("/other.slice/x.scope", &cgroup));
        assert!(!v2().shows("/", &cgroup));
        assert!(!v2().shows("", &cgroup));
        let mounts = "29 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let inside = Layout::parse(mounts, "0::/docker/abc/init.scope\n");
        assert!(inside.shows("/docker/abc/system.slice/x.scope", &cgroup));
    }

    #[test]
    fn what_names_no_unit_is_refused() {
        for (path, sentence) in [
            (
                "/a/b",
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/a/b\" instead",
            ),
            (
                "a:b",
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"a:b\" instead",
            ),
            (
                "a:b:c:d",
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"a:b:c:d\" instead",
            ),
            ("a:b:c", "invalid slice name: a"),
            (".slice:b:c", "invalid slice name: .slice"),
            ("a--b.slice:b:c", "invalid slice name: a--b.slice"),
            ("-a.slice:b:c", "invalid slice name: -a.slice"),
            ("a/b.slice:b:c", "invalid slice name: a/b.slice"),
            ("../x.slice:b:c", "invalid slice name: ../x.slice"),
            ("a.slice:b:../c", "invalid unit name: b-../c.scope"),
            ("a.slice::", "invalid unit name: .scope"),
            ("a.slice:b:c d", "invalid unit name: b-c d.scope"),
            ("a.slice:b:-.slice", "invalid unit name: -.slice"),
        ] {
            let error = Unit::parse(Some(path), "web", Instance::System).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
        let long = format!("a.slice:b:{}", "c".repeat(250));
        assert!(Unit::parse(Some(&long), "web", Instance::System).is_err());
    }
}
