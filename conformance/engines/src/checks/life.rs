//! A container's life: exec, stop, kill, pause, restart and what is told of it.

use crate::check::{Check, check};

/// A container that runs until it is stopped.
macro_rules! sleeper {
    ($then:literal) => {
        concat!("$E run -d --name $N $I sleep 300 > $W/id; ", $then)
    };
}

/// One that says when it is ready, and counts up in /n from then on.
macro_rules! counter {
    ($then:literal) => {
        concat!(
            "$E run -d --name $N $I sh -c 'n=0; while :; do n=$((n+1)); echo $n > /n; sleep 0.05; \
                done' > $W/id
            until $E exec $N test -s /n; do sleep 0.1; done
            ",
            $then
        )
    };
}

/// `exec`.
pub(crate) fn exec() -> Vec<Check> {
    vec![
        check("exec: output and exit code", sleeper!("$E exec $N sh -c 'echo hello; exit 7'"))
            .prints("hello")
            .exits(7),
        check("exec -i: input", sleeper!("echo typed | $E exec -i $N cat")).prints("typed"),
        check(
            "exec: user, environment, directory",
            sleeper!(
                "$E exec -u 1234:56 -e COLOR=blue -w /tmp $N sh -c 'id -u; id -g; echo $COLOR; pwd'"
            ),
        )
        .prints("1234 56 blue /tmp"),
        check("exec: 126", sleeper!("$E exec $N /etc/passwd || test $? = 126"))
            .has("ermission denied"),
        check(
            "exec: an unknown program",
            sleeper!("$E exec $N no-such-program || test $? = $NOT_FOUND"),
        )
        .has("executable file not found"),
        check(
            "exec: by signal",
            sleeper!("for s in 9 15; do $E exec $N sh -c \"kill -$s \\$\\$\" || echo $?; done"),
        )
        .prints("137 143"),
        check("exec -it: a terminal", sleeper!("$E exec -it $N sh"))
            .types("until stty size | grep 101; do sleep 0.1; done; tty; exit 4\n")
            .has("/dev/pts/0")
            .has("33 101")
            .exits(4),
        check(
            "exec -d",
            sleeper!(
                "$E exec -d $N sh -c 'echo there > /f'; until $E exec $N cat /f; do sleep 0.1; done"
            ),
        )
        .has("there"),
        check(
            "exec: as confined as its container",
            sleeper!(
                "for f in CapEff CapBnd Seccomp: NoNewPrivs; do
                $E exec $N grep $f /proc/self/status > $W/a; \
                $E exec $N grep $f /proc/1/status > $W/b; cmp $W/a $W/b; done
                $E exec $N cat /proc/self/cgroup > $W/a; $E exec $N cat /proc/1/cgroup > $W/b; \
                cmp $W/a $W/b"
            ),
        ),
        check("exec: 20 probes", sleeper!("for i in $(seq 20); do $E exec $N true; done")),
        check(
            "exec: eight at once",
            sleeper!("for i in $(seq 8); do $E exec $N echo $i > $W/$i & done; wait; cat $W/[1-8]"),
        )
        .prints("1 2 3 4 5 6 7 8"),
        check(
            "exec: not in what has stopped",
            "$E run --name $N $I true; $E exec $N true && exit 9; exit 3",
        )
        .exits(3)
        .has("running"),
    ]
}

