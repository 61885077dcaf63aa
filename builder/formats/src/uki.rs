//! Unified kernel images: systemd's EFI stub with the kernel, its command line and its
//! initramfs as further sections, so that firmware starts all of them as one program.
//!
//! [`assemble`] adds the sections, [`inspect`] lists them.
//!
//! Sources: the UAPI group's "Unified Kernel Image" specification for the sections, the
//! "PE Format" specification for the file.

use std::fmt;

/// A section of a unified kernel image, in the order in which [`assemble`] lays them out. The
/// kernel comes last, for it may decompress itself into the memory behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SectionName {
    /// The os-release file.
    OsRelease,
    /// The kernel's command line.
    CommandLine,
    /// The kernel's version.
    Uname,
    /// A device tree.
    DeviceTree,
    /// CPU microcode as an uncompressed initramfs.
    Microcode,
    /// A bitmap to show.
    Splash,
    /// The initramfs.
    Initrd,
    /// The kernel.
    Linux,
}

impl SectionName {
    /// The name in the PE header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OsRelease => ".osrel",
            Self::CommandLine => ".cmdline",
            Self::Uname => ".uname",
            Self::DeviceTree => ".dtb",
            Self::Microcode => ".ucode",
            Self::Splash => ".splash",
            Self::Initrd => ".initrd",
            Self::Linux => ".linux",
        }
    }

    /// Code is what old kernels need their section to be: their entry point for EFI is
    /// jumped to in place.
    const fn characteristics(self) -> u32 {
        const CODE: u32 = 0x20;
        const INITIALISED_DATA: u32 = 0x40;
        const EXECUTE: u32 = 0x2000_0000;
        const READ: u32 = 0x4000_0000;
        match self {
            Self::Linux => CODE | EXECUTE | READ,
            _ => INITIALISED_DATA | READ,
        }
    }
}

impl fmt::Display for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A section to add.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// Which it is.
    pub name: SectionName,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// A section found in a PE file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its name, at most eight bytes.
    pub name: &'a str,
    /// Its address, relative to the image's base.
    pub address: u32,
    /// Where its content begins in the file.
    pub position: u32,
    /// Its content without padding.
    pub bytes: &'a [u8],
}

/// Why a stub cannot become a unified kernel image, or a file is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UkiError {
    /// The file is not a PE program for a 64-bit machine.
    #[error("not a 64-bit EFI program: {what} is {found:#x}, expected {expected:#x}")]
    NotPe {
        /// The field that differs.
        what: &'static str,
        /// Its value.
        found: u32,
        /// What it should be.
        expected: u32,
    },
    /// The file is shorter than its headers say.
    #[error("the EFI program is cut off: no {what} at byte {at}")]
    Truncated {
        /// What is missing.
        what: &'static str,
        /// Where it should be.
        at: u64,
    },
    /// Alignments must be powers of two.
    #[error("the EFI program aligns its {what} to {found}: expected a power of two")]
    Alignment {
        /// Sections or files.
        what: &'static str,
        /// The value.
        found: u32,
    },
    /// A name that is no text.
    #[error("the EFI program has a section whose name is not ASCII")]
    Name,
    /// No space in the header for the sections.
    #[error("the stub's header has room for {room} more sections, {needed} are needed")]
    NoRoom {
        /// Section headers that fit.
        room: usize,
        /// Section headers to add.
        needed: usize,
    },
    /// A signature would no longer hold.
    #[error("the stub is signed, and adding sections would break the signature: use one without")]
    Signed,
    /// A section is there already.
    #[error("section {0} is there twice")]
    Twice(SectionName),
    /// The stub cannot start what is not there.
    #[error("a unified kernel image needs a section .linux")]
    NoLinux,
    /// The result would be larger than PE can describe.
    #[error("the unified kernel image would be larger than 4 GiB at section {0}")]
    TooLarge(SectionName),
}

const SECTION_HEADER: usize = 40;

/// The headers of a PE32+ file, as far as sections matter; numbers are positions in the file.
struct Headers {
    /// The COFF header, after the signature.
    coff: usize,
    optional: usize,
    table: usize,
    count: u16,
    section_alignment: u32,
    file_alignment: u32,
    headers_size: u32,
}

