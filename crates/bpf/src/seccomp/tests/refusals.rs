//! What cannot be compiled, and how it is said.

use super::*;

fn problems(text: &str) -> Vec<String> {
    compile(&parse(text), Arch::X86_64).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn every_problem_is_named() {
    let text = r#"{
        "defaultAction": "SCMP_ACT_NOTIFY",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_VAX", "SCMP_ARCH_S390X"],
        "flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_FAST"],
        "syscalls": [
            {"names": ["read", ""], "action": "SCMP_ACT_ALLOW"},
            {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096},
            {"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY", "args": [
                {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                {"index": 6, "value": 1, "op": "SCMP_CMP_EQ"},
                {"index": 1, "value": 1, "op": "=="}
            ]},
            {"names": ["read"], "action": "SCMP_ACT_NO"},
            {"names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 65536},
            {"names": ["read"], "action": "SCMP_ACT_LOG", "errnoRet": 1}
        ]
    }"#;
    let expected = [
        "defaultAction: cannot be SCMP_ACT_NOTIFY",
        "architectures/1: \"SCMP_ARCH_VAX\" is not a known architecture",
        "architectures/2: SCMP_ARCH_S390X has another byte order than SCMP_ARCH_X86_64",
        "syscalls/0/names/1: is empty",
        "syscalls/1/errnoRet: 4096 is no errno",
        "syscalls/2/names/1: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        "syscalls/2/args/1/index: is 6, but a call has six arguments",
        "syscalls/2/args/2/op: \"==\" is not a known operator",
        "syscalls/3/action: \"SCMP_ACT_NO\" is not a known action",
        "syscalls/4/errnoRet: 65536 does not fit into 16 bits",
        "syscalls/5/errnoRet: is not for SCMP_ACT_LOG",
        "flags/1: \"SECCOMP_FILTER_FLAG_FAST\" is not a known flag",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn a_profile_needs_an_action_once_it_has_rules() {
    assert_eq!(compile(&parse("{}"), Arch::X86_64), Ok(None));
    let rule = r#"{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#;
    assert_eq!(problems(rule), ["defaultAction: \"\" is not a known action"]);
}

#[test]
fn rules_that_contradict_each_other_are_named() {
    let two = |first: &str, second: &str| {
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_KILL", "syscalls": [
            {{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{first}]}},
            {{"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{second}]}}]}}"#
        );
        compile(&parse(&text), Arch::X86_64).map(drop).map_err(|p| p[0].to_string())
    };
    let equal = |index: u32, value: u32| {
        format!(r#"{{"index": {index}, "value": {value}, "op": "SCMP_CMP_EQ"}}"#)
    };
    let both = format!("{}, {}", equal(0, 1), equal(1, 2));
    let sentence = "syscalls/1/names/0: read has another action in syscalls/0 under the same \
                    conditions (SCMP_ARCH_X86_64)";
    assert_eq!(two(&equal(0, 1), &equal(0, 1)), Err(sentence.to_owned()));
    assert_eq!(two(&both, &equal(0, 1)), Err(sentence.to_owned()));
    // The earlier one is asked first, and an unconditional one wins.
    assert_eq!(two(&equal(0, 1), &both), Ok(()));
    assert_eq!(two(&equal(0, 1), &equal(0, 2)), Ok(()));
    assert_eq!(two(&equal(0, 1), ""), Ok(()));
}

/// Behind ipc(2) semget's rule says no more than ipc's own, and libseccomp takes it away: all of it,
/// but for what the high word of its last argument decides.
#[test]
fn a_rule_that_is_taken_away_contradicts_no_other() {
    let semget = |names: &str, op: &str| {
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_TRAP", "syscalls": [
            {{"names": [{names}], "action": "SCMP_ACT_ALLOW", "args": [
                {{"index": 1, "value": 5, "op": "SCMP_CMP_GE"}},
                {{"index": 2, "value": 7, "op": "{op}"}}]}},
            {{"names": ["semget"], "action": "SCMP_ACT_KILL"}}]}}"#
        );
        compile(&parse(&text), Arch::Ppc64le).map(drop).map_err(|p| p[0].pointer.clone())
    };
    let refused = Err("syscalls/1/names/0".to_owned());
    assert_eq!(semget(r#""semget", "ipc""#, "SCMP_CMP_EQ"), Ok(()));
    assert_eq!(semget(r#""semget", "ipc""#, "SCMP_CMP_GE"), refused);
    assert_eq!(semget(r#""semget""#, "SCMP_CMP_EQ"), refused);
}

#[test]
fn a_program_can_be_too_long() {
    let rule = |value: usize| {
        let args = format!(r#"[{{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}]"#);
        format!(r#"{{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": {args}}}"#)
    };
    let rules: Vec<String> = (0..5000).map(rule).collect();
    let text =
        format!(r#"{{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{}]}}"#, rules.join(","));
    let problems = problems(&text);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].ends_with("; the kernel takes 4096"), "{problems:?}");
    assert!(problems[0].contains("conditions of syscalls/0, syscalls/1"), "{problems:?}");
}

#[test]
fn flags_follow_the_profile() {
    let flags = |flags: &str, action: &str| {
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", {flags} "listenerPath": "/a", "syscalls":
            [{{"names": ["no_such_call"], "action": "{action}"}}]}}"#
        );
        compile(&parse(&text), Arch::X86_64).map(|filter| filter.map(|f| (f.flags, f.notify)))
    };
    let killable = r#""flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"#;
    let log = r#""flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"],"#;
    assert_eq!(flags("", "SCMP_ACT_ALLOW"), Ok(Some((4, false))));
    assert_eq!(flags("", "SCMP_ACT_NOTIFY"), Ok(Some((12, true))));
    assert_eq!(flags(r#""flags": [],"#, "SCMP_ACT_ALLOW"), Ok(Some((0, false))));
    assert_eq!(flags(r#""flags": null,"#, "SCMP_ACT_ALLOW"), Ok(Some((4, false))));
    assert_eq!(flags(log, "SCMP_ACT_ALLOW"), Ok(Some((2, false))));
    assert_eq!(flags(killable, "SCMP_ACT_NOTIFY"), Ok(Some((40, true))));
    let problems = flags(killable, "SCMP_ACT_ALLOW").unwrap_err();
    assert_eq!(problems[0].pointer, "flags/0");
}
