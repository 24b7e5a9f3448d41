//! `checkpoint` and `restore`: a container to files, and back.

use std::path::{Path, PathBuf};

use engine::{CheckpointRequest, CriuCgroups, CriuOptions, NetworkLock, RestoreRequest};

use super::lifecycle::{bundle, with_request};
use super::{Failure, Outcome, id, number, store};
use crate::args::{Parsed, Values};
use crate::help::program;
use crate::report::Log;

/// Where the images are, unless it is said: as for runc.
const IMAGES: &str = "checkpoint";

/// `checkpoint`.
pub(crate) fn checkpoint(parsed: &Parsed, log: &Log) -> Outcome {
    let (flags, images) = (&parsed.flags, images(&parsed.flags));
    warn_of_rootless(parsed, log);
    let status_fd = number::<i32>(parsed, "status-fd")?.filter(|number| *number != -1);
    let status_fd = status_fd.map(engine::open_status_fd).transpose()?;
    engine::checkpoint(CheckpointRequest {
        store: &store(parsed)?,
        id: id(parsed),
        criu: options(flags, &images)?,
        parent: parent(flags)?,
        leave_running: flags.on("leave-running"),
        pre_dump: flags.on("pre-dump"),
        tcp_skip_in_flight: flags.on("tcp-skip-in-flight"),
        link_remap: flags.on("link-remap"),
        page_server: page_server(flags)?,
        status_fd,
        warn: &|sentence| log.warn(sentence),
    })?;
    Ok(0)
}

/// `restore`.
pub(crate) fn restore(parsed: &Parsed, log: &Log) -> Outcome {
    let (flags, images) = (&parsed.flags, images(&parsed.flags));
    warn_of_rootless(parsed, log);
    let criu = options(flags, &images)?;
    with_request(parsed, log, &bundle(parsed)?, flags.on("detach"), |create| {
        engine::restore(&RestoreRequest {
            create,
            criu,
            tcp_close: flags.on("tcp-close"),
            lsm_profile: flags.given("lsm-profile"),
            lsm_mount_context: flags.given("lsm-mount-context"),
        })
    })
}

fn warn_of_rootless(parsed: &Parsed, log: &Log) {
    if engine::is_rootless() {
        let (program, name) = (program(), parsed.command.name);
        log.warn(&format!("{program} {name} is untested without root's powers"));
    }
}

fn images(flags: &Values) -> PathBuf {
    PathBuf::from(flags.given("image-path").unwrap_or(IMAGES))
}

/// What both directions have.
fn options<'p>(flags: &'p Values, images: &'p Path) -> Result<CriuOptions<'p>, Failure> {
    // A network namespace is made empty in any case: the flag says no more than that, as in runc.
    if let Some(other) = flags.all("empty-ns").find(|name| *name != "network") {
        return Err(format!("namespace {other:?} is not supported").into());
    }
    Ok(CriuOptions {
        images,
        work: flags.given("work-path").map(Path::new),
        tcp_established: flags.on("tcp-established"),
        ext_unix_sk: flags.on("ext-unix-sk"),
        shell_job: flags.on("shell-job"),
        file_locks: flags.on("file-locks"),
        auto_dedup: flags.on("auto-dedup"),
        lazy_pages: flags.on("lazy-pages"),
        cgroups: match flags.given("manage-cgroups-mode") {
            None => CriuCgroups::Default,
            Some("soft") => CriuCgroups::Soft,
            Some("full") => CriuCgroups::Full,
            Some("strict") => CriuCgroups::Strict,
            Some("ignore") => CriuCgroups::Ignore,
            Some(other) => {
                return Err(format!("invalid manage-cgroups-mode value: {other:?}").into());
            }
        },
        network_lock: match flags.given("network-lock") {
            None => None,
            Some("iptables") => Some(NetworkLock::Iptables),
            Some("nftables") => Some(NetworkLock::Nftables),
            Some("skip") => Some(NetworkLock::Skip),
            Some(other) => {
                return Err(format!("unknown network lock method specified: {other:?}").into());
            }
        },
    })
}

fn parent(flags: &Values) -> Result<Option<&str>, Failure> {
    match flags.given("parent-path") {
        Some(path) if path.starts_with('/') => {
            Err("--parent-path must be relative".to_owned().into())
        }
        path => Ok(path),
    }
}

fn page_server(flags: &Values) -> Result<Option<(&str, u16)>, Failure> {
    let Some(text) = flags.given("page-server") else { return Ok(None) };
    let (address, port) = text.rsplit_once(':').unwrap_or_default();
    // An IPv6 address stands in brackets.
    let address = address.strip_prefix('[').map_or(Some(address), |rest| rest.strip_suffix(']'));
    match address {
        Some(address) if !address.is_empty() && !port.is_empty() => {
            let port = port.parse().map_err(|_| "Invalid port number".to_owned())?;
            Ok(Some((address, port)))
        }
        _ => Err("Use --page-server ADDRESS:PORT to specify page server".to_owned().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Values {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        crate::args::parse(&words).1.unwrap().flags
    }

    #[test]
    fn where_the_pages_go() {
        let server = |text: &str| {
            let flags = flags(&format!("checkpoint --page-server {text} web"));
            let server = page_server(&flags);
            server.map(|s| s.map(|(a, p)| (a.to_owned(), p))).map_err(|f| f.sentence)
        };
        assert_eq!(server("10.0.0.1:27277"), Ok(Some(("10.0.0.1".to_owned(), 27277))));
        assert_eq!(server("[::1]:1"), Ok(Some(("::1".to_owned(), 1))));
        for wrong in [":1", "host", "host:", "[::1:1"] {
            assert!(server(wrong).unwrap_err().starts_with("Use --page-server"), "{wrong}");
        }
        assert_eq!(server("host:70000").unwrap_err(), "Invalid port number");
    }

    #[test]
    fn what_can_not_be_is_refused_by_name() {
        let refused = |line: &str| {
            let flags = flags(line);
            options(&flags, Path::new("/i")).unwrap_err().sentence
        };
        assert_eq!(refused("restore --empty-ns pid web"), "namespace \"pid\" is not supported");
        assert!(refused("restore --manage-cgroups-mode all web").contains("\"all\""));
        assert!(refused("restore --network-lock ufw web").contains("\"ufw\""));
        let parent = |line: &str| parent(&flags(line)).map(|p| p.map(str::to_owned)).is_ok();
        assert!(parent("checkpoint --parent-path ../one web"));
        assert!(!parent("checkpoint --parent-path /one web"));
    }
}
