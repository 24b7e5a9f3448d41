//! Bad input: each is refused by one sentence that names the object, and nothing is left.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::call::Output;
use crate::case::Case;
use crate::chapters::mounts::Mounted;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, that};

/// A config.json with this text must be refused with all of `parts`.
fn text(t: &Case, config: impl AsRef<[u8]>, parts: &[&str]) -> Verdict {
    let b = t.bundle()?;
    fs::write(b.dir.join("config.json"), config)?;
    let dir = b.dir.to_string_lossy().into_owned();
    let out = t.rt(["create", "--bundle", &dir, &b.id])?;
    out.refused(parts)?;
    one_sentence(&out.stderr)?;
    t.nothing_left()?;
    // The control: the same bundle with a good configuration.
    is(t.bundle()?.says("echo good")?.as_str(), "good")
}

/// A message is one line, not a trace.
fn one_sentence(stderr: &str) -> Verdict {
    let errors = stderr.lines().filter(|line| !line.contains("level=warning"));
    that((1..=2).contains(&errors.count()), format!("one sentence: {stderr}"))
}

/// This value at this place must be refused with all of `parts`.
pub(super) fn value(t: &Case, pointer: &str, value: serde_json::Value, parts: &[&str]) -> Verdict {
    let b = t.bundle()?.raw(pointer, value);
    let out = b.try_create()?;
    out.refused(parts)?;
    one_sentence(&out.stderr)?;
    t.nothing_left()
}

/// This id must be refused, and nothing made of it in the state directory or above it.
fn id(t: &Case, id: &str) -> Verdict {
    let b = t.bundle()?;
    b.write()?;
    fs::create_dir_all(&t.root)?;
    let above = || -> Verdict<usize> {
        Ok(fs::read_dir(&t.scratch)?.flatten().filter(|e| e.path().is_dir()).count())
    };
    let before = above()?;
    let out = t.call(["create", "--bundle"]).arg(&b.dir).arg(id).output()?;
    that(out.code > 0 && !out.stderr.is_empty(), format!("the id is refused: {out:?}"))?;
    is(above()?, before)?;
    is(fs::read_dir(&t.root)?.count(), 0)?;
    is(b.says("echo good")?.as_str(), "good")
}

/// `create` with a `--root` on which there is room for directories, but not for a file.
fn on_full_disk(t: &Case) -> Verdict<Output> {
    let root = t.dir("full")?;
    let tmpfs = ["-t", "tmpfs", "-o", "size=4k,nr_inodes=20", "conformance"];
    let _mounted = Mounted::new(t, &root, &tmpfs)?;
    fs::write(root.join("page"), [0; 4096])?;
    let b = t.bundle()?.sleeps();
    t.owns(&root, &b.id);
    let out = b.call("create")?.root(Some(&root)).output()?;
    that(!root.join(&b.id).exists(), "no state directory is left")?;
    Ok(out)
}

