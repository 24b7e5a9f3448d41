//! The names that the specification has for the kernel's numbers.

/// Refused as runc refuses it: engines show this sentence.
pub const NO_CONSOLE_SOCKET: &str =
    "cannot allocate tty if runc will detach without setting console socket";
/// Refused as runc refuses it: engines show this sentence.
pub const USELESS_CONSOLE_SOCKET: &str =
    "cannot use console socket if runc will not detach or allocate tty";

/// What `start` says of a container that was created without a process, in runc's words.
pub const NO_PROCESS: &str = "process property must not be empty";

/// Capabilities by number (capabilities(7), linux/capability.h), without their `CAP_`.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The number of a capability, by its name with or without `CAP_`, in any case.
pub fn capability(name: &str) -> Option<u8> {
    let bare = match name.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("CAP_") => &name[4..],
        _ => name,
    };
    CAPABILITIES.iter().position(|known| known.eq_ignore_ascii_case(bare)).map(|n| n as u8)
}

/// The name of a capability, with `CAP_`, by its number.
pub fn capability_name(number: u8) -> Option<String> {
    CAPABILITIES.get(usize::from(number)).map(|bare| format!("CAP_{bare}"))
}

/// Resource limits (getrlimit(2)) by their names.
#[allow(clippy::unnecessary_cast, reason = "the constants' type differs between libcs")]
const RLIMITS: [(&str, u32); 16] = [
    ("RLIMIT_AS", libc::RLIMIT_AS as u32),
    ("RLIMIT_CORE", libc::RLIMIT_CORE as u32),
    ("RLIMIT_CPU", libc::RLIMIT_CPU as u32),
    ("RLIMIT_DATA", libc::RLIMIT_DATA as u32),
    ("RLIMIT_FSIZE", libc::RLIMIT_FSIZE as u32),
    ("RLIMIT_LOCKS", libc::RLIMIT_LOCKS as u32),
    ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK as u32),
    ("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE as u32),
    ("RLIMIT_NICE", libc::RLIMIT_NICE as u32),
    ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE as u32),
    ("RLIMIT_NPROC", libc::RLIMIT_NPROC as u32),
    ("RLIMIT_RSS", libc::RLIMIT_RSS as u32),
    ("RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO as u32),
    ("RLIMIT_RTTIME", libc::RLIMIT_RTTIME as u32),
    ("RLIMIT_SIGPENDING", libc::RLIMIT_SIGPENDING as u32),
    ("RLIMIT_STACK", libc::RLIMIT_STACK as u32),
];

/// The number of a resource limit by its name.
pub fn rlimit(name: &str) -> Option<u32> {
    RLIMITS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The name of a resource limit.
pub fn rlimit_name(number: u32) -> Option<&'static str> {
    RLIMITS.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

/// Scheduling policies by number (sched_setattr(2)).
pub const SCHEDULERS: [&str; 7] = [
    "SCHED_OTHER",
    "SCHED_FIFO",
    "SCHED_RR",
    "SCHED_BATCH",
    "SCHED_ISO",
    "SCHED_IDLE",
    "SCHED_DEADLINE",
];

/// `SCHED_FLAG_*`: bit N is flag N (sched_setattr(2)).
pub const SCHEDULER_FLAGS: [&str; 7] = [
    "SCHED_FLAG_RESET_ON_FORK",
    "SCHED_FLAG_RECLAIM",
    "SCHED_FLAG_DL_OVERRUN",
    "SCHED_FLAG_KEEP_POLICY",
    "SCHED_FLAG_KEEP_PARAMS",
    "SCHED_FLAG_UTIL_CLAMP_MIN",
    "SCHED_FLAG_UTIL_CLAMP_MAX",
];

/// I/O scheduling classes by number (ioprio_set(2)).
pub const IO_CLASSES: [&str; 4] =
    ["IOPRIO_CLASS_NONE", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];

/// The number of a signal, by number or by name with or without `SIG`, in any case.
///
/// Numbers up to the last realtime signal (64) are taken as they are.
pub fn signal(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (0..=64).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = bare.strip_prefix("RTMIN") {
        return realtime(34, rest).filter(|n| (34..=64).contains(n));
    }
    if let Some(rest) = bare.strip_prefix("RTMAX") {
        return realtime(64, rest).filter(|n| (34..=64).contains(n));
    }
    SIGNALS.iter().find(|(known, _)| *known == bare).map(|(_, number)| *number)
}

fn realtime(base: i32, offset: &str) -> Option<i32> {
    if offset.is_empty() { Some(base) } else { offset.parse::<i32>().ok().map(|n| base + n) }
}

/// Signals by name, without their `SIG` (signal(7)).
pub const SIGNALS: [(&str, i32); 34] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_come_by_number_and_by_every_form_of_name() {
        for name in ["9", "KILL", "SIGKILL", "kill", "sigkill"] {
            assert_eq!(signal(name), Some(9), "{name}");
        }
        assert_eq!(signal("RTMIN+1"), Some(35));
        assert_eq!(signal("SIGRTMAX-1"), Some(63));
        for name in ["", "SIG", "NOPE", "65", "-1", "RTMIN+99"] {
            assert_eq!(signal(name), None, "{name}");
        }
    }

    #[test]
    fn capabilities_come_with_and_without_prefix() {
        assert_eq!(capability("CAP_CHOWN"), Some(0));
        assert_eq!(capability("cap_checkpoint_restore"), Some(40));
        assert_eq!(capability("SYS_ADMIN"), Some(21));
        assert_eq!(capability("CAP_NOPE"), None);
    }
}
