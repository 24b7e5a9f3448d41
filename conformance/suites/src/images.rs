//! The images that runc's tests unpack into their bundles, made from this machine's packages.
//!
//! The tests look for two archives in their directory of test data, and download what is missing.
//! What is put there instead is equal to the originals in what the tests rely on.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Error, Result};
use crate::room::go_architecture;

/// Makes the archives that are missing in `testdata`.
pub(crate) fn provide(testdata: &Path) -> Result<()> {
    for kind in ["busybox", "debian"] {
        // Whatever it is compressed with, or not at all: tar looks at the content.
        let archive = testdata.join(format!("{kind}-{}.tar.xz", go_architecture()));
        if !archive.exists() {
            make(kind, &archive)?;
        }
    }
    Ok(())
}

/// Makes one archive.
fn make(kind: &str, archive: &Path) -> Result<()> {
    eprintln!("suites: making {}", archive.display());
    let root = PathBuf::from(format!("{}.root", archive.display()));
    command(Command::new(repository().join("hack/rootfs")).arg(kind).arg(&root))?;
    if kind == "busybox" {
        like_the_original(&root)?;
    }
    // Processes with other user ids must be able to enter it.
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).doing("open an image's root")?;
    let made = archive.with_extension("new");
    command(
        Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("--numeric-owner")
            .arg("-cf")
            .arg(&made)
            .arg("."),
    )?;
    fs::rename(&made, archive).doing(format!("put {} in place", archive.display()))?;
    fs::remove_dir_all(&root).doing(format!("remove {}", root.display()))
}

/// Makes busybox's tree more like that of the image which runc's tests download.
fn like_the_original(root: &Path) -> Result<()> {
    // Tests put links where these would be.
    for directory in ["proc", "sys"] {
        fs::remove_dir(root.join(directory)).doing(format!("remove {directory}"))?;
    }
    for directory in ["home", "lib", "usr/bin", "usr/sbin", "var/spool/mail", "var/www"] {
        fs::create_dir_all(root.join(directory)).doing(format!("make {directory}"))?;
    }
    symlink("../../bin/env", root.join("usr/bin/env")).doing("link usr/bin/env")?;
    // Tests use user 1000 as one without a name.
    let passwd = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
                  bin:x:2:2:bin:/bin:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n";
    let group = "root:x:0:\ndaemon:x:1:\nbin:x:2:\nnobody:x:65534:\n";
    for (file, text) in [("etc/passwd", passwd), ("etc/group", group)] {
        fs::write(root.join(file), text).doing(format!("write {file}"))?;
    }
    Ok(())
}

/// Runs a command that must succeed.
fn command(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().doing(format!("start {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Command { name, said: format!("{}: {}", output.status, said.trim()) })
}

/// The top of this repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
