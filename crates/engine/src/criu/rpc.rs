//! CRIU's messages (its `images/rpc.proto`): requests, their options by field number, and answers.

use super::wire::{Damaged, Fields, Message};

/// What is asked for (`criu_req_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Save processes.
    Dump = 1,
    /// Bring them back.
    Restore = 2,
    /// Save only their memory, and let them go on.
    PreDump = 4,
    /// The answer to a question of CRIU's.
    Notify = 6,
    /// Which features kernel and CRIU have together.
    FeatureCheck = 9,
    /// Which CRIU it is.
    Version = 10,
}

/// Numbers of `criu_opts`.
pub(crate) mod opts {
    pub(crate) const IMAGES_DIR_FD: u64 = 1;
    pub(crate) const PID: u64 = 2;
    pub(crate) const LEAVE_RUNNING: u64 = 3;
    pub(crate) const EXT_UNIX_SK: u64 = 4;
    pub(crate) const TCP_ESTABLISHED: u64 = 5;
    pub(crate) const EVASIVE_DEVICES: u64 = 6;
    pub(crate) const SHELL_JOB: u64 = 7;
    pub(crate) const FILE_LOCKS: u64 = 8;
    pub(crate) const LOG_LEVEL: u64 = 9;
    pub(crate) const LOG_FILE: u64 = 10;
    pub(crate) const PAGE_SERVER: u64 = 11;
    pub(crate) const NOTIFY_SCRIPTS: u64 = 12;
    pub(crate) const ROOT: u64 = 13;
    pub(crate) const PARENT_IMG: u64 = 14;
    pub(crate) const TRACK_MEM: u64 = 15;
    pub(crate) const AUTO_DEDUP: u64 = 16;
    pub(crate) const WORK_DIR_FD: u64 = 17;
    pub(crate) const LINK_REMAP: u64 = 18;
    pub(crate) const EXT_MNT: u64 = 23;
    pub(crate) const MANAGE_CGROUPS: u64 = 24;
    pub(crate) const CG_ROOT: u64 = 25;
    pub(crate) const RST_SIBLING: u64 = 26;
    pub(crate) const INHERIT_FD: u64 = 27;
    pub(crate) const MANAGE_CGROUPS_MODE: u64 = 34;
    pub(crate) const EXTERNAL: u64 = 37;
    pub(crate) const EMPTY_NS: u64 = 38;
    pub(crate) const JOIN_NS: u64 = 39;
    pub(crate) const FREEZE_CGROUP: u64 = 44;
    pub(crate) const TCP_SKIP_IN_FLIGHT: u64 = 46;
    pub(crate) const LAZY_PAGES: u64 = 48;
    pub(crate) const ORPHAN_PTS_MASTER: u64 = 50;
    pub(crate) const CONFIG_FILE: u64 = 51;
    pub(crate) const TCP_CLOSE: u64 = 52;
    pub(crate) const LSM_PROFILE: u64 = 53;
    pub(crate) const LSM_MOUNT_CONTEXT: u64 = 63;
    pub(crate) const NETWORK_LOCK: u64 = 64;
}

/// What kernel and CRIU can do together (`criu_features`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Features {
    /// Telling which pages were written: for dumps in several steps.
    pub(crate) memory_tracking: bool,
    /// Fetching pages only when they are used.
    pub(crate) lazy_pages: bool,
}

impl Features {
    /// The names, as runc has them, of those that `self` has and `present` lacks.
    pub(crate) fn missing(self, present: Features) -> Vec<&'static str> {
        [
            ("MemTrack", self.memory_tracking, present.memory_tracking),
            ("LazyPages", self.lazy_pages, present.lazy_pages),
        ]
        .into_iter()
        .filter(|(_, wanted, present)| *wanted && !present)
        .map(|(name, ..)| name)
        .collect()
    }
}

/// A request (`criu_req`).
pub(crate) fn request(kind: Kind, options: Option<&Message>) -> Message {
    let mut request = Message::default();
    request.number(1, kind as i64);
    if let Some(options) = options {
        request.message(2, options);
    }
    request
}

/// The question which of `wanted` there are.
pub(crate) fn feature_check(wanted: Features) -> Message {
    let mut features = Message::default();
    features.switch(1, wanted.memory_tracking);
    features.switch(2, wanted.lazy_pages);
    let mut request = request(Kind::FeatureCheck, None);
    request.message(5, &features);
    request
}

/// The answer to a notification.
pub(crate) fn notified(success: bool) -> Message {
    let mut request = request(Kind::Notify, None);
    request.number(3, i64::from(success));
    request
}

/// Two strings in a message of their own: `ext_mount_map`, `join_namespace`.
pub(crate) fn pair(first: &str, second: &str) -> Message {
    let mut message = Message::default();
    message.text(1, first);
    message.text(2, second);
    message
}

/// A descriptor that CRIU inherits, by the key that the image has for it (`inherit_fd`).
pub(crate) fn inherit(key: &str, fd: i32) -> Message {
    let mut message = Message::default();
    message.text(1, key);
    message.number(2, i64::from(fd));
    message
}

/// Where pages go to (`criu_page_server_info`).
pub(crate) fn page_server(address: &str, port: u16) -> Message {
    let mut message = Message::default();
    message.text(1, address);
    message.number(2, i64::from(port));
    message
}

