//! The command line, defined once: the parser, the help, what shells complete and the manual read
//! this table. The words are runc's (its manual pages), since engines type them.
//!
//! What a value or an argument is called in the help also says what it may be ([`Takes`]).

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

/// What may stand in a place of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing: a switch.
    Nothing,
    /// Anything.
    Text,
    /// A whole number.
    Number,
    /// A file, or a socket.
    File,
    /// A directory.
    Directory,
    /// The id of a container.
    Container,
    /// A signal.
    Signal,
    /// One of these, between bars.
    OneOf(&'static str),
}

impl Takes {
    /// What may stand where the help says `name`.
    pub(crate) fn of(name: &'static str) -> Takes {
        match name.trim_matches(['[', ']', '.']) {
            "ID" => Takes::Container,
            "SIGNAL" => Takes::Signal,
            "FILE" | "SOCKET" => Takes::File,
            "DIR" | "BUNDLE" => Takes::Directory,
            "N" | "GID" => Takes::Number,
            several if several.contains('|') => Takes::OneOf(several),
            _ => Takes::Text,
        }
    }
}

impl Flag {
    /// What its value may be.
    pub(crate) fn takes(&self) -> Takes {
        self.value.map_or(Takes::Nothing, Takes::of)
    }
}

/// A command.
#[derive(Debug)]
pub(crate) struct Command {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does, in a line.
    pub(crate) about: &'static str,
    /// More about it, in a few sentences.
    pub(crate) details: &'static str,
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
    value("log", None, "FILE", "append log lines to FILE, or to journald:NAME or syslog:NAME"),
    value("log-format", None, "text|json", "form of the log lines (default: text)"),
    value("log-level", None, "error|warning|debug", "log less, or more"),
    value("root", None, "DIR", "where containers are kept (default: /run/tare)"),
    switch("systemd-cgroup", None, "let systemd make the cgroup: --cgroup-manager systemd"),
    value("cgroup-manager", None, "cgroupfs|systemd|disabled", "who makes the cgroup; nobody"),
    value("rootless", None, "true|false|auto", "do without cgroups that may not be written"),
    switch("help", Some('h'), "show help"),
    switch("version", Some('v'), "print the version"),
];

const HELP: Flag = switch("help", Some('h'), "show help");

const BUNDLE: Flag = value("bundle", Some('b'), "DIR", "the bundle (default: working directory)");
const CONSOLE_SOCKET: Flag =
    value("console-socket", None, "SOCKET", "AF_UNIX socket that gets the terminal's master");
const PIDFD_SOCKET: Flag =
    value("pidfd-socket", None, "SOCKET", "AF_UNIX socket that gets the process's pidfd");
const PID_FILE: Flag = value("pid-file", None, "FILE", "where the process id is written");
const NO_PIVOT: Flag = switch("no-pivot", None, "don't use pivot_root (for a root on a ramdisk)");
const NO_KEYRING: Flag = switch("no-new-keyring", None, "keep the caller's session keyring");
const PRESERVE: Flag =
    value("preserve-fds", None, "N", "pass N descriptors on, behind the standard streams");
const CONFIG: Flag =
    value("config", Some('f'), "FILE", "the configuration (default: config.json of the bundle)");
const REGEX: Flag =
    switch("regex", Some('r'), "ID is a regular expression: all containers that match it");
const FORMAT: Flag =
    value("format", Some('f'), "table|json", "form of the output (default: table)");
const NO_SUBREAPER: Flag = switch("no-subreaper", None, "accepted for compatibility");

const TRACE: Flag = value("trace", None, "FILE", "write a timeline of the steps: tare trace FILE");

const JSON: Flag = switch("json", None, "for programs: JSON");
const AS_ID: Flag = value("id", None, "ID", "as if the container had this id (default: ID)");
const IMAGES: Flag = value("image-path", None, "DIR", "where the images are (default: checkpoint)");
const WORK: Flag = value("work-path", None, "DIR", "where CRIU's logs go (default: to the images)");
const TCP_ESTABLISHED: Flag = switch("tcp-established", None, "TCP connections live on");
const UNIX_SOCKETS: Flag =
    switch("ext-unix-sk", None, "allow Unix sockets whose other end is outside");
const SHELL_JOB: Flag = switch("shell-job", None, "allow the terminal of a shell outside");
const FILE_LOCKS: Flag = switch("file-locks", None, "take held file locks along");
const LAZY_PAGES: Flag = switch("lazy-pages", None, "fetch pages of memory when they are used");
const CGROUPS_MODE: Flag = value(
    "manage-cgroups-mode",
    None,
    "MODE",
    "what CRIU does about cgroups: soft (default), full, strict or ignore",
);
const EMPTY_NS: Flag =
    value("empty-ns", None, "network", "make the namespace empty, as it is done in any case");
const AUTO_DEDUP: Flag = switch("auto-dedup", None, "drop pages that a newer image has, too");
const NETWORK_LOCK: Flag = value(
    "network-lock",
    None,
    "HOW",
    "keep packets away by iptables (default) or nftables, or skip it",
);

