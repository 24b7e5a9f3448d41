//! How each engine is started by hand and given its images.
//!
//! The configuration is the one that `docs/engines.md` shows to users, at the places where they
//! would put it; the cage's `/etc` is its own. What only this kind of machine needs is on the
//! engines' command lines.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Options;
use crate::cage::HOME;
use crate::engine::Engine;
use crate::error::{Doing, Error, Result};
use crate::leaks;
use crate::shell::Shell;

const GUIDE: &str = include_str!("../../../docs/engines.md");

/// Where the guide has its readers install the runtime.
const INSTALLED: &str = "/usr/local/bin/tare";

/// How long the engine's own commands may take here.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts the engine and imports the images. The value is the environment of the checks' scripts.
pub(crate) fn set_up(engine: Engine, options: &Options) -> Result<Shell> {
    let bin = format!("{HOME}/bin");
    fs::create_dir_all(&bin).doing("make a directory for programs")?;
    let runtime = format!("{bin}/tare");
    fs::copy(&options.runtime, &runtime).doing(format!("copy {}", options.runtime.display()))?;
    let mut shell = Shell::new();
    shell.set("I", "localhost/busybox:latest");
    shell.set("D", "localhost/debian:latest");
    shell.set("ROOTFS", &options.busybox.display().to_string());
    shell.set("DEBIAN", &options.debian.display().to_string());
    shell.set("P", "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    shell.set("V", if leaks::v1() { "1" } else { "2" });
    match engine {
        Engine::Podman => podman(&mut shell)?,
        Engine::Containerd => containerd(&mut shell)?,
        Engine::Docker => docker(&mut shell)?,
    }
    Ok(shell)
}

fn podman(shell: &mut Shell) -> Result<()> {
    configure("/etc/containers/containers.conf.d/tare.conf", "")?;
    shell.set("E", "podman --cgroup-manager cgroupfs --events-backend file");
    shell.set("RM", "-t 0");
    shell.set("NOT_FOUND", "127");
    shell.must(
        "tar -C $ROOTFS -c . | $E import -c CMD='[\"sh\"]' -c ENV=$P - $I
        tar -C $DEBIAN -c . | $E import - $D",
        LIMIT,
    )?;
    // A user without rights, with podman and subordinate ids of his own.
    let rootless = format!(
        "#!/bin/sh -e\nexec runuser -u rootless -- env HOME={HOME}/rootless \
            TMPDIR={HOME}/rootless \\\n\
         XDG_RUNTIME_DIR={HOME}/rootless/run $E \"$@\"\n"
    );
    program("rootless", &rootless)?;
    shell.must(
        "echo rootless:x:4000:4000::$HOME/rootless:/bin/sh >> /etc/passwd
        echo rootless:x:4000: >> /etc/group
        for file in /etc/subuid /etc/subgid; do echo rootless:300000:65536 >> $file; done
        mkdir -p $HOME/rootless/run && chown -R 4000:4000 $HOME/rootless && chmod 755 $HOME
        cd $HOME/rootless && tar -C $ROOTFS -c . | rootless import - $I",
        LIMIT,
    )?;
    Ok(())
}

fn containerd(shell: &mut Shell) -> Result<()> {
    let restricted = "\n[plugins.\"io.containerd.grpc.v1.cri\"]\nrestrict_oom_score_adj = true\n";
    configure("/etc/containerd/config.toml", restricted)?;
    link_as_runc()?;
    shell.set("E", "ctr");
    shell.set(
        "STOPPED",
        "eval until ctr task ls | grep -w $N | grep -q STOPPED; do sleep 0.1; done",
    );
    shell.set("RUN", "ctr-run");
    program("ctr-run", CTR_RUN)?;
    daemon(shell, "containerd", "containerd")?;
    ready(shell, "ctr version")?;
    for (root, image) in [("$ROOTFS", "$I"), ("$DEBIAN", "$D")] {
        shell.must(&format!("root={root} name={image}\n{ARCHIVE}"), LIMIT)?;
    }
    Ok(())
}

fn docker(shell: &mut Shell) -> Result<()> {
    configure("/etc/docker/daemon.json", "")?;
    link_as_runc()?;
    shell.set("E", "docker");
    shell.set("RM", "");
    // Docker learned to tell 127 from 126 for `exec` only after 20.10.
    shell.set("NOT_FOUND", "126");
    daemon(shell, "containerd", "containerd --config /dev/null")?;
    ready(shell, "ctr version")?;
    let dockerd = "dockerd --containerd /run/containerd/containerd.sock --live-restore";
    daemon(shell, "dockerd", &format!("{dockerd} --oom-score-adjust 0"))?;
    ready(shell, "docker info")?;
    shell.must(
        "tar -C $ROOTFS -c . | $E import -c 'CMD [\"sh\"]' -c \"ENV $P\" - $I
        tar -C $DEBIAN -c . | $E import - $D",
        LIMIT,
    )?;
    Ok(())
}

/// `ctr run` with this runtime; what the task prints without a terminal comes by way of a file.
const CTR_RUN: &str = include_str!("ctr-run.sh");

/// Imports a root filesystem into containerd, as an archive in the form of an OCI image layout.
const ARCHIVE: &str = include_str!("archive.sh");

/// Puts the guide's snippet for a file at its place, with `more` after it.
fn configure(place: &str, more: &str) -> Result<()> {
    let place = Path::new(place);
    let (dir, name) = (place.parent().unwrap_or(place), place.display().to_string());
    let start = format!(" {name}\n");
    let snippet = GUIDE.split("```").find_map(|part| part.split_once(&start));
    let Some((_, snippet)) = snippet else {
        return Err(Error::Usage(format!("docs/engines.md has no snippet for {name}")));
    };
    let text = snippet.replace(INSTALLED, &format!("{HOME}/bin/tare")) + more;
    fs::create_dir_all(dir).doing(format!("make {}", dir.display()))?;
    fs::write(place, text).doing(format!("write {name}"))
}

/// What finds its runtime by the name `runc` (BuildKit, `ctr container create`) finds this one.
fn link_as_runc() -> Result<()> {
    symlink("tare", format!("{HOME}/bin/runc")).doing("link runc")
}

/// A program in the cage's PATH.
fn program(name: &str, text: &str) -> Result<()> {
    let place = format!("{HOME}/bin/{name}");
    fs::write(&place, text).doing(format!("write {place}"))?;
    fs::set_permissions(&place, PermissionsExt::from_mode(0o755)).doing(format!("chmod {place}"))
}

/// Starts a daemon, and leaves a program `start-NAME` with which a check can do it again. It is no
/// child of this process: the cage's init takes it when it ends.
fn daemon(shell: &Shell, name: &str, command: &str) -> Result<()> {
    let text = format!("#!/bin/sh\nsetsid {command} >> {HOME}/{name}.log 2>&1 < /dev/null &\n");
    program(&format!("start-{name}"), &text)?;
    shell.must(&format!("start-{name}"), LIMIT).map(|_| ())
}

/// Waits until a command works, which is when its daemon answers.
fn ready(shell: &Shell, script: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        let outcome = shell.run(script, Duration::from_secs(10))?;
        if outcome.code == 0 {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(30) {
            let logs = shell.run("tail -n 5 $HOME/*d.log", LIMIT)?.said;
            return Err(Error::Command { script: script.to_owned(), said: outcome.said + &logs });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
