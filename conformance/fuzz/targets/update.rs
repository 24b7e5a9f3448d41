//! Any bytes as the resources file of `update`: refused, or limits and device rules.
#![no_main]

use bpf::devices::{Rule, Table};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(resources) = spec::parse::<spec::Resources<'_>>(bytes) else { return };
    let Some(all) = Table::of(&[Rule::reset(true)]) else { return };
    let limits = plan::resources(&resources);
    assert!(!format!("{limits:?}").is_empty());
    for present in [Table::default(), all] {
        if let Err(refusals) = plan::updated_devices(&resources.devices, &present, &[]) {
            assert!(!refusals.to_string().is_empty());
        }
    }
});
