//! What an ELF program asks the dynamic linker for.

use object::Endianness;
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

/// The dynamic section in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dynamic {
    /// The program interpreter, `/lib64/ld-linux-x86-64.so.2`.
    pub(crate) interpreter: Option<String>,
    /// Libraries asked for by name.
    pub(crate) needed: Vec<String>,
    /// Directories to look in first, `$ORIGIN` not yet replaced.
    pub(crate) search: Vec<String>,
}

/// Reads a file; `None` when it is no ELF file or has no use for a dynamic linker.
pub(crate) fn dynamic(bytes: &[u8]) -> Option<Dynamic> {
    match bytes.get(..5)? {
        [0x7F, b'E', b'L', b'F', 1] => read::<FileHeader32<Endianness>>(bytes),
        [0x7F, b'E', b'L', b'F', 2] => read::<FileHeader64<Endianness>>(bytes),
        _ => None,
    }
}

fn read<E: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Option<Dynamic> {
    let header = E::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let mut found = Dynamic::default();
    for segment in header.program_headers(endian, bytes).ok()? {
        if let Ok(Some(path)) = segment.interpreter(endian, bytes) {
            found.interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    let sections = header.sections(endian, bytes).ok()?;
    let (entries, link) = sections.dynamic(endian, bytes).ok()??;
    let strings = sections.strings(endian, bytes, link).ok()?;
    for entry in entries {
        let Ok(text) = entry.string(endian, strings) else {
            continue;
        };
        let text = String::from_utf8_lossy(text).into_owned();
        match entry.tag32(endian) {
            Some(DT_NEEDED) => found.needed.push(text),
            Some(DT_RPATH | DT_RUNPATH) => {
                found.search.extend(text.split(':').map(str::to_owned));
            }
            _ => {}
        }
    }
    Some(found)
}
