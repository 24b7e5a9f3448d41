//! What `--debug` shows: every step, when it is taken.
//!
//! The steps are said with `debug!` of the `log` crate, here and in `cgroup`; switched off, each costs
//! a load and a comparison. A container's process has nothing open that is the runtime's, and no log
//! either: until it executes the user's program its steps go through its [`Channel`], and the runtime
//! at the other end shows them.

use std::cell::RefCell;
use std::rc::Rc;

use log::{LevelFilter, Metadata, Record};

use crate::channel::{Channel, Message};

thread_local! {
    /// Where this process's steps go. (This program has one thread.)
    static WAY: RefCell<Way> = const { RefCell::new(Way::Shown) };
}

enum Way {
    /// The runtime's: they are shown.
    Shown,
    /// A container's, with somebody at the other end.
    Sent(Rc<Channel>),
    /// A container's that waits for `start`.
    Lost,
}

/// Has every step shown by `show`, from now on.
pub fn show_steps(show: impl Fn(&str) + Send + Sync + 'static) {
    // There is a logger already only if this was called before.
    if log::set_boxed_logger(Box::new(Steps(show))).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

/// This process is a container's: its steps are shown by who is at the other end.
pub(crate) fn go_through(channel: &Rc<Channel>) {
    if log::max_level() != LevelFilter::Off {
        WAY.set(Way::Sent(Rc::clone(channel)));
    }
}

/// Nobody listens any more, until the next [`go_through`].
pub(crate) fn hold() {
    if log::max_level() != LevelFilter::Off {
        WAY.set(Way::Lost);
    }
}

struct Steps<F>(F);

impl<F: Fn(&str) + Send + Sync> log::Log for Steps<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, step: &Record<'_>) {
        let step = step.args().to_string();
        WAY.with_borrow(|way| match way {
            Way::Shown => (self.0)(&step),
            // A listener that is gone misses nothing.
            Way::Sent(channel) => drop(channel.send(&Message::Step(step))),
            Way::Lost => {}
        });
    }

    fn flush(&self) {}
}
