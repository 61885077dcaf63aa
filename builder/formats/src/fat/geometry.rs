use super::FatError;
use imgbuild_base::ByteSize;

/// Bytes in a sector.
pub(super) const SECTOR: u64 = 512;
/// The data area starts at a multiple of this many sectors (64 KiB), so that clusters are
/// aligned with the pages of flash and the blocks of file systems that hold the image.
const ALIGN: u64 = 128;
/// Reserved sectors at the least, as every formatter has it.
const RESERVED: u64 = 32;
/// FAT32 begins at 65525 clusters; some firmware miscounts by a few, so stay clear of it.
const FEWEST: u64 = 65525 + 64;

/// The division of a volume into areas, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) total: u32,
    pub(super) reserved: u16,
    /// Sectors of one allocation table.
    pub(super) fat: u32,
    pub(super) per_cluster: u8,
    pub(super) clusters: u32,
}

impl Geometry {
    /// The customary cluster size for the volume, or the largest below it that leaves enough
    /// clusters for FAT32.
    pub(super) fn new(size: ByteSize) -> Result<Self, FatError> {
        let bytes = size.get();
        let customary: u8 = match bytes >> 30 {
            0..8 => 8,
            8..16 => 16,
            16..32 => 32,
            _ => 64,
        };
        std::iter::successors(Some(customary), |&spc| (spc > 1).then_some(spc / 2))
            .filter(|_| bytes.is_multiple_of(SECTOR))
            .find_map(|spc| Self::with(bytes / SECTOR, spc))
            .ok_or(FatError::Size(bytes))
    }

    fn with(total: u64, per_cluster: u8) -> Option<Self> {
        let spc = u64::from(per_cluster);
        // Each cluster costs its sectors and 4 bytes in either table; two entries are spare.
        let area = total.checked_sub(RESERVED)?;
        let fat = (4 * (area + 2 * spc)).div_ceil(SECTOR * spc + 8);
        let data = (RESERVED + 2 * fat).next_multiple_of(ALIGN);
        let clusters = total.checked_sub(data)? / spc;
        (FEWEST..0x0FFF_FFF0).contains(&clusters).then_some(())?;
        Some(Self {
            total: u32::try_from(total).ok()?,
            reserved: u16::try_from(data - 2 * fat).ok()?,
            fat: u32::try_from(fat).ok()?,
            per_cluster,
            clusters: u32::try_from(clusters).ok()?,
        })
    }

    pub(super) const fn cluster_bytes(&self) -> u64 {
        self.per_cluster as u64 * SECTOR
    }

    /// Where the tables start, in bytes.
    pub(super) const fn fats(&self) -> [u64; 2] {
        let first = self.reserved as u64 * SECTOR;
        [first, first + self.fat as u64 * SECTOR]
    }

    /// Where a cluster (from 2) starts, in bytes.
    pub(super) const fn offset(&self, cluster: u32) -> u64 {
        let data = self.reserved as u64 + 2 * self.fat as u64;
        data * SECTOR + (cluster as u64 - 2) * self.cluster_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_fat32_and_its_tables_suffice() {
        let mib = (33..600).chain([1024, 4096, 8191, 8192, 16384, 32768, 65536, 1 << 20]);
        for mib in mib {
            let geometry = Geometry::new(ByteSize::mib(mib)).unwrap();
            assert!(
                u64::from(geometry.clusters) >= FEWEST,
                "{mib} MiB: {geometry:?}"
            );
            let room = u64::from(geometry.fat) * SECTOR / 4;
            assert!(
                room >= u64::from(geometry.clusters) + 2,
                "{mib} MiB: {geometry:?}"
            );
            assert_eq!(geometry.offset(2) % (64 << 10), 0);
            let end = geometry.offset(geometry.clusters + 2);
            assert!(end <= u64::from(geometry.total) * SECTOR);
        }
    }

    #[test]
    fn cluster_sizes() {
        let per_cluster = |mib| Geometry::new(ByteSize::mib(mib)).unwrap().per_cluster;
        assert_eq!(
            [33, 64, 100, 256, 512, 4096].map(per_cluster),
            [1, 1, 2, 4, 8, 8]
        );
        assert_eq!([8192, 16384, 32768].map(per_cluster), [16, 32, 64]);
    }

    #[test]
    fn impossible_sizes() {
        for bytes in [0, 32 << 20, (64 << 20) + 1, 2 << 40] {
            assert_eq!(
                Geometry::new(ByteSize::bytes(bytes)),
                Err(FatError::Size(bytes))
            );
        }
    }
}
