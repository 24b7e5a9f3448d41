//! Attacks: users, ids, maps and annotations that are none, or more than they seem.

use serde_json::{Value, json};

use super::bad_input::value;
use super::exec::sleeping;
use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, that};

/// Ids that are none; 4294967295 means "leave it as it is" to the kernel, and so: root.
fn no_ids() -> Vec<Value> {
    vec![
        json!(-1),
        json!(-2_147_483_648_i64),
        json!(4_294_967_295_u32),
        json!(4_294_967_296_u64),
        json!(18_446_744_073_709_551_615_u64),
        json!(1.5),
        json!("0"),
        json!(true),
        json!([0]),
    ]
}

/// A container with this map for both kinds of ids is refused.
fn map(t: &Case, map: &Value) -> Verdict {
    let b = t.bundle()?.unshare("user");
    let b = b.raw("/linux/uidMappings", map.clone()).raw("/linux/gidMappings", map.clone());
    b.refused(&["mapping|map"])
}

fn line(container: impl Into<Value>, host: impl Into<Value>, size: impl Into<Value>) -> Value {
    json!({ "containerID": container.into(), "hostID": host.into(), "size": size.into() })
}

/// The chapter's tests of input.
pub(crate) const INPUT: &[Test] = &[
    test(
        "uid-malformed",
        "CVE-2024-40635: a user id that is none is refused, and nobody is root",
        |t| {
            no_ids().into_iter().try_for_each(|id| value(t, "/process/user/uid", id, &["uid|user"]))
        },
    ),
    test("gid-malformed", "CVE-2024-40635: the same of a group id", |t| {
        no_ids()
            .into_iter()
            .try_for_each(|id| value(t, "/process/user/gid", id, &["gid|group|user"]))
    }),
    test("groups-malformed", "CVE-2024-40635: the same of a further group", |t| {
        no_ids().into_iter().try_for_each(|id| {
            let parts = &["additionalGids|group|gids"];
            value(t, "/process/user/additionalGids", json!([7, id]), parts)
        })
    }),
    test("exec-user-malformed", "CVE-2026-30892: a user of exec that is none is refused", |t| {
        let c = sleeping(t)?;
        for user in [
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x1",
            "1e0",
            "1:-1",
            "1:2:3",
            ":",
            "1:abc",
            "1\n",
            "4294967295",
            "1:4294967295",
            "1:4294967296",
            "18446744073709551616",
            "١",
        ] {
            let flag = format!("--user={user}");
            let out = c.exec([flag.as_str()], ["/bin/id"]).output()?;
            that(out.code > 0 && out.stdout.is_empty(), format!("{user:?} is refused: {out:?}"))?;
            that(!out.stderr.is_empty(), "it says why")?;
        }
        let ids = c.exec(["--user=1:2"], ["/bin/id"]).ok()?;
        has(&ids, "uid=1")?;
        has(ids, "gid=2")
    }),
    test("id-maps-malformed", "an id map that is none is refused", |t| {
        let whole = line(0, 100_000, 65536);
        for bad in [
            json!([line(0, 100_000, 0)]),
            json!([line(0, 4_294_967_290_u32, 65536)]),
            json!([line(4_294_967_290_u32, 100_000, 65536)]),
            json!([line(0, 4_294_967_295_u32, 1)]),
            json!([line(0, 100_000, 4_294_967_296_u64)]),
            json!([line(-1, 100_000, 1)]),
            json!([line(0, "0", 1)]),
            json!([whole.clone(), whole]),
            json!([line(0, 100_000, 10), line(20, 100_005, 10)]),
            json!({ "containerID": 0 }),
        ] {
            map(t, &bad)?;
        }
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test("long-namespace-path", "CVE-2021-43784: a namespace's path of 70,000 bytes", |t| {
        let path = format!("/proc/self/{}ns/net", "./".repeat(35_000));
        let b = t.bundle()?.join("network", &path);
        b.refused(&["namespace|name too long|netlink|path"])?;
        is(t.bundle()?.says("echo good")?.as_str(), "good")
    }),
    test("annotations-hostile", "annotations with quotes, line ends and control characters", |t| {
        let annotations = json!({
            "a\"b": "\",\"pid\":1,\"x\":\"", "line\nend": "one\ntwo\r\n", "esc": "\u{1b}[2J\u{7}\u{1}",
            "</script>": "&<>'\u{2028}", "long": "x".repeat(100_000), "é\u{202e}": "\u{fffd}"
        });
        let b = t.bundle()?.raw("/annotations", annotations.clone()).sleeps();
        let c = b.create()?;
        is(&c.state()?["annotations"], &annotations)?;
        let listed = t.rt(["list", "--format", "json"])?.json()?;
        is(listed.as_array().map(Vec::len), Some(1))?;
        is(&listed[0]["annotations"], &annotations)?;
        c.start()?;
        c.is("running")
    }),
    test("annotations-of-handlers", "annotations that name another program change nothing", |t| {
        let annotations = json!({
            "run.oci.handler": "krun", "module.wasm.image/variant": "compat",
            "run.oci.seccomp.plugins": "/tmp/evil.so", "run.oci.seccomp_bpf_data": "AAAA",
            "krun.ram_mib": "1", "run.oci.systemd.force_cgroup_v1": "/sys/fs/cgroup/systemd"
        });
        let b = t.bundle()?.set("/annotations", annotations);
        is(b.says("echo the configured program $$")?.as_str(), "the configured program 1")
    }),
];
