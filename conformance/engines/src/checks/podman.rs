//! What podman alone does: pods, user namespaces, hooks, healthchecks on demand, builds, checkpoints.

use std::process::{Command, Stdio};

use crate::check::{Check, check};

/// `$N` counts in `/count` until it is at 20, and on: in memory, so that who starts anew is at 1.
const COUNTING: &str = "$E run -d --name $N $I sh -c 'while true; do i=$((i+1)); echo $i > /new; \
    mv /new /count; sleep 0.1; done' > $W/id
    until [ $($E exec $N cat /count || echo 0) -ge 20 ]; do sleep 0.1; done";

/// Whether CRIU can do its work on this machine's kernel.
fn criu() -> bool {
    let mut check = Command::new("criu");
    let check = check.arg("check").stdin(Stdio::null()).stdout(Stdio::null());
    check.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// podman's own.
pub(crate) fn own() -> Vec<Check> {
    vec![
        check(
            "the runtime is the one that containers.conf names",
            "$E info --format '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}'",
        )
        .prints("tare /run/engines/bin/tare"),
        check(
            "init, then start",
            "$E create --name $N $I echo late > $W/id; $E init $N > $W/id
            $E inspect -f '{{.State.Status}}' $N; $E start -a $N",
        )
        .prints("initialized late"),
        check(
            "--privileged",
            "$E run --rm --privileged $I sh -c 'mount -t tmpfs t /tmp \
            && grep -c \" /tmp tmpfs\" /proc/mounts'",
        )
        .prints("1"),
        check(
            "--preserve-fds",
            "echo kept > $W/f; exec 3< $W/f; $E run --rm --preserve-fds 1 $I cat /proc/self/fd/3",
        )
        .prints("kept"),
        check("--rootfs", "$E run --rm --rootfs $ROOTFS:O echo hello").prints("hello"),
        // 255 is how conmon tells podman that the time was up.
        check("--timeout", "$E run --rm --timeout 1 $I sleep 300").exits(255).takes(1.0..8.0),
        check(
            "--uidmap",
            "$E run --rm --uidmap 0:100000:1000 --gidmap 0:200000:1000 $I sh -c 'id -u; \
                tr -s \" \" < /proc/self/uid_map'",
        )
        .prints("0 0 100000 1000"),
        check(
            "--userns: exec, and the owner of files",
            "$E run -d --name $N --uidmap 0:100000:1000 $I sleep 300 > $W/id; \
                $E exec $N stat -c %u /etc/passwd
            stat -c %u /proc/$($E inspect -f '{{.State.Pid}}' $N)",
        )
        .prints("0 100000"),
        check(
            "--userns: limits hold",
            "$E run --rm --uidmap 0:100000:1000 -m 32m $I dd \
            if=/dev/zero of=/dev/null bs=200M count=1",
        )
        .exits(137),
        check("--cgroups no-conmon", "$E run --rm --cgroups no-conmon $I echo hello")
            .prints("hello"),
        check(
            "hooks: prestart and poststop",
            r#"cat > $W/hook.json << END
{"version": "1.0.0", "when": {"always": true}, "stages": ["prestart", "poststop"],
 "hook": {"path": "/bin/sh", "args": ["sh", "-c", "cat >> $W/seen; echo >> $W/seen"]}}
END
            $E --hooks-dir $W run --rm $I true; grep -c '"ociVersion"' $W/seen"#,
        )
        .prints("2"),
        check(
            "healthcheck",
            "$E run -d --name $N --health-cmd 'test -e /well' --health-interval disable $I sleep \
                300 > $W/id
            $E healthcheck run $N || echo ill; $E exec $N touch /well; \
            $E healthcheck run $N && echo well",
        )
        .has("ill")
        .has("well"),
        check(
            "pod: shared namespaces",
            "$E pod create --name $N > $W/id; $E run -d --pod $N $I sleep 300 > $W/a; \
                $E run -d --pod $N $I sleep 300 > $W/b
            for n in net ipc uts; do for c in a b; do $E exec $(cat $W/$c) readlink \
            /proc/self/ns/$n; done | uniq | wc -l; done",
        )
        .prints("1 1 1"),
        check(
            "pod: loopback between its containers",
            "$E pod create --name $N > $W/id; $E run -d --pod $N $I nc -l -p 99 -e echo across > \
                $W/a
            for i in $(seq 50); do $E run --rm --pod $N $I nc 127.0.0.1 99 && break; sleep 0.1; \
            done",
        )
        .has("across"),
        check(
            "pod: stop, start, and its state",
            "$E pod create --name $N > $W/id; $E run -d --pod $N $I sh -c 'trap exit TERM; \
                while :; do sleep 0.1; done' > $W/a
            f='{{.State}}'; $E pod inspect -f $f $N; $E pod stop -t 5 $N > $W/id; \
            $E pod inspect -f $f $N
            $E pod start $N > $W/id; $E pod inspect -f $f $N",
        )
        .prints("Running Exited Running"),
        check(
            "play kube",
            "cat > $W/pod.yaml << END
apiVersion: v1
kind: Pod
metadata: {name: $N}
spec: {restartPolicy: Never, containers: [{name: c, image: $I, command: [sh, -c, 'echo \
            from \\$WHO; sleep 300'],
  env: [{name: WHO, value: yaml}], resources: {limits: {memory: 64Mi}}, securityContext: \
            {readOnlyRootFilesystem: true}}]}
END
            $E play kube $W/pod.yaml > $W/id; until $E logs $N-c | grep from; do sleep 0.1; done
            $E exec $N-c touch /f || echo refused; $E play kube --down $W/pod.yaml > $W/id",
        )
        .has("from yaml")
        .has("refused"),
        check(
            "build",
            "echo in the image > $W/file; cat > $W/Dockerfile << END
FROM $I
ARG COLOR=red
RUN mkdir /made && echo \\$COLOR > /made/color
COPY file /made/file
USER 1000
RUN id -u > /tmp/user
WORKDIR /made
CMD cat color file /tmp/user
END
            $E build -q --pull-never --build-arg COLOR=blue -t localhost/built $W > $W/id 2>&1 \
            || cat $W/id
            $E run --rm localhost/built",
        )
        .prints("blue in the image 1000"),
        check(
            "build: a step that fails",
            "printf 'FROM %s\\nRUN exit 9\\n' $I > $W/Dockerfile; $E build --pull-never $W",
        )
        .has("exit status 9")
        .exits(9),
        check(
            "bridge: two containers reach each other",
            "$E network create $N > $W/id; $E run -d --network $N --name $N $I sleep 300 > $W/id
            ip=$($E inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' $N)
            $E run --rm --network $N --cap-add NET_RAW $I ping -c 1 -W 5 $ip; \
            $E rm -f -t 0 $N > $W/id; $E network rm $N",
        )
        .has("1 packets received"),
        check(
            "checkpoint, restore: it goes on counting",
            format!(
                "{COUNTING}
                $E container checkpoint $N > $W/id; $E inspect -f '{{{{.State.Status}}}}' $N
                $E container restore $N > $W/id; n=$($E exec $N cat /count); test $n -ge 20
                until [ $($E exec $N cat /count) -gt $n ]; do sleep 0.1; done; echo counts"
            ),
        )
        .unless(!criu(), "CRIU does not work with this kernel")
        .prints("exited counts"),
        check(
            "checkpoint into a file, restore from it",
            format!(
                "{COUNTING}
                $E container checkpoint -e $W/saved.tar.gz $N > $W/id; $E rm $N > $W/id
                $E container restore -i $W/saved.tar.gz > $W/id; n=$($E exec $N cat /count)
                test $n -ge 20; echo restored"
            ),
        )
        .unless(!criu(), "CRIU does not work with this kernel")
        .prints("restored"),
        check("rootless", "rootless run --rm $I sh -c 'id -u; echo hello'").prints("0 hello"),
        check(
            "rootless: exec and stop",
            "rootless run -d --name $N $I sleep 300 > $W/id; rootless exec $N echo hello; \
                rootless stop -t 0 $N > $W/id
            rootless inspect -f '{{.State.ExitCode}}' $N; rootless rm $N > $W/id",
        )
        .has("hello")
        .has("137"),
    ]
}
