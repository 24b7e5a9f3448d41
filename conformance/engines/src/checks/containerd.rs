//! containerd, through its own client: images, snapshots, tasks.

use crate::check::{Check, check};

/// A task that runs until it is killed.
macro_rules! sleeper {
    ($options:literal, $then:literal) => {
        concat!("$RUN -d ", $options, " $I $N sleep 300; ", $then)
    };
}

/// `ctr run` and its options.
pub(crate) fn run() -> Vec<Check> {
    let value = |options: &str, a: &str, b: &str| {
        format!(
            "case $V in 1) f={a};; 2) f=unified/$N/{b};; esac
            $RUN -d --cgroup /own/$N {options} $I $N sleep 300; cat /sys/fs/cgroup/$f"
        )
    };
    vec![
        check(
            "the configuration is valid and has tare",
            "containerd -c /etc/containerd/config.toml config dump | grep BinaryName; \
            $E plugins ls | grep ' cri '",
        )
        .has("BinaryName = \"/run/engines/bin/tare\"")
        .has("ok"),
        check("run: output", "$RUN --rm $I $N echo hello").prints("hello"),
        // The task lives until its line has been seen, and ctr-run.sh has no part in it.
        check(
            "run: input and output by ctr's own pipes",
            "mkfifo $W/in; exec 3<> $W/in; : > $W/out
            $E run --rm --runc-binary $HOME/bin/tare $I $N sh -c 'echo up; read x; exit $x' \
            < $W/in > $W/out &
            until grep up $W/out; do sleep 0.05; done; echo 7 >&3; wait $!",
        )
        .prints("up")
        .exits(7),
        check("run: exit code", "$RUN --rm $I $N sh -c 'exit 7'").exits(7),
        check("run: what can't be executed", "$RUN --rm $I $N /etc/passwd")
            .exits(1)
            .has("permission denied"),
        check("run: an unknown program", "$RUN --rm $I $N no-such-program")
            .exits(1)
            .has("executable file not found"),
        check(
            "run: nothing is left of what failed",
            "$RUN --rm $I $N no-such-program || $E task ls -q | grep -c $N",
        )
        .exits(1)
        .has("executable file not found")
        .has("0\n"),
        check("run: 2 MB of output", "$RUN --rm $I $N sh -c 'yes | head -c 2000000' | wc -c")
            .prints("2000000"),
        check("run -t: a terminal of the right size", "$RUN --rm -t $I $N sh")
            // Its end is typed at a prompt of its own: all before has come through then, and what comes
            // at the very end ctr may lose.
            .types("until stty size | grep 101; do sleep 0.1; done; tty\nexit 4\n")
            .has("/dev/pts/0")
            .has("33 101")
            .exits(4),
        check(
            "run: five at once",
            "for i in 1 2 3 4 5; do $RUN --rm $I $N$i echo $i > $W/$i & done; wait; cat $W/[1-5]",
        )
        .prints("1 2 3 4 5"),
        check(
            "run --env, --cwd",
            "$RUN --rm --env COLOR=blue --cwd /tmp $I $N sh -c 'echo $COLOR; pwd'",
        )
        .prints("blue /tmp"),
        check("run --user: none but root's by default", "$RUN --rm $I $N id -u").prints("0"),
        check("run --read-only", "$RUN --rm --read-only $I $N sh -c 'touch /f 2>&1'")
            .exits(1)
            .has("Read-only file system"),
        check(
            "run --mount: read and write",
            "$RUN --rm --mount type=bind,src=$W,dst=/v,options=rbind:rw $I $N touch /v/f; ls $W",
        )
        .prints("f"),
        check(
            "run --mount: read-only",
            "$RUN --rm --mount type=bind,src=$W,dst=/v,options=rbind:ro $I $N sh -c \
            'touch /v/f 2>&1'",
        )
        .exits(1)
        .has("Read-only file system"),
        check(
            "run --net-host",
            "test $($RUN --rm --net-host $I $N readlink /proc/self/ns/net) = \
            $(readlink /proc/self/ns/net)",
        ),
        check(
            "run --with-ns",
            "$RUN -d $I $N sleep 300; p=$($E task ls | awk -v n=$N '$1 == n { print $2 }')
            test $($RUN --rm --with-ns network:/proc/$p/ns/net $I ${N}b readlink \
            /proc/self/ns/net) = $(readlink /proc/$p/ns/net)",
        ),
        check("run --seccomp", "$RUN --rm --seccomp $I $N grep Seccomp: /proc/self/status")
            .prints("Seccomp: 2"),
        check("run: no new privileges", "$RUN --rm $I $N grep NoNewPrivs /proc/self/status")
            .prints("NoNewPrivs: 1"),
        check("run --cap-drop", "$RUN --rm --cap-drop CAP_CHOWN $I $N sh -c 'chown 5 /tmp 2>&1'")
            .exits(1)
            .has("Operation not permitted"),
        check("run --cap-add", "$RUN --rm --cap-add CAP_NET_ADMIN $I $N ip link set lo up"),
        check("run --device", "$RUN --rm --device /dev/fuse $I $N ls /dev/fuse")
            .prints("/dev/fuse"),
        check(
            "run --uidmap",
            "$RUN --rm --uidmap 0:100000:1000 --gidmap 0:100000:1000 $I $N sh \
            -c 'id -u; tr -s \" \" < /proc/self/uid_map'",
        )
        .prints("0 0 100000 1000"),
        check(
            "run --rootfs",
            "cp -a $ROOTFS $W/root; $RUN --rm --rootfs $W/root $N /bin/echo hello",
        )
        .prints("hello"),
        check("run: hello from Debian", "$RUN --rm $D $N sh -c '. /etc/os-release; echo $ID'")
            .prints("debian"),
        check(
            "run --memory-limit: the value",
            value("--memory-limit 67108864", "memory/own/$N/memory.limit_in_bytes", "memory.max"),
        )
        .prints("67108864"),
        check(
            "run --memory-limit: it holds",
            "$RUN --rm --memory-limit 33554432 $I $N dd if=/dev/zero of=/dev/null bs=200M count=1",
        )
        .exits(137),
        check("run --cpus", value("--cpus 0.5", "cpu/own/$N/cpu.cfs_quota_us", "cpu.max"))
            .has("50000"),
    ]
}

