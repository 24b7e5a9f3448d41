//! Rules against programs, run by a small eBPF interpreter, and against lists, read as the kernel
//! reads them.

use proptest::prelude::*;

use super::program::{AND, COPY, EXIT, JUMP, JUMP_IF, JUMP_IF_NOT, LOAD, MOVE, SHIFT_RIGHT};
use super::*;

/// What the kernel asks: a kind of device, its numbers, kinds of access.
#[derive(Debug, Clone, Copy)]
struct Question {
    kind: Kind,
    major: u32,
    minor: u32,
    access: Access,
}

/// The answer of a program, and how many instructions it took.
fn run(program: &[Instruction], question: Question) -> (bool, usize) {
    let kind = if question.kind == Kind::Block { 1 } else { 2 };
    let access = u32::from(question.access.bits());
    let context = [access << 16 | kind, question.major, question.minor];
    let mut registers = [0_u64; 11];
    let (mut at, mut steps) = (0_usize, 0);
    loop {
        let i = program[at];
        let target = usize::from(i.registers & 15);
        let source = usize::from(i.registers >> 4);
        let operand = i.immediate as i64 as u64;
        // The kernel takes no loops from before Linux 5.3, and we make none.
        let skip = |holds: bool| if holds { usize::try_from(i.offset).unwrap() } else { 0 };
        let mut jump = 0;
        match i.code {
            LOAD => registers[target] = u64::from(context[i.offset as usize / 4]),
            MOVE => registers[target] = operand,
            COPY => registers[target] = registers[source],
            AND => registers[target] &= operand,
            SHIFT_RIGHT => registers[target] >>= operand,
            JUMP => jump = skip(true),
            JUMP_IF => jump = skip(registers[target] == operand),
            JUMP_IF_NOT => jump = skip(registers[target] != operand),
            EXIT => return (registers[0] == 1, steps + 1),
            code => panic!("unexpected code {code:#x} at {at}"),
        }
        at += 1 + jump;
        steps += 1;
    }
}

/// The rules, read one by one: the last that says something about a kind of access.
fn model(rules: &[Rule], question: Question) -> bool {
    let allowed = |bit: Access| {
        let is_for = |rule: &&Rule| {
            rule.kind == Kind::All
                || rule.kind == question.kind
                    && rule.major.is_none_or(|major| major == question.major)
                    && rule.minor.is_none_or(|minor| minor == question.minor)
                    && rule.access.overlaps(bit)
        };
        rules.iter().rev().find(is_for).is_some_and(|rule| rule.allow)
    };
    let bits = [Access::READ, Access::WRITE, Access::MKNOD];
    bits.into_iter().filter(|bit| question.access.overlaps(*bit)).all(allowed)
}

/// A v1 cgroup at the top: what security/device_cgroup.c makes of writes, and answers.
#[derive(Debug, Clone, PartialEq)]
struct Kernel {
    allow: bool,
    exceptions: Vec<(Kind, Numbers, Access)>,
}

impl Kernel {
    fn new() -> Kernel {
        Kernel { allow: true, exceptions: Vec::new() }
    }

    fn write(&mut self, change: &Change) {
        if change.line == "a" {
            *self = Kernel { allow: change.allow, exceptions: Vec::new() };
            return;
        }
        let (kind, numbers, access) = table::parse_line(&change.line).unwrap();
        let same = self.exceptions.iter_mut().find(|(k, n, _)| (*k, *n) == (kind, numbers));
        match (change.allow != self.allow, same) {
            (true, Some((.., present))) => *present = present.union(access),
            (true, None) => self.exceptions.push((kind, numbers, access)),
            (false, Some((.., present))) => *present = present.without(access),
            (false, None) => {}
        }
        self.exceptions.retain(|(.., access)| *access != Access::NONE);
    }

    fn write_all(&mut self, changes: &[Change]) {
        changes.iter().for_each(|change| self.write(change));
    }

