//! Small file systems in the place of the room's directories, to be filled, or to be written to no more.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::Result;
use crate::census;
use crate::room::Room;

/// How many files there can be; and how many blocks of [`BLOCK`] bytes in a file system on a device.
const FILES: usize = 48;
const BLOCKS: usize = 256;
const BLOCK: u64 = 1024;
/// What memory is counted in.
const PAGE: u64 = 4096;
/// Where it is mounted, with what fills it beside the directory that is shown.
const PLACE: &str = "small";

/// What there is a certain number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// A tmpfs's pages.
    Pages,
    /// A tmpfs's files.
    Files,
    /// An ext4's blocks.
    Blocks,
}

/// A directory of the room's that is a small file system now.
#[derive(Debug)]
pub(super) struct Small {
    counted: Counted,
    /// Where the file system is, and the directory that shows a part of it.
    place: PathBuf,
    shown: PathBuf,
}

impl Small {
    /// Mounts one in the place of this directory.
    pub(super) fn mount(room: &Room, directory: &str, counted: Counted) -> Result<Small> {
        let small = Small { counted, place: room.path(PLACE), shown: room.path(directory) };
        fs::create_dir_all(&small.place).map_err(|error| said(&small.place, error))?;
        match counted {
            Counted::Pages | Counted::Files => {
                let options = format!("size=256k,nr_inodes={FILES}");
                let (source, kind) = (Some(census::OWN_MOUNT), Some("tmpfs"));
                mount(source, &small.place, kind, MsFlags::empty(), Some(&*options))
                    .map_err(|error| said(&small.place, error))?;
            }
            Counted::Blocks => mount_ext4(&room.path("image"), &small.place)?,
        }
        let inner = small.place.join("inner");
        fs::create_dir(&inner).map_err(|error| said(&inner, error))?;
        let (bind, none) = (MsFlags::MS_BIND, None::<&str>);
        mount(Some(&inner), &small.shown, none, bind, none)
            .map_err(|error| said(&small.shown, error))?;
        Ok(small)
    }

    /// Leaves so many free.
    pub(super) fn fill(&self, free: usize) -> Result<()> {
        let filler = self.place.join("filler");
        match self.counted {
            Counted::Pages => fill_with_bytes(&filler, PAGE, free),
            Counted::Blocks => fill_with_bytes(&filler, BLOCK, free),
            Counted::Files => fill_with_files(&filler, free),
        }
        .map_err(|error| said(&filler, error))
    }

    /// Lets nobody write to it, or everybody again.
    pub(super) fn set_read_only(&self, read_only: bool) -> Result<()> {
        let read_only = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        let (flags, none) = (MsFlags::MS_BIND | MsFlags::MS_REMOUNT | read_only, None::<&str>);
        mount(none, &self.shown, none, flags, none).map_err(|error| said(&self.shown, error))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        for mounted in [&self.shown, &self.place] {
            let _ = umount2(mounted, MntFlags::MNT_DETACH);
        }
    }
}

fn said(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// Nothing is reserved in it, and there is no journal: what is freed is free at once.
fn mount_ext4(image: &Path, place: &Path) -> Result<()> {
    let sized = File::create(image).and_then(|file| file.set_len(BLOCKS as u64 * BLOCK));
    sized.map_err(|error| said(image, error))?;
    let mkfs = ["-q", "-b1024", "-m0", "-O^has_journal"];
    run(Command::new("mkfs.ext4").args(mkfs).arg(format!("-N{FILES}")).arg(image))?;
    run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(place))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// One file that has all, and gives back what is to be free.
fn fill_with_bytes(filler: &Path, unit: u64, free: usize) -> std::io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(filler)?;
    let bytes = vec![0; unit as usize];
    loop {
        match file.write_all(&bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => break,
            Err(error) => return Err(error),
        }
    }
    let length = file.metadata()?.len().saturating_sub(unit * free as u64);
    file.set_len(length)
}

/// Empty files, of which some are removed again.
fn fill_with_files(filler: &Path, free: usize) -> std::io::Result<()> {
    fs::create_dir(filler)?;
    let mut made = 0;
    while File::create(filler.join(made.to_string())).is_ok() {
        made += 1;
    }
    (0..made.min(free)).try_for_each(|number| fs::remove_file(filler.join(number.to_string())))
}
