use imgbuild_base::{Digest, Hasher};
use std::fmt;
use std::str::FromStr;

/// A GUID, kept in the order in which it is written as text (RFC 9562 section 4).
///
/// On disk the first three groups are little-endian (UEFI 2.10, appendix A): see
/// [`Guid::to_disk`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

/// The text is not a GUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a GUID: expected 32 hexadecimal digits, as in \"0fc63daf-8483-4772-8e79-3d69d8477de4\""
)]
pub struct GuidError(pub String);

impl Guid {
    /// All zero: an unused entry.
    pub const ZERO: Self = Self([0; 16]);
    /// Type of an EFI system partition (UEFI 2.10, 5.3.3).
    pub const EFI_SYSTEM: Self = Self::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);
    /// Type of a partition that holds a boot loader's core for a PC's BIOS (GRUB manual,
    /// "BIOS installation").
    pub const BIOS_BOOT: Self = Self::from_u128(0x21686148_6449_6e6f_744e_656564454649);
    /// Type of a partition with a Linux file system.
    pub const LINUX_DATA: Self = Self::from_u128(0x0fc63daf_8483_4772_8e79_3d69d8477de4);
    /// Type of a partition mounted at /var (Discoverable Partitions Specification).
    pub const LINUX_VAR: Self = Self::from_u128(0x4d21b016_b534_45c2_a9fb_5c16e091fd2d);
    /// Type of a partition with shared boot files (Boot Loader Specification).
    pub const EXTENDED_BOOT: Self = Self::from_u128(0xbc13c2ff_59e6_4262_a352_b275fd6f7172);

    /// From the text order's 128 bits.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }

    /// A GUID that follows from what it names: the SHA-256 of the fields `guid`, `label` and
    /// `digest` in the encoding of [`Hasher::field`], cut to 128 bits, with version 8 and the
    /// variant of RFC 9562 section 5.8.
    #[must_use]
    pub fn derived(label: &str, digest: Digest) -> Self {
        let mut hasher = Hasher::new();
        hasher.field("guid").field(label).field(digest.as_bytes());
        let hash = hasher.finish();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        bytes[6] = (bytes[6] & 0x0F) | 0x80;
        bytes[8] = (bytes[8] & 0x3F) | 0x80;
        Self(bytes)
    }

    /// The sixteen bytes in text order.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// As a partition table stores it.
    #[must_use]
    pub fn to_disk(self) -> [u8; 16] {
        let mut bytes = self.0;
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        bytes
    }

    /// From what a partition table stores.
    #[must_use]
    pub fn from_disk(bytes: [u8; 16]) -> Self {
        // Swapping is its own inverse.
        Self(Self(bytes).to_disk())
    }
}

impl fmt::Display for Guid {
    /// Lower case with hyphens; `{:#}` is upper case, as sfdisk and sgdisk print it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(36);
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        if f.alternate() {
            text.make_ascii_uppercase();
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

impl FromStr for Guid {
    type Err = GuidError;

    fn from_str(text: &str) -> Result<Self, GuidError> {
        let bad = || GuidError(text.to_owned());
        let groups: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        let digits = groups.concat();
        if lengths != [8, 4, 4, 4, 12] || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        u128::from_str_radix(&digits, 16)
            .map(Self::from_u128)
            .map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_disk_forms() {
        let guid: Guid = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B".parse().unwrap();
        assert_eq!(guid, Guid::EFI_SYSTEM);
        assert_eq!(guid.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(format!("{guid:#}"), "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
        assert_eq!(
            guid.to_disk()[..8],
            [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]
        );
        assert_eq!(Guid::from_disk(guid.to_disk()), guid);
    }

    #[test]
    fn refuses_what_is_no_guid() {
        for bad in [
            "",
            "c12a7328f81f11d2ba4b00a0c93ec93b",
            "+12a7328-f81f-11d2-ba4b-00a0c93ec93b",
        ] {
            assert_eq!(bad.parse::<Guid>(), Err(GuidError(bad.to_owned())));
        }
    }

    #[test]
    fn derived_is_pinned_and_of_version_8() {
        let guid = Guid::derived("disk", Digest::of(b"content"));
        assert_eq!(guid.as_bytes()[6] >> 4, 8);
        assert_eq!(guid.as_bytes()[8] >> 6, 2);
        assert_ne!(guid, Guid::derived("boot", Digest::of(b"content")));
        assert_ne!(guid, Guid::derived("disk", Digest::of(b"other")));
        assert_eq!(guid.to_string(), "0b612f93-a9b2-893f-af7d-df37e4cc2b9c");
    }
}