    fn answer(&self, question: Question) -> bool {
        let numbers = Numbers { major: Some(question.major), minor: Some(question.minor) };
        let matches = |(kind, pattern, access): &(Kind, Numbers, Access)| {
            *kind == question.kind
                && pattern.cover(numbers)
                && match self.allow {
                    true => access.overlaps(question.access),
                    false => access.covers(question.access),
                }
        };
        self.exceptions.iter().any(matches) != self.allow
    }

    /// `devices.list`.
    fn list(&self) -> String {
        if self.allow {
            return "a *:* rwm\n".to_owned();
        }
        self.exceptions.iter().map(|(k, n, a)| format!("{k} {n} {a}\n")).collect()
    }
}

fn allows(rules: &[Rule], kind: Kind, major: u32, minor: u32, access: &str) -> bool {
    let access = Access::parse(access).unwrap();
    run(&Table::of(rules).unwrap().program(), Question { kind, major, minor, access }).0
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
    assert!(!allows(&[], Kind::Char, 1, 3, "r"));
    assert!(!allows(&[rule("allow c 1 3 rwm")], Kind::Block, 1, 3, "r"));
    assert!(!allows(&[rule("allow c 1 3 rwm")], Kind::Char, 1, 5, "r"));
    assert!(!allows(&[rule("allow c 1 3 r")], Kind::Char, 1, 3, "rw"));
}

#[test]
fn docker_rules_hold() {
    let rules = ["deny a * * rwm", "allow c * * m", "allow b * * m", "allow c 1 3 rwm"].map(rule);
    assert!(allows(&rules, Kind::Char, 1, 3, "rw"));
    assert!(allows(&rules, Kind::Char, 10, 229, "m"));
    assert!(allows(&rules, Kind::Block, 8, 0, "m"));
    assert!(!allows(&rules, Kind::Block, 8, 0, "r"));
    let all = [rules[0], rule("allow a * * rwm")];
    assert!(allows(&all, Kind::Block, 8, 0, "rwm"));
}

#[test]
fn access_adds_up_and_is_taken_away_by_kind() {
    let mut rules = vec![rule("allow c 1 3 r"), rule("allow c 1 * w")];
    assert!(allows(&rules, Kind::Char, 1, 3, "rw"));
    // v1 wants one line that allows both.
    let list = Table::of(&rules).unwrap().list().unwrap();
    let lines: Vec<String> = changes(None, &list).into_iter().map(|change| change.line).collect();
    assert_eq!(lines, ["a", "c 1:* w", "c 1:3 rw"]);
    rules.push(rule("deny c * * w"));
    assert!(allows(&rules, Kind::Char, 1, 3, "r"));
    assert!(!allows(&rules, Kind::Char, 1, 3, "rw"));
}

