//! `update`: from flags, or a file, to limits.

use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use engine::Schemata;
use spec::{BlockIo, Cpu, Memory, Pids, Resources};

use super::{Failure, Outcome, id, store};
use crate::args::{Parsed, Values};
use crate::report::Log;

/// More than any list of limits has, in bytes.
const LARGEST: u64 = 1 << 24;

/// `update`.
pub(crate) fn update(parsed: &Parsed, log: &Log) -> Outcome {
    let (store, warn) = (store(parsed)?, |sentence: &str| log.warn(sentence));
    let schema = |flag| parsed.flags.given(flag).unwrap_or_default();
    let schemata =
        Schemata { cache: schema("l3-cache-schema"), bandwidth: schema("mem-bw-schema") };
    // As in runc: a file makes all flags void but those two.
    match parsed.flags.given("resources") {
        Some(file) => {
            let bytes = read(file)?;
            let name = if file == "-" { "standard input" } else { file };
            engine::update(&store, id(parsed), &engine::parse(name, &bytes)?, &schemata, &warn)?;
        }
        None => engine::update(&store, id(parsed), &from_flags(&parsed.flags)?, &schemata, &warn)?,
    }
    Ok(0)
}

fn read(file: &str) -> Result<Vec<u8>, Failure> {
    if file != "-" {
        return Ok(engine::read(Path::new(file))?);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().take(LARGEST).read_to_end(&mut bytes);
    read.map_err(|error| format!("standard input: {error}"))?;
    Ok(bytes)
}

fn from_flags(flags: &Values) -> Result<Resources<'_>, String> {
    Ok(Resources {
        memory: Some(Memory {
            limit: bytes(flags, "memory")?,
            reservation: bytes(flags, "memory-reservation")?,
            swap: bytes(flags, "memory-swap")?,
            kernel: bytes(flags, "kernel-memory")?,
            kernel_tcp: bytes(flags, "kernel-memory-tcp")?,
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            shares: number(flags, "cpu-share")?,
            quota: number(flags, "cpu-quota")?,
            burst: number(flags, "cpu-burst")?,
            period: number(flags, "cpu-period")?,
            realtime_runtime: number(flags, "cpu-rt-runtime")?,
            realtime_period: number(flags, "cpu-rt-period")?,
            cpus: flags.given("cpuset-cpus").unwrap_or_default().into(),
            mems: flags.given("cpuset-mems").unwrap_or_default().into(),
            idle: number(flags, "cpu-idle")?,
        }),
        pids: Some(Pids { limit: number(flags, "pids-limit")? }),
        block_io: Some(BlockIo { weight: number(flags, "blkio-weight")?, ..BlockIo::default() }),
        ..Resources::default()
    })
}

fn number<N: FromStr>(flags: &Values, name: &str) -> Result<Option<N>, String> {
    read_value(flags, name, |value| value.parse().ok())
}

fn bytes(flags: &Values, name: &str) -> Result<Option<i64>, String> {
    read_value(flags, name, size)
}

fn read_value<N>(
    flags: &Values,
    name: &str,
    read: impl Fn(&str) -> Option<N>,
) -> Result<Option<N>, String> {
    let Some(value) = flags.given(name) else { return Ok(None) };
    read(value).map(Some).ok_or_else(|| format!("invalid value for {name}: {value:?}"))
}

/// A number of bytes, as Docker's engines and runc write it: `64M`, `1.5g`, `100 kB`, `1MiB`, all
/// of them powers of 1024; `-1` is no limit.
fn size(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let (number, suffix) = match text.rfind(|c: char| c.is_ascii_digit()) {
        Some(last) => text.split_at(last + 1),
        None => return None,
    };
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
    let (letter, rest) = match suffix.chars().next() {
        Some(letter) if letter != 'b' => suffix.split_at(letter.len_utf8()),
        _ => ("", &suffix[..]),
    };
    let shift = match letter {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    match rest {
        "" | "b" => scaled(number, shift),
        "ib" if !letter.is_empty() => scaled(number, shift),
        _ => None,
    }
}

/// A number in decimals, times a power of two.
fn scaled(number: &str, shift: u32) -> Option<i64> {
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(1 << shift);
    }
    let product = number.parse::<f64>().ok()? * (1_u64 << shift) as f64;
    // 2^63 is the first one that doesn't fit.
    (product < i64::MAX as f64).then_some(product as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("-1", -1),
            ("1024", 1024),
            ("64M", 64 << 20),
            ("64m", 64 << 20),
            ("64MB", 64 << 20),
            ("64MiB", 64 << 20),
            ("64 mb", 64 << 20),
            ("10b", 10),
            ("2k", 2048),
            ("1g", 1 << 30),
            ("1t", 1 << 40),
            ("1p", 1 << 50),
            ("1.5k", 1536),
            ("0.5G", 1 << 29),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in [
            "",
            "-2",
            "-1m",
            "m",
            "1x",
            "1mm",
            "1ib",
            "1  m",
            "+1",
            "1e3",
            "1.2.3",
            "0x10",
            "9223372036854775808",
            "8192p",
            "nan",
            "ä",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn an_empty_value_is_none() {
        let no_flags = Values::default();
        for flag in ["--memory", "--cpu-share", "--cpu-period", "--cpu-quota", "--cpuset-cpus"] {
            let words = ["update", flag, "", "web"].map(str::to_owned);
            let parsed = crate::args::parse(&words).1.unwrap();
            assert_eq!(from_flags(&parsed.flags), from_flags(&no_flags), "{flag}");
        }
    }

    #[test]
    fn flags_become_the_resources_of_a_file() {
        let line = "update --memory 64m --memory-swap=-1 --cpu-share 300 --cpu-quota -1 \
                    --pids-limit 0 --blkio-weight 10 --cpuset-cpus 0-1 --cpu-idle= web";
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let parsed = crate::args::parse(&words).1.unwrap();
        let file = r#"{
            "memory": { "limit": 67108864, "swap": -1 },
            "cpu": { "shares": 300, "quota": -1, "cpus": "0-1" },
            "pids": { "limit": 0 },
            "blockIO": { "weight": 10 }
        }"#;
        assert_eq!(from_flags(&parsed.flags), Ok(spec::parse(file.as_bytes()).unwrap()));
        for flag in ["memory", "cpu-share"] {
            let words = ["update", &format!("--{flag}"), "lots", "web"].map(str::to_owned);
            let parsed = crate::args::parse(&words).1.unwrap();
            let sentence = format!("invalid value for {flag}: \"lots\"");
            assert_eq!(from_flags(&parsed.flags).unwrap_err(), sentence);
        }
    }
}
