//! What a filter answers.

use super::one_of;
use crate::Problem;

/// A filter's return value (`SECCOMP_RET_*` of linux/seccomp.h, with its 16 bits of data).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Action(pub u32);

/// What runc answers with when the profile does not say.
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// The kernel takes a larger one for this (linux/err.h).
const MAX_ERRNO: u32 = 4095;
/// `SECCOMP_RET_DATA`
const MAX_DATA: u32 = 0xffff;

impl Action {
    pub(super) const KILL_PROCESS: Action = Action(0x8000_0000);
    pub(super) const KILL_THREAD: Action = Action(0);
    pub(super) const TRAP: Action = Action(0x0003_0000);
    pub(super) const ENOSYS: Action = Action(ERRNO | ENOSYS);
    pub(super) const NOTIFY: Action = Action(0x7fc0_0000);
    pub(super) const LOG: Action = Action(0x7ffc_0000);
    pub(super) const ALLOW: Action = Action(0x7fff_0000);

    /// The action called `name` with the data of `errno`, each with the pointer to report it at.
    pub(super) fn parse(
        (pointer, name): (&str, &str),
        (errno_pointer, errno): (&str, Option<u32>),
    ) -> Result<Action, Problem> {
        let Some((_, action)) = ACTIONS.iter().find(|(known, _)| *known == name) else {
            let sentence = format!("\"{name}\" is not a known action");
            return Err(Problem::new(pointer, sentence, one_of(action_names())));
        };
        let (most, what) = match (*action, errno) {
            (ERRNO, _) => (MAX_ERRNO, "is no errno"),
            (TRACE, _) => (MAX_DATA, "does not fit into 16 bits"),
            (_, None) => return Ok(Action(*action)),
            (_, Some(_)) => {
                let sentence = format!("is not for {name}");
                let hint = "none, or SCMP_ACT_ERRNO or SCMP_ACT_TRACE as the action";
                return Err(Problem::new(errno_pointer, sentence, hint));
            }
        };
        match errno.unwrap_or(EPERM) {
            data if data <= most => Ok(Action(action | data)),
            data => {
                let sentence = format!("{data} {what}");
                Err(Problem::new(errno_pointer, sentence, format!("0 to {most}")))
            }
        }
    }

    /// Its name in a profile, and the number that comes along where there is one.
    pub(super) fn name(self) -> (&'static str, Option<u32>) {
        let action = self.0 & 0xffff_0000;
        let name =
            ACTIONS.iter().rfind(|(_, known)| *known == action).map_or("?", |(name, _)| *name);
        (name, matches!(action, ERRNO | TRACE).then_some(self.0 & 0xffff))
    }

    /// Whether calls newer than the profile may have this answer. The others would make a
    /// program believe that it is not permitted to do what the kernel merely does not know,
    /// so that it does not try the older call.
    pub(super) fn suits_unknown_calls(self) -> bool {
        self == Action::ALLOW || self == Action::LOG || self.0 & 0xffff_0000 == TRACE
    }
}

const ERRNO: u32 = 0x0005_0000;
const TRACE: u32 = 0x7ff0_0000;

/// What a profile can ask for, in alphabetical order.
const ACTIONS: [(&str, u32); 9] = [
    ("SCMP_ACT_ALLOW", Action::ALLOW.0),
    ("SCMP_ACT_ERRNO", ERRNO),
    ("SCMP_ACT_KILL", Action::KILL_THREAD.0),
    ("SCMP_ACT_KILL_PROCESS", Action::KILL_PROCESS.0),
    ("SCMP_ACT_KILL_THREAD", Action::KILL_THREAD.0),
    ("SCMP_ACT_LOG", Action::LOG.0),
    ("SCMP_ACT_NOTIFY", Action::NOTIFY.0),
    ("SCMP_ACT_TRACE", TRACE),
    ("SCMP_ACT_TRAP", Action::TRAP.0),
];

/// The names of all actions that are understood, in alphabetical order.
pub fn action_names() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().map(|(name, _)| *name)
}
