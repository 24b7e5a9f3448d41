//! The architectures that a profile can name, and what the kernel shows of them to a filter.

use super::table::Through;

/// One of `SCMP_ARCH_*`: a calling convention with numbers of its own.
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

/// What there is to know about an architecture.
struct Facts {
    arch: Arch,
    name: &'static str,
    /// `AUDIT_ARCH_*` of linux/audit.h, which is `seccomp_data.arch`.
    token: u32,
    /// Its column in `syscalls.csv`.
    column: u8,
    /// What is added to the numbers there.
    base: u32,
}

/// `__AUDIT_ARCH_64BIT`. For the conventions of 32-bit programs on 64-bit machines it is set as
/// well (n32), except that x32 and x86_64 cannot be told apart.
const BIT64: u32 = 0x8000_0000;
/// `__AUDIT_ARCH_LE`
const LE: u32 = 0x4000_0000;
/// `__AUDIT_ARCH_CONVENTION_MIPS64_N32`
const N32: u32 = 0x2000_0000;
/// `__X32_SYSCALL_BIT` of asm/unistd.h.
pub(super) const X32_BIT: u32 = 0x4000_0000;

const fn facts(arch: Arch, name: &'static str, token: u32, column: u8, base: u32) -> Facts {
    Facts { arch, name, token, column, base }
}

/// In the order of [`Arch`]; the tokens are made of `EM_*` of linux/elf-em.h.
const ARCHES: [Facts; 18] = [
    facts(Arch::X86, "SCMP_ARCH_X86", 3 | LE, 0, 0),
    facts(Arch::X86_64, "SCMP_ARCH_X86_64", 62 | BIT64 | LE, 1, 0),
    facts(Arch::X32, "SCMP_ARCH_X32", 62 | BIT64 | LE, 2, X32_BIT),
    facts(Arch::Arm, "SCMP_ARCH_ARM", 40 | LE, 3, 0),
    facts(Arch::Aarch64, "SCMP_ARCH_AARCH64", 183 | BIT64 | LE, 4, 0),
    facts(Arch::Loongarch64, "SCMP_ARCH_LOONGARCH64", 258 | BIT64 | LE, 5, 0),
    facts(Arch::Mips, "SCMP_ARCH_MIPS", 8, 6, 4000),
    facts(Arch::Mips64, "SCMP_ARCH_MIPS64", 8 | BIT64, 7, 5000),
    facts(Arch::Mips64n32, "SCMP_ARCH_MIPS64N32", 8 | BIT64 | N32, 8, 6000),
    facts(Arch::Mipsel, "SCMP_ARCH_MIPSEL", 8 | LE, 6, 4000),
    facts(Arch::Mipsel64, "SCMP_ARCH_MIPSEL64", 8 | BIT64 | LE, 7, 5000),
    facts(Arch::Mipsel64n32, "SCMP_ARCH_MIPSEL64N32", 8 | BIT64 | LE | N32, 8, 6000),
    facts(Arch::Ppc, "SCMP_ARCH_PPC", 20, 9, 0),
    facts(Arch::Ppc64, "SCMP_ARCH_PPC64", 21 | BIT64, 10, 0),
    facts(Arch::Ppc64le, "SCMP_ARCH_PPC64LE", 21 | BIT64 | LE, 10, 0),
    facts(Arch::Riscv64, "SCMP_ARCH_RISCV64", 243 | BIT64 | LE, 11, 0),
    facts(Arch::S390, "SCMP_ARCH_S390", 22, 12, 0),
    facts(Arch::S390x, "SCMP_ARCH_S390X", 22 | BIT64, 13, 0),
];

impl Arch {
    /// The architecture that a profile calls `name`, such as `SCMP_ARCH_X86_64`.
    pub fn parse(name: &str) -> Option<Arch> {
        ARCHES.iter().find(|facts| facts.name == name).map(|facts| facts.arch)
    }

