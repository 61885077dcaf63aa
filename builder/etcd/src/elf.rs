//! Just enough of ELF (System V ABI, chapters 4 and 5) to tell for which machine a program is
//! and whether it needs a loader.

use imgbuild_base::Arch;

/// What an executable says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executable {
    /// The machine it is for.
    pub arch: Arch,
    /// It names no program interpreter: it runs without the system's libraries.
    pub is_static: bool,
}

/// Why bytes are not an executable for one of our machines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// No ELF file, or cut short.
    #[error("it is no ELF executable, or cut short")]
    NoElf,
    /// Another machine.
    #[error("it is for another machine (ELF machine {machine}, {bits} bits)")]
    Machine {
        /// `e_machine`.
        machine: u16,
        /// 32 or 64.
        bits: u8,
    },
}

/// The segment that names the program interpreter.
const PT_INTERP: u32 = 3;

/// Reads the header and the program headers of a little-endian executable.
///
/// # Errors
/// [`ElfError`].
pub fn inspect(bytes: &[u8]) -> Result<Executable, ElfError> {
    let u16_at = |at: usize| -> Result<u16, ElfError> {
        let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
        field
            .copied()
            .map(u16::from_le_bytes)
            .ok_or(ElfError::NoElf)
    };
    let u32_at = |at: usize| -> Result<u32, ElfError> {
        let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
        field
            .copied()
            .map(u32::from_le_bytes)
            .ok_or(ElfError::NoElf)
    };
    let bits = match bytes.get(..6) {
        Some(b"\x7fELF\x01\x01") => 32,
        Some(b"\x7fELF\x02\x01") => 64,
        _ => return Err(ElfError::NoElf),
    };
    let machine = u16_at(18)?;
    let arch = match (machine, bits) {
        (62, 64) => Arch::Amd64,
        (183, 64) => Arch::Arm64,
        (40, 32) => Arch::Armhf,
        _ => return Err(ElfError::Machine { machine, bits }),
    };
    // The 64-bit table's offset is below 4 GiB in any file held in memory here.
    let (table, size, count) = match bits {
        32 => (u32_at(28)?, u16_at(42)?, u16_at(44)?),
        _ => (u32_at(32)?, u16_at(54)?, u16_at(56)?),
    };
    let table = usize::try_from(table).map_err(|_| ElfError::NoElf)?;
    let mut is_static = true;
    for index in 0..usize::from(count) {
        let at = table
            .checked_add(index * usize::from(size))
            .ok_or(ElfError::NoElf)?;
        is_static &= u32_at(at)? != PT_INTERP;
    }
    Ok(Executable { arch, is_static })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The smallest file that passes for a program of `arch`.
    pub(crate) fn program(arch: Arch, is_static: bool) -> Vec<u8> {
        let (class, machine, table, fields) = match arch {
            Arch::Amd64 => (2, 62_u16, 64_u8, (32, 54)),
            Arch::Arm64 => (2, 183, 64, (32, 54)),
            Arch::Armhf => (1, 40, 52, (28, 42)),
        };
        let mut bytes = vec![0; 120];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1]);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[fields.0] = table;
        bytes[fields.1] = 56;
        bytes[fields.1 + 2] = 1;
        bytes[usize::from(table)] = if is_static { 1 } else { 3 };
        bytes
    }

    #[test]
    fn tells_machines_and_loaders_apart() {
        for arch in Arch::ALL {
            for is_static in [true, false] {
                let found = inspect(&program(arch, is_static));
                assert_eq!(found, Ok(Executable { arch, is_static }));
            }
        }
        let mut other = program(Arch::Amd64, true);
        other[18] = 21;
        let error = ElfError::Machine {
            machine: 21,
            bits: 64,
        };
        assert_eq!(inspect(&other), Err(error));
    }

    #[test]
    fn this_very_test_needs_a_loader() {
        let own = std::env::current_exe().unwrap();
        let found = inspect(&fs_err::read(own).unwrap());
        if cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
            assert_eq!(
                found,
                Ok(Executable {
                    arch: Arch::Amd64,
                    is_static: false
                })
            );
        } else {
            assert!(found.is_ok());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..128), cut in 0_usize..120) {
            let _ = inspect(&bytes);
            let head = program(Arch::Armhf, true);
            bytes.splice(..cut.min(bytes.len()), head[..cut].iter().copied());
            let _ = inspect(&bytes);
        }
    }
}
