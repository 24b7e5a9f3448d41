//! The numbers of the system calls: `syscalls.csv` (made by `hack/gen-syscalls`), parsed by the
//! compiler into columns of numbers and a hash table of names.
//!
//! There are no pointers in it, so nothing has to be relocated when the program starts.

use super::Arch;

/// A call's place in the table, the same for all architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call(u16);

/// The call behind which the older 32-bit architectures also offer others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    /// socketcall(2)
    Socketcall,
    /// ipc(2)
    Ipc,
}

impl Call {
    /// The call of that name, on whichever architecture it exists.
    pub(super) fn find(name: &str) -> Option<Call> {
        let mut bucket = hash(name.as_bytes()) % BUCKETS;
        loop {
            let row = TABLE.buckets[bucket];
            if row == NONE {
                return None;
            }
            if name_at(row as usize) == name.as_bytes() {
                return Some(Call(row));
            }
            bucket = (bucket + 1) % BUCKETS;
        }
    }

    /// Its number, as it is when the kernel shows it to a filter.
    pub(super) fn number(self, arch: Arch) -> Option<u32> {
        match TABLE.numbers[arch.column()][self.0 as usize] {
            NONE => None,
            private @ PRIVATE.. => Some(ARM_BASE + u32::from(private - PRIVATE)),
            number => Some(arch.base() + u32::from(number)),
        }
    }

    /// Its place in the table.
    pub(super) fn place(self) -> u16 {
        self.0
    }

    /// The multiplexer that also leads to it, and the first argument that selects it there.
    pub(super) fn through(self) -> Option<(Through, u64)> {
        match TABLE.through[self.0 as usize] {
            0 => None,
            number if number >= IPC => Some((Through::Ipc, u64::from(number - IPC))),
            number => Some((Through::Socketcall, u64::from(number))),
        }
    }

    /// Every call and its name.
    pub(super) fn all() -> impl Iterator<Item = (Call, &'static str)> {
        (0..ROWS)
            .map(|row| (Call(row as u16), std::str::from_utf8(name_at(row)).unwrap_or_default()))
    }
}

/// No such call (or an empty bucket).
const NONE: u16 = u16::MAX;
/// From here on, what is left of the private calls of arm without [`ARM_BASE`].
const PRIVATE: u16 = 0xf000;
/// Where arm's private calls begin (`__ARM_NR_BASE`).
const ARM_BASE: u32 = 0xf_0000;
/// Added to the numbers of ipc(2), which are below 32 as those of socketcall(2) are.
const IPC: u8 = 0x80;

const CSV: &[u8] = include_bytes!("syscalls.csv");
const ROWS: usize = rows();
const COLUMNS: usize = 14;
const BUCKETS: usize = 1024;

struct Table {
    /// All names, one after the other.
    names: [u8; CSV.len() / 4],
    /// Where each name begins, and where the last one ends.
    offsets: [u16; ROWS + 1],
    through: [u8; ROWS],
    numbers: [[u16; ROWS]; COLUMNS],
    /// Rows by hash of their name; a taken bucket moves a row to the next one.
    buckets: [u16; BUCKETS],
}

static TABLE: Table = parse();

fn name_at(row: usize) -> &'static [u8] {
    &TABLE.names[TABLE.offsets[row] as usize..TABLE.offsets[row + 1] as usize]
}

/// FNV-1a, folded so that the low bits depend on all of it.
const fn hash(name: &[u8]) -> usize {
    let hash = fnv1a(name);
    (hash ^ hash >> 15) as usize
}

/// FNV-1a in 32 bits.
pub(super) const fn fnv1a(bytes: &[u8]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}

/// Number of rows below the head.
const fn rows() -> usize {
    let (mut rows, mut i) = (0, 0);
    while i < CSV.len() {
        rows += (CSV[i] == b'\n') as usize;
        i += 1;
    }
    rows - 1
}

const fn parse() -> Table {
    let mut table = Table {
        names: [0; CSV.len() / 4],
        offsets: [0; ROWS + 1],
        through: [0; ROWS],
        numbers: [[NONE; ROWS]; COLUMNS],
        buckets: [NONE; BUCKETS],
    };
    let (mut at, mut row, mut names) = (0, 0, 0);
    while CSV[at] != b'\n' {
        at += 1;
    }
    at += 1;
    while row < ROWS {
        let start = at;
        while CSV[at] != b',' {
            table.names[names] = CSV[at];
            names += 1;
            at += 1;
        }
        table.offsets[row + 1] = names as u16;
        let mut bucket = hash(CSV.split_at(at).0.split_at(start).1) % BUCKETS;
        while table.buckets[bucket] != NONE {
            bucket = (bucket + 1) % BUCKETS;
        }
        table.buckets[bucket] = row as u16;
        at += 1;
        let ipc = CSV[at] == b'i';
        if CSV[at] != b',' {
            let (number, end) = number(at + 1);
            table.through[row] = number as u8 + if ipc { IPC } else { 0 };
            at = end;
        }
        let mut column = 0;
        while column < COLUMNS {
            at += 1;
            if CSV[at] != b',' && CSV[at] != b'\n' {
                let (number, end) = number(at);
                table.numbers[column][row] = match number {
                    ARM_BASE.. => PRIVATE + (number - ARM_BASE) as u16,
                    _ => number as u16,
                };
                at = end;
            }
            column += 1;
        }
        assert!(CSV[at] == b'\n', "a row with too many fields");
        at += 1;
        row += 1;
    }
    table
}

/// The decimal number at `at`, and where it ends.
const fn number(mut at: usize) -> (u32, usize) {
    let mut number = 0;
    while CSV[at].is_ascii_digit() {
        number = number * 10 + (CSV[at] - b'0') as u32;
        at += 1;
    }
    (number, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_name_and_no_other() {
        for (call, name) in Call::all() {
            assert_eq!(Call::find(name), Some(call), "{name}");
        }
        for name in ["", "a", "reads", "rea", "READ", "no_such_call"] {
            assert_eq!(Call::find(name), None, "{name}");
        }
    }

    #[test]
    fn knows_numbers() {
        let number = |name, arch| Call::find(name).unwrap().number(arch);
        assert_eq!(number("read", Arch::X86_64), Some(0));
        assert_eq!(number("read", Arch::X32), Some(1 << 30));
        assert_eq!(number("readv", Arch::X32), Some((1 << 30) + 515));
        assert_eq!(number("read", Arch::Mipsel64n32), Some(6000));
        assert_eq!(number("set_tls", Arch::Arm), Some(0xf0005));
        assert_eq!(number("set_tls", Arch::X86), None);
        assert_eq!(number("clone3", Arch::S390x), Some(435));
        let through = |name| Call::find(name).unwrap().through();
        assert_eq!(through("accept4"), Some((Through::Socketcall, 18)));
        assert_eq!(through("shmctl"), Some((Through::Ipc, 24)));
        assert_eq!(through("read"), None);
    }
}