/// Tasks: exec, kill, pause, delete.
pub(crate) fn tasks() -> Vec<Check> {
    vec![
        check("task ls: running", sleeper!("", "$E task ls | grep $N")).has("RUNNING"),
        check(
            "task ps",
            sleeper!("", "$E task exec -d --exec-id x $N sleep 301; $E task ps $N | wc -l"),
        )
        .prints("3"),
        check("task metrics", sleeper!("", "$E task metrics --format json $N")).has("pids"),
        check(
            "exec: output and exit code",
            sleeper!("", "$E task exec --exec-id x $N sh -c 'echo hello; exit 7'"),
        )
        .prints("hello")
        .exits(7),
        check(
            "exec: user and directory",
            sleeper!(
                "",
                "$E task exec --exec-id x --user 1234:56 --cwd /tmp $N sh -c 'id -u; id -g; pwd'"
            ),
        )
        .prints("1234 56 /tmp"),
        check(
            "exec: an unknown program",
            sleeper!("", "$E task exec --exec-id x $N no-such-program"),
        )
        .exits(1)
        .has("executable file not found"),
        check("exec -t: a terminal", sleeper!("", "$E task exec -t --exec-id x $N sh"))
            .types("until stty size | grep 101; do sleep 0.1; done; tty; exit 4\n")
            .has("/dev/pts/0")
            .has("33 101")
            .exits(4),
        check(
            "exec: 20 probes",
            sleeper!("", "for i in $(seq 20); do $E task exec --exec-id x$i $N true; done"),
        ),
        check(
            "kill: a signal that the task takes",
            "$RUN -d $I $N sh -c 'trap \"exit 5\" USR1; touch /up; while :; do sleep 0.05; done'
            until $E task exec --exec-id x$(date +%N) $N test -e /up; do sleep 0.1; done
            $E task kill -s USR1 $N; $STOPPED; $E task delete $N",
        )
        .has("exit code 5"),
        check(
            "kill -9, then delete",
            sleeper!("", "$E task kill -s 9 $N; $STOPPED; $E task delete $N"),
        )
        .has("exit code 137"),
        check(
            "kill --all: what shares the host's pids as well",
            sleeper!(
                "--with-ns pid:/proc/1/ns/pid",
                "$E task exec -d --exec-id x $N sleep 302
            $E task kill -a -s 9 $N; $STOPPED; $E task delete $N; ! pgrep -f '^sleep 302'"
            ),
        ),
        check(
            "kill: not what has stopped",
            sleeper!("", "$E task kill -s 9 $N; $STOPPED; $E task kill -s 9 $N"),
        )
        .exits(1)
        .has("not found"),
        check(
            "pause and resume",
            sleeper!(
                "",
                "$E task pause $N; $E task ls | grep $N; $E task resume $N; $E task ls | grep $N"
            ),
        )
        .has("PAUSED")
        .has("RUNNING"),
        check(
            "pause: no exec",
            sleeper!(
                "",
                "$E task pause $N; \
            $E task exec --exec-id x $N true && exit 9; $E task resume $N; exit 3"
            ),
        )
        .exits(3)
        .has("paused"),
        check("delete: not what runs", sleeper!("", "$E task delete $N && exit 9; exit 3"))
            .exits(3),
        check(
            "delete -f: what runs",
            sleeper!("", "$E task delete -f $N || test $? = 137; $E task ls -q | grep -c $N"),
        )
        .exits(1)
        .has("0\n"),
        check(
            "containerd killed: its tasks go on",
            sleeper!(
                "",
                "kill -9 $(pidof containerd); start-containerd; \
                until ctr version > $W/o; do sleep 0.1; done
            $E task ls | grep $N; $E task exec --exec-id x $N echo hello; $E task kill -s 9 $N; \
            $STOPPED"
            ),
        )
        .has("RUNNING")
        .has("hello"),
        check(
            "the shim killed: containerd has the runtime clear up",
            sleeper!(
                "",
                "p=$($E task ls | awk -v n=$N '$1 == n { print $2 }')
            kill -9 $(pgrep -f \"^/usr/bin/containerd-shim-runc-v2 .* -id $N \"); \
            while test -e /proc/$p; do sleep 0.1; done
            while $E task ls -q | grep -x $N; do sleep 0.1; done"
            ),
        ),
        check(
            "create, then start",
            "$E container create $I $N echo late; $E task start --log-uri file://$W/log $N
            cat $W/log",
        )
        .prints("late"),
    ]
}
