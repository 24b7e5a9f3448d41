//! The device controller of v1.

use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::file::{self, write_lines};
use crate::resources::DeviceRule;
use crate::v1::no_controller;

impl Cgroup {
    /// Writes the rules of the v1 device controller, in order. A rule `a` which denies clears
    /// the list first.
    ///
    /// They hold for whoever is in the cgroup from then on: a child which makes device nodes
    /// must not have joined before the rules are complete. On v2 a program is attached instead,
    /// to [`Join::dir`](crate::Join::dir).
    ///
    /// # Errors
    /// [`Error::NoController`](crate::Error::NoController) without v1's device controller, and what the kernel says: `EPERM`
    /// for a device that the parent may not use.
    pub fn set_devices(&self, rules: &[DeviceRule<'_>]) -> Result<()> {
        if rules.is_empty() {
            return Ok(());
        }
        let dir = self.devices_dir()?;
        for same in rules.chunk_by(|a, b| a.allow == b.allow) {
            let name = match same[0].allow {
                true => "devices.allow",
                false => "devices.deny",
            };
            write_lines(dir, name, same.iter().map(|rule| rule.line))?;
        }
        Ok(())
    }

    /// What v1's device controller allows now: its `devices.list`.
    ///
    /// # Errors
    /// As [`set_devices`](Cgroup::set_devices).
    pub fn devices(&self) -> Result<String> {
        file::read(self.devices_dir()?, "devices.list")
    }

    fn devices_dir(&self) -> Result<&str> {
        self.v1_dir("devices").ok_or_else(|| no_controller("devices", "device rules"))
    }
}
