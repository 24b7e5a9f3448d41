//! The architectures a profile can name, and what the kernel calls them.

/// One of `SCMP_ARCH_*`: a calling convention with a table of numbers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Arch {
    X86,
    X86_64,
    X32,
    Arm,
    Aarch64,
    Loongarch64,
    Mips,
    Mips64,
    Mips64n32,
    Mipsel,
    Mipsel64,
    Mipsel64n32,
    Ppc,
    Ppc64,
    Ppc64le,
    Riscv64,
    S390,
    S390x,
}

/// Every architecture, with its name in a profile.
const NAMES: [(Arch, &str); 18] = [
    (Arch::X86, "SCMP_ARCH_X86"),
    (Arch::X86_64, "SCMP_ARCH_X86_64"),
    (Arch::X32, "SCMP_ARCH_X32"),
    (Arch::Arm, "SCMP_ARCH_ARM"),
    (Arch::Aarch64, "SCMP_ARCH_AARCH64"),
    (Arch::Loongarch64, "SCMP_ARCH_LOONGARCH64"),
    (Arch::Mips, "SCMP_ARCH_MIPS"),
    (Arch::Mips64, "SCMP_ARCH_MIPS64"),
    (Arch::Mips64n32, "SCMP_ARCH_MIPS64N32"),
    (Arch::Mipsel, "SCMP_ARCH_MIPSEL"),
    (Arch::Mipsel64, "SCMP_ARCH_MIPSEL64"),
    (Arch::Mipsel64n32, "SCMP_ARCH_MIPSEL64N32"),
    (Arch::Ppc, "SCMP_ARCH_PPC"),
    (Arch::Ppc64, "SCMP_ARCH_PPC64"),
    (Arch::Ppc64le, "SCMP_ARCH_PPC64LE"),
    (Arch::Riscv64, "SCMP_ARCH_RISCV64"),
    (Arch::S390, "SCMP_ARCH_S390"),
    (Arch::S390x, "SCMP_ARCH_S390X"),
];

impl Arch {
    /// The architecture that a profile calls `name`, such as `SCMP_ARCH_X86_64`.
    pub fn parse(name: &str) -> Option<Arch> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(arch, _)| *arch)
    }

    /// Its name in a profile.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(arch, _)| *arch == self).map_or("", |(_, name)| name)
    }

    /// Every architecture that a profile can name.
    pub fn all() -> impl Iterator<Item = Arch> {
        NAMES.iter().map(|(arch, _)| *arch)
    }

    /// The one that this program is built for.
    pub const fn native() -> Arch {
        native()
    }
}

const fn native() -> Arch {
    Arch::X86_64
}
