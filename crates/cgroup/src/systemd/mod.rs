//! The systemd driver: the container's cgroup is a unit of systemd's, a scope or a slice.
//!
//! Systemd owns the top of the tree on the machines where it runs: a directory that somebody else
//! made is one that it may take away, or whose limits it resets. So the cgroup becomes a transient
//! unit: [`Unit`] says which, [`Systemd`] talks to systemd (the machine's, or a user's own).
//!
//! Nobody waits for systemd before there is need to. Where the unit's cgroup will be is known from
//! its name ([`Unit::place`]), and systemd takes over a directory that exists: so it is made as
//! without systemd, the container's process is born in it, and only then is the unit asked for
//! ([`Systemd::start`]), with that process in it. [`Systemd::wait`] comes as late as it can.
//! On v1 systemd has to make the directories of its own hierarchies, since it removes there what is
//! empty ([`Cgroup::create_for_scope`](crate::Cgroup::create_for_scope)), and the process waits for it.
//! Until then systemd writes limits of its own to the cgroup's files; so files are written behind
//! it. What a property can express is a property, too: else it is lost with the next
//! `systemctl daemon-reload`.
//!
//! Promises: nothing is sent before [`Systemd::connect`], nothing is kept after the value is gone;
//! no answer is waited for longer than 30 seconds. [`Unit`], [`Property`] and the limits' properties
//! are pure.

mod annotation;
mod bus;
mod properties;
mod property;
mod service;
mod unit;
mod wire;

pub use annotation::{ANNOTATION_PREFIX, annotation};
pub use properties::{
    device_properties, former_properties, limit_properties, round_quota, unit_properties,
};
pub use property::{Property, Value};
pub use service::{Job, Systemd};
pub use unit::{Instance, Unit};
