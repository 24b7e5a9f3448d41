//! Watches a visit to the room: every line of output, and silence.

use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::error::{Doing, Result};
use crate::room::Visit;

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The command ended by itself, with this exit code.
    Exit(i32),
    /// It said nothing for too long, and was killed with all that it had started.
    Silent,
}

/// How long to wait here for what takes no longer than `limit` elsewhere: `SUITES_PATIENCE` times as
/// long, on a machine that is so much slower.
pub(crate) fn patient(limit: Duration) -> Duration {
    let patience = std::env::var("SUITES_PATIENCE").ok().and_then(|times| times.parse().ok());
    limit * patience.unwrap_or(1)
}

/// Runs a visit; `line` gets each line, and `log` a copy.
///
/// `limit` is the time until the first line, and `line` says how long the next may take: a suite's
/// file has no sensible limit as a whole.
pub(crate) fn watch(
    visit: Visit<'_>,
    mut limit: Duration,
    log: &mut impl Write,
    mut line: impl FnMut(&str) -> Duration,
) -> Result<End> {
    let mut child = visit.start()?;
    let Some(output) = child.stdout.take() else {
        return Ok(End::Exit(finish(&mut child)?));
    };
    let (to, from) = channel();
    std::thread::spawn(move || {
        for read in BufReader::new(output).split(b'\n').map_while(std::result::Result::ok) {
            if to.send(String::from_utf8_lossy(&read).into_owned()).is_err() {
                break;
            }
        }
    });
    loop {
        match from.recv_timeout(limit) {
            Ok(read) => {
                writeln!(log, "{read}").doing("write a log")?;
                limit = line(read.trim_end_matches('\r'));
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(End::Exit(finish(&mut child)?)),
            Err(RecvTimeoutError::Timeout) => {
                child.kill().doing("end a silent visit")?;
                finish(&mut child)?;
                writeln!(log, "(silent for {} s: killed)", limit.as_secs()).doing("write a log")?;
                return Ok(End::Silent);
            }
        }
    }
}

/// Waits for the end of the room's door; a killed one has no exit code.
fn finish(child: &mut Child) -> Result<i32> {
    Ok(child.wait().doing("wait for the room's door")?.code().unwrap_or(-1))
}