#[test]
fn numbers_that_no_device_has_match_none() {
    let rules = [rule("allow c 4294967295 * rwm"), rule("allow c 1 1048576 rwm")];
    assert_eq!(Table::of(&rules), Some(Table::default()));
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

#[test]
fn a_hole_in_a_wildcard_is_for_v2_only() {
    let rules = ["allow c 1 * rwm", "deny c 1 5 wm", "allow c 1 3 r"].map(rule);
    let hole = Table::of(&rules).unwrap().list().unwrap_err();
    assert_eq!(hole.rule(&rules), Some(&rules[1]));
    assert_eq!(hole.to_string(), "cgroup v1 can't treat c 1:5 unlike c 1:*, for wm");
    assert!(allows(&rules, Kind::Char, 1, 5, "r"));
    assert!(!allows(&rules, Kind::Char, 1, 5, "rw"));
    assert!(allows(&rules, Kind::Char, 1, 6, "rw"));
    // The other way round: all but the major, and of that one some.
    let rules = ["allow a * * rwm", "deny c 1 * rw", "allow c 1 3 r"].map(rule);
    let hole = Table::of(&rules).unwrap().list().unwrap_err();
    assert_eq!(hole.rule(&rules), Some(&rules[2]));
}

#[test]
fn all_but_some_is_a_list_that_allows() {
    let rules = ["allow a * * rwm", "deny b 8 * w", "deny c 10 229 rwm"].map(rule);
    let list = Table::of(&rules).unwrap().list().unwrap();
    assert!(list.allow);
    let lines: Vec<String> = changes(None, &list).into_iter().map(|change| change.line).collect();
    assert_eq!(lines, ["a", "c 10:229 rwm", "b 8:* w"]);
}

#[test]
fn a_change_writes_the_difference_and_allows_first() {
    let list = |texts: &[&str]| {
        let rules: Vec<Rule> = texts.iter().map(|text| rule(text)).collect();
        Table::of(&rules).unwrap().list().unwrap()
    };
    let from = list(&["allow c 1 3 rwm", "allow c 1 5 rw", "allow b 7 0 r"]);
    let to = list(&["allow c 1 3 rwm", "allow c 1 5 rm", "allow c 10 229 rwm"]);
    let lines: Vec<String> = changes(Some(&from), &to)
        .into_iter()
        .map(|change| format!("{}{}", if change.allow { '+' } else { '-' }, change.line))
        .collect();
    assert_eq!(lines, ["+c 1:5 m", "+c 10:229 rwm", "-c 1:5 w", "-b 7:0 r"]);
    assert_eq!(changes(Some(&to), &to), []);
}

#[test]
fn tables_and_lists_are_read_back() {
    let rules = ["allow c * * m", "allow c 1 3 rwm", "deny c 1 9 rwm", "allow b * 1 r"].map(rule);
    let table = Table::of(&rules).unwrap();
    assert_eq!(table.to_string(), "c *:* m;c 1:3 rwm;c 1:9 -;b *:* -;b *:1 r");
    assert_eq!(table.to_string().parse(), Ok(table));
    for text in ["", "c 1:3", "x 1:3 r", "c 1 r", "c 1:3 rx", "c 1:3 r w", "a *:* rwm"] {
        assert_eq!(text.parse::<Table>(), Err(()), "{text}");
    }
    let text = "c 1:3 rwm\nb *:* m\n";
    let rules = List::parse(text).unwrap().rules();
    assert_eq!(Table::of(&rules).unwrap().list(), Ok(List::parse(text).unwrap()));
    assert!(List::parse("a *:* rwm\n").unwrap().allow);
    assert_eq!(List::parse("c 1:3\n"), None);
}

#[test]
fn too_many_patterns_are_refused() {
    let allow =
        |major, minor| Rule { allow: true, kind: Kind::Char, major, minor, access: Access::READ };
    let mut rules: Vec<Rule> = (0..4000).map(|n| allow(Some(1), Some(n))).collect();
    let program = Table::of(&rules).unwrap().program();
    assert!(run(&program, question(Kind::Char, 1, 3999, Access::READ)).0);
    assert!(!run(&program, question(Kind::Char, 1, 4000, Access::READ)).0);
    rules.extend((0..200).map(|n| allow(Some(2), Some(n))));
    assert_eq!(Table::of(&rules), None);
    let half: Vec<Rule> =
        (0..100).flat_map(|n| [allow(Some(n), None), allow(None, Some(n))]).collect();
    assert_eq!(Table::of(&half), None);
}

fn question(kind: Kind, major: u32, minor: u32, access: Access) -> Question {
    Question { kind, major, minor, access }
}

/// Length of a program, and of its runs the worst and the mean one over `devices` (read).
fn cost(rules: &[Rule], devices: &[(Kind, u32, u32)]) -> (usize, usize, usize) {
    let program = Table::of(rules).unwrap().program();
    let steps: Vec<usize> = devices
        .iter()
        .map(|&(kind, major, minor)| run(&program, question(kind, major, minor, Access::READ)).1)
        .collect();
    (program.len(), steps.iter().copied().max().unwrap(), steps.iter().sum::<usize>() / steps.len())
}

/// The rules of every container: the default devices, and making nodes.
#[test]
fn the_default_program_is_short() {
    let texts = [
        "deny a * * rwm",
        "allow c 1 3 rwm",
        "allow c 1 8 rwm",
        "allow c 1 7 rwm",
        "allow c 5 0 rwm",
        "allow c 1 5 rwm",
        "allow c 1 9 rwm",
        "allow c 136 * rwm",
        "allow c 5 2 rwm",
        "allow c 10 200 rwm",
        "allow c 5 1 rwm",
        "allow c * * m",
        "allow b * * m",
    ];
    let rules = texts.map(rule);
    let char = |major, minor| (Kind::Char, major, minor);
    let devices = [
        char(1, 3),
        char(1, 5),
        char(1, 7),
        char(1, 8),
        char(1, 9),
        char(5, 0),
        char(5, 1),
        char(5, 2),
        char(10, 200),
        char(136, 0),
        char(10, 229),
        (Kind::Block, 7, 0),
    ];
    let (length, worst, mean) = cost(&rules, &devices);
    println!("{length} instructions, worst run {worst}, mean run {mean}");
    assert!(length <= 37 && worst <= 20 && mean <= 15, "{length} {worst} {mean}");
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

/// Every question about the devices that random rules may name, and about one of each kind that
/// they don't.
fn questions() -> impl Iterator<Item = Question> {
    let numbers = (0..5).flat_map(|major| (0..5).map(move |minor| (major, minor)));
    let devices =
        numbers.flat_map(|(a, b)| [Kind::Char, Kind::Block].map(move |kind| (kind, a, b)));
    devices.flat_map(|(kind, major, minor)| {
        (1..8).map(move |access| question(kind, major, minor, Access(access)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn programs_and_lists_say_what_the_rules_say(
        rules in proptest::collection::vec(any_rule(), 0..12)
    ) {
        let table = Table::of(&rules).unwrap();
        let program = table.program();
        let list = table.list().ok();
        let mut kernel = Kernel::new();
        if let Some(list) = &list {
            kernel.write_all(&changes(None, list));
        }
        for question in questions() {
            let wanted = model(&rules, question);
            prop_assert_eq!(run(&program, question).0, wanted, "program: {:?}", question);
            if list.is_some() {
                prop_assert_eq!(kernel.answer(question), wanted, "{:?}: {:?}", list, question);
            }
        }
        prop_assert_eq!(table.to_string().parse(), Ok(table.clone()));
        prop_assert_eq!(Table::of(&table.rules()), Some(table));
    }

    /// What is refused for v1 is what no list can say: each bit by itself has a device with it and
    /// one without it where only wildcards differ.
    #[test]
    fn a_refused_table_has_a_rule_that_makes_the_hole(
        rules in proptest::collection::vec(any_rule(), 1..12)
    ) {
        if let Err(hole) = Table::of(&rules).unwrap().list() {
            prop_assert!(hole.whole.cover(hole.part) && hole.whole != hole.part);
            prop_assert!(hole.rule(&rules).is_some(), "{:?}", hole);
        }
    }

    /// From list to list: at the end all is as wanted, and on the way nothing that both allow is
    /// ever denied, unless the default changes.
    #[test]
    fn changes_lead_there_without_a_gap(
        before in proptest::collection::vec(any_rule(), 0..8),
        after in proptest::collection::vec(any_rule(), 0..8),
    ) {
        let lists = [&before, &after].map(|rules| Table::of(rules).unwrap().list());
        let [Ok(from), Ok(to)] = lists else { return Ok(()) };
        let mut kernel = Kernel::new();
        kernel.write_all(&changes(None, &from));
        if !from.allow {
            prop_assert_eq!(List::parse(&kernel.list()), Some(from.clone()));
        }
        let both: Vec<Question> =
            questions().filter(|q| model(&before, *q) && model(&after, *q)).collect();
        for change in changes(Some(&from), &to) {
            kernel.write(&change);
            if from.allow == to.allow {
                prop_assert!(both.iter().all(|question| kernel.answer(*question)), "{:?}", change);
            }
        }
        for question in questions() {
            prop_assert_eq!(kernel.answer(question), model(&after, question), "{:?}", question);
        }
    }
}
