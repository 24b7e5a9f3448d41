//! What a fuzzer (`hack/fuzz`) is shown of what is this crate's own; nobody else has it compiled. Each takes
//! any bytes, and neither panics nor holds on to more than they are.

use std::os::fd::AsFd;
use std::path::PathBuf;

use bpf::devices::{Kind, Table};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::channel::{Channel, Message};
use crate::criu;
use crate::notify;
use crate::store::{Record, RecordBytes, cgroup_of};

/// The files of a state directory. What is read is written again, and means the same.
pub fn state(bytes: &[u8]) {
    let saved = RecordBytes::of(PathBuf::from("state.json"), bytes.to_vec());
    if let Ok(record) = saved.record() {
        let text = serde_json::to_vec(&record).unwrap_or_default();
        let again = RecordBytes::of(PathBuf::new(), text);
        let again = again.record().map(|record| serde_json::to_vec(&record).unwrap_or_default());
        assert_eq!(again.ok(), serde_json::to_vec(&record).ok());
        use_record(&record);
    }
    if let Ok(exec) = saved.exec() {
        cgroup_of(&exec.cgroup);
        assert!(serde_json::to_vec(&exec).is_ok());
        exec.policies();
    }
}

fn use_record(record: &Record<'_>) {
    record.cgroup();
    record.state(spec::ContainerStatus::Running, Some(record.pid));
    for text in [&record.devices, &record.own_devices] {
        if let Ok(table) = text.parse::<Table>() {
            table.allowed(Kind::Char, 1, 3);
            table.allowed_for_any(Kind::Block);
            assert!(!table.program().is_empty());
            let _ = (table.list(), table.rules());
        }
    }
}

/// A message of the process that becomes the container's.
pub fn message(bytes: &[u8]) {
    let flags = SockFlag::SOCK_CLOEXEC;
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags);
    let Ok((ours, theirs)) = pair else { return };
    if bytes.len() > 64 * 1024 || nix::unistd::write(theirs.as_fd(), bytes).is_err() {
        return;
    }
    drop(theirs);
    match Channel::from_socket(ours).receive() {
        Ok(Message::Failed(failure)) => assert!(!failure.sentence.is_empty() || bytes.len() > 8),
        Ok(Message::Step(_)) => unreachable!("a step is shown, not received"),
        other => drop(other),
    }
}

/// What a container says on its socket for readiness.
pub fn readiness(bytes: &[u8]) {
    let ready = notify::says_ready(bytes);
    assert!(!ready || bytes.windows(7).any(|part| part == b"READY=1"));
}

/// CRIU's word.
pub fn criu(bytes: &[u8]) {
    criu::read_response(bytes);
}