/// `stop`, `kill`, `pause`, `restart`, `rm`.
pub(crate) fn control() -> Vec<Check> {
    vec![
        check(
            "stop: by its signal",
            "$E run -d --name $N $I sh -c 'trap \"exit 3\" TERM; touch /up; while :; \
                do sleep 0.05; done' > $W/id
            until $E exec $N test -e /up; do sleep 0.1; done
            $E stop -t 20 $N > $W/id; $E inspect -f '{{.State.ExitCode}}' $N",
        )
        .prints("3")
        .takes(0.0..10.0),
        check(
            "stop: by force after the timeout",
            sleeper!("$E stop -t 1 $N > $W/id; $E inspect -f '{{.State.ExitCode}}' $N"),
        )
        .has("137")
        .takes(1.0..10.0),
        check(
            "stop: with the signal of one's choice",
            "$E run -d --stop-signal USR1 --name $N $I sh -c 'trap \"exit 5\" USR1; touch /up; \
                while :; do sleep 0.05; done' > $W/id
            until $E exec $N test -e /up; do sleep 0.1; done
            $E stop -t 20 $N > $W/id; $E wait $N",
        )
        .prints("5")
        .takes(0.0..10.0),
        check("kill", sleeper!("$E kill $N > $W/id; $E wait $N")).prints("137"),
        check(
            "kill: a signal that the container takes",
            "$E run -d --name $N $I sh -c 'trap \"echo caught\" USR1; touch /up; while :; \
                do sleep 0.05; done' > $W/id
            until $E exec $N test -e /up; do sleep 0.1; done
            $E kill -s USR1 $N > $W/id; until $E logs $N | grep caught; do sleep 0.1; done",
        )
        .prints("caught"),
        check(
            "kill: by the signal's exit code",
            "$E run -d --init --name $N $I sleep 300 > $W/id; sleep 0.3; \
                $E kill -s TERM $N > $W/id; $E wait $N",
        )
        .prints("143"),
        check(
            "kill: from outside of the engine",
            sleeper!("kill -9 $($E inspect -f '{{.State.Pid}}' $N); $E wait $N"),
        )
        .prints("137"),
        check(
            "kill: not what has stopped",
            "$E run --name $N $I true; $E kill $N && exit 9; exit 3",
        )
        .exits(3)
        .has("running"),
        check(
            "pause and unpause",
            counter!(
                "$E pause $N > $W/id; $E inspect -f '{{.State.Status}}' $N
            $E cp $N:/n $W/a; sleep 0.3; $E cp $N:/n $W/b; cmp $W/a $W/b
            $E unpause $N > $W/id; sleep 0.3; $E exec $N cat /n > $W/c; ! cmp -s $W/a $W/c
            $E inspect -f '{{.State.Status}}' $N"
            ),
        )
        .prints("paused running"),
        check(
            "pause: no exec",
            sleeper!(
                "$E pause $N > $W/id; $E exec $N true && exit 9; $E unpause $N > $W/id; exit 3"
            ),
        )
        .exits(3),
        check(
            "restart",
            sleeper!(
                "a=$($E inspect -f '{{.State.Pid}}' $N); $E restart -t 0 $N > $W/id
            b=$($E inspect -f '{{.State.Pid}}' $N); test $a != $b; $E exec $N echo up"
            ),
        )
        .prints("up"),
        check(
            "--restart on-failure",
            "$E run -d --restart on-failure:2 --name $N $I sh -c 'echo again; exit 1' > $W/id
            until $E logs $N | grep -c again | grep 3; do sleep 0.2; done",
        ),
        check("start again what has stopped", "$E run --name $N $I echo once; $E start -a $N")
            .prints("once once"),
        check(
            "create, then start",
            "$E create --name $N $I sh -c 'echo late; exit 2' > $W/id
            $E inspect -f '{{.State.Status}}' $N; $E start -a $N",
        )
        .prints("created late")
        .exits(2),
        check("rm: not what runs", sleeper!("$E rm $N && exit 9; exit 3")).exits(3),
        check(
            "rm -f: what runs, at once",
            sleeper!(
                "p=$($E inspect -f '{{.State.Pid}}' $N); $E rm -f $RM $N > $W/id; test ! -e /proc/$p
            $E ps -a --format '{{.Names}}' | grep -c $N"
            ),
        )
        .prints("0")
        .exits(1)
        .takes(0.0..8.0),
    ]
}

/// `logs`, `inspect`, `ps`, `top`, `stats`, `cp`.
pub(crate) fn reports() -> Vec<Check> {
    vec![
        check(
            "logs",
            "$E run --name $N $I sh -c 'echo a; echo b >&2' > $W/o 2>&1; \
            $E logs $N 2> $W/e; cat $W/e",
        )
        .prints("a b"),
        check(
            "logs -f: until the end",
            "$E run -d --name $N $I sh -c 'for i in 1 2 3; do echo $i; sleep 0.2; done' > $W/id; \
                $E logs -f $N",
        )
        .prints("1 2 3"),
        check("wait", "$E run -d --name $N $I sh -c 'sleep 0.3; exit 42' > $W/id; $E wait $N")
            .prints("42"),
        check(
            "inspect: running, then exited",
            sleeper!(
                "f='{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}'; \
                $E inspect -f \"$f\" $N
            kill -0 $($E inspect -f '{{.State.Pid}}' $N); $E kill $N > $W/id; $E wait $N > $W/id
            $E inspect -f \"$f\" $N"
            ),
        )
        .prints("running true 0 exited false 137"),
        check("ps", sleeper!("$E ps --format '{{.Names}} {{.Status}}' | grep $N")).has(" Up "),
        check("top", sleeper!("$E exec -d $N sleep 301; $E top $N"))
            .has("sleep 300")
            .has("sleep 301"),
        check("stats", sleeper!("$E stats --no-stream --format '{{.PIDs}}' $N")).prints("1"),
        check(
            "cp: both ways",
            sleeper!(
                "echo a > $W/f; $E cp $W/f $N:/f; $E exec $N cat /f; \
                $E cp $N:/etc/passwd $W/p; grep -c root: $W/p"
            ),
        )
        .has("a\n")
        .has("1\n"),
    ]
}
