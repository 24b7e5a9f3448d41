//! `run` and its options, as podman and Docker both have them.

use crate::check::{Check, check};

/// Output, exit codes and terminals.
pub(crate) fn basics() -> Vec<Check> {
    vec![
        check("run: output", "$E run --rm $I echo hello").prints("hello"),
        check("run: stderr apart", "$E run --rm $I sh -c 'echo out; echo err >&2' 2> $W/err")
            .prints("out"),
        check("run -i: input", "echo typed | $E run --rm -i $I cat").prints("typed"),
        check("run: 2 MB of output", "$E run --rm $I sh -c 'yes | head -c 2000000' | wc -c")
            .prints("2000000"),
        check("run: exit code", "$E run --rm $I sh -c 'exit 7'").exits(7),
        check("run: 126 for what can't be executed", "$E run --rm $I /etc/passwd")
            .exits(126)
            .has("permission denied"),
        check("run: 127 for an unknown program", "$E run --rm $I no-such-program")
            .exits(127)
            .has("executable file not found"),
        check("run: 127 for a missing path", "$E run --rm $I /no/such/path")
            .exits(127)
            .has("no such file or directory"),
        check("run: a signal's exit code", "$E run --rm --init $I sh -c 'kill -TERM $$'")
            .exits(143),
        check("run -t: a terminal without input", "$E run --rm -t $I sh -c 'test -t 1 && tty'")
            .has("/dev/pts/0"),
        check("run -it: a terminal of the right size", "$E run --rm -it $I sh")
            .types("until stty size | grep 101; do sleep 0.1; done; tty; exit 4\n")
            .has("/dev/pts/0")
            .has("33 101")
            .exits(4),
        check(
            "run -it: detach by keys",
            "$E run -it --name $N $I sh; $E inspect -f 'it is {{.State.Status}}' $N",
        )
        .types("\x10\x11")
        .has("it is running"),
        check(
            "run: five at once",
            "for i in 1 2 3 4 5; do $E run --rm $I echo $i > $W/$i & done; wait; cat $W/[1-5]",
        )
        .prints("1 2 3 4 5"),
        check(
            "run: Debian",
            "$E run --rm $D sh -c '. /etc/os-release; echo $ID; runuser -u nobody -- id -u'",
        )
        .prints("debian 65534"),
    ]
}

/// What the process is: user, environment, directory, capabilities.
pub(crate) fn process() -> Vec<Check> {
    vec![
        check("--user: numbers", "$E run --rm --user 1234:5678 $I sh -c 'id -u; id -g'")
            .prints("1234 5678"),
        check("--user: a name, and its groups", "$E run --rm --user user $I sh -c 'id -u; id -G'")
            .prints("1000 1000 2000"),
        check("--group-add", "$E run --rm --user 5 --group-add 4321 $I id -G").has("4321"),
        check("--env", "$E run --rm --env COLOR=blue $I sh -c 'echo $COLOR'").prints("blue"),
        check("--workdir", "$E run --rm --workdir /tmp $I pwd").prints("/tmp"),
        check("--hostname", "$E run --rm --hostname box $I hostname").prints("box"),
        check("--entrypoint", "$E run --rm --entrypoint echo $I from there").prints("from there"),
        // podman raises nproc, which not every root may, unless it is given as well.
        check("--ulimit", "$E run --rm --ulimit nofile=100:200 --ulimit nproc=9999 $I sh -c \
            'ulimit -n; ulimit -Hn'")
            .prints("100 200"),
        check("--oom-score-adj", "$E run --rm --oom-score-adj 500 $I cat /proc/self/oom_score_adj")
            .prints("500"),
        check("--sysctl", "$E run --rm --sysctl net.ipv4.ip_forward=1 $I cat \
            /proc/sys/net/ipv4/ip_forward")
            .prints("1"),
        check("--cap-drop ALL", "$E run --rm --cap-drop ALL $I grep CapEff /proc/self/status")
            .prints("CapEff: 0000000000000000"),
        check("--cap-drop: what it forbids", "$E run --rm --cap-drop CHOWN $I chown 5 /tmp")
            .exits(1)
            .has("Operation not permitted"),
        check("--cap-add: not without it", "$E run --rm --network none $I ip link set lo down")
            .has("Operation not permitted")
            .exits(2),
        check("--cap-add", "$E run --rm --network none --cap-add NET_ADMIN $I ip link set lo down"),
        check("seccomp: the default profile", "$E run --rm $I grep Seccomp: /proc/self/status")
            .prints("Seccomp: 2"),
        check("seccomp: what it forbids", "$E run --rm $D setarch -R true")
            .exits(1)
            .has("failed to set personality"),
        check(
            "seccomp: none",
            "$E run --rm --security-opt seccomp=unconfined $I grep Seccomp: /proc/self/status",
        )
        .prints("Seccomp: 0"),
        check(
            "seccomp: a profile of one's own",
            r#"echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"],
            "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}' > $W/profile.json
            $E run --rm --security-opt seccomp=$W/profile.json $I mkdir /new"#,
        )
        .exits(1)
        .has("No space left"),
        check(
            "--security-opt no-new-privileges",
            "$E run --rm --security-opt no-new-privileges $I grep NoNewPrivs /proc/self/status",
        )
        .prints("NoNewPrivs: 1"),
    ]
}

