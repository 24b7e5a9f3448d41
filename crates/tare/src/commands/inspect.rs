//! Looking at containers: state, list, ps.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use engine::{ContainerDir, Record, RecordBytes, Store, messages};
use serde::Serialize;
use spec::{ContainerStatus, StringMap};

use super::{Failure, Outcome, id, print, store};
use crate::args::Parsed;
use crate::help::program;
use crate::report::Log;

/// What `state` and `list` print: runc's fields, in runc's order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    oci_version: &'static str,
    id: &'a str,
    pid: i32,
    status: &'static str,
    bundle: &'a str,
    rootfs: &'a str,
    created: Cow<'a, str>,
    #[serde(skip_serializing_if = "StringMap::is_empty")]
    annotations: &'a StringMap<'a>,
    owner: String,
}

impl<'a> View<'a> {
    /// `owner` names a user.
    fn of(
        dir: &ContainerDir,
        record: &'a Record<'a>,
        owner: impl FnOnce(u32) -> String,
    ) -> engine::Result<View<'a>> {
        let status = engine::status(dir, record)?;
        Ok(View {
            oci_version: spec::OCI_VERSION,
            id: &record.id,
            pid: if status == ContainerStatus::Stopped { 0 } else { record.pid },
            status: status.as_str(),
            bundle: &record.bundle,
            rootfs: &record.rootfs,
            created: Cow::Borrowed(&record.created),
            annotations: &record.annotations,
            owner: owner(record.owner),
        })
    }

    /// A container whose `create` has made its directory, and not yet written down what it is.
    fn without_record(
        id: &'a str,
        dir: &ContainerDir,
        owner: impl FnOnce(u32) -> String,
    ) -> View<'a> {
        let status = match dir.is_locked() {
            true => ContainerStatus::Creating,
            false => ContainerStatus::Stopped,
        };
        let metadata = std::fs::metadata(dir.path()).ok();
        let made = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
        let made = made.map(|time| humantime::format_rfc3339_nanos(time).to_string());
        View {
            oci_version: spec::OCI_VERSION,
            id,
            pid: 0,
            status: status.as_str(),
            bundle: "",
            rootfs: "",
            created: made.unwrap_or_default().into(),
            annotations: &NO_ANNOTATIONS,
            owner: metadata.map_or_else(String::new, |metadata| owner(metadata.uid())),
        }
    }
}

static NO_ANNOTATIONS: StringMap<'static> = StringMap::new();

/// The record of a container, which one that is just being created may lack.
fn read_record(dir: &ContainerDir) -> engine::Result<Option<RecordBytes>> {
    match dir.read_record() {
        Err(engine::Error::State(messages::DOES_NOT_EXIST)) if dir.exists()? => Ok(None),
        other => other.map(Some),
    }
}

/// What is left of a `create` that was interrupted, and how it is removed.
fn remains(
    parsed: &Parsed,
    id: &str,
    dir: &ContainerDir,
    record: Option<&Record<'_>>,
) -> Option<String> {
    let things = engine::remains(dir, record)?.join(", ");
    let clean = clean(parsed, id);
    Some(format!(
        "container {id}: its create was interrupted and left {things}; to remove it: {clean}"
    ))
}

fn clean(parsed: &Parsed, id: &str) -> String {
    let root = parsed.global.get("root").map(|root| format!("--root {root} ")).unwrap_or_default();
    format!("{} {root}delete --force {id}", program())
}

/// The user's name, or its number behind a `#` if it has none.
fn owner(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| format!("#{uid}"), |user| user.name)
}

/// `state`.
pub(crate) fn state(parsed: &Parsed, log: &Log) -> Outcome {
    let dir = store(parsed)?.container(id(parsed))?;
    let bytes = read_record(&dir)?;
    let record = bytes.as_ref().map(RecordBytes::record).transpose()?;
    // As runc: only `list` names the owner.
    let nobody = |_| String::new();
    let view = match &record {
        Some(record) => View::of(&dir, record, nobody)?,
        None => View::without_record(id(parsed), &dir, nobody),
    };
    if let Some(sentence) = remains(parsed, id(parsed), &dir, record.as_ref()) {
        log.warn(&sentence);
    }
    print(&serde_json::to_vec_pretty(&view).map_err(|error| error.to_string())?)?;
    Ok(0)
}

/// `list`.
pub(crate) fn list(parsed: &Parsed, log: &Log) -> Outcome {
    let store = store(parsed)?;
    if let (Some(root), false) = (parsed.global.get("root"), store.exists()) {
        // Nothing is in the default place yet; who names a place means it to be there.
        return Err(format!("open {root}: no such file or directory").into());
    }
    if parsed.flags.on("quiet") {
        let ids = store.ids()?;
        print(ids.iter().map(|id| format!("{id}\n")).collect::<String>().as_bytes())?;
        return Ok(0);
    }
    let mut listing = Listing::new(parsed.flags.get("format").unwrap_or("table"))?;
    let mut names = BTreeMap::new();
    for id in &store.names()? {
        let owner = |uid| names.entry(uid).or_insert_with(|| owner(uid)).clone();
        add_to(&mut listing, parsed, log, (id, &store), owner)?;
    }
    print(&listing.end())?;
    Ok(0)
}

