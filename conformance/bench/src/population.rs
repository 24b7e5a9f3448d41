//! Many containers: what each further one costs, and what commands cost among them.

use crate::Result;
use crate::bundle::Room;
use crate::cost::{self, Cost, quantile};
use crate::options::Options;
use crate::report::Report;
use crate::runtime::Instance;

/// How many containers each runtime has when its commands are timed.
const SIZES: [usize; 3] = [1, 100, 1000];
/// So many of the first and of the last are compared.
const ENDS: usize = 50;

/// A command that is timed among the others' containers, and what is to be reached.
type Timed = (&'static str, fn(&str) -> Vec<&str>, f64);

const COMMANDS: [Timed; 3] = [
    ("state", |id| vec!["state", id], 0.30),
    ("kill", |id| vec!["kill", id, "CONT"], 0.30),
    ("list", |_| vec!["list", "--format", "json"], 0.40),
];

/// Grows all runtimes' populations side by side, and times commands at each size.
pub(crate) fn grow(room: &Room<'_>, options: &Options, report: &mut Report) -> Result<()> {
    let grown = measure(room, options, report);
    for instance in &room.instances {
        for n in 0..options.most {
            instance.try_call(&["delete", "--force", &id(instance, n)]);
        }
    }
    cost::reap();
    grown
}

fn measure(room: &Room<'_>, options: &Options, report: &mut Report) -> Result<()> {
    let bundle = room.path("sleep");
    let mut creations: Vec<Vec<Cost>> = vec![Vec::new(); room.instances.len()];
    for size in SIZES.into_iter().filter(|size| *size <= options.most) {
        eprintln!("bench: {size} containers");
        for n in creations.first().map_or(0, Vec::len)..size {
            for (instance, costs) in room.instances.iter().zip(&mut creations) {
                let id = id(instance, n);
                costs.push(cost::of(|| instance.call(&["create", "--bundle", &bundle, &id]))?);
            }
        }
        for (name, words, target) in COMMANDS {
            let costs = among(room, options, words)?;
            report.row(&format!("`{name}`, {size} containers"), costs, (target, None));
        }
    }
    if options.most > 2 * ENDS {
        let ends = |costs: &Vec<Cost>| {
            let median = |part: &[Cost]| quantile(part.iter().map(|c| c.wall as f64), 0.5);
            let (first, last) = (costs.get(..ENDS), costs.get(costs.len() - ENDS..));
            median(last.unwrap_or_default()) / median(first.unwrap_or_default())
        };
        report.growth(creations.first().map_or(0, Vec::len), creations.iter().map(ends).collect());
    }
    Ok(())
}

fn among(
    room: &Room<'_>,
    options: &Options,
    words: fn(&str) -> Vec<&str>,
) -> Result<Vec<Vec<Cost>>> {
    let mut costs = vec![Vec::new(); room.instances.len()];
    for _ in 0..(options.rounds / 2).max(3) {
        for (instance, costs) in room.instances.iter().zip(&mut costs) {
            let id = id(instance, 0);
            costs.push(cost::of(|| instance.call(&words(&id)))?);
        }
    }
    Ok(costs)
}

fn id(instance: &Instance<'_>, n: usize) -> String {
    format!("{}-{n}", instance.id())
}
