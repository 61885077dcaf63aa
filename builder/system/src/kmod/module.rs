use super::canonical;
use bytes::Bytes;
use imgbuild_base::TreePath;
use object::read::elf::{ElfFile, FileHeader};
use object::{Object, ObjectSection, ObjectSymbol};
use std::io::Read;

/// A kernel module that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its canonical name: `virtio_net`.
    pub name: String,
    /// Where it lies below `usr/lib/modules/VERSION`: `kernel/drivers/net/virtio_net.ko.xz`.
    pub file: String,
    /// The ELF file, decompressed.
    pub elf: Bytes,
    /// The `key=value` strings of its `.modinfo`, in their order.
    pub info: Vec<(String, String)>,
    /// The symbols it offers to other modules.
    pub exports: Vec<String>,
}

/// Why a module cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// Its compression is none that Debian uses.
    #[error("{0}: not a kernel module: expected .ko or .ko.xz or .ko.zst")]
    Suffix(String),
    /// Decompression failed.
    #[error("decompressing {file}: {source}")]
    Decompress {
        /// The module.
        file: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// It is no ELF file.
    #[error("{file} is not an ELF file: {source}")]
    Elf {
        /// The module.
        file: String,
        /// What is wrong with it.
        source: object::Error,
    },
}

/// The canonical name of the module in a file of that name; `None` for other files.
pub(super) fn name_of(path: &TreePath) -> Option<String> {
    let name = path.name();
    let stem = [".ko", ".ko.xz", ".ko.zst"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))?;
    Some(canonical(stem))
}

impl Module {
    /// Reads the module `file` (its place below `usr/lib/modules/VERSION`).
    ///
    /// # Errors
    /// [`ModuleError`].
    pub fn read(file: &str, bytes: &Bytes) -> Result<Self, ModuleError> {
        let name = TreePath::new(file)
            .ok()
            .and_then(|path| name_of(&path))
            .ok_or_else(|| ModuleError::Suffix(file.to_owned()))?;
        let unpacked = |mut reader: Box<dyn Read + '_>| {
            let mut elf = Vec::new();
            reader
                .read_to_end(&mut elf)
                .map(|_| Bytes::from(elf))
                .map_err(|source| ModuleError::Decompress {
                    file: file.to_owned(),
                    source,
                })
        };
        let elf = if file.ends_with(".xz") {
            unpacked(Box::new(liblzma::read::XzDecoder::new(bytes.as_ref())))?
        } else if file.ends_with(".zst") {
            let decoder = zstd::Decoder::with_buffer(bytes.as_ref());
            unpacked(match decoder {
                Ok(decoder) => Box::new(decoder),
                Err(source) => {
                    let file = file.to_owned();
                    return Err(ModuleError::Decompress { file, source });
                }
            })?
        } else {
            bytes.clone()
        };
        let wrong = |source| ModuleError::Elf {
            file: file.to_owned(),
            source,
        };
        let (info, exports) = match object::FileKind::parse(elf.as_ref()).map_err(wrong)? {
            object::FileKind::Elf32 => {
                contents::<object::elf::FileHeader32<object::Endianness>>(&elf)
            }
            _ => contents::<object::elf::FileHeader64<object::Endianness>>(&elf),
        }
        .map_err(wrong)?;
        Ok(Self {
            name,
            file: file.to_owned(),
            elf,
            info,
            exports,
        })
    }

    /// The values of a key of `.modinfo`.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.info
            .iter()
            .filter(move |(found, _)| found == key)
            .map(|(_, value)| value.as_str())
    }

    /// The modules it cannot be loaded without, canonical, as the kernel's build noted them.
    pub fn depends(&self) -> impl Iterator<Item = String> {
        self.values("depends")
            .flat_map(|list| list.split(','))
            .filter(|name| !name.is_empty())
            .map(canonical)
    }
}

type Contents = (Vec<(String, String)>, Vec<String>);

fn contents<E: FileHeader>(elf: &[u8]) -> Result<Contents, object::Error> {
    let file = ElfFile::<E>::parse(elf)?;
    let info = match file.section_by_name(".modinfo") {
        Some(section) => key_values(section.data()?),
        None => Vec::new(),
    };
    let mut exports: Vec<String> = file
        .symbols()
        .filter_map(|symbol| symbol.name().ok()?.strip_prefix("__ksymtab_"))
        .map(str::to_owned)
        .collect();
    exports.sort();
    exports.dedup();
    Ok((info, exports))
}

/// Strings of the form `key=value`, each ended by a NUL.
pub(super) fn key_values(bytes: &[u8]) -> Vec<(String, String)> {
    bytes
        .split(|&byte| byte == 0)
        .filter_map(|text| std::str::from_utf8(text).ok()?.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
