//! Which calls both sides know by the same number.

use bpf::seccomp::Arch;

use crate::oracle;

/// The table of the compiler.
const TABLE: &str = include_str!("../../../crates/bpf/src/seccomp/syscalls.csv");

pub(crate) struct Names {
    /// The architectures that both sides know.
    pub(crate) arches: Vec<Arch>,
    /// A name, whether it also is behind a multiplexer, and a bit for each architecture on which
    /// both sides agree.
    rows: Vec<(&'static str, bool, u32)>,
    /// How often they don't, by architecture, and one such name.
    pub(crate) apart: Vec<(Arch, usize, &'static str)>,
}

impl Names {
    pub(crate) fn new() -> Names {
        let arches: Vec<Arch> = Arch::all().filter(|arch| oracle::has(arch.name())).collect();
        let mut lines = TABLE.lines();
        let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let mut apart: Vec<(Arch, usize, &str)> = arches.iter().map(|&a| (a, 0, "")).collect();
        let mut rows = Vec::new();
        for line in lines {
            let fields: Vec<&str> = line.split(',').collect();
            let (name, through) = (fields[0], fields[1]);
            let mut agreed = 0;
            for (place, &arch) in arches.iter().enumerate() {
                let column = head.iter().position(|title| *title == column(arch));
                let number = column.and_then(|column| fields[column].parse::<u32>().ok());
                let theirs = oracle::number(name, arch.name());
                if is_same(arch, through, number, theirs) {
                    agreed |= 1 << arch as u32;
                } else {
                    apart[place].1 += 1;
                    apart[place].2 = name;
                }
            }
            rows.push((name, !through.is_empty(), agreed));
        }
        apart.retain(|(_, count, _)| *count > 0);
        Names { arches, rows, apart }
    }

    /// The names whose numbers are the same on all of `arches`.
    pub(crate) fn known(&self, arches: &[Arch]) -> Vec<&'static str> {
        let all = arches.iter().fold(0, |all, &arch| all | 1 << arch as u32);
        let rows = self.rows.iter().filter(|(_, _, agreed)| agreed & all == all);
        rows.map(|(name, _, _)| *name).collect()
    }

    pub(crate) fn is_multiplexed(&self, name: &str) -> bool {
        self.rows.iter().any(|(known, through, _)| *known == name && *through)
    }
}

/// The number of a call on an architecture, as the compiler's table has it.
pub(crate) fn number(name: &str, arch: Arch) -> Option<u32> {
    let head = TABLE.lines().next()?;
    let column = head.split(',').position(|title| title == column(arch))?;
    let mut lines = TABLE.lines().skip(1);
    let line = lines.find(|line| line.split(',').next() == Some(name))?;
    let number: u32 = line.split(',').nth(column)?.parse().ok()?;
    Some(number + base(arch))
}

/// Where the multiplexers are, libseccomp has negative numbers for what is behind them.
fn is_same(arch: Arch, through: &str, number: Option<u32>, theirs: Option<i32>) -> bool {
    let is_behind = !through.is_empty() && has_multiplexers(arch);
    match (number, theirs) {
        (_, Some(theirs)) if is_behind => (-299..=-100).contains(&theirs),
        (Some(number), Some(theirs)) => {
            i64::from(number) + i64::from(base(arch)) == i64::from(theirs)
        }
        (None, Some(theirs)) => theirs < 0,
        (_, None) => false,
    }
}

/// Its column in the table.
fn column(arch: Arch) -> &'static str {
    match arch {
        Arch::Mipsel => "mips",
        Arch::Mipsel64 => "mips64",
        Arch::Mipsel64n32 => "mips64n32",
        Arch::Ppc64le => "ppc64",
        Arch::X86 => "x86",
        Arch::X86_64 => "x86_64",
        Arch::X32 => "x32",
        Arch::Arm => "arm",
        Arch::Aarch64 => "aarch64",
        Arch::Loongarch64 => "loongarch64",
        Arch::Mips => "mips",
        Arch::Mips64 => "mips64",
        Arch::Mips64n32 => "mips64n32",
        Arch::Ppc => "ppc",
        Arch::Ppc64 => "ppc64",
        Arch::Riscv64 => "riscv64",
        Arch::S390 => "s390",
        Arch::S390x => "s390x",
    }
}

/// What is added to the numbers of the table.
pub(crate) fn base(arch: Arch) -> u32 {
    match arch {
        Arch::X32 => 0x4000_0000,
        Arch::Mips | Arch::Mipsel => 4000,
        Arch::Mips64 | Arch::Mipsel64 => 5000,
        Arch::Mips64n32 | Arch::Mipsel64n32 => 6000,
        _ => 0,
    }
}

/// Whether socketcall(2) and ipc(2) exist there.
fn has_multiplexers(arch: Arch) -> bool {
    matches!(
        arch,
        Arch::X86
            | Arch::Ppc
            | Arch::Ppc64
            | Arch::Ppc64le
            | Arch::S390
            | Arch::S390x
            | Arch::Mips
            | Arch::Mipsel
    )
}
