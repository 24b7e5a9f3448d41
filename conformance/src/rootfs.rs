//! The root filesystem that every bundle starts from: busybox and a few files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::verdict::Verdict;

/// The static busybox of the host (Debian's busybox-static).
pub(crate) const BUSYBOX: &str = "/bin/busybox";

const APPLETS: &[&str] = &[
    "adduser",
    "awk",
    "basename",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "free",
    "getopt",
    "grep",
    "head",
    "hostname",
    "httpd",
    "id",
    "ifconfig",
    "install",
    "ip",
    "ipcs",
    "kill",
    "killall",
    "less",
    "ln",
    "logger",
    "ls",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "more",
    "mount",
    "mountpoint",
    "mv",
    "nc",
    "nice",
    "nproc",
    "od",
    "pidof",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "setsid",
    "sh",
    "sleep",
    "sort",
    "stat",
    "stty",
    "sync",
    "tail",
    "tar",
    "tee",
    "test",
    "timeout",
    "top",
    "touch",
    "tr",
    "true",
    "tty",
    "umount",
    "uname",
    "uniq",
    "unshare",
    "vi",
    "wc",
    "which",
    "whoami",
    "xargs",
    "yes",
];

/// Directories of the root, with their modes.
const DIRS: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("sys", 0o555),
    ("tmp", 0o1777),
];

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n";
const GROUP: &str = "root:x:0:\nuser:x:1000:\nmany:x:1001:user\n";

/// Copies busybox once per run: the tests link to the copy, so that nothing that runs as root in a
/// container can reach the host's own file.
pub(crate) fn prepare(copy: &Path) -> Verdict {
    fs::copy(BUSYBOX, copy)?;
    fs::set_permissions(copy, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Makes a root filesystem at `root`, its busybox a hard link to `busybox`.
pub(crate) fn make(root: &Path, busybox: &Path) -> Verdict {
    fs::create_dir_all(root)?;
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    for (dir, mode) in DIRS {
        fs::create_dir(root.join(dir))?;
        fs::set_permissions(root.join(dir), fs::Permissions::from_mode(*mode))?;
    }
    fs::hard_link(busybox, root.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(root.join("etc/passwd"), PASSWD)?;
    fs::write(root.join("etc/group"), GROUP)?;
    Ok(())
}
