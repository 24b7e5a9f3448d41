//! Bad input: properties of config.json that can not be, and files of the command line.

use super::bad_input::value;
use crate::layout;
use crate::table::{Test, test};
use crate::verdict::{has, is, that};
use serde_json::json;

/// The chapter's tests of properties.
pub(crate) const PROPERTIES: &[Test] = &[
    test("version-unknown", "spec: a version that is not supported is an error", |t| {
        value(t, "/ociVersion", json!("2.0.0"), &["2.0.0"])
    }),
    test("version-not-semver", "spec: ociVersion MUST be in SemVer format", |t| {
        value(t, "/ociVersion", json!("one"), &["version"])
    }),
    test("wrong-type-args", "args that is a string is refused by its name", |t| {
        value(t, "/process/args", json!("sh"), &["args"])
    }),
    test("wrong-type-uid", "a uid that is a string is refused by its name", |t| {
        value(t, "/process/user/uid", json!("root"), &["uid"])
    }),
    test("uid-negative", "a negative uid is refused", |t| {
        value(t, "/process/user/uid", json!(-1), &["uid"])
    }),
    test("uid-too-large", "a uid beyond 32 bits is refused", |t| {
        value(t, "/process/user/uid", json!(4_294_967_296_u64), &["uid"])
    }),
    test("wrong-type-mounts", "mounts that is an object is refused by its name", |t| {
        value(t, "/mounts", json!({}), &["mounts"])
    }),
    test("wrong-type-user", "a user that is a list is refused by its name", |t| {
        value(t, "/process/user", json!([0, 0]), &["user"])
    }),
    test("process-missing", "runc: process property must not be empty", |t| {
        t.bundle()?
            .without_raw("/process")
            .run()?
            .refused(&["process property must not be empty"])?;
        t.nothing_left()
    }),
    test("root-property-missing", "spec: root is REQUIRED", |t| {
        t.bundle()?.without_raw("/root").refused(&["root"])
    }),
    test("args-empty", "runc: args must not be empty", |t| {
        t.bundle()?.set("/process/args", json!([])).refused(&["args"])
    }),
    test("cwd-missing", "runc: Cwd property must not be empty", |t| {
        t.bundle()?.without_raw("/process/cwd").refused(&["cwd"])
    }),
    test("cwd-relative", "runc: Cwd must be an absolute path", |t| {
        t.bundle()?.set("/process/cwd", "tmp").refused(&["cwd", "absolute"])
    }),
    test("cwd-is-a-file", "a cwd that is a file is refused by its path", |t| {
        t.bundle()?.set("/process/cwd", "/etc/passwd").refused(&["/etc/passwd", "not a directory"])
    }),
    test("mount-source-missing", "a bind source that does not exist is refused by its path", |t| {
        let b = t.bundle()?.bind(std::path::Path::new("/no/such/source"), "/m", &["bind"]);
        b.refused(&["/no/such/source", "no such file or directory"])
    }),
    test("mount-type-unknown", "an unknown file system is refused by its destination", |t| {
        t.bundle()?.mount("/m", "nosuchfs", "none", &[]).refused(&["nosuchfs|/m"])
    }),
    test("mount-directory-on-file", "a directory on a file is refused by both names", |t| {
        let source = t.dir("source")?;
        let b = t.bundle()?.bind(&source, "/etc/passwd", &["bind"]);
        b.refused(&["/etc/passwd", "not a directory"])
    }),
    test("namespace-unknown", "an unknown type of namespace is refused by its name", |t| {
        let b = t.bundle()?;
        let mut list = b.config()["linux"]["namespaces"].clone();
        list[0]["type"] = json!("nosuchkind");
        b.raw("/linux/namespaces", list).refused(&["nosuchkind"])
    }),
    test("rlimit-twice", "spec: MUST generate an error for duplicated rlimits", |t| {
        let limit = json!({ "type": "RLIMIT_NOFILE", "soft": 9, "hard": 9 });
        t.bundle()?.set("/process/rlimits", json!([limit, limit])).refused(&["RLIMIT_NOFILE"])
    }),
    test("rlimit-unknown", "spec: an rlimit that can't be mapped is an error, by its name", |t| {
        let limit = json!([{ "type": "RLIMIT_NOSUCH", "soft": 9, "hard": 9 }]);
        value(t, "/process/rlimits", limit, &["RLIMIT_NOSUCH"])
    }),
    test("rlimit-soft-above-hard", "a soft limit above the hard one is refused", |t| {
        let limit = json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 10 }]);
        let b = t.bundle()?.set("/process/rlimits", limit);
        b.refused(&["rlimit"])
    }),
    test("id-maps-overlap", "overlapping id mappings are refused", |t| {
        let map = json!([
            { "containerID": 0, "hostID": 100_000, "size": 1000 },
            { "containerID": 500, "hostID": 200_000, "size": 1000 }
        ]);
        let b = t.bundle()?.unshare("user");
        let b = b.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        let out = b.try_create()?;
        that(out.code > 0 && !out.stderr.is_empty(), "create is refused")?;
        t.nothing_left()?;
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test("propagation-unknown", "an unknown rootfsPropagation is refused by its value", |t| {
        t.bundle()?
            .set("/linux/rootfsPropagation", "sideways")
            .refused(&["sideways|rootfsPropagation"])
    }),
    test("seccomp-architecture-unknown", "an unknown architecture is refused by its name", |t| {
        let filter =
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"] });
        value(t, "/linux/seccomp", filter, &["SCMP_ARCH_PDP11"])
    }),
    test("cgroups-path-climbs", "a cgroupsPath with .. stays in the hierarchy", |t| {
        layout::paths()?;
        layout::root()?;
        let b = t.bundle()?;
        let path = format!("/../../../../{}", b.id);
        let c = b.set("/linux/cgroupsPath", path).sleeps().create()?;
        that(layout::path("pids", &c.id, "").is_dir(), "the cgroup is below the root")
    }),
    test("hook-path-missing", "a hook without a path is refused", |t| {
        let b = t.bundle()?.raw("/hooks/createRuntime", json!([{ "args": ["x"] }]));
        let out = b.try_create()?;
        that(out.code > 0 && !out.stderr.is_empty(), "create is refused")?;
        t.nothing_left()?;
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test(
        "pid-file-unwritable",
        "a pid file that can't be written fails create, nothing is left",
        |t| {
            let b = t.bundle()?.sleeps().flags(["--pid-file", "/no/such/dir/pid"]);
            b.refused(&["/no/such/dir"])
        },
    ),
    test("log-unwritable", "a log file that can't be opened is refused by its path", |t| {
        let b = t.bundle()?.sleeps();
        let out = b.call("create")?.global(["--log", "/no/such/dir/log"]).output()?;
        out.refused(&["/no/such/dir/log"])?;
        t.nothing_left()
    }),
    test(
        "preserve-fds-missing",
        "runc: a descriptor to preserve that is not open is an error",
        |t| {
            let b = t.bundle()?.sleeps().flags(["--preserve-fds", "90"]);
            let out = b.try_create()?;
            that(out.code > 0, "create is refused")?;
            has(out.stderr, "fd")?;
            t.nothing_left()
        },
    ),
];
