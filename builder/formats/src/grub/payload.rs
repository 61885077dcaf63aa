//! What GRUB's decompressor unpacks: the kernel, and behind it records.
//!
//! `mimg`, the offset of the first record (12) and the size of all this, then for each record
//! its kind and its size with these eight bytes, and the content, filled up with zeros to a
//! multiple of 4. Numbers are little-endian and have 32 bits. Modules come in the order in which
//! they are loaded: each after those that it depends on.

use super::{Files, GrubError, Wishes, file};
use bytes::Bytes;
use object::read::elf::ElfFile32;
use object::{Object, ObjectSegment};
use std::collections::BTreeMap;

const MAGIC: &[u8; 4] = b"mimg";
const HEADER: usize = 12;
const RECORD_HEADER: usize = 8;
/// Where the kernel is linked to begin.
const KERNEL_ADDRESS: u64 = 0x9000;

/// A record's kind, as GRUB numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A module: an ELF object.
    Module,
    /// Commands to run at the start.
    Commands,
    /// What `$prefix` is.
    Prefix,
    /// Anything else that GRUB knows.
    Other(u32),
}

impl RecordKind {
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Module => 0,
            Self::Commands => 2,
            Self::Prefix => 3,
            Self::Other(number) => number,
        }
    }

    const fn of(number: u32) -> Self {
        match number {
            0 => Self::Module,
            2 => Self::Commands,
            3 => Self::Prefix,
            number => Self::Other(number),
        }
    }
}

/// A record behind the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// Its content, with the zeros it is filled up with.
    pub bytes: Bytes,
}

/// The payload with all that is wished for.
pub(super) fn build(files: &Files<'_>, wishes: &Wishes<'_>) -> Result<Vec<u8>, GrubError> {
    let mut records = Vec::new();
    for name in load_order(files, wishes.modules)? {
        let module = file(files, &format!("{name}.mod"))?;
        put_record(&mut records, RecordKind::Module, module)?;
    }
    for (kind, text) in [
        (RecordKind::Commands, wishes.commands),
        (RecordKind::Prefix, wishes.prefix),
    ] {
        let terminated = [text.as_bytes(), &[0]].concat();
        put_record(&mut records, kind, &terminated)?;
    }
    let mut payload = kernel(file(files, "kernel.img")?)?;
    payload.extend(MAGIC);
    payload.extend(narrow(HEADER)?.to_le_bytes());
    payload.extend(narrow(HEADER + records.len())?.to_le_bytes());
    payload.extend(records);
    Ok(payload)
}

fn put_record(out: &mut Vec<u8>, kind: RecordKind, content: &[u8]) -> Result<(), GrubError> {
    let size = content.len().next_multiple_of(4);
    out.extend(kind.number().to_le_bytes());
    out.extend(narrow(RECORD_HEADER + size)?.to_le_bytes());
    let end = out.len() + size;
    out.extend(content);
    out.resize(end, 0);
    Ok(())
}

fn narrow(size: usize) -> Result<u32, GrubError> {
    u32::try_from(size).map_err(|_| GrubError::TooLarge { size })
}

/// The kernel as it lies in memory, without what starts as zeros.
fn kernel(image: &[u8]) -> Result<Vec<u8>, GrubError> {
    let unexpected = |what| GrubError::Unexpected {
        file: "kernel.img",
        what,
    };
    let program = ElfFile32::<object::Endianness>::parse(image)?;
    let mut segments = program.segments();
    match (segments.next(), segments.next()) {
        (Some(segment), None) if segment.address() == KERNEL_ADDRESS => {
            Ok(segment.data()?.to_vec())
        }
        (Some(_), None) => Err(unexpected("it is not for address 0x9000")),
        _ => Err(unexpected("it has not exactly one segment")),
    }
}

/// The modules and what they depend on, by GRUB's `moddep.lst`: lines `NAME: NAME NAME …`.
pub(super) fn load_order<'a>(
    files: &Files<'a>,
    wanted: &[&'a str],
) -> Result<Vec<&'a str>, GrubError> {
    const FILE: &str = "moddep.lst";
    let text = std::str::from_utf8(file(files, FILE)?).map_err(|_| GrubError::Unexpected {
        file: FILE,
        what: "it is no text",
    })?;
    let needs: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    let mut order = Vec::new();
    for name in wanted {
        add_module(&needs, name, &mut Vec::new(), &mut order)?;
    }
    Ok(order)
}

fn add_module<'a>(
    needs: &BTreeMap<&'a str, &'a str>,
    name: &'a str,
    above: &mut Vec<&'a str>,
    order: &mut Vec<&'a str>,
) -> Result<(), GrubError> {
    if order.contains(&name) {
        return Ok(());
    }
    if above.contains(&name) {
        return Err(GrubError::Unexpected {
            file: "moddep.lst",
            what: "modules depend on each other in a circle",
        });
    }
    let below = needs.get(name);
    let below = below.ok_or_else(|| GrubError::Missing(format!("module {name} in moddep.lst")))?;
    above.push(name);
    for module in below.split_whitespace() {
        add_module(needs, module, above, order)?;
    }
    above.pop();
    order.push(name);
    Ok(())
}

/// The kernel and the records of a payload.
pub(super) fn read(payload: Bytes) -> Result<(Bytes, Vec<Record>), GrubError> {
    let damaged = GrubError::Damaged;
    let number = |at: usize| {
        let field = payload.get(at..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*field)).ok()
    };
    // The kernel holds the magic word as well, in the code that looks for it: the right one is
    // followed by sizes that add up.
    let start = (0..payload.len())
        .step_by(4)
        .find(|&at| {
            payload[at..].starts_with(MAGIC)
                && number(at + 4) == Some(HEADER)
                && number(at + 8).and_then(|size| at.checked_add(size)) == Some(payload.len())
        })
        .ok_or(damaged("no records follow the kernel"))?;
    let mut records = Vec::new();
    let mut at = start + HEADER;
    while at < payload.len() {
        let (kind, size) = number(at)
            .zip(number(at + 4))
            .ok_or(damaged("a record is cut off"))?;
        let end = at.checked_add(size).filter(|&end| end <= payload.len());
        let end = end.filter(|_| size >= RECORD_HEADER);
        let end = end.ok_or(damaged("a record has an impossible size"))?;
        records.push(Record {
            kind: RecordKind::of(u32::try_from(kind).unwrap_or(u32::MAX)),
            bytes: payload.slice(at + RECORD_HEADER..end),
        });
        at = end;
    }
    Ok((payload.slice(..start), records))
}