impl Headers {
    fn read(file: &[u8]) -> Result<Self, UkiError> {
        let expect = |what, found: u32, expected: u32| {
            if found == expected {
                Ok(())
            } else {
                Err(UkiError::NotPe {
                    what,
                    found,
                    expected,
                })
            }
        };
        expect("its DOS magic", u16_at(file, 0)?.into(), 0x5a4d)?;
        let signature = index(u32_at(file, 0x3c)?);
        expect("its PE signature", u32_at(file, signature)?, 0x4550)?;
        let coff = signature.saturating_add(4);
        let count = u16_at(file, coff.saturating_add(2))?;
        let optional = coff.saturating_add(20);
        let optional_size = u16_at(file, coff.saturating_add(16))?;
        expect("its PE32+ magic", u16_at(file, optional)?.into(), 0x20b)?;
        let alignment = |what, at: usize| {
            let found = u32_at(file, optional.saturating_add(at))?;
            if found.is_power_of_two() {
                Ok(found)
            } else {
                Err(UkiError::Alignment { what, found })
            }
        };
        Ok(Self {
            coff,
            optional,
            table: optional.saturating_add(optional_size.into()),
            count,
            section_alignment: alignment("sections", 32)?,
            file_alignment: alignment("file", 36)?,
            headers_size: u32_at(file, optional.saturating_add(60))?,
        })
    }

    /// The position of section header `number`.
    fn section(&self, number: u16) -> usize {
        self.table
            .saturating_add(usize::from(number) * SECTION_HEADER)
    }

    /// Size and position of the signatures: the fifth data directory, if there are so many.
    fn signatures(&self, file: &[u8]) -> Result<u32, UkiError> {
        if u32_at(file, self.optional.saturating_add(108))? < 5 {
            return Ok(0);
        }
        u32_at(file, self.optional.saturating_add(112 + 4 * 8 + 4))
    }
}

