//! The command line, defined once: the parser, the help, and whatever else is derived from it, read
//! this table. The words are runc's (its manual pages), since engines type them.

/// A flag.
#[derive(Debug)]
pub(crate) struct Flag {
    /// Its long name, without dashes.
    pub(crate) long: &'static str,
    /// Its short name, without the dash.
    pub(crate) short: Option<char>,
    /// What its value is called in the help; `None`: a switch.
    pub(crate) value: Option<&'static str>,
    /// What it does.
    pub(crate) help: &'static str,
}

/// A command.
#[derive(Debug)]
pub(crate) struct Command {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does, in a line.
    pub(crate) about: &'static str,
    /// Its positional arguments, as the help shows them.
    pub(crate) positionals: &'static str,
    /// How many positional arguments it needs, and takes at most.
    pub(crate) count: (usize, usize),
    /// Whether everything behind the first positional argument is positional, too.
    pub(crate) rest_is_positional: bool,
    /// Its flags.
    pub(crate) flags: &'static [Flag],
    /// An example, for the help.
    pub(crate) example: &'static str,
}

const fn switch(long: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag { long, short, value: None, help }
}

const fn value(
    long: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag { long, short, value: Some(value), help }
}

/// Flags before the command.
pub(crate) const GLOBAL: &[Flag] = &[
    switch("debug", None, "log what is done, too"),
    value("log", None, "FILE", "append log lines to FILE instead of standard error"),
    value("log-format", None, "FORMAT", "text or json"),
    value("root", None, "DIR", "where containers are kept (default: /run/tare)"),
    switch("systemd-cgroup", None, "let systemd make the cgroup: --cgroup-manager systemd"),
    value("cgroup-manager", None, "WHO", "systemd, cgroupfs (default), or disabled: no cgroup"),
    value("rootless", None, "WHEN", "true, false or auto: without root's powers"),
    switch("help", Some('h'), "show help"),
    switch("version", Some('v'), "print the version"),
];

const HELP: Flag = switch("help", Some('h'), "show help");

const BUNDLE: Flag = value("bundle", Some('b'), "DIR", "the bundle (default: working directory)");
const CONSOLE_SOCKET: Flag =
    value("console-socket", None, "PATH", "AF_UNIX socket that gets the terminal's master");
const PIDFD_SOCKET: Flag =
    value("pidfd-socket", None, "PATH", "AF_UNIX socket that gets the process's pidfd");
const PID_FILE: Flag = value("pid-file", None, "FILE", "where the process id is written");
const NO_PIVOT: Flag = switch("no-pivot", None, "don't use pivot_root (for a root on a ramdisk)");
const NO_KEYRING: Flag = switch("no-new-keyring", None, "keep the caller's session keyring");
const PRESERVE: Flag =
    value("preserve-fds", None, "N", "pass N descriptors on, behind the standard streams");
const NO_SUBREAPER: Flag = switch("no-subreaper", None, "accepted for compatibility");

const TRACE: Flag = value("trace", None, "FILE", "write a timeline of the steps: tare trace FILE");

const JSON: Flag = switch("json", None, "for programs: JSON");
const AS_ID: Flag = value("id", None, "ID", "as if the container had this id (default: ID)");

