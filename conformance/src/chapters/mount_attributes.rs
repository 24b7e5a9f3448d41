//! The attributes of binds: what becomes of those that the source's mount has.

use crate::case::Case;
use crate::chapters::mounts::{Mounted, check};
use crate::table::{Test, test};
use crate::verdict::Verdict;

/// A host's mount that has the attributes `before`, bound with the options `set`, must have all of `wanted`
/// and none of `unwanted`; with `user_namespace` the kernel has locked what came from outside.
struct Bind<'a> {
    before: &'a str,
    set: &'a [&'a str],
    user_namespace: bool,
}

impl Bind<'_> {
    fn has(&self, t: &Case, wanted: &[&str], unwanted: &[&str]) -> Verdict {
        let (bundle, _source) = self.bundle(t)?;
        check(&bundle.says("cat /proc/self/mountinfo")?, wanted, unwanted)
    }

    fn refused(&self, t: &Case) -> Verdict {
        let (bundle, _source) = self.bundle(t)?;
        let call = bundle.sh("true").try_create()?;
        call.refused(&["error mounting", "\"/m\"", "operation not permitted"])
    }

    fn bundle<'t>(&self, t: &'t Case) -> Verdict<(crate::bundle::Bundle<'t>, Mounted)> {
        let source = t.dir("source")?;
        let mounted = Mounted::tmpfs(t, &source)?;
        let options = format!("remount,bind,{}", self.before);
        t.host(["mount", "-o", &options, &source.to_string_lossy()])?;
        let mut b = t.bundle()?.bind(&source, "/m", self.set);
        if self.user_namespace {
            b = b.user_namespace(100_000).owned_by(100_000)?;
        }
        Ok((b, mounted))
    }
}

fn bind<'a>(before: &'a str, set: &'a [&'a str]) -> Bind<'a> {
    Bind { before, set, user_namespace: false }
}

fn locked<'a>(before: &'a str, set: &'a [&'a str]) -> Bind<'a> {
    Bind { before, set, user_namespace: true }
}

const ALL: &str = "ro,nosuid,nodev,noexec";

/// The chapter's tests of binds of mounts that have attributes.
pub(crate) const ATTRIBUTES: &[Test] = &[
    test("bind-keeps-attributes", "runc: a bind without flags has those of its source", |t| {
        bind(ALL, &["rbind", "rprivate"]).has(t, &["ro", "nosuid", "nodev", "noexec"], &["rw"])
    }),
    test("bind-replaces-attributes", "runc 1.2: flags of a bind are all that it has", |t| {
        bind(ALL, &["bind", "nosuid"]).has(t, &["rw", "nosuid"], &["ro", "nodev", "noexec"])
    }),
    test("bind-clears-attributes", "runc 1.2: also when they only clear", |t| {
        bind(ALL, &["bind", "dev"]).has(t, &["rw"], &["ro", "nosuid", "nodev", "noexec"])
    }),
    test("bind-atime-stays", "runc: the kind of access times stays, unless one is set", |t| {
        bind("noatime", &["bind", "ro", "atime"]).has(t, &["ro", "noatime"], &["relatime"])
    }),
    test("bind-atime-set", "runc: relatime of a bind", |t| {
        bind("noatime,nodiratime", &["bind", "relatime"]).has(
            t,
            &["relatime"],
            &["noatime", "nodiratime"],
        )
    }),
    test("bind-atime-strict", "runc: strictatime of a bind", |t| {
        let unwanted = ["noatime", "relatime", "nodiratime"];
        bind("noatime,nodiratime", &["bind", "strictatime"]).has(t, &["rw"], &unwanted)
    }),
    test(
        "bind-locked-attributes",
        "runc 1.2: in a user namespace attributes that are not named stay: they are locked",
        |t| {
            let wanted = ["ro", "nosuid", "nodev", "noexec", "noatime"];
            locked("rw,nosuid,nodev,noexec,noatime", &["bind", "ro"]).has(t, &wanted, &["rw"])
        },
    ),
    test("bind-locked-named", "runc 1.2: a locked attribute that is named may be set", |t| {
        locked("ro,nodev", &["bind", "ro", "nosuid"]).has(t, &["ro", "nodev", "nosuid"], &[])
    }),
    test("bind-locked-rw", "runc: a locked attribute is not cleared silently", |t| {
        locked("ro", &["bind", "rw"]).refused(t)
    }),
    test(
        "bind-recursive-clears",
        "spec 1.1, Mounts: each recursive attribute takes its own back, and no other",
        |t| {
            let all = ["ro", "nosuid", "nodev", "noexec", "nodiratime"];
            let options = ["rrw", "rsuid", "rdev", "rexec", "rdiratime"];
            for (gone, option) in all.into_iter().zip(options) {
                let rest: Vec<&str> = all.into_iter().filter(|other| *other != gone).collect();
                bind(&all.join(","), &["rbind", option]).has(t, &rest, &[gone])?;
            }
            bind("rw", &["rbind", "rnodiratime"]).has(t, &["nodiratime"], &[])
        },
    ),
    test("bind-recursive-atime", "spec 1.1, Mounts: each recursive kind of access times", |t| {
        for relative in ["rrelatime", "ratime", "rnostrictatime", "rnorelatime"] {
            bind("noatime", &["rbind", relative]).has(t, &["relatime"], &["noatime"])?;
        }
        let strict = bind("noatime", &["rbind", "rstrictatime"]);
        strict.has(t, &["rw"], &["noatime", "relatime"])
    }),
    test("bind-locked-exec", "runc: nor is noexec", |t| {
        locked("nosuid,nodev,noexec", &["bind", "dev", "suid", "exec"]).refused(t)
    }),
    test("bind-locked-atime", "runc: nor the kind of access times", |t| {
        locked("noatime", &["bind", "relatime"]).refused(t)
    }),
];
