//! Which system calls there are, what they are about, and what each can fail with.
//!
//! The list is complete by force: a traced call that is not in it is a failure of the sweep.

use libc::c_long;
use nix::errno::Errno;
use nix::errno::Errno::*;

/// Where among a call's arguments its object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// A path in memory, at this argument.
    Path(usize),
    /// An open file, at this argument.
    File(usize),
    /// Nothing that has a name.
    None,
}

/// A system call.
#[derive(Debug)]
pub(crate) struct Call {
    /// Its number's name in libc.
    constant: &'static str,
    number: c_long,
    /// What it is about.
    pub(crate) object: Object,
    /// What it is made to fail with; nothing where it can't fail in the way that it is used.
    pub(crate) errnos: &'static [Errno],
}

impl Call {
    /// The kernel's name.
    pub(crate) fn name(&self) -> &'static str {
        self.constant.trim_start_matches("SYS_")
    }
}

/// The call with this number.
pub(crate) fn by_number(number: i64) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.number == number)
}

/// The call with this name.
pub(crate) fn by_name(name: &str) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.name() == name)
}

macro_rules! calls {
    ($($name:ident $object:expr => [$($errno:ident)*];)*) => {
        &[$(Call {
            constant: stringify!($name),
            number: libc::$name,
            object: $object,
            errnos: &[$($errno),*],
        }),*]
    };
}

use Object::{File, None as Nothing, Path};