/// The commands, in the order of the help.
pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "create",
        about: "create a container, whose process waits for start",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[
            BUNDLE,
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            PID_FILE,
            NO_PIVOT,
            NO_KEYRING,
            PRESERVE,
            NO_SUBREAPER,
            TRACE,
            HELP,
        ],
        example: "tare create --bundle /containers/web web",
    },
    Command {
        name: "start",
        about: "start the process of a created container",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare start web",
    },
    Command {
        name: "state",
        about: "print the state of a container as JSON",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare state web",
    },
    Command {
        name: "kill",
        about: "send a signal to a container's init",
        positionals: "ID [SIGNAL]",
        count: (1, 2),
        rest_is_positional: false,
        flags: &[switch("all", Some('a'), "send it to all processes of the container"), HELP],
        example: "tare kill web TERM",
    },
    Command {
        name: "delete",
        about: "delete a container and all that it holds",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[switch("force", Some('f'), "end it first, if it still runs"), HELP],
        example: "tare delete --force web",
    },
    Command {
        name: "run",
        about: "create a container and start it at once",
        positionals: "ID [-- COMMAND...]",
        count: (1, usize::MAX),
        rest_is_positional: false,
        flags: &[
            BUNDLE,
            value("rootfs", None, "DIR", "needs no bundle: run the default configuration in DIR"),
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            switch("detach", Some('d'), "return once it runs"),
            switch("keep", None, "don't delete it when it has ended"),
            PID_FILE,
            NO_PIVOT,
            NO_KEYRING,
            PRESERVE,
            NO_SUBREAPER,
            TRACE,
            HELP,
        ],
        example: "tare run --rootfs /srv/debian box -- cat /etc/os-release",
    },
    Command {
        name: "exec",
        about: "run another process in a container",
        positionals: "ID COMMAND [ARG...]",
        count: (1, usize::MAX),
        rest_is_positional: true,
        flags: &[
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            value("cwd", None, "DIR", "working directory in the container"),
            value("env", Some('e'), "NAME=VALUE", "set a variable (repeatable)"),
            switch("tty", Some('t'), "allocate a terminal"),
            value("user", Some('u'), "UID[:GID]", "run as that user"),
            value("additional-gids", Some('g'), "GID", "add a group (repeatable)"),
            value("process", Some('p'), "FILE", "take the process from a JSON file"),
            switch("detach", Some('d'), "return once it runs"),
            PID_FILE,
            value("process-label", None, "LABEL", "SELinux label"),
            value("apparmor", None, "PROFILE", "AppArmor profile"),
            switch("no-new-privs", None, "forbid gaining privileges by execve"),
            value("cap", Some('c'), "CAP", "add a capability (repeatable)"),
            PRESERVE,
            value("cgroup", None, "[CONTROLLER:]PATH", "run in a cgroup below the container's"),
            switch("ignore-paused", None, "also in a paused container"),
            NO_SUBREAPER,
            HELP,
        ],
        example: "tare exec --tty web sh",
    },
    Command {
        name: "list",
        about: "list containers",
        positionals: "",
        count: (0, 0),
        rest_is_positional: false,
        flags: &[
            value("format", Some('f'), "FORMAT", "table or json"),
            switch("quiet", Some('q'), "print ids only"),
            HELP,
        ],
        example: "tare list --format json",
    },
    Command {
        name: "ps",
        about: "show the processes of a container",
        positionals: "ID [PS OPTIONS...]",
        count: (1, usize::MAX),
        rest_is_positional: true,
        flags: &[value("format", Some('f'), "FORMAT", "table or json"), HELP],
        example: "tare ps web",
    },
    Command {
        name: "pause",
        about: "freeze all processes of a container",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare pause web",
    },
    Command {
        name: "resume",
        about: "thaw the processes of a paused container",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare resume web",
    },
    Command {
        name: "spec",
        about: "write a default config.json",
        positionals: "",
        count: (0, 0),
        rest_is_positional: false,
        flags: &[BUNDLE, switch("rootless", None, "for a user without root's powers"), HELP],
        example: "tare spec --bundle /containers/web",
    },
    Command {
        name: "update",
        about: "change the limits of a container",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[
            value(
                "resources",
                Some('r'),
                "FILE",
                "take the limits from a JSON file, or from standard input (-), and from no flag",
            ),
            value("memory", None, "BYTES", "memory; with k, m or g; -1: no limit"),
            value("memory-reservation", None, "BYTES", "memory to keep, if there is enough"),
            value("memory-swap", None, "BYTES", "memory and swap together; -1: no limit"),
            value("kernel-memory", None, "BYTES", "ignored"),
            value("kernel-memory-tcp", None, "BYTES", "ignored"),
            value("cpu-share", None, "N", "share of CPU time against others (1024: a usual one)"),
            value("cpu-period", None, "MICROSECONDS", "period of the CPU quota"),
            value("cpu-quota", None, "MICROSECONDS", "CPU time in a period; -1: no limit"),
            value("cpu-burst", None, "MICROSECONDS", "unused CPU time that may pile up"),
            value("cpu-rt-period", None, "MICROSECONDS", "period of the realtime CPU time"),
            value("cpu-rt-runtime", None, "MICROSECONDS", "realtime CPU time in a period"),
            value("cpu-idle", None, "0|1", "1: run only when nobody else wants to"),
            value("cpuset-cpus", None, "LIST", "CPUs, such as 0-3,7"),
            value("cpuset-mems", None, "LIST", "memory nodes"),
            value("pids-limit", None, "N", "number of tasks; -1: no limit"),
            value("blkio-weight", None, "N", "share of block I/O against others, 10 to 1000"),
            value("l3-cache-schema", None, "SCHEMA", "not supported yet"),
            value("mem-bw-schema", None, "SCHEMA", "not supported yet"),
            HELP,
        ],
        example: "tare update --memory 512m --pids-limit 100 web",
    },
    Command {
        name: "events",
        about: "print what a container uses, and when its memory runs out, as lines of JSON",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[
            value("interval", None, "DURATION", "how often, such as 500ms or 1m (default: 5s)"),
            switch("stats", None, "print what it uses, once"),
            HELP,
        ],
        example: "tare events --stats web",
    },
    Command {
        name: "check",
        about: "tell everything that is wrong with a bundle on this host, and what would be right",
        positionals: "[BUNDLE]",
        count: (0, 1),
        rest_is_positional: false,
        flags: &[JSON, AS_ID, NO_PIVOT, NO_KEYRING, HELP],
        example: "tare check /containers/web",
    },
    Command {
        name: "plan",
        about: "tell what create would do with a bundle, in order, and do nothing",
        positionals: "[BUNDLE]",
        count: (0, 1),
        rest_is_positional: false,
        flags: &[JSON, AS_ID, NO_PIVOT, NO_KEYRING, HELP],
        example: "tare plan --json /containers/web",
    },
    Command {
        name: "trace",
        about: "show a timeline that create or run wrote (--trace), as text or as a picture",
        positionals: "FILE",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[value("svg", None, "FILE", "draw it, as SVG; -: on standard output"), HELP],
        example: "tare trace --svg create.svg create.json",
    },
    Command {
        name: "features",
        about: "print what this program supports, as JSON",
        positionals: "",
        count: (0, 0),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare features",
    },
];
