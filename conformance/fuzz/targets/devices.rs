//! Any JSON to device rules: refused, or a table that means the same in each of its forms, and a program.
#![no_main]

use bpf::devices::{List, MOST_PATTERNS, Rule, Table};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(written) = serde_json::from_slice::<Vec<spec::DeviceRule<'_>>>(bytes) else { return };
    let rules: Result<Vec<Rule>, _> = written.iter().map(Rule::parse).collect();
    let Ok(rules) = rules else { return };
    let Some(table) = Table::of(&rules) else { return };
    assert_eq!(Table::of(&table.rules()).as_ref(), Some(&table));
    assert_eq!(table.to_string().parse().as_ref(), Ok(&table));
    // Bounded by the patterns, and not empty: it answers.
    let program = table.program();
    assert!(!program.is_empty() && program.len() < 16 * (MOST_PATTERNS + 2));
    if let Ok(list) = table.list() {
        // Where v1 can say it, it is the same.
        assert_eq!(Table::of(&list.rules()).as_ref(), Some(&table));
        let _ = List::parse(&table.to_string());
    }
});
