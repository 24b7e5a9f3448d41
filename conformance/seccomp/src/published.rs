//! Profiles as engines publish them: a rule can be for some machines only, and for containers with or
//! without a capability. The engine decides, and writes the rules that are left into `config.json`.

use bpf::seccomp::Arch;
use serde_json::Value;

use crate::Failure;

/// What a container may do, as far as published rules ask.
#[derive(Clone, Copy)]
pub(crate) enum Capabilities {
    All,
    None,
}

/// The profile for a container on a machine of `native`, as JSON; one that is an engine's answer
/// already stays as it is.
pub(crate) fn resolve(
    text: &str,
    native: Arch,
    capabilities: Capabilities,
) -> Result<String, Failure> {
    let mut profile: Value = serde_json::from_str(text)?;
    let Some(machines) = profile.get("archMap").and_then(Value::as_array) else {
        return Ok(text.to_owned());
    };
    let machine = machines.iter().find(|machine| machine["architecture"] == native.name());
    let others = machine.and_then(|machine| machine["subArchitectures"].as_array().cloned());
    let all = std::iter::once(native.name().into()).chain(others.into_iter().flatten());
    profile["architectures"] = all.collect();
    if let Some(rules) = profile.get_mut("syscalls").and_then(Value::as_array_mut) {
        rules.retain(|rule| is_for(rule, native, capabilities));
    }
    Ok(profile.to_string())
}

/// Whether a rule is for such a machine and container: everything that it includes is there, and
/// nothing that it excludes.
fn is_for(rule: &Value, native: Arch, capabilities: Capabilities) -> bool {
    let names = |side: &str, what: &str| match &rule[side][what] {
        Value::Array(names) => names.clone(),
        _ => Vec::new(),
    };
    let is_here = |names: &[Value]| names.iter().any(|name| *name == machine(native));
    let (needs, minds) = (names("includes", "caps"), names("excludes", "caps"));
    let (places, others) = (names("includes", "arches"), names("excludes", "arches"));
    let may = match capabilities {
        Capabilities::All => minds.is_empty(),
        Capabilities::None => needs.is_empty(),
    };
    may && (places.is_empty() || is_here(&places)) && !is_here(&others)
}

/// What Go, in which these engines are written, calls the machine.
fn machine(arch: Arch) -> &'static str {
    match arch {
        Arch::X86 => "386",
        Arch::X86_64 => "amd64",
        Arch::X32 => "x32",
        Arch::Arm => "arm",
        Arch::Aarch64 => "arm64",
        Arch::Loongarch64 => "loong64",
        Arch::Mips => "mips",
        Arch::Mips64 => "mips64",
        Arch::Mips64n32 => "mips64p32",
        Arch::Mipsel => "mipsle",
        Arch::Mipsel64 => "mips64le",
        Arch::Mipsel64n32 => "mips64p32le",
        Arch::Ppc => "ppc",
        Arch::Ppc64 => "ppc64",
        Arch::Ppc64le => "ppc64le",
        Arch::Riscv64 => "riscv64",
        Arch::S390 => "s390",
        Arch::S390x => "s390x",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"{
        "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] }],
        "syscalls": [
            { "names": ["always"], "includes": {}, "excludes": {} },
            { "names": ["privileged"], "includes": { "caps": ["CAP_SYS_ADMIN"] } },
            { "names": ["unprivileged"], "excludes": { "caps": ["CAP_SYS_ADMIN"] } },
            { "names": ["amd64"], "includes": { "arches": ["amd64", "x32"] } },
            { "names": ["others"], "excludes": { "arches": ["amd64"] } }
        ]
    }"#;

    #[test]
    fn rules_are_for_machines_and_capabilities() {
        let names = |native, capabilities| {
            let text = resolve(PROFILE, native, capabilities).unwrap();
            let profile: Value = serde_json::from_str(&text).unwrap();
            let rules = profile["syscalls"].as_array().unwrap().clone();
            let names: Vec<String> =
                rules.iter().map(|rule| rule["names"][0].as_str().unwrap().to_owned()).collect();
            (names.join(" "), profile["architectures"].to_string())
        };
        assert_eq!(
            names(Arch::X86_64, Capabilities::All),
            (
                "always privileged amd64".to_owned(),
                r#"["SCMP_ARCH_X86_64","SCMP_ARCH_X86"]"#.to_owned()
            )
        );
        assert_eq!(
            names(Arch::Riscv64, Capabilities::None),
            ("always unprivileged others".to_owned(), r#"["SCMP_ARCH_RISCV64"]"#.to_owned())
        );
    }

    #[test]
    fn what_is_resolved_stays() {
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;
        assert_eq!(resolve(text, Arch::X86, Capabilities::All).unwrap(), text);
    }
}