/// What CRIU says (`criu_resp`).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// What it answers, a number of `criu_req_type`.
    pub(crate) kind: i32,
    /// Whether it went well.
    pub(crate) success: bool,
    /// Its errno.
    pub(crate) errno: i32,
    /// What went wrong first, from CRIU 3.18 on.
    pub(crate) message: Option<String>,
    /// In a notification: which.
    pub(crate) script: String,
    /// In a notification: the process that is restored.
    pub(crate) pid: i32,
    /// Features that were asked for.
    pub(crate) features: Features,
    /// Its version: 31701 is 3.17.1.
    pub(crate) version: i32,
}

impl Response {
    /// Reads one.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Response, Damaged> {
        let mut response = Response::default();
        for field in Fields::of(bytes) {
            let (number, value) = field?;
            let message = Fields::of(value.bytes().unwrap_or_default());
            match number {
                1 => response.kind = value.number().ok_or(Damaged)?,
                2 => response.success = value.number() == Some(1),
                5 => response.read_notification(message)?,
                7 => response.errno = value.number().unwrap_or_default(),
                8 => response.features = features(message)?,
                9 => response.message = value.text(),
                10 => response.version = version(message)?,
                _ => {}
            }
        }
        Ok(response)
    }

    /// Whether it is a question that wants an answer.
    pub(crate) fn is_notification(&self) -> bool {
        self.kind == Kind::Notify as i32
    }

    /// The name of its kind.
    pub(crate) fn kind_name(&self) -> &'static str {
        const NAMES: [&str; 14] = [
            "EMPTY",
            "DUMP",
            "RESTORE",
            "CHECK",
            "PRE_DUMP",
            "PAGE_SERVER",
            "NOTIFY",
            "CPUINFO_DUMP",
            "CPUINFO_CHECK",
            "FEATURE_CHECK",
            "VERSION",
            "WAIT_PID",
            "PAGE_SERVER_CHLD",
            "SINGLE_PRE_DUMP",
        ];
        let name = usize::try_from(self.kind).ok().and_then(|kind| NAMES.get(kind));
        name.copied().unwrap_or("UNKNOWN")
    }

    fn read_notification(&mut self, message: Fields<'_>) -> Result<(), Damaged> {
        for field in message {
            match field? {
                (1, value) => self.script = value.text().ok_or(Damaged)?,
                (2, value) => self.pid = value.number().ok_or(Damaged)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn features(message: Fields<'_>) -> Result<Features, Damaged> {
    let mut features = Features::default();
    for field in message {
        match field? {
            (1, value) => features.memory_tracking = value.number() == Some(1),
            (2, value) => features.lazy_pages = value.number() == Some(1),
            _ => {}
        }
    }
    Ok(features)
}

/// One number for a version. One that was built from the repository counts as the next minor one, as
/// in go-criu.
fn version(message: Fields<'_>) -> Result<i32, Damaged> {
    let (mut major, mut minor, mut sub, mut from_git) = (0, 0, 0, false);
    for field in message {
        match field? {
            (1, value) => major = value.number().ok_or(Damaged)?,
            (2, value) => minor = value.number().ok_or(Damaged)?,
            (3, _) => from_git = true,
            (4, value) => sub = value.number().ok_or(Damaged)?,
            _ => {}
        }
    }
    let small = |part: i32| part.clamp(0, 99);
    let released = small(major) * 10_000 + small(minor) * 100;
    Ok(if from_git { released + 100 } else { released + small(sub) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_dump_as_criu_says_it() {
        // Type DUMP, no success, errno 1, as CRIU 3.17 sends it.
        let response = Response::parse(&[0x08, 0x01, 0x10, 0x00, 0x38, 0x01]).unwrap();
        assert_eq!((response.kind_name(), response.success, response.errno), ("DUMP", false, 1));
        assert!(!response.is_notification());
    }

    #[test]
    fn a_notification() {
        let mut notify = Message::default();
        notify.text(1, "setup-namespaces");
        notify.number(2, 4711);
        let mut message = Message::default();
        message.number(1, 6);
        message.number(2, 1);
        message.message(5, &notify);
        let response = Response::parse(message.as_bytes()).unwrap();
        assert!(response.is_notification() && response.success);
        assert_eq!((response.script.as_str(), response.pid), ("setup-namespaces", 4711));
    }

    #[test]
    fn versions_are_numbers() {
        let of = |major, minor, sub: Option<i64>, git: Option<&str>| {
            let mut message = Message::default();
            message.number(1, major);
            message.number(2, minor);
            if let Some(git) = git {
                message.text(3, git);
            }
            if let Some(sub) = sub {
                message.number(4, sub);
            }
            version(Fields::of(message.as_bytes())).unwrap()
        };
        assert_eq!(of(3, 17, Some(1), None), 31_701);
        assert_eq!(of(4, 0, None, None), 40_000);
        assert_eq!(of(3, 17, Some(1), Some("v3.17.1-5-gabc")), 31_800);
    }

    #[test]
    fn what_is_missing_is_named() {
        let wanted = Features { memory_tracking: true, lazy_pages: true };
        let present = Features { lazy_pages: true, ..Features::default() };
        assert_eq!(wanted.missing(present), ["MemTrack"]);
        assert!(Features::default().missing(Features::default()).is_empty());
    }
}
