//! The programs, run by a small eBPF interpreter, against the rules themselves.

use proptest::prelude::*;

use super::*;

/// What the kernel asks: a kind of device (1 block, 2 char), its numbers, kinds of access.
#[derive(Debug, Clone, Copy)]
struct Question {
    kind: u32,
    major: u32,
    minor: u32,
    access: u32,
}

fn run(program: &[Instruction], question: Question) -> u64 {
    let context = [question.access << 16 | question.kind, question.major, question.minor];
    let mut registers = [0_u64; 11];
    let mut at = 0_usize;
    loop {
        let i = program[at];
        let target = usize::from(i.registers & 15);
        let source = usize::from(i.registers >> 4);
        let operand = i.immediate as i64 as u64;
        let skip = |holds: bool| if holds { i.offset as usize } else { 0 };
        let mut jump = 0;
        match i.code {
            LOAD => registers[target] = u64::from(context[i.offset as usize / 4]),
            MOVE => registers[target] = operand,
            0xbf => registers[target] = registers[source],
            AND => registers[target] &= operand,
            SHIFT_RIGHT => registers[target] >>= operand,
            JUMP => jump = skip(true),
            JUMP_IF_NOT => jump = skip(registers[target] != operand),
            JUMP_IF_ANY => jump = skip(registers[target] & operand != 0),
            EXIT => return registers[0],
            code => panic!("unexpected code {code:#x} at {at}"),
        }
        at += 1 + jump;
    }
}

/// The last rule that says something about one kind of access.
fn model(rules: &[Rule], question: Question, bit: u32) -> bool {
    let is_for = |rule: &&Rule| {
        let kind = match rule.kind {
            Kind::All => return true,
            Kind::Block => 1,
            Kind::Char => 2,
        };
        kind == question.kind
            && rule.major.is_none_or(|major| major == question.major)
            && rule.minor.is_none_or(|minor| minor == question.minor)
            && u32::from(rule.access.bits()) & bit != 0
    };
    rules.iter().rev().find(is_for).is_some_and(|rule| rule.allow)
}

fn allows(rules: &[Rule], kind: u32, major: u32, minor: u32, access: &str) -> bool {
    let access = u32::from(Access::parse(access).unwrap().bits());
    run(&compile(rules), Question { kind, major, minor, access }) == 1
}

fn rule(text: &str) -> Rule {
    let fields: Vec<&str> = text.split(' ').collect();
    let number = |text: &str| (text != "*").then(|| text.parse().unwrap());
    let rule = spec::DeviceRule {
        allow: fields[0] == "allow",
        kind: fields[1].into(),
        major: number(fields[2]),
        minor: number(fields[3]),
        access: fields[4].into(),
    };
    Rule::parse(&rule).unwrap()
}

#[test]
fn nothing_is_allowed_by_itself() {
    assert!(!allows(&[], 2, 1, 3, "r"));
    assert!(!allows(&[rule("allow c 1 3 rwm")], 1, 1, 3, "r"));
    assert!(!allows(&[rule("allow c 1 3 rwm")], 2, 1, 5, "r"));
    assert!(!allows(&[rule("allow c 1 3 r")], 2, 1, 3, "rw"));
}

#[test]
fn docker_rules_hold() {
    let rules = ["deny a * * rwm", "allow c * * m", "allow b * * m", "allow c 1 3 rwm"].map(rule);
    assert!(allows(&rules, 2, 1, 3, "rw"));
    assert!(allows(&rules, 2, 10, 229, "m"));
    assert!(allows(&rules, 1, 8, 0, "m"));
    assert!(!allows(&rules, 1, 8, 0, "r"));
    let all = [rules[0], rule("allow a * * rwm")];
    assert!(allows(&all, 1, 8, 0, "rwm"));
}

#[test]
fn access_adds_up_and_is_taken_away_by_kind() {
    let mut rules = vec![rule("allow c 1 3 r"), rule("allow c 1 * w")];
    assert!(allows(&rules, 2, 1, 3, "rw"));
    rules.push(rule("deny c * * w"));
    assert!(allows(&rules, 2, 1, 3, "r"));
    assert!(!allows(&rules, 2, 1, 3, "rw"));
}

#[test]
fn numbers_that_no_device_has_match_none() {
    let rules = [rule("allow c 4294967295 * rwm"), rule("allow c 1 1048576 rwm")];
    assert!(!allows(&rules, 2, 4095, 0, "r"));
    assert_eq!(compile(&rules).len(), compile(&[]).len());
}

#[test]
fn parse_names_every_problem() {
    let rule = spec::DeviceRule {
        allow: true,
        kind: "p".into(),
        major: Some(-2),
        minor: Some(1 << 40),
        access: "rx".into(),
    };
    let problems = Rule::parse(&rule).unwrap_err();
    let pointers: Vec<_> = problems.iter().map(|problem| &*problem.pointer).collect();
    assert_eq!(pointers, ["type", "major", "minor", "access"]);
    assert_eq!(Access::parse(""), None);
}

prop_compose! {
    fn any_rule()(
        allow: bool,
        kind in prop_oneof![
            1 => Just(Kind::All), 8 => Just(Kind::Char), 8 => Just(Kind::Block),
        ],
        major in proptest::option::of(0_u32..4),
        minor in proptest::option::of(0_u32..4),
        access in 1_u8..8,
    ) -> Rule {
        Rule { allow, kind, major, minor, access: Access(access) }
    }
}

proptest! {
    #[test]
    fn programs_say_what_the_rules_say(rules in proptest::collection::vec(any_rule(), 0..12)) {
        let program = compile(&rules);
        prop_assert!(program.len() <= 8 + 7 * rules.len());
        for kind in 1..=2 {
            for numbers in 0..25 {
                for access in 1..8 {
                    let question = Question { kind, major: numbers / 5, minor: numbers % 5, access };
                    let expected = (0..3)
                        .map(|bit| 1 << bit)
                        .filter(|bit| access & bit != 0)
                        .all(|bit| model(&rules, question, bit));
                    prop_assert_eq!(run(&program, question) == 1, expected, "{:?}", question);
                }
            }
        }
    }
}
