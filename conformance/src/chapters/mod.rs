//! The chapters, in the order of the table. A long chapter has several files.

mod attacks;
mod attacks_exec;
mod attacks_input;
mod attacks_race;
mod bad_input;
mod bad_properties;
mod cgroup_block;
mod cgroup_events;
mod cgroup_fields;
mod cgroup_numbers;
mod cgroup_pause;
mod cgroup_places;
mod cgroup_rootless;
mod cgroup_sharing;
mod cgroup_stats;
mod cgroup_update;
mod cgroup_update_refused;
mod cgroups;
mod checkpoint;
mod command_line;
mod crun_forms;
mod debug;
mod deletion;
mod device_rules;
mod devices;
mod exec;
mod exec_process;
mod fields;
mod hook_runs;
mod hooks;
mod inspecting;
mod lifecycle;
mod mount_attributes;
mod mount_changes;
mod mount_places;
mod mounts;
mod namespaces;
mod net_devices;
mod operations;
mod options;
mod policies;
mod privileges;
mod process;
mod rootless;
mod seccomp;
mod seccomp_actions;
mod seccomp_agents;
mod seccomp_flags;
mod security;
mod security_binary;
mod systemd_limits;
mod systemd_units;
mod terminal;

use crate::table::Chapter;

/// Every chapter.
pub(crate) const ALL: &[Chapter] = &[
    (
        "lifecycle",
        &[lifecycle::TESTS, deletion::TESTS, operations::TESTS, options::TESTS, debug::TESTS],
    ),
    (
        "command-line",
        &[
            command_line::WORDS,
            command_line::COMPLETION,
            crun_forms::TESTS,
            crun_forms::ANNOTATIONS,
        ],
    ),
    (
        "process",
        &[
            process::TESTS,
            privileges::TESTS,
            policies::MEMORY,
            policies::SCHEDULING,
            policies::CPU_AFFINITY,
        ],
    ),
    (
        "seccomp",
        &[
            seccomp::TESTS,
            seccomp_actions::ACTIONS,
            seccomp_actions::ARGUMENTS,
            seccomp_actions::PRIVILEGES,
            seccomp_agents::AGENTS,
            seccomp_flags::FLAGS,
        ],
    ),
    (
        "mounts",
        &[
            mounts::OPTIONS,
            mount_attributes::ATTRIBUTES,
            mount_places::PLACES,
            mount_changes::CHANGES,
        ],
    ),
    ("namespaces", &[namespaces::TESTS, net_devices::TESTS, rootless::ROOTLESS]),
    (
        "cgroups",
        &[
            cgroups::LIMITS,
            cgroup_fields::MEMORY,
            cgroup_fields::CPU,
            cgroup_block::BLOCK,
            cgroup_places::PLACES,
            cgroup_sharing::SHARING,
            cgroup_sharing::WAYS_IN,
            cgroup_places::DEVICES,
            cgroup_update::FLAGS,
            cgroup_update_refused::REFUSED,
            cgroup_stats::STATS,
            cgroup_numbers::NUMBERS,
            cgroup_events::STREAM,
            cgroup_pause::PAUSE,
            cgroup_pause::PROCESSES,
            cgroup_rootless::USERS,
        ],
    ),
    (
        "systemd",
        &[
            systemd_units::UNITS,
            systemd_units::ENDS,
            systemd_limits::PROPERTIES,
            systemd_limits::UPDATES,
            systemd_limits::ANNOTATIONS,
        ],
    ),
    ("devices", &[devices::TESTS, device_rules::RULES, device_rules::UPDATES]),
    ("hooks", &[hooks::TESTS, hook_runs::TESTS]),
    ("terminal", &[terminal::TESTS]),
    ("exec", &[exec::TESTS, exec_process::TESTS, exec::PRIVILEGES]),
    ("inspecting", &[inspecting::TESTS]),
    ("fields", &[fields::TESTS]),
    ("bad-input", &[bad_input::FILES, bad_input::IDS, bad_properties::PROPERTIES]),
    ("checkpoint", &[checkpoint::COMMANDS, checkpoint::TESTS]),
    ("security", &[security::TESTS, security_binary::TESTS]),
    (
        "attacks",
        &[
            attacks::LINKS,
            attacks::WAYS_OUT,
            attacks_race::RACES,
            attacks_exec::EXEC,
            attacks_input::INPUT,
        ],
    ),
];
