//! `spec`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::Outcome;
use crate::args::Parsed;
use crate::default_spec;

/// `spec`: writes the default configuration, never over an existing one.
pub(crate) fn spec(parsed: &Parsed) -> Outcome {
    let path = Path::new(parsed.flags.get("bundle").unwrap_or(".")).join("config.json");
    let config = match parsed.flags.on("rootless") {
        true => {
            let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
            default_spec::rootless(uid.as_raw(), gid.as_raw())
        }
        false => default_spec::default(),
    };
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    config.serialize(&mut serializer).map_err(|error| error.to_string())?;
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    file.and_then(|mut file| file.write_all(&text)).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => "File config.json exists. Remove it first".to_owned(),
        _ => format!("{}: {error}", path.display()),
    })?;
    Ok(0)
}
