//! Mounts of a container that lives: crun's `mounts add` and `mounts remove`, which other runtimes lack.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::call::Output;
use crate::case::Case;
use crate::chapters::mounts::Mounted;
use crate::container::Container;
use crate::layout;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, that};

/// Skips where another runtime has no such command, or a user may not use it.
fn sleeping(t: &Case) -> Verdict<Container<'_>> {
    layout::root()?;
    let out = t.rt(["mounts"])?;
    let said = format!("{}{}", out.stdout, out.stderr);
    let unknown = said.contains("No help topic") || said.contains("unknown command");
    t.others_may_lack("the command mounts", !unknown)?;
    t.bundle()?.sleeps().start()
}

/// `mounts add` or `mounts remove` with this list.
fn change(c: &Container<'_>, what: &str, list: Value) -> Verdict<Output> {
    let t = c.case;
    let file = t.file(&format!("mounts-{}.json", t.number()), list.to_string())?;
    t.call(["mounts", what, &c.id]).arg(file).output()
}

fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

/// How many mounts the container has at a place.
fn mounted(c: &Container<'_>, place: &str) -> Verdict<usize> {
    let table = c.proc("mountinfo")?;
    Ok(table.lines().filter(|line| line.split(' ').nth(4) == Some(place)).count())
}

/// The tests.
pub(crate) const CHANGES: &[Test] = &[
    test("add-bind", "crun: mounts add binds a directory and a file, with their options", |t| {
        let c = sleeping(t)?;
        let (dir, file) = (t.dir("dir")?, t.file("file", "of a file")?);
        fs::write(dir.join("x"), "of a directory\n")?;
        let list =
            json!([bind(&dir, "/new/dir", &["bind", "ro"]), bind(&file, "/etc/f", &["bind"])]);
        change(&c, "add", list)?.ok()?;
        let said = c.says("cat /new/dir/x /etc/f; (: >/new/dir/y) 2>/dev/null || echo ' ro'")?;
        is(said.as_str(), "of a directory\nof a file ro")?;
        has(c.proc("mountinfo")?, " /new/dir ro,")
    }),
    test("add-tmpfs", "crun: mounts add makes a file system", |t| {
        let c = sleeping(t)?;
        let tmpfs = json!([{ "destination": "/t", "type": "tmpfs", "source": "tmpfs",
            "options": ["size=64k", "nosuid"] }]);
        change(&c, "add", tmpfs)?.ok()?;
        has(c.says("stat -f -c %T /t; echo >/t/x; ls /t")?, "tmpfs\nx")?;
        has(c.proc("mountinfo")?, "size=64k")
    }),
    test("add-stays-inside", "a destination is resolved inside the root, links and all", |t| {
        let c = sleeping(t)?;
        let (source, outside) = (t.dir("source")?, t.dir("outside")?);
        fs::write(source.join("x"), "")?;
        let root = t.scratch.join(format!("bundle-{}/rootfs", c.id));
        symlink(&outside, root.join("link"))?;
        symlink("../../../../../../../..", root.join("up"))?;
        let list =
            json!([bind(&source, "/link/in", &["bind"]), bind(&source, "/up/top", &["bind"])]);
        change(&c, "add", list)?.ok()?;
        is(fs::read_dir(&outside)?.count(), 0)?;
        that(!Path::new("/top").exists(), "nothing was made on the host")?;
        is(c.says("ls /top /link/in | grep -c x")?.as_str(), "2")
    }),
    test("add-shows-not-outside", "what is mounted inside does not show on the host", |t| {
        let c = sleeping(t)?;
        let shared = t.dir("shared")?;
        let place = shared.to_string_lossy().into_owned();
        let _mounted = Mounted::tmpfs(t, &shared)?.shared(t)?;
        fs::create_dir(shared.join("sub"))?;
        let list = json!([bind(&shared, "/s", &["rbind"])]);
        let below = json!([{ "destination": "/s/sub", "type": "tmpfs", "source": "tmpfs" }]);
        let added = change(&c, "add", list)?.ok().and_then(|_| change(&c, "add", below)?.ok());
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        let outside = table.matches(&format!(" {place}")).count();
        let inside = mounted(&c, "/s/sub");
        c.call("delete").arg("--force").ok()?;
        added?;
        is(inside?, 1)?;
        is(outside, 1)
    }),
    test("add-all-or-none", "a list with a mistake changes nothing", |t| {
        let c = sleeping(t)?;
        let dir = t.dir("dir")?;
        let missing = Path::new("/no/such/source");
        let list = json!([bind(&dir, "/a", &["bind"]), bind(missing, "/b", &["bind"])]);
        change(&c, "add", list)?.refused(&["/no/such/source", "no such file"])?;
        is(mounted(&c, "/a")?, 0)?;
        let odd = json!({ "destination": "/b", "type": "nosuchfs", "source": "none" });
        change(&c, "add", json!([bind(&dir, "/a", &["bind"]), odd]))?.refused(&["nosuchfs"])?;
        is(mounted(&c, "/a")?, 0)?;
        change(&c, "add", json!([bind(&dir, "/a", &["bind"])]))?.ok()?;
        is(mounted(&c, "/a")?, 1)
    }),
    test(
        "add-refused",
        "what would be the host's, or covers too much, is refused by its name",
        |t| {
            let c = sleeping(t)?;
            let dir = t.dir("dir")?;
            let proc = json!([{ "destination": "/p", "type": "proc", "source": "proc" }]);
            change(&c, "add", proc)?.refused(&["proc"])?;
            change(&c, "add", json!([bind(&dir, "/", &["bind"])]))?.refused(&["rootfs"])?;
            change(&c, "add", json!([bind(&dir, "/proc/self", &["bind"])]))?.refused(&["/proc"])?;
            change(&c, "add", json!({}))?.refused(&["mounts-", "array|sequence"])?;
            c.is("running")
        },
    ),
    test("remove", "crun: mounts remove takes mounts away", |t| {
        let c = sleeping(t)?;
        let (dir, file) = (t.dir("dir")?, t.file("file", "")?);
        let list = json!([bind(&dir, "/a", &["bind"]), bind(&file, "/etc/f", &["bind"])]);
        change(&c, "add", list.clone())?.ok()?;
        is((mounted(&c, "/a")?, mounted(&c, "/etc/f")?), (1, 1))?;
        change(&c, "remove", list.clone())?.ok()?;
        is((mounted(&c, "/a")?, mounted(&c, "/etc/f")?), (0, 0))?;
        change(&c, "remove", list)?.refused(&["/a", "invalid argument"])?;
        change(&c, "remove", json!([{ "destination": "/tmp/../" }]))?.refused(&["root"])?;
        c.is("running")
    }),
    test("mounts-stopped", "crun: mounts of a container that has ended: not running", |t| {
        let c = sleeping(t)?;
        c.kill("KILL")?;
        c.becomes("stopped")?;
        let list = json!([bind(&t.dir("dir")?, "/a", &["bind"])]);
        change(&c, "add", list)?.refused(&["not running"])
    }),
];
