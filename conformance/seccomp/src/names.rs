//! Which calls both sides know by the same number.

use std::collections::HashMap;
use std::sync::LazyLock;

use bpf::interpret::Data;
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

/// What stands in `through`, and the fields of the columns.
type Row = (&'static str, Vec<Option<u32>>);

/// The rows of the table by name.
static ROWS: LazyLock<HashMap<&str, Row>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let (name, rest) = line.split_once(',').unwrap_or((line, ""));
        let (through, numbers) = rest.split_once(',').unwrap_or((rest, ""));
        (name, (through, numbers.split(',').map(|number| number.parse().ok()).collect()))
    };
    TABLE.lines().skip(1).map(row).collect()
});

/// The number of a call on an architecture, as the compiler's table has it.
pub(crate) fn number(name: &str, arch: Arch) -> Option<u32> {
    let head = TABLE.lines().next()?;
    let column = head.split(',').skip(2).position(|title| title == column(arch))?;
    let number = *ROWS.get(name)?.1.get(column)?;
    Some(number? + base(arch))
}

/// The first argument by which a call is meant where `data` is one of the multiplexer it is behind.
pub(crate) fn selector(name: &str, data: &Data) -> Option<u32> {
    let through = ROWS.get(name)?.0;
    let (multiplexer, selector) = match through.split_at_checked(1)? {
        ("s", selector) => ("socketcall", selector),
        (_, selector) => ("ipc", selector),
    };
    (number(multiplexer, data.arch)? == data.number).then(|| selector.parse().ok())?
}

/// The same call with the architecture that it is of: only a bit of the number tells x32 from x86_64.
pub(crate) fn whose(data: &Data) -> Data {
    let arch = match data.number & base(Arch::X32) {
        _ if data.arch.token() != Arch::X32.token() => data.arch,
        0 => Arch::X86_64,
        _ => Arch::X32,
    };
    Data { arch, ..*data }
}

/// Where the multiplexers are, libseccomp has negative numbers for what is behind them.
fn is_same(arch: Arch, through: &str, number: Option<u32>, theirs: Option<i32>) -> bool {
    let is_behind = !through.is_empty() && self::number("socketcall", arch).is_some();
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
