//! What Docker alone does: builds with both builders, healthchecks, its bridge, live restore.

use crate::check::{Check, check};

/// A Dockerfile for both builders.
macro_rules! build {
    ($builder:literal) => {
        concat!(
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
            DOCKER_BUILDKIT=",
            $builder,
            " $E build -q --build-arg COLOR=blue -t built:$N $W > $W/id 2>&1 || cat $W/id
            $E run --rm built:$N"
        )
    };
}

/// Docker's own. `privileged` is whether this machine's root can give all capabilities.
pub(crate) fn own(privileged: bool) -> Vec<Check> {
    vec![
        check(
            "the runtime is the one that daemon.json names",
            "$E info --format '{{.DefaultRuntime}} {{(index .Runtimes \"tare\").Path}}'",
        )
        .prints("tare /run/engines/bin/tare"),
        check("--runtime", "$E run --rm --runtime tare $I echo hello").prints("hello"),
        check(
            "--privileged",
            "$E run --rm --privileged $I sh -c 'mount -t tmpfs t /tmp \
            && grep -c \" /tmp tmpfs\" /proc/mounts'",
        )
        .prints("1")
        .unless(
            !privileged,
            "root lacks CAP_SYS_RESOURCE here, and dockerd asks for every capability",
        ),
        check(
            "--security-opt systempaths=unconfined",
            "$E run --rm --security-opt \
            systempaths=unconfined $I sh -c 'grep -c \" /proc/\" /proc/mounts'",
        )
        .exits(1)
        .prints("0"),
        check(
            "memory: the kill is reported",
            "$E run --name $N -m 32m $I dd if=/dev/zero of=/dev/null bs=200M count=1 \
                || $E inspect -f '{{.State.OOMKilled}}' $N",
        )
        .has("true"),
        check(
            "healthcheck: healthy, then not",
            "$E run -d --name $N --health-cmd 'test -e /well' --health-interval 0.3s \
                --health-retries 1 $I sh -c 'touch /well; sleep 300' > $W/id
            h() { for i in $(seq 60); do $E inspect -f '{{.State.Health.Status}}' $N | grep -x $1 \
            && return; sleep 0.1; done; false; }
            h healthy; $E exec $N rm /well; h unhealthy",
        )
        .prints("healthy unhealthy"),
        check("build: the classic builder", build!("0")).prints("blue in the image 1000"),
        check("build: BuildKit", build!("1")).prints("blue in the image 1000"),
        check(
            "build: a step that fails",
            "printf 'FROM %s\\nRUN exit 9\\n' $I > $W/Dockerfile; DOCKER_BUILDKIT=0 $E build $W",
        )
        .has("returned a non-zero code: 9")
        .exits(9),
        check(
            "bridge: two containers reach each other by name",
            "$E network create $N > $W/id; $E run -d --network $N --name $N $I sleep 300 > $W/id
            $E run --rm --network $N $I ping -c 1 -W 5 $N; $E rm -f $N > $W/id; $E network rm $N",
        )
        .has("1 packets received"),
        check(
            "-p: a published port",
            "$E run -d -p 127.0.0.1:8099:99 --name $N $I nc -l -p 99 -e echo across > $W/id
            ip=$($E inspect -f '{{.NetworkSettings.IPAddress}}' $N); $E port $N; sleep 0.3; \
            busybox nc $ip 99",
        )
        .has("99/tcp -> 127.0.0.1:8099")
        .has("across"),
        check(
            "--network container:",
            "$E run -d --name $N $I sleep 300 > $W/id
            test $($E run --rm --network container:$N $I readlink /proc/self/ns/net) = $($E exec \
            $N readlink /proc/self/ns/net)",
        ),
        check("--workdir: made if missing", "$E run --rm --workdir /a/new/place $I pwd")
            .prints("/a/new/place"),
        check(
            "run -v: a nested read-only mount",
            "mkdir $W/in; \
            $E run --rm -v $W:/v -v $W/in:/v/in:ro $I sh -c 'touch /v/f && touch /v/in/f'",
        )
        .exits(1)
        .has("/v/in/f: Read-only file system"),
        check(
            "dockerd killed: its containers go on",
            "$E run -d --name $N $I sleep 300 > $W/id; kill -9 $(pidof dockerd); start-dockerd
            until $E info > $W/o 2>&1; do sleep 0.1; done
            $E inspect -f '{{.State.Status}}' $N; $E exec $N echo hello; $E kill $N > $W/id; \
            $E wait $N",
        )
        .prints("running hello 137"),
        check(
            "events",
            "a=$(date +%s); $E run --name $N $I true; \
            $E events --since $a --until $(($(date +%s) + 1)) --filter container=$N --format \
            '{{.Action}}'",
        )
        .has("create")
        .has("start")
        .has("die"),
    ]
}