/// The commands, in the order of the help.
pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "create",
        about: "create a container, whose process waits for start",
        details: "Makes a container of a bundle, which is a directory with a config.json and a root \
                  file system. When this returns, the container is complete, and its process waits for \
                  the start command. What is wrong with the configuration is told at once and whole, \
                  before anything is made.",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[
            BUNDLE,
            CONFIG,
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
        details: "Lets the process of a created container go. When this returns the container's \
                  program runs; if it could not be executed, the error says why.",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare start web",
    },
    Command {
        name: "state",
        about: "print the state of a container as JSON",
        details: "Prints the container's id, status (creating, created, running, paused, stopped), \
                  pid, bundle and annotations, as the OCI specification has it, and its root, its \
                  creation time and its owner.",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare state web",
    },
    Command {
        name: "kill",
        about: "send a signal to a container's init",
        details: "Sends SIGTERM, or the signal that is named (TERM, SIGTERM or 15), to the container's \
                  first process. Without a pid namespace of its own SIGKILL goes to all of its \
                  processes.",
        positionals: "ID [SIGNAL]",
        count: (1, 2),
        rest_is_positional: false,
        flags: &[
            switch("all", Some('a'), "send it to all processes; that there are none is no error"),
            REGEX,
            HELP,
        ],
        example: "tare kill web TERM",
    },
    Command {
        name: "delete",
        about: "delete a container and all that it holds",
        details: "Removes a stopped container: its cgroup, what is kept of it, and what its poststop \
                  hooks clean up. One that was created and never started is ended first.",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[
            switch(
                "force",
                Some('f'),
                "end it first, if it still runs; that there is none is no error",
            ),
            REGEX,
            HELP,
        ],
        example: "tare delete --force web",
    },
    Command {
        name: "run",
        about: "create a container and start it at once",
        details: "Create and start in one. In the foreground it passes signals on and exits with the \
                  process's status (128 and the signal's number, if one ended it); then the container \
                  is deleted. With --rootfs no bundle is needed: the default configuration runs a \
                  shell, or COMMAND, in that directory.",
        positionals: "ID [-- COMMAND...]",
        count: (1, usize::MAX),
        rest_is_positional: false,
        flags: &[
            BUNDLE,
            CONFIG,
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
        details: "The process gets the container's user, environment, capabilities and filters, but \
                  for what the flags change; or all of it from a file (--process). In the foreground \
                  this exits with the process's status; 255 is a process that could not be set up.",
        positionals: "ID COMMAND [ARG...]",
        count: (1, usize::MAX),
        rest_is_positional: true,
        flags: &[
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            value("cwd", None, "PATH", "working directory in the container"),
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
        details: "Prints a line, or an object, for each container below --root.",
        positionals: "",
        count: (0, 0),
        rest_is_positional: false,
        flags: &[FORMAT, switch("quiet", Some('q'), "print ids only"), HELP],
        example: "tare list --format json",
    },
    Command {
        name: "ps",
        about: "show the processes of a container",
        details: "Prints the lines of the host's ps(1) that are about the container's processes. PS- \
                  OPTIONs take the place of -ef; there must be a column PID. With --format json: the \
                  process ids on the host.",
        positionals: "ID [PS-OPTION...]",
        count: (1, usize::MAX),
        rest_is_positional: true,
        flags: &[FORMAT, HELP],
        example: "tare ps web",
    },
    Command {
        name: "pause",
        about: "freeze all processes of a container",
        details: "Freezes them by the container's cgroup. A paused container can be killed and deleted \
                  by force.",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare pause web",
    },
    Command {
        name: "resume",
        about: "thaw the processes of a paused container",
        details: "Undoes pause.",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare resume web",
    },
    Command {
        name: "mounts",
        about: "add mounts to a container that lives, or remove them, by a list as in config.json",
        details: "FILE is a JSON array of mounts: binds, and file systems such as tmpfs. They are made \
                  inside the container as if they had been in its configuration, all of them or none. \
                  remove takes away what is mounted at the destinations of such a list.",
        positionals: "add|remove ID FILE",
        count: (3, 3),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare mounts add web mounts.json",
    },
    Command {
        name: "checkpoint",
        about: "save a running container to files, by CRIU, and delete it",
        details: "Has CRIU, a program of its own, save all processes of a container with their memory, \
                  open files and connections. Then the container is deleted, unless it is to go on. \
                  What binds bring in from the host is not saved, nor are the files of its root.",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[
            IMAGES,
            WORK,
            value("parent-path", None, "DIR", "images of a pre-dump, from where the new ones are"),
            switch("leave-running", None, "the container goes on"),
            TCP_ESTABLISHED,
            switch("tcp-skip-in-flight", None, "leave out connections that are being made"),
            switch("link-remap", None, "give open files without a name one again"),
            UNIX_SOCKETS,
            SHELL_JOB,
            LAZY_PAGES,
            value("status-fd", None, "N", "write a NUL there once pages can be fetched"),
            value("page-server", None, "ADDRESS:PORT", "send pages to a page server"),
            FILE_LOCKS,
            switch(
                "pre-dump",
                None,
                "save only memory, ahead of a checkpoint; the container goes on",
            ),
            CGROUPS_MODE,
            EMPTY_NS,
            AUTO_DEDUP,
            NETWORK_LOCK,
            HELP,
        ],
        example: "tare checkpoint --image-path /images/web web",
    },
    Command {
        name: "restore",
        about: "make a container again from the files of a checkpoint, by CRIU",
        details: "Makes a container of a bundle, with the processes that a checkpoint has saved: they \
                  go on where they were. The bundle's config.json and root file system must be as they \
                  were then. Without --detach this waits for the container's end, and deletes it.",
        positionals: "ID",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[
            CONSOLE_SOCKET,
            IMAGES,
            WORK,
            TCP_ESTABLISHED,
            switch("tcp-close", None, "close TCP connections instead of restoring them"),
            UNIX_SOCKETS,
            SHELL_JOB,
            FILE_LOCKS,
            CGROUPS_MODE,
            BUNDLE,
            switch("detach", Some('d'), "return once the container runs"),
            PID_FILE,
            NO_SUBREAPER,
            NO_PIVOT,
            EMPTY_NS,
            AUTO_DEDUP,
            LAZY_PAGES,
            NETWORK_LOCK,
            value("lsm-profile", None, "TYPE:NAME", "security profile instead of the saved one"),
            value(
                "lsm-mount-context",
                None,
                "CONTEXT",
                "context of mounts instead of the saved one",
            ),
            HELP,
        ],
        example: "tare restore --detach --bundle /containers/web --image-path /images/web web",
    },
    Command {
        name: "spec",
        about: "write a default config.json",
        details: "Writes config.json with a shell in a few namespaces, to be edited. It is never \
                  written over an existing one.",
        positionals: "",
        count: (0, 0),
        rest_is_positional: false,
        flags: &[BUNDLE, switch("rootless", None, "for a user without root's powers"), HELP],
        example: "tare spec --bundle /containers/web",
    },
    Command {
        name: "update",
        about: "change the limits of a container",
        details: "Changes what is named and leaves the rest. If one of the limits is refused, those \
                  before it are put back. The file has the form of linux.resources in config.json.",
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
            value("cpu-share", None, "SHARES", "share of CPU time against others (usual: 1024)"),
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
            value(
                "l3-cache-schema",
                None,
                "SCHEMA",
                "shares of the L3 cache, such as L3:0=7f0;1=1f",
            ),
            value(
                "mem-bw-schema",
                None,
                "SCHEMA",
                "shares of the memory bandwidth, such as MB:0=20;1=70",
            ),
            HELP,
        ],
        example: "tare update --memory 512m --pids-limit 100 web",
    },
    Command {
        name: "events",
        about: "print what a container uses, and when its memory runs out, as lines of JSON",
        details: "A line of JSON every few seconds, and one of type oom when the kernel ends a process \
                  for memory; ends with the container.",
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
        details: "Finds every problem at once, each with its line and column, its JSON pointer, what \
                  is wrong and what would be right, and changes nothing. Exits with 1 if create would \
                  refuse the bundle.",
        positionals: "[BUNDLE]",
        count: (0, 1),
        rest_is_positional: false,
        flags: &[CONFIG, JSON, AS_ID, NO_PIVOT, NO_KEYRING, HELP],
        example: "tare check /containers/web",
    },
    Command {
        name: "plan",
        about: "tell what create would do with a bundle, in order, and do nothing",
        details: "Namespaces, id maps, mounts with their flags, devices, writes to the cgroup, the \
                  shape of the filter of system calls, capabilities by name, hooks: all that the \
                  configuration and this host come to.",
        positionals: "[BUNDLE]",
        count: (0, 1),
        rest_is_positional: false,
        flags: &[CONFIG, JSON, AS_ID, NO_PIVOT, NO_KEYRING, HELP],
        example: "tare plan --json /containers/web",
    },
    Command {
        name: "trace",
        about: "show a timeline that create or run wrote (--trace), as text or as a picture",
        details: "A timeline has the steps of the runtime and of the container's process, in the trace \
                  format that browsers show, too.",
        positionals: "FILE",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[value("svg", None, "FILE", "draw it, as SVG; -: on standard output"), HELP],
        example: "tare trace --svg create.svg create.json",
    },
    Command {
        name: "features",
        about: "print what this program supports, as JSON",
        details: "Prints the versions, namespaces, capabilities, mount options, cgroup drivers, \
                  seccomp actions and whatever else this program understands, by the schema of the OCI \
                  specification. Of the machine only the flags of seccomp are asked.",
        positionals: "",
        count: (0, 0),
        rest_is_positional: false,
        flags: &[HELP],
        example: "tare features",
    },
    Command {
        name: "completion",
        about: "print what has a shell complete these commands",
        details: "For bash: source <(tare completion bash), or the output in a file of the directory \
                  bash-completion/completions. For zsh: as _tare in a directory of $fpath. For fish: as \
                  tare.fish in its completions. Commands, flags, container ids, signals and files are completed.",
        positionals: "bash|zsh|fish",
        count: (1, 1),
        rest_is_positional: false,
        flags: &[HELP],
        example: "source <(tare completion bash)",
    },
];
