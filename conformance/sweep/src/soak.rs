//! Many containers one after another, and many at once: nothing may stay.

use crate::Result;
use crate::census::Census;
use crate::options::Options;
use crate::report::{Outcome, Tally};
use crate::room::Room;

/// How many there are one after another, and of a sample.
const IN_A_ROW: [usize; 2] = [20_000, 100];
/// How many there are at once, and of a sample.
const AT_ONCE: [usize; 2] = [500, 20];
/// How often it is looked what is left.
const LOOK: usize = 500;

/// As many as are wanted; true if nothing stayed.
pub(crate) fn sweep(room: &Room, options: &Options) -> Result<bool> {
    let size = |wanted: Option<usize>, [all, sample]: [usize; 2]| {
        wanted.unwrap_or(if options.sample.is_some() { sample } else { all })
    };
    let mut tally = Tally::new("soak");
    let before = Census::take(room);
    let in_a_row = size(options.in_a_row, IN_A_ROW);
    for number in 1..=in_a_row {
        let line = "run --bundle @true ID";
        let held = room.call(line).and_then(|output| output.ok(line)).and_then(|_| {
            if number % LOOK == 0 || number == in_a_row { before.is_back(room) } else { Ok(()) }
        });
        tally.count(&format!("container {number} in a row"), held.map(|()| Outcome::Held));
    }
    let at_once = size(options.at_once, AT_ONCE);
    let held = together(room, &before, at_once).map(|()| Outcome::Held);
    tally.count(&format!("{at_once} at once"), held);
    Ok(tally.print())
}

fn together(room: &Room, before: &Census, count: usize) -> Result<()> {
    let name = |number: usize| format!("many-{number}");
    for number in 0..count {
        room.variant(&name(number))?;
        let line = format!("run --detach --bundle @{0} {0}", name(number));
        room.call(&line)?.ok(&line)?;
    }
    let listed = room.call("list --quiet")?.ok("list")?.lines().count();
    if listed != count {
        return Err(format!("list has {listed} containers, not {count}"));
    }
    for number in 0..count {
        let line = format!("delete --force {}", name(number));
        room.call(&line)?.ok(&line)?;
    }
    before.is_back(room)
}