/// What the process sees: mounts, devices, namespaces.
pub(crate) fn surroundings() -> Vec<Check> {
    vec![
        check(
            "-v: read and write",
            "echo a > $W/f; $E run --rm -v $W:/v $I sh -c 'cat /v/f; echo b > /v/f'; cat $W/f",
        )
        .prints("a b"),
        check("-v: read-only", "$E run --rm -v $W:/v:ro $I touch /v/f")
            .exits(1)
            .has("Read-only file system"),
        check("-v: a file", "echo one > $W/f; $E run --rm -v $W/f:/etc/one $I cat /etc/one")
            .prints("one"),
        check(
            "-v: a named volume outlives its container",
            "$E run --rm -v $N:/v $I touch /v/f; $E run --rm -v $N:/v $I ls /v; $E volume rm $N",
        )
        .has("f\n"),
        check(
            "-v: propagation",
            "$E run --rm -v $W:/v:rslave $I grep -c ' /v .*master:' /proc/self/mountinfo",
        )
        .prints("1"),
        check("--read-only", "$E run --rm --read-only $I touch /f")
            .exits(1)
            .has("Read-only file system"),
        check(
            "--tmpfs: writable, with its options",
            "$E run --rm --read-only --tmpfs /t:size=64k,noexec $I sh -c 'touch /t/f; \
                grep \" /t \" /proc/mounts'",
        )
        .has("size=64k")
        .has("noexec"),
        check(
            "--shm-size",
            "$E run --rm --shm-size 8m $I sh -c 'grep \" /dev/shm \" /proc/mounts'",
        )
        .has("size=8192k"),
        check(
            "--device: with its rights",
            "$E run --rm --device /dev/fuse:/dev/extra:r $I sh -c ': < /dev/extra; echo opened; \
                : > /dev/extra'",
        )
        .exits(1)
        .has("opened")
        .has("Operation not permitted"),
        check(
            "devices: no others",
            "$E run --rm --cap-add MKNOD $I sh -c 'mknod /tmp/d b 7 0 && head -c 1 /tmp/d'",
        )
        .exits(1)
        .has("Operation not permitted"),
        check(
            "/proc: what is masked and read-only",
            "$E run --rm $I sh -c 'head -c 1 /proc/kcore | wc -c; echo 1 > /proc/sys/kernel/panic'",
        )
        .exits(1)
        .has("0\n")
        .has("Read-only file system"),
        check("--init", "$E run --rm --init $I cat /proc/1/comm").exits(0).has("it"),
        check("--network none", "$E run --rm --network none $I ls /sys/class/net").prints("lo"),
        check(
            "--network host",
            "test $($E run --rm --network host $I readlink /proc/self/ns/net) = $(readlink \
                /proc/self/ns/net)",
        ),
        check(
            "--pid, --ipc and --uts host",
            "for n in pid ipc uts; do test $($E run --rm --$n host $I readlink /proc/self/ns/$n) \
                = $(readlink /proc/self/ns/$n); done",
        ),
        check(
            "--pid container:",
            "$E run -d --name $N $I sleep 300 > $W/id; $E run --rm --pid container:$N $I ps",
        )
        .has("sleep 300"),
        check(
            "--cgroupns private",
            "$E run --rm --cgroupns private $I grep -v ':/$' /proc/self/cgroup",
        )
        .exits(1)
        .prints(""),
    ]
}
