//! Limits: the value that reaches the cgroup, and that the kernel then holds the container to it.

use crate::check::{Check, check};

/// Limits, as podman and Docker both spell them. The containers look at their own cgroup, which
/// is mounted in them read-only; `a` is the file's path in v1 and `b` the one in v2.
pub(crate) fn limits() -> Vec<Check> {
    let value = |options: &str, a: &str, b: &str| {
        format!(
            "case $V in 1) f={a};; 2) f={b};; esac; $E run --rm {options} $I cat /sys/fs/cgroup/$f"
        )
    };
    vec![
        check("-m: the value", value("-m 64m", "memory/memory.limit_in_bytes", "memory.max"))
            .prints("67108864"),
        check("-m: it holds", "$E run --rm -m 32m $I dd if=/dev/zero of=/dev/null bs=200M count=1")
            .exits(137),
        check(
            "--memory-reservation",
            value(
                "-m 64m --memory-reservation 32m",
                "memory/memory.soft_limit_in_bytes",
                "memory.low",
            ),
        )
        .prints("33554432"),
        check(
            "--cpus: the value",
            "case $V in 1) f=cpu/cpu.cfs_quota_us;; 2) f=cpu.max;; esac
            $E run --rm --cpus 0.5 $I cut -d ' ' -f 1 /sys/fs/cgroup/$f",
        )
        .prints("50000"),
        check(
            "--cpus: it holds",
            "case $V in 1) f=cpu/cpu.stat;; 2) f=cpu.stat;; esac
            $E run --rm --cpus 0.2 $I sh -c \"timeout 1 sh -c 'while :; do :; done'; \
            grep nr_throttled /sys/fs/cgroup/$f\" > $W/o
            read name times < $W/o; test $times -gt 4",
        ),
        check("--cpu-shares", value("--cpu-shares 512", "cpu/cpu.shares", "cpu.weight")).exits(0),
        check("--cpuset-cpus", value("--cpuset-cpus 0", "cpuset/cpuset.cpus", "cpuset.cpus"))
            .prints("0"),
        check(
            "--cpuset-cpus: it holds",
            "$E run --rm --cpuset-cpus 1 $I grep Cpus_allowed_list /proc/self/status",
        )
        .prints("Cpus_allowed_list: 1"),
        check("--pids-limit: the value", value("--pids-limit 50", "pids/pids.max", "pids.max"))
            .prints("50"),
        check(
            "--pids-limit: it holds",
            "$E run --rm --pids-limit 10 $I sh -c 'for i in $(seq 20); do sleep 1 & done; wait'",
        )
        .exits(2)
        .has("can't fork"),
        check(
            "--memory-swap",
            value(
                "-m 64m --memory-swap 96m",
                "memory/memory.memsw.limit_in_bytes",
                "memory.swap.max",
            ),
        )
        .unless(
            !std::path::Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists(),
            "the kernel counts no swap",
        ),
        check(
            "--device-write-bps",
            "case $V in 1) f=blkio/blkio.throttle.write_bps_device;; 2) f=io.max;; esac
            $E run --rm --device-write-bps /dev/loop0:1mb $I cat /sys/fs/cgroup/$f",
        )
        .has("1048576"),
        check(
            "--device-cgroup-rule",
            "$E run --rm --device-cgroup-rule 'b 7:* rm' --cap-add \
            MKNOD $I sh -c 'mknod /tmp/d b 7 0 && dd if=/tmp/d count=0'",
        )
        .has("0+0 records in"),
        check(
            "--cgroup-parent",
            "$E run --rm --cgroup-parent /chosen --cgroupns host $I grep -c \
            /chosen/ /proc/self/cgroup",
        )
        .has_not("rror")
        .exits(0),
        check(
            "update: the value",
            "case $V in 1) f=memory/memory.limit_in_bytes;; 2) f=memory.max;; esac
            $E run -d -m 64m --name $N $I sleep 300 > $W/id
            $E update -m 96m --memory-swap 96m $N > $W/id; $E exec $N cat /sys/fs/cgroup/$f",
        )
        .prints("100663296")
        .needs("update"),
    ]
}
