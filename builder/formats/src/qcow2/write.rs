use super::WriteError;
use super::layout::{
    CLUSTER, CLUSTER_BLOCK, CLUSTER_BYTES, COPIED, Header, L2_ENTRIES, LARGEST, REFCOUNT_ENTRIES,
    SECTOR, ZERO, compressed_entry,
};
use crate::FileName;
use crate::deflate::Deflater;
use crate::disk::{DiskImage, is_zero, joined};
use crate::in_order::in_order;
use std::borrow::Cow;
use std::io::{Seek, SeekFrom, Write};

/// A cluster is deflated if that makes it no larger than this.
const WORTH_IT: usize = CLUSTER / 8 * 7;

/// Writes `image` from `out`'s start on, and leaves the position at the end. The bytes depend
/// on the image only, not on the number of threads. A size that is not a multiple of 512 is
/// rounded up to one.
///
/// # Errors
/// [`WriteError`] when the disk is too large or `out` fails.
pub fn write<W: Write + Seek>(image: &DiskImage, out: &mut W) -> Result<(), WriteError> {
    write_over(None, image, out)
}

/// Writes what sets `image` apart from `base` as [`write`] does. To be read, the file must lie
/// beside one of the name `base_name` that holds `base` in qcow2; that file must never change.
/// Where `image` is zero and `base` is not, the file says so. The sizes may differ.
///
/// # Errors
/// [`WriteError`] when the disk is too large or `out` fails.
pub fn write_thin<W: Write + Seek>(
    base: &DiskImage,
    base_name: &FileName,
    image: &DiskImage,
    out: &mut W,
) -> Result<(), WriteError> {
    write_over(Some((base, base_name)), image, out)
}

fn write_over<W: Write + Seek>(
    backing: Option<(&DiskImage, &FileName)>,
    image: &DiskImage,
    out: &mut W,
) -> Result<(), WriteError> {
    let size = image.size().get();
    if size > LARGEST {
        return Err(WriteError::TooLarge(size));
    }
    let base = backing.map(|(base, _)| base);
    // In memory only up to LARGEST, so that the numbers of tables fit.
    let tables = size.div_ceil(CLUSTER_BYTES * L2_ENTRIES);
    let mut file = Output {
        out,
        at: CLUSTER_BYTES,
        refcounts: vec![1],
        l1: vec![0; usize::try_from(tables).map_err(|_| WriteError::TooLarge(size))?],
        l2: None,
    };
    file.out.seek(SeekFrom::Start(CLUSTER_BYTES))?;
    in_order(
        clusters(image, base),
        Deflater::raw_4k,
        |deflater, index| (index, pack(image, base, index, deflater)),
        |(index, cluster)| match cluster {
            Some(cluster) => file.cluster(index, &cluster),
            None => Ok(()),
        },
    )?;
    file.finish(size, backing.map(|(_, name)| name))
}

/// The clusters that some extent touches, by number.
fn clusters(image: &DiskImage, base: Option<&DiskImage>) -> impl Iterator<Item = u64> {
    let end = image.size().get().div_ceil(CLUSTER_BYTES);
    let images = [Some(image), base].into_iter().flatten();
    let touched = images.flat_map(|image| image.mapped_blocks(CLUSTER_BLOCK));
    joined(touched.collect())
        .into_iter()
        .flatten()
        .take_while(move |&index| index < end)
}

/// A cluster as it goes to the file.
enum Cluster<'a> {
    Zero,
    Plain(Cow<'a, [u8]>),
    Deflated(Vec<u8>),
}

/// What the file must hold of a cluster; nothing if it is what it would be anyway.
fn pack<'a>(
    image: &'a DiskImage,
    base: Option<&DiskImage>,
    index: u64,
    deflater: &mut Deflater,
) -> Option<Cluster<'a>> {
    let bytes = image.cell(index, CLUSTER);
    let zero = is_zero(&bytes);
    match base.map(|base| base.cell(index, CLUSTER)) {
        None if zero => return None,
        None => {}
        // The same place in memory is the same without looking, as with files both share.
        Some(below) if std::ptr::eq(&*below, &*bytes) || below == bytes => return None,
        Some(_) if zero => return Some(Cluster::Zero),
        Some(_) => {}
    }
    Some(match deflater.shrink(&bytes, WORTH_IT) {
        Some(deflated) => Cluster::Deflated(deflated),
        None => Cluster::Plain(bytes),
    })
}