/// Adds a container, which one that is deleted meanwhile is not.
fn add_to(
    listing: &mut Listing,
    parsed: &Parsed,
    log: &Log,
    (id, store): (&str, &Store),
    owner: impl FnOnce(u32) -> String,
) -> Result<(), Failure> {
    let Ok(dir) = store.container(id) else {
        return Ok(());
    };
    let Ok(bytes) = read_record(&dir) else {
        return Ok(());
    };
    let record = match bytes.as_ref().map(RecordBytes::record).transpose() {
        Ok(None) if !dir.is_container() => return Ok(()),
        Ok(record) => record,
        // It hides no other, and is not hidden itself.
        Err(error) => {
            let clean = clean(parsed, id);
            log.warn(&format!("container {id}: {error}; to remove it: {clean}"));
            return Ok(());
        }
    };
    listing.add(&match &record {
        Some(record) => View::of(&dir, record, owner)?,
        None => View::without_record(id, &dir, owner),
    })?;
    if let Some(sentence) = remains(parsed, id, &dir, record.as_ref()) {
        log.warn(&sentence);
    }
    Ok(())
}

/// What `list` prints, a container at a time: of each only that is kept, since there may be more containers
/// than descriptors, or memory.
enum Listing {
    /// The cells.
    Table(Vec<[String; 6]>),
    /// The elements so far, each behind a bracket or a comma.
    Json(Vec<u8>),
}

impl Listing {
    fn new(format: &str) -> Result<Listing, String> {
        match format {
            "table" => {
                let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
                Ok(Listing::Table(vec![header.map(str::to_owned)]))
            }
            "json" => Ok(Listing::Json(Vec::new())),
            other => Err(format!("invalid format option: {other}")),
        }
    }

    fn add(&mut self, view: &View<'_>) -> Result<(), String> {
        match self {
            Listing::Table(rows) => {
                let pid = view.pid.to_string();
                let cells = [view.id, &pid, view.status, view.bundle, &view.created, &view.owner];
                rows.push(cells.map(str::to_owned));
            }
            Listing::Json(text) => {
                text.push(if text.is_empty() { b'[' } else { b',' });
                serde_json::to_writer(text, view).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    fn end(self) -> Vec<u8> {
        match self {
            Listing::Table(rows) => table(&rows).into_bytes(),
            // As Go has it, a list of nothing is null.
            Listing::Json(text) if text.is_empty() => b"null\n".to_vec(),
            Listing::Json(mut text) => {
                text.extend(b"]\n");
                text
            }
        }
    }
}

/// Columns as Go's tabwriter makes them (minimum 12, padding 3).
fn table(rows: &[[String; 6]]) -> String {
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        (longest + 3).max(12)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            format!("{}{}\n", cells.collect::<String>(), row[5])
        })
        .collect()
}

fn json_line(value: &impl Serialize) -> Result<Vec<u8>, String> {
    let mut line = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    line.push(b'\n');
    Ok(line)
}

/// `ps`.
pub(crate) fn ps(parsed: &Parsed) -> Outcome {
    let dir = store(parsed)?.container(id(parsed))?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    let pids = engine::pids(&record)?;
    match parsed.flags.get("format").unwrap_or("table") {
        "json" => print(&json_line(&pids)?)?,
        "table" => {
            let options = parsed.positionals.get(1..).unwrap_or_default();
            print(ps_table(&pids, options)?.as_bytes())?;
        }
        other => return Err(format!("invalid format option: {other}").into()),
    }
    Ok(0)
}

/// The host's ps(1), its lines that are of the container's processes.
fn ps_table(pids: &[i32], options: &[String]) -> Result<String, Failure> {
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() { &default[..] } else { options };
    let output =
        Command::new("ps").args(options).output().map_err(|error| format!("exec ps: {error}"))?;
    if !output.status.success() {
        return Err(format!("ps: {}", String::from_utf8_lossy(&output.stderr).trim_end()).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header
        .split_whitespace()
        .position(|title| title == "PID")
        .ok_or_else(|| "couldn't find PID field in ps output".to_owned())?;
    let ours = lines.filter(|line| {
        let field = line.split_whitespace().nth(column);
        field.and_then(|pid| pid.parse().ok()).is_some_and(|pid| pids.contains(&pid))
    });
    Ok(std::iter::once(header).chain(ours).map(|line| format!("{line}\n")).collect())
}