/// The chapter's tests of files.
pub(crate) const FILES: &[Test] = &[
    test("bundle-missing", "a bundle that does not exist is refused by its path", |t| {
        t.rt(["create", "--bundle", "/no/such/bundle", &t.id()])?.refused(&["/no/such/bundle"])?;
        t.nothing_left()
    }),
    test("config-missing", "runc: a bundle without config.json", |t| {
        let dir = t.dir("empty")?.to_string_lossy().into_owned();
        let out = t.rt(["create", "--bundle", &dir, &t.id()])?;
        out.refused(&["config.json"])?;
        t.nothing_left()
    }),
    test("config-empty", "an empty config.json", |t| text(t, "", &["EOF|config.json"])),
    test("config-truncated", "a truncated config.json", |t| {
        text(t, "{ \"ociVersion\": \"1.0.2\", \"process\": { \"args\": [", &["EOF|config.json"])
    }),
    test("config-not-json", "a config.json that is no JSON", |t| {
        text(t, "ociVersion = 1\n", &["invalid character|config.json"])
    }),
    test("config-not-utf8", "a config.json that is not UTF-8", |t| {
        text(t, b"\xff\xfe{\x00}\x00", &["invalid|config.json"])
    }),
    test("config-array", "a config.json that is a list", |t| {
        text(t, "[1, 2]", &["array|config.json"])
    }),
    test("config-directory", "a config.json that is a directory", |t| {
        let b = t.bundle()?;
        fs::create_dir(b.dir.join("config.json"))?;
        let dir = b.dir.to_string_lossy().into_owned();
        let out = t.rt(["create", "--bundle", &dir, &b.id])?;
        out.refused(&["config.json"])?;
        t.nothing_left()
    }),
    test(
        "config-huge",
        "100 MB of config.json are read or refused, in time, by a bounded memory",
        |t| {
            let mut config = b"{\"ociVersion\": \"1.0.2\", \"annotations\": {\"x\": \"".to_vec();
            config.resize(100 << 20, b'x');
            config.extend_from_slice(b"\"}}");
            let b = t.bundle()?;
            fs::write(b.dir.join("config.json"), config)?;
            let dir = b.dir.to_string_lossy().into_owned();
            let out = t.rt(["create", "--bundle", &dir, &b.id])?;
            that(out.code > 0 && out.stderr.len() < 10_000, "refused by a short sentence")?;
            out.refused(&["process|config.json"])?;
            t.nothing_left()
        },
    ),
    test("root-is-a-file", "root.path is a file", |t| {
        let b = t.bundle()?;
        fs::write(b.dir.join("file"), "")?;
        let b = b.set("/root/path", "file");
        let out = b.try_create()?;
        out.refused(&["not a directory"])?;
        t.nothing_left()
    }),
    test("root-missing", "root.path does not exist", |t| {
        value(t, "/root/path", json!("no-such-root"), &["no-such-root"])
    }),
    test("root-is-a-link", "runc: root.path must not be a symlink", |t| {
        let b = t.bundle()?;
        symlink("rootfs", b.dir.join("link"))?;
        b.set("/root/path", "link").refused(&["link"])
    }),
    test("state-directory-is-a-file", "a file as --root", |t| {
        let root = t.file("not-a-directory", "kept")?;
        let b = t.bundle()?;
        let out = b.call("create")?.root(Some(&root)).output()?;
        out.refused(&["not-a-directory"])?;
        is(fs::read_to_string(root)?.as_str(), "kept")?;
        t.nothing_left()
    }),
    test("state-directory-full", "a full disk under --root: create fails, nothing is left", |t| {
        let out = on_full_disk(t)?;
        that(out.code > 0 && !out.stderr.is_empty(), format!("it fails: {out:?}"))?;
        t.nothing_left()?;
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test("state-directory-full-sentence", "a full disk under --root is told as what it is", |t| {
        on_full_disk(t)?.refused(&["no space left on device"])
    }),
    test("state-damaged", "a damaged state file: state fails, delete --force cleans up", |t| {
        let c = t.bundle()?.sleeps().create()?;
        let pid = c.pid()?;
        let file = t.root.join(&c.id).join("state.json");
        that(file.exists(), "ROOT/ID/state.json")?;
        fs::write(&file, "{\"id\": \"brok")?;
        let out = c.rt("state")?;
        that(out.code > 0 && !out.stderr.is_empty(), format!("state fails: {out:?}"))?;
        c.call("delete").arg("--force").ok()?;
        that(!t.root.join(&c.id).exists(), "the state directory is gone")?;
        t.host(["sh", "-c", &format!("kill -9 {pid} 2>/dev/null; true")])?;
        c.rt("state")?.refused(&["does not exist"])
    }),
    test("state-damaged-others", "a damaged state file does not hide the other containers", |t| {
        let (bad, good) = (t.bundle()?.sleeps().create()?, t.bundle()?.sleeps().create()?);
        let file = t.root.join(&bad.id).join("state.json");
        let saved = fs::read(&file)?;
        fs::write(&file, "{")?;
        let list = t.rt(["list", "-q"])?;
        fs::write(&file, saved)?;
        has(list.stdout, &good.id)
    }),
];

/// The chapter's tests of ids.
pub(crate) const IDS: &[Test] = &[
    test("id-slash", "runc: an id with a slash is refused", |t| id(t, "a/b")),
    test("id-dotdot", "runc: the id .. is refused", |t| id(t, "..")),
    test("id-dot", "runc: the id . is refused", |t| id(t, ".")),
    test("id-up", "an id that climbs is refused", |t| id(t, "../up")),
    test("id-empty", "an empty id is refused", |t| id(t, "")),
    test("id-space", "an id with a space is refused", |t| id(t, "a b")),
    test("id-newline", "an id with a newline is refused", |t| id(t, "a\nb")),
    test("id-unicode", "runc: an id of other letters than ASCII's is refused", |t| id(t, "é")),
    test("id-long", "an id of 5000 characters is refused", |t| id(t, &"a".repeat(5000))),
    test("id-sentence", "runc: invalid container ID format", |t| {
        t.rt(["state", "a/b"])?.refused(&["invalid container ID format"])
    }),
    test("id-characters", "runc: letters, digits and _+-. are an id", |t| {
        let b = t.bundle()?;
        let id = format!("{}_A+b-9.z", t.id());
        let b = b.id(&id).set("/linux/cgroupsPath", format!("/{id}")).sleeps();
        b.create()?.is("created")
    }),
];
