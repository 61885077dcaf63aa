use super::descriptor::{DiskFile, descriptor};
use super::{Appliance, WriteError};
use crate::FileName;
use crate::disk::DiskImage;
use crate::vmdk::{self, ContentId};
use imgbuild_base::{Digest, Epoch, Hashed};
use std::io::{self, Seek, SeekFrom, Write};
use tar::{EntryType, Header};

/// Bytes of a tar archive's blocks.
const BLOCK: usize = 512;
/// What a ustar header has room for: eleven octal digits.
const LARGEST: u64 = (1 << 33) - 1;

/// Writes `image` as the disk of an appliance from `out`'s start on, and leaves the position at
/// the end. The bytes depend on the two only, not on the number of threads.
///
/// # Errors
/// [`WriteError`] when a name or the disk is too long, or `out` fails.
pub fn write<W: Write + Seek>(
    image: &DiskImage,
    appliance: &Appliance,
    out: &mut W,
) -> Result<(), WriteError> {
    let ovf_name = appliance.name.with_suffix(".ovf")?;
    let mf_name = appliance.name.with_suffix(".mf")?;
    let disk_name = appliance.name.with_suffix("-disk1.vmdk")?;
    let ovf = |length: u64| {
        let disk = DiskFile {
            name: &disk_name,
            length,
            capacity: vmdk::rounded(image.size()),
        };
        descriptor(appliance, &disk)
    };
    let mf = |ovf: Digest, disk: Digest| {
        format!("SHA256({ovf_name})= {ovf}\nSHA256({disk_name})= {disk}\n")
    };
    // Neither gets longer than this: the first has the longest number, digests are all alike.
    let ovf_room = ovf(u64::MAX).len();
    let mf_room = mf(Digest::of(b""), Digest::of(b"")).len();
    let disk_start = member_length(ovf_room) + member_length(mf_room) + member_length(0);

    out.seek(SeekFrom::Start(disk_start))?;
    let mut disk = Hashed::new(&mut *out);
    let content = ContentId::derived(appliance.disk);
    vmdk::write(image, &disk_name, content, &mut disk)?;
    let (disk_digest, length) = disk.finish();
    if length > LARGEST {
        return Err(WriteError::TooLarge(length));
    }
    // A VMDK consists of whole blocks. Two of zeros end the archive.
    out.write_all(&[0; 2 * BLOCK])?;
    let end = out.stream_position()?;

    // White space may follow a document: it fills the room that the number did not take.
    let mut ovf = ovf(length);
    ovf.extend(std::iter::repeat_n('\n', ovf_room - ovf.len()));
    let mf = mf(Digest::of(ovf.as_bytes()), disk_digest);
    out.seek(SeekFrom::Start(0))?;
    member(&ovf_name, ovf.as_bytes(), appliance.made, out)?;
    member(&mf_name, mf.as_bytes(), appliance.made, out)?;
    out.write_all(&header(&disk_name, length, appliance.made)?)?;
    out.seek(SeekFrom::Start(end))?;
    Ok(())
}

/// What a member of so many bytes takes with its header.
fn member_length(content: usize) -> u64 {
    (BLOCK + content.next_multiple_of(BLOCK)) as u64
}

fn member(name: &FileName, content: &[u8], made: Epoch, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&header(name, content.len() as u64, made)?)?;
    let mut content = content.to_vec();
    content.resize(content.len().next_multiple_of(BLOCK), 0);
    out.write_all(&content)
}

fn header(name: &FileName, length: u64, made: Epoch) -> io::Result<[u8; BLOCK]> {
    let mut header = Header::new_ustar();
    header.set_path(name.as_str())?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(made.seconds());
    header.set_size(length);
    header.set_cksum();
    Ok(*header.as_bytes())
}
