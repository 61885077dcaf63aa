//! What a PC's BIOS starts: GRUB, in front of the boot partition.
//!
//! GRUB takes kernel and initramfs out of the unified kernel image that UEFI starts: it opens
//! the image as a disk (`loopback`) and reads each section as a list of blocks. So nothing is on
//! the boot partition twice. The places of the sections are among GRUB's commands: the loader
//! belongs to this image, and to no other.

use imgbuild_base::{Kind, Tree};
use imgbuild_formats::disk::SECTOR;
use imgbuild_formats::gpt;
use imgbuild_formats::grub::{self, Files, GrubError, Loader, Wishes};
use imgbuild_formats::uki::{self, SectionName, UkiError};

/// The sector from which GRUB's core lies: the first that a GPT leaves.
pub const CORE_SECTOR: u64 = gpt::FIRST_USABLE;

/// What it takes to read a file of a FAT partition and to start Linux from it.
const MODULES: [&str; 5] = ["biosdisk", "part_gpt", "fat", "loopback", "linux"];

/// The root of the first partition of the disk that was booted.
const ROOT: &str = "(,gpt1)/";

/// Why there is no loader.
#[derive(Debug, thiserror::Error)]
pub enum BiosError {
    /// GRUB.
    #[error("making GRUB's core for a BIOS: {0} (its package is grub-pc-bin)")]
    Grub(#[from] GrubError),
    /// The unified kernel image.
    #[error("finding the kernel in the unified kernel image: {0}")]
    Uki(#[from] UkiError),
    /// A section that GRUB cannot read.
    #[error("the unified kernel image has no section {0} that begins at a multiple of 512 bytes")]
    Section(SectionName),
    /// A word that GRUB would change.
    #[error(
        "GRUB cannot hand {0:?} to the kernel: leave quotes and backslashes out of kernel.args, \
         or set image.firmware to \"uefi\""
    )]
    Word(String),
}

/// The loader for the unified kernel image `image`, which lies at `path` on the boot partition.
pub(super) fn loader(
    folder: &Tree,
    path: &str,
    image: &[u8],
    command_line: &str,
) -> Result<Loader, BiosError> {
    let files: Files<'_> = folder
        .iter()
        .filter_map(|(path, entry)| match &entry.kind {
            Kind::File(body) => Some((path.as_str(), body.bytes().as_ref())),
            _ => None,
        })
        .collect();
    let wishes = Wishes {
        modules: &MODULES,
        commands: &commands(path, image, command_line)?,
        prefix: ROOT,
        sector: CORE_SECTOR,
    };
    Ok(grub::assemble(&files, &wishes)?)
}

/// What GRUB does, one command a line.
fn commands(path: &str, image: &[u8], command_line: &str) -> Result<String, BiosError> {
    let kernel = blocks(image, SectionName::Linux)?;
    let initramfs = blocks(image, SectionName::Initrd)?;
    let words = words(command_line)?;
    Ok(format!(
        "loopback uki /{path}\nlinux {kernel}{words}\ninitrd {initramfs}\nboot\n"
    ))
}

/// The kernel's words as GRUB reads them, each after a blank.
fn words(command_line: &str) -> Result<String, BiosError> {
    let mut text = String::new();
    for word in command_line.split_whitespace() {
        // GRUB puts a backslash before these when it hands the words on.
        if word.contains(['\'', '"', '\\']) {
            return Err(BiosError::Word(word.to_owned()));
        }
        text.extend([" '", word, "'"]);
    }
    Ok(text)
}

/// A section as GRUB's list of blocks (GRUB manual, "Block list syntax"). The zeros up to the
/// end of the last block do not matter to the kernel.
fn blocks(image: &[u8], name: SectionName) -> Result<String, BiosError> {
    let sections = uki::inspect(image)?;
    let section = sections.iter().find(|found| found.name == name.as_str());
    let section = section.filter(|found| u64::from(found.position).is_multiple_of(SECTOR));
    let section = section.ok_or(BiosError::Section(name))?;
    let count = (section.bytes.len() as u64).div_ceil(SECTOR);
    let first = u64::from(section.position) / SECTOR;
    Ok(format!("(uki){first}+{count}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_kernel_as_they_are_or_not_at_all() {
        let line = "console=ttyS0,115200 a=$b;{c} quiet\n";
        assert_eq!(
            words(line).unwrap(),
            " 'console=ttyS0,115200' 'a=$b;{c}' 'quiet'"
        );
        let error = words("quiet path=C:\\dos").unwrap_err();
        assert!(matches!(&error, BiosError::Word(word) if word == "path=C:\\dos"));
    }
}