/// Adds sections to a stub. Their order does not matter. The checksum becomes 0, which
/// firmware takes as "none".
///
/// # Errors
/// [`UkiError`] when the stub is no 64-bit EFI program, has no room, is signed or has one of
/// the sections, when one is given twice, or none is the kernel.
pub fn assemble(stub: &[u8], sections: &[Section<'_>]) -> Result<Vec<u8>, UkiError> {
    let headers = Headers::read(stub)?;
    let present = inspect(stub)?;
    if headers.signatures(stub)? != 0 {
        return Err(UkiError::Signed);
    }

    let mut sections = sections.to_vec();
    sections.sort_by_key(|section| section.name);
    for (number, section) in sections.iter().enumerate() {
        let again = sections[..number].iter().any(|s| s.name == section.name);
        if again || present.iter().any(|p| p.name == section.name.as_str()) {
            return Err(UkiError::Twice(section.name));
        }
    }
    if sections.last().map(|section| section.name) != Some(SectionName::Linux) {
        return Err(UkiError::NoLinux);
    }

    let free = headers.section(headers.count);
    let room = room(stub, &headers, free)?;
    let added = u16::try_from(sections.len()).unwrap_or(u16::MAX);
    let count = headers.count.checked_add(added);
    let (Some(count), true) = (count, sections.len() <= room) else {
        return Err(UkiError::NoRoom {
            room,
            needed: sections.len(),
        });
    };

    let mut address = memory_end(stub, &headers)?;
    let mut data = u32_at(stub, headers.optional + 8)?;
    let mut out = stub.to_vec();
    for (number, section) in sections.iter().enumerate() {
        let too_large = || UkiError::TooLarge(section.name);
        let narrow = |number: usize| u32::try_from(number).map_err(|_| too_large());
        let up = |number: u32, unit| number.checked_next_multiple_of(unit).ok_or_else(too_large);

        let size = narrow(section.bytes.len())?;
        let stored = up(size, headers.file_alignment)?;
        let position = up(narrow(out.len())?, headers.file_alignment)?;
        address = up(address, headers.section_alignment)?;

        let mut header = [0; SECTION_HEADER];
        let name = section.name.as_str().as_bytes();
        header[..name.len()].copy_from_slice(name);
        put(&mut header, 8, size);
        put(&mut header, 12, address);
        put(&mut header, 16, stored);
        put(&mut header, 20, position);
        put(&mut header, 36, section.name.characteristics());
        let at = free + number * SECTION_HEADER;
        out[at..at + SECTION_HEADER].copy_from_slice(&header);

        out.resize(index(position), 0);
        out.extend_from_slice(section.bytes);
        let end = position.checked_add(stored).ok_or_else(too_large)?;
        out.resize(index(end), 0);
        address = address.checked_add(size).ok_or_else(too_large)?;
        data = data.checked_add(stored).ok_or_else(too_large)?;
    }
    let image_size = address
        .checked_next_multiple_of(headers.section_alignment)
        .ok_or(UkiError::TooLarge(SectionName::Linux))?;

    out[headers.coff + 2..headers.coff + 4].copy_from_slice(&count.to_le_bytes());
    put(&mut out, headers.optional + 8, data);
    put(&mut out, headers.optional + 56, image_size);
    put(&mut out, headers.optional + 64, 0);
    Ok(out)
}

/// How many section headers fit: up to the end of the headers or the first section's bytes.
fn room(stub: &[u8], headers: &Headers, free: usize) -> Result<usize, UkiError> {
    let mut end = index(headers.headers_size).min(stub.len());
    for number in 0..headers.count {
        let position = u32_at(stub, headers.section(number) + 20)?;
        // Sections without bytes in the file may have no position.
        if position != 0 {
            end = end.min(index(position));
        }
    }
    Ok(end.saturating_sub(free) / SECTION_HEADER)
}

/// The first address after all sections.
fn memory_end(stub: &[u8], headers: &Headers) -> Result<u32, UkiError> {
    let mut end = headers.headers_size;
    for number in 0..headers.count {
        let at = headers.section(number);
        let (size, address) = (u32_at(stub, at + 8)?, u32_at(stub, at + 12)?);
        end = end.max(address.saturating_add(size));
    }
    Ok(end)
}

/// The sections of a PE32+ file in the order of its headers.
///
/// # Errors
/// [`UkiError`] when the file is no 64-bit EFI program or is cut off.
pub fn inspect(file: &[u8]) -> Result<Vec<Found<'_>>, UkiError> {
    let headers = Headers::read(file)?;
    let mut found = Vec::new();
    for number in 0..headers.count {
        let at = headers.section(number);
        let name = slice(file, at, 8, "section header")?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or(name);
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| name.is_ascii())
            .ok_or(UkiError::Name)?;
        let size = u32_at(file, at + 8)?;
        let address = u32_at(file, at + 12)?;
        let stored = u32_at(file, at + 16)?;
        let position = u32_at(file, at + 20)?;
        // Memory beyond what is stored is zeros.
        let length = index(size.min(stored));
        let bytes = slice(file, index(position), length, "section")?;
        found.push(Found {
            name,
            address,
            position,
            bytes,
        });
    }
    Ok(found)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn slice<'a>(
    file: &'a [u8],
    at: usize,
    length: usize,
    what: &'static str,
) -> Result<&'a [u8], UkiError> {
    file.get(at..)
        .and_then(|rest| rest.get(..length))
        .ok_or(UkiError::Truncated {
            what,
            at: at as u64,
        })
}