    /// Its name in a profile.
    pub const fn name(self) -> &'static str {
        ARCHES[self as usize].name
    }

    /// Every architecture that a profile can name.
    pub fn all() -> impl Iterator<Item = Arch> {
        ARCHES.iter().map(|facts| facts.arch)
    }

    /// The one that this program is built for.
    pub const fn native() -> Arch {
        NATIVE
    }

    /// `AUDIT_ARCH_*`, as in `seccomp_data.arch`; x32 shares that of x86_64.
    pub const fn token(self) -> u32 {
        ARCHES[self as usize].token
    }

    /// Whether the low word of a 64-bit value is the second one.
    pub const fn is_big_endian(self) -> bool {
        self.token() & LE == 0
    }

    /// Whether arguments are compared with all of their 64 bits.
    ///
    /// libseccomp compares the low word only for x32 and n32.
    pub const fn is_64_bit(self) -> bool {
        self.token() & BIT64 != 0 && self.token() & N32 == 0 && !matches!(self, Arch::X32)
    }

    /// Its column in the table of numbers.
    pub(super) const fn column(self) -> usize {
        ARCHES[self as usize].column as usize
    }

    /// What is added to the numbers in that column.
    pub(super) const fn base(self) -> u32 {
        ARCHES[self as usize].base
    }

    /// The number of a multiplexer, where there is one.
    pub(super) const fn multiplexer(self, through: Through) -> Option<u32> {
        match self {
            Arch::X86 | Arch::Ppc | Arch::Ppc64 | Arch::Ppc64le | Arch::S390 | Arch::S390x => {}
            Arch::Mips | Arch::Mipsel => {}
            _ => return None,
        }
        match through {
            Through::Socketcall => Some(self.base() + 102),
            Through::Ipc => Some(self.base() + 117),
        }
    }
}

const NATIVE: Arch = if cfg!(target_arch = "x86") {
    Arch::X86
} else if cfg!(all(target_arch = "x86_64", target_pointer_width = "32")) {
    Arch::X32
} else if cfg!(target_arch = "x86_64") {
    Arch::X86_64
} else if cfg!(target_arch = "arm") {
    Arch::Arm
} else if cfg!(target_arch = "aarch64") {
    Arch::Aarch64
} else if cfg!(target_arch = "loongarch64") {
    Arch::Loongarch64
} else if cfg!(target_arch = "riscv64") {
    Arch::Riscv64
} else if cfg!(target_arch = "powerpc") {
    Arch::Ppc
} else if cfg!(all(target_arch = "powerpc64", target_endian = "big")) {
    Arch::Ppc64
} else if cfg!(target_arch = "powerpc64") {
    Arch::Ppc64le
} else if cfg!(target_arch = "s390x") {
    Arch::S390x
} else if cfg!(all(target_arch = "mips", target_endian = "big")) {
    Arch::Mips
} else if cfg!(target_arch = "mips") {
    Arch::Mipsel
} else if cfg!(all(target_arch = "mips64", target_endian = "big")) {
    Arch::Mips64
} else if cfg!(target_arch = "mips64") {
    Arch::Mipsel64
} else {
    panic!("no seccomp architecture is known for this target")
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_in_the_order_of_the_names() {
        for (index, arch) in Arch::all().enumerate() {
            assert_eq!(arch as usize, index);
            assert_eq!(Arch::parse(arch.name()), Some(arch));
        }
        assert_eq!(Arch::parse("SCMP_ARCH_NATIVE"), None);
    }

    #[test]
    fn tokens_are_those_of_linux_audit_h() {
        assert_eq!(Arch::X86_64.token(), 0xc000_003e);
        assert_eq!(Arch::X32.token(), 0xc000_003e);
        assert_eq!(Arch::X86.token(), 0x4000_0003);
        assert_eq!(Arch::Aarch64.token(), 0xc000_00b7);
        assert_eq!(Arch::Arm.token(), 0x4000_0028);
        assert_eq!(Arch::S390x.token(), 0x8000_0016);
        assert_eq!(Arch::Mipsel64n32.token(), 0xe000_0008);
        assert_eq!(Arch::Ppc64le.token(), 0xc000_0015);
        assert_eq!(Arch::Riscv64.token(), 0xc000_00f3);
    }
}
