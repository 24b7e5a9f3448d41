//! The id maps of a new user namespace (user_namespaces(7)). Runs in the parent.

use std::process::Command;

use nix::unistd::{Pid, getegid, geteuid};
use spec::IdMapping;
use sys::Context;

use crate::error::{Error, Result, Step};

/// Writes the maps of the namespace that `pid` is in.
///
/// Root writes them itself; a user may only map its own id, and for more asks newuidmap(1) and
/// newgidmap(1).
pub(crate) fn write(pid: Pid, plan: &plan::Namespaces<'_>) -> Result<()> {
    if geteuid().is_root() {
        write_map(pid, "uid_map", plan.uid_map)?;
        return write_map(pid, "gid_map", plan.gid_map);
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    if only_own(plan.uid_map, uid) {
        write_map(pid, "uid_map", plan.uid_map)?;
    } else {
        run_helper("newuidmap", pid, plan.uid_map)?;
    }
    if only_own(plan.gid_map, gid) {
        // Without it the kernel would let a user leave a group that denies it something.
        write_file(pid, "setgroups", "deny")?;
        write_map(pid, "gid_map", plan.gid_map)
    } else {
        run_helper("newgidmap", pid, plan.gid_map)
    }
}

fn only_own(map: &[IdMapping], id: u32) -> bool {
    matches!(map, [line] if line.size == 1 && line.host_id == id)
}

fn lines(map: &[IdMapping]) -> String {
    map.iter().map(|m| format!("{} {} {}\n", m.container_id, m.host_id, m.size)).collect()
}

fn write_map(pid: Pid, file: &str, map: &[IdMapping]) -> Result<()> {
    write_file(pid, file, &lines(map))
}

fn write_file(pid: Pid, file: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::write(&path, text)
        .at("write", format!("{path}: {}", text.trim_end().replace('\n', ", ")))
        .step(|| "linux.uidMappings, linux.gidMappings".to_owned())
}

fn run_helper(program: &str, pid: Pid, map: &[IdMapping]) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(pid.to_string());
    for line in map {
        for number in [line.container_id, line.host_id, line.size] {
            command.arg(number.to_string());
        }
    }
    let output = command.output().at("exec", program).step(|| "id maps".to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Usage(format!("{program}: {}", said.trim_end())))
}