fn u16_at(file: &[u8], at: usize) -> Result<u16, UkiError> {
    let bytes = slice(file, at, 2, "header")?;
    Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn u32_at(file: &[u8], at: usize) -> Result<u32, UkiError> {
    let bytes = slice(file, at, 4, "header")?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Overwrites a number in a header that was read before.
fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    /// The smallest x86-64 EFI program with one section and a header of `header` bytes.
    fn stub(header: u32) -> Vec<u8> {
        let mut file = vec![0; index(header)];
        file[..2].copy_from_slice(b"MZ");
        put(&mut file, 0x3c, 64);
        file[64..68].copy_from_slice(b"PE\0\0");
        let (coff, optional) = (68, 88);
        file[coff..coff + 2].copy_from_slice(&0x8664_u16.to_le_bytes());
        file[coff + 2..coff + 4].copy_from_slice(&1_u16.to_le_bytes());
        file[coff + 16..coff + 18].copy_from_slice(&240_u16.to_le_bytes());
        file[coff + 18..coff + 20].copy_from_slice(&0x22e_u16.to_le_bytes());
        file[optional..optional + 2].copy_from_slice(&0x20b_u16.to_le_bytes());
        put(&mut file, optional + 16, 0x1000); // entry point
        put(&mut file, optional + 32, 0x1000);
        put(&mut file, optional + 36, 0x200);
        put(&mut file, optional + 56, 0x2000);
        put(&mut file, optional + 60, header);
        put(&mut file, optional + 64, 0xdead); // checksum
        file[optional + 68..optional + 70].copy_from_slice(&10_u16.to_le_bytes());
        put(&mut file, optional + 108, 16);
        let section = optional + 240;
        file[section..section + 5].copy_from_slice(b".text");
        put(&mut file, section + 8, 5);
        put(&mut file, section + 12, 0x1000);
        put(&mut file, section + 16, 0x200);
        put(&mut file, section + 20, header);
        put(&mut file, section + 36, 0x6000_0020);
        file.extend([0xc3; 5]);
        file.resize(index(header) + 0x200, 0);
        file
    }

    fn sections() -> [Section<'static>; 4] {
        let section = |name, bytes| Section { name, bytes };
        [
            section(SectionName::Linux, &[b'k'; 5000]),
            section(SectionName::Initrd, &[b'i'; 4097]),
            section(SectionName::CommandLine, b"quiet"),
            section(SectionName::OsRelease, b"ID=x\n"),
        ]
    }

    #[test]
    fn sections_come_back_in_order_and_aligned() {
        let uki = assemble(&stub(1024), &sections()).unwrap();
        let found = inspect(&uki).unwrap();
        let addresses: Vec<_> = found.iter().map(|f| (f.name, f.address)).collect();
        assert_eq!(
            addresses,
            [
                (".text", 0x1000),
                (".osrel", 0x2000),
                (".cmdline", 0x3000),
                (".initrd", 0x4000),
                (".linux", 0x6000),
            ]
        );
        assert_eq!(found[2].bytes, b"quiet");
        assert_eq!(found[4].bytes, [b'k'; 5000]);
        let headers = Headers::read(&uki).unwrap();
        assert_eq!(u32_at(&uki, headers.optional + 56), Ok(0x8000));
        assert_eq!(u32_at(&uki, headers.optional + 64), Ok(0));
        let mut other = sections();
        other.reverse();
        assert_eq!(assemble(&stub(1024), &other).unwrap(), uki);
    }

    #[test]
    fn objdump_agrees() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("uki.efi");
        fs_err::write(&file, assemble(&stub(1024), &sections()).unwrap()).unwrap();
        let output = Command::new("objdump")
            .args(["-h", "-p", "-w"])
            .arg(&file)
            .output()
            .expect("objdump (binutils) must be installed");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("file format pei-x86-64"), "{text}");
        for line in [
            "SizeOfImage\t\t00008000",
            ".cmdline      00000005  0000000000003000  0000000000003000  00000800",
            ".initrd       00001001  0000000000004000  0000000000004000  00000a00",
            ".linux        00001388  0000000000006000  0000000000006000  00001c00",
        ] {
            assert!(text.contains(line), "{line:?} not in {text}");
        }
    }

    #[test]
    fn refusals() {
        let sections = sections();
        assert_eq!(
            assemble(&stub(512), &sections),
            Err(UkiError::NoRoom { room: 3, needed: 4 })
        );
        assert_eq!(
            assemble(&stub(1024), &sections[1..]),
            Err(UkiError::NoLinux)
        );
        let twice = [sections[0], sections[0]];
        assert_eq!(
            assemble(&stub(1024), &twice),
            Err(UkiError::Twice(SectionName::Linux))
        );
        let uki = assemble(&stub(1024), &sections).unwrap();
        assert_eq!(
            assemble(&uki, &sections[..1]),
            Err(UkiError::Twice(SectionName::Linux))
        );
        let mut signed = stub(1024);
        put(&mut signed, 88 + 112 + 36, 8);
        assert_eq!(assemble(&signed, &sections), Err(UkiError::Signed));
        assert_eq!(
            inspect(b"\x7fELF"),
            Err(UkiError::NotPe {
                what: "its DOS magic",
                found: 0x457f,
                expected: 0x5a4d
            })
        );
    }

    proptest! {
        #[test]
        fn damage_is_survived(
            hits in prop::collection::vec((0..400_usize, any::<u8>()), 1..6),
            cut in 0..1600_usize,
        ) {
            let mut file = stub(1024);
            for (at, byte) in hits {
                file[at] = byte;
            }
            file.truncate(cut);
            let _ = inspect(&file);
            let _ = assemble(&file, &sections());
        }
    }
}