struct Output<'o, W> {
    out: &'o mut W,
    /// Where the next byte goes.
    at: u64,
    /// How often each cluster up to `at` is used.
    refcounts: Vec<u16>,
    l1: Vec<u64>,
    /// The L2 table being filled, and its place in `l1`.
    l2: Option<(usize, Vec<u64>)>,
}

impl<W: Write + Seek> Output<'_, W> {
    fn cluster(&mut self, index: u64, cluster: &Cluster<'_>) -> Result<(), WriteError> {
        let table = place(index / L2_ENTRIES);
        if self.l2.as_ref().is_some_and(|(open, _)| *open != table) {
            self.close_l2()?;
        }
        let entry = match cluster {
            Cluster::Zero => ZERO,
            Cluster::Plain(bytes) => self.clusters(bytes)? | COPIED,
            Cluster::Deflated(bytes) => {
                let offset = self.append(bytes)?;
                compressed_entry(offset, bytes.len() as u64)
            }
        };
        let empty = || (table, vec![0; place(L2_ENTRIES)]);
        let (_, entries) = self.l2.get_or_insert_with(empty);
        entries[place(index % L2_ENTRIES)] = entry;
        Ok(())
    }

    fn close_l2(&mut self) -> Result<(), WriteError> {
        if let Some((table, entries)) = self.l2.take() {
            self.l1[table] = self.clusters(&numbers(&entries))? | COPIED;
        }
        Ok(())
    }

    /// Writes `bytes` right here, and counts one use of each cluster they touch.
    fn append(&mut self, bytes: &[u8]) -> Result<u64, WriteError> {
        let offset = self.at;
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        let touched = place(offset / CLUSTER_BYTES)..place(self.at.div_ceil(CLUSTER_BYTES));
        self.refcounts.resize(touched.end, 0);
        for count in &mut self.refcounts[touched] {
            // A deflated cluster takes dozens of bytes, so that thousands meet in one at most.
            *count = count.saturating_add(1);
        }
        Ok(offset)
    }

    /// Writes `bytes` from the next cluster on, zeros up to the cluster's end after them.
    fn clusters(&mut self, bytes: &[u8]) -> Result<u64, WriteError> {
        self.fill()?;
        let offset = self.append(bytes)?;
        self.fill()?;
        Ok(offset)
    }

    /// Writes zeros up to the next cluster.
    fn fill(&mut self) -> Result<(), WriteError> {
        let next = self.at.next_multiple_of(CLUSTER_BYTES);
        self.out.write_all(&vec![0; place(next - self.at)])?;
        self.at = next;
        Ok(())
    }

    /// Writes the tables and the header.
    fn finish(mut self, size: u64, backing: Option<&FileName>) -> Result<(), WriteError> {
        self.close_l2()?;
        let l1 = std::mem::take(&mut self.l1);
        let l1_offset = self.clusters(&numbers(&l1))?;
        self.fill()?;

        // Refcount blocks and their table count themselves: add some until all are counted.
        let used = place(self.at / CLUSTER_BYTES);
        let (mut blocks, mut table) = (0, 0);
        loop {
            let needed = (used + blocks + table).div_ceil(REFCOUNT_ENTRIES);
            let needed_table = needed.div_ceil(place(L2_ENTRIES));
            if (needed, needed_table) == (blocks, table) {
                break;
            }
            (blocks, table) = (needed, needed_table);
        }
        let mut refcounts = std::mem::take(&mut self.refcounts);
        refcounts.resize(used + blocks + table, 1);
        let blocks_offset = self.at;
        let counts: Vec<u8> = refcounts.into_iter().flat_map(u16::to_be_bytes).collect();
        self.clusters(&counts)?;
        let places: Vec<u64> = (0..blocks as u64)
            .map(|block| blocks_offset + block * CLUSTER_BYTES)
            .collect();
        let refcount_offset = self.clusters(&numbers(&places))?;

        let narrow = |count: usize| u32::try_from(count).map_err(|_| WriteError::TooLarge(size));
        let header = Header {
            size: size.next_multiple_of(SECTOR),
            l1_entries: narrow(l1.len())?,
            l1_offset,
            refcount_offset,
            refcount_clusters: narrow(table)?,
            backing,
        };
        let mut first = header.encode();
        first.resize(CLUSTER, 0);
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&first)?;
        self.out.seek(SeekFrom::Start(self.at))?;
        Ok(())
    }
}

/// A number of things that lie in memory.
fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn numbers(values: &[u64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}