static CALLS: &[Call] = calls! {
    SYS_accept4 File(0) => [EMFILE ENOMEM EINTR ECONNABORTED];
    SYS_access Path(0) => [EACCES ENOMEM];
    SYS_arch_prctl Nothing => [];
    SYS_bind File(0) => [EADDRINUSE ENOSPC ENOMEM];
    SYS_bpf Nothing => [ENOMEM EPERM];
    SYS_brk Nothing => [];
    SYS_capget Nothing => [EPERM];
    SYS_capset Nothing => [EPERM];
    SYS_chdir Path(0) => [EACCES EIO ENOMEM];
    SYS_chmod Path(0) => [EPERM EIO];
    SYS_chroot Path(0) => [EPERM ENOMEM];
    SYS_clock_gettime Nothing => [];
    SYS_clock_nanosleep Nothing => [EINTR];
    SYS_clone3 Nothing => [EAGAIN ENOMEM EPERM ENOSPC];
    SYS_close File(0) => [EIO EINTR];
    SYS_close_range Nothing => [ENOMEM EMFILE];
    SYS_connect File(0) => [EINTR EAGAIN ECONNREFUSED];
    SYS_dup2 File(0) => [EBUSY EINTR];
    SYS_dup3 File(0) => [EBUSY EINTR];
    SYS_epoll_create1 Nothing => [EMFILE ENOMEM];
    SYS_eventfd2 Nothing => [EMFILE ENOMEM];
    SYS_execve Path(0) => [ENOMEM EIO EACCES];
    SYS_execveat Path(1) => [ENOMEM EIO EACCES];
    SYS_exit_group Nothing => [];
    SYS_faccessat Path(1) => [EACCES EIO ENOMEM];
    SYS_faccessat2 Path(1) => [EACCES EIO ENOMEM];
    SYS_fchdir File(0) => [EACCES EIO];
    SYS_fchmod File(0) => [EPERM EIO];
    SYS_fchmodat Path(1) => [EPERM EIO];
    SYS_fchown File(0) => [EPERM EIO];
    SYS_fchownat Path(1) => [EPERM EIO];
    SYS_fcntl File(0) => [EINTR];
    SYS_flock File(0) => [EINTR ENOLCK];
    SYS_fstat File(0) => [EIO ENOMEM];
    SYS_fstatfs File(0) => [EIO EINTR];
    SYS_ftruncate File(0) => [EIO EPERM];
    SYS_getcwd Nothing => [ENOMEM];
    SYS_getdents64 File(0) => [EIO ENOMEM];
    SYS_getegid Nothing => [];
    SYS_geteuid Nothing => [];
    SYS_getgid Nothing => [];
    SYS_getpid Nothing => [];
    SYS_getrandom Nothing => [EINTR];
    SYS_getuid Nothing => [];
    SYS_ioctl File(0) => [EIO EPERM];
    SYS_keyctl Nothing => [EDQUOT ENOMEM EPERM];
    SYS_kill Nothing => [EPERM];
    SYS_listen File(0) => [EADDRINUSE];
    SYS_lseek File(0) => [];
    SYS_lstat Path(0) => [EIO ENOMEM EACCES];
    SYS_madvise Nothing => [];
    SYS_memfd_create Nothing => [EMFILE ENOMEM];
    SYS_mkdir Path(0) => [ENOSPC EIO EPERM ENOMEM];
    SYS_mkdirat Path(1) => [ENOSPC EIO EPERM ENOMEM];
    SYS_mknodat Path(1) => [ENOSPC EIO EPERM];
    SYS_mmap Nothing => [ENOMEM];
    SYS_mount Path(1) => [EPERM ENOMEM EBUSY EINVAL];
    SYS_mount_setattr File(0) => [EPERM EBUSY EINVAL];
    SYS_move_mount File(0) => [EPERM EBUSY EINVAL];
    SYS_mprotect Nothing => [];
    SYS_munmap Nothing => [];
    SYS_nanosleep Nothing => [EINTR];
    SYS_newfstatat Path(1) => [EIO ENOMEM EACCES];
    SYS_open Path(0) => [EMFILE ENOMEM EIO EPERM EINTR];
    SYS_open_tree Path(1) => [EMFILE ENOMEM EPERM];
    SYS_openat Path(1) => [EMFILE ENOMEM EIO EPERM EINTR];
    SYS_openat2 Path(1) => [EMFILE ENOMEM EIO EPERM EINTR EAGAIN];
    SYS_pidfd_getfd File(0) => [EMFILE EPERM];
    SYS_pidfd_open Nothing => [EMFILE ENOMEM];
    SYS_pidfd_send_signal File(0) => [EPERM EAGAIN];
    SYS_pipe2 Nothing => [EMFILE];
    SYS_pivot_root Path(0) => [EBUSY EINVAL EPERM];
    SYS_poll Nothing => [EINTR];
    SYS_ppoll Nothing => [EINTR];
    SYS_prctl Nothing => [EPERM EINVAL];
    SYS_pread64 File(0) => [EIO EINTR];
    SYS_prlimit64 Nothing => [EPERM];
    SYS_read File(0) => [EIO EINTR];
    SYS_readlink Path(0) => [EIO ENOMEM EACCES];
    SYS_readlinkat Path(1) => [EIO ENOMEM EACCES];
    SYS_recvmsg File(0) => [ENOMEM EINTR];
    SYS_rename Path(0) => [ENOSPC EIO EPERM];
    SYS_renameat Path(1) => [ENOSPC EIO EPERM];
    SYS_restart_syscall Nothing => [];
    SYS_rmdir Path(0) => [EBUSY EIO EPERM];
    SYS_rt_sigaction Nothing => [];
    SYS_rt_sigprocmask Nothing => [];
    SYS_rt_sigreturn Nothing => [];
    SYS_sched_setaffinity Nothing => [EPERM EINVAL];
    SYS_seccomp Nothing => [ENOMEM EPERM];
    SYS_sendmsg File(0) => [ENOMEM EINTR];
    SYS_sendto File(0) => [ENOMEM EINTR];
    SYS_set_tid_address Nothing => [];
    SYS_setgroups Nothing => [EPERM ENOMEM];
    SYS_sethostname Nothing => [EPERM];
    SYS_setns File(0) => [EPERM ENOMEM];
    SYS_setresgid Nothing => [EPERM EAGAIN];
    SYS_setresuid Nothing => [EPERM EAGAIN];
    SYS_setsid Nothing => [EPERM];
    SYS_sigaltstack Nothing => [];
    SYS_signalfd4 Nothing => [EMFILE ENOMEM];
    SYS_socket Nothing => [EMFILE ENOMEM EPERM];
    SYS_socketpair Nothing => [EMFILE ENOMEM];
    SYS_stat Path(0) => [EIO ENOMEM EACCES];
    SYS_statfs Path(0) => [EIO EINTR];
    SYS_symlinkat Path(2) => [ENOSPC EIO EPERM];
    SYS_umask Nothing => [];
    SYS_umount2 Path(0) => [EBUSY EPERM];
    SYS_unlink Path(0) => [EBUSY EIO EPERM];
    SYS_unlinkat Path(1) => [EBUSY EIO EPERM];
    SYS_unshare Nothing => [EPERM ENOMEM ENOSPC];
    SYS_waitid Nothing => [EINTR];
    SYS_wait4 Nothing => [EINTR];
    SYS_write File(0) => [ENOSPC EIO EINTR EPERM EBUSY];
    SYS_writev File(0) => [ENOSPC EIO EINTR];
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_their_numbers() {
        let openat = by_number(libc::SYS_openat).unwrap();
        assert_eq!((openat.name(), openat.object), ("openat", Path(1)));
        assert!(by_number(-1).is_none());
        for call in CALLS {
            assert!(std::ptr::eq(by_number(call.number).unwrap(), call), "{} twice", call.name());
        }
    }
}
