//! Hashing [`DiskImage`]s, many at once.
//!
//! The images of a cluster begin alike: the same boot files and layers lie before what is a
//! node's own. SHA-256 over that part is computed once, and may be kept for the next build.
//! What is left of each image is mostly zeros; several images cross them together
//! ([`add_zeros`]).

use super::{DiskImage, Extent};
use imgbuild_base::{Digest, Hasher, SavedHasher, add_zeros};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many images one thread hashes side by side at most.
const SIDE_BY_SIDE: usize = 4;

/// SHA-256 after the part that images have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// What that part is.
    key: Digest,
    state: SavedHasher,
}

/// A stretch of the disk.
#[derive(Clone, Copy, Debug)]
enum Piece<'a> {
    /// Content.
    Data(&'a Extent),
    /// That many zeros.
    Hole(u64),
}

/// The SHA-256 of whole images, holes as zeros. Each comes with the place up to which it is
/// expected to be like the others; where it is not, hashing takes longer and that is all.
///
/// `known` is what an earlier call gave; it saves hashing the common part again. What is to be
/// known next time comes with the digests.
#[must_use]
pub fn digests(images: &[(&DiskImage, u64)], known: Option<&Head>) -> (Vec<Digest>, Option<Head>) {
    let starts: Vec<(Digest, u64)> = images
        .par_iter()
        .map(|(image, common)| {
            let end = image.whole_extents(*common);
            (image.key(end), end)
        })
        .collect();
    let different: BTreeMap<Digest, (&DiskImage, u64)> = images
        .iter()
        .zip(&starts)
        .map(|((image, _), &(key, end))| (key, (*image, end)))
        .collect();
    let heads: BTreeMap<Digest, Hasher> = different
        .into_par_iter()
        .map(|(key, (image, end))| {
            let known = known.filter(|head| head.key == key);
            let hasher = known.and_then(|head| Hasher::restore(&head.state));
            let hasher = hasher.unwrap_or_else(|| {
                let mut hashers = [Hasher::new()];
                add_pieces(&mut hashers, vec![image.pieces(0, end)]);
                let [hasher] = hashers;
                hasher
            });
            (key, hasher)
        })
        .collect();
    let threads = rayon::current_num_threads();
    let lanes = images.len().div_ceil(threads).clamp(1, SIDE_BY_SIDE);
    let todo: Vec<(&DiskImage, (Digest, u64))> =
        images.iter().map(|(image, _)| *image).zip(starts).collect();
    let digests = todo
        .par_chunks(lanes)
        .flat_map_iter(|images| {
            let head = |key| heads.get(key).cloned().unwrap_or_default();
            let mut hashers: Vec<Hasher> = images.iter().map(|(_, (key, _))| head(key)).collect();
            let rests = images
                .iter()
                .map(|(image, (_, end))| image.pieces(*end, image.size().get()));
            add_pieces(&mut hashers, rests.collect());
            hashers.into_iter().map(Hasher::finish)
        })
        .collect();
    let head = heads.iter().next().map(|(key, hasher)| Head {
        key: *key,
        state: hasher.save(),
    });
    (digests, head)
}

/// Adds to each hasher its pieces, in order.
fn add_pieces(hashers: &mut [Hasher], pieces: Vec<Vec<Piece<'_>>>) {
    let mut left: Vec<_> = pieces.into_iter().map(Vec::into_iter).collect();
    loop {
        let mut holes = Vec::with_capacity(hashers.len());
        for (hasher, pieces) in hashers.iter_mut().zip(&mut left) {
            for piece in pieces.by_ref() {
                match piece {
                    Piece::Data(extent) => hasher.update(&extent.bytes),
                    Piece::Hole(length) => {
                        holes.push((hasher, length));
                        break;
                    }
                }
            }
        }
        if holes.is_empty() {
            return;
        }
        add_zeros(&mut holes);
    }
}

impl DiskImage {
    /// The SHA-256 of the whole image, holes as zeros.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hashers = [Hasher::new()];
        add_pieces(&mut hashers, vec![self.pieces(0, self.size().get())]);
        let [hasher] = hashers;
        hasher.finish()
    }

    /// The disk from one place to another: extents and the holes between them. No extent may
    /// reach across either place.
    fn pieces(&self, from: u64, to: u64) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let mut at = from;
        let within = |extent: &&Extent| (from..to).contains(&extent.offset);
        for extent in self.extents().iter().filter(within) {
            if extent.offset > at {
                pieces.push(Piece::Hole(extent.offset - at));
            }
            pieces.push(Piece::Data(extent));
            at = extent.end();
        }
        if to > at {
            pieces.push(Piece::Hole(to - at));
        }
        pieces
    }

    /// The last place up to `limit` that lies within no extent.
    fn whole_extents(&self, limit: u64) -> u64 {
        let limit = limit.min(self.size().get());
        let across = |extent: &&Extent| extent.offset < limit && limit < extent.end();
        self.extents()
            .iter()
            .find(across)
            .map_or(limit, |extent| extent.offset)
    }

    /// Names what lies before `end`: extents by place, length and digest.
    fn key(&self, end: u64) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field("imgbuild disk head").field(end.to_le_bytes());
        for extent in self.extents().iter().filter(|extent| extent.offset < end) {
            hasher
                .field(extent.offset.to_le_bytes())
                .field(extent.length().to_le_bytes())
                .field(extent.digest().as_bytes());
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgbuild_base::ByteSize;
    use proptest::prelude::*;
    use std::io::Read as _;

    fn flat(image: &DiskImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.reader().read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn image(size: u64, extents: &[(u64, Vec<u8>)]) -> DiskImage {
        let extents = extents
            .iter()
            .map(|(offset, bytes)| Extent::new(*offset, bytes.clone()));
        DiskImage::new(ByteSize::bytes(size), extents).unwrap()
    }

    proptest! {
        #[test]
        fn as_if_each_file_had_been_read(
            own in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..8),
            common in 0_u64..2000,
            odd in any::<bool>(),
        ) {
            let images: Vec<DiskImage> = own
                .iter()
                .enumerate()
                .map(|(number, own)| {
                    // One may be unlike the others where all should be alike.
                    let first = if odd && number == 1 { 7 } else { 9 };
                    let size = 5000 + 64 * u64::try_from(number).unwrap();
                    image(size, &[(3, vec![first; 70]), (400, vec![1; 100]), (1000, own.clone())])
                })
                .collect();
            let asked: Vec<(&DiskImage, u64)> =
                images.iter().map(|image| (image, common)).collect();
            let expected: Vec<Digest> =
                images.iter().map(|image| Digest::of(&flat(image))).collect();
            let (found, head) = digests(&asked, None);
            prop_assert_eq!(&found, &expected);
            let (again, same) = digests(&asked, head.as_ref());
            prop_assert_eq!(&again, &expected);
            prop_assert_eq!(same, head);
        }
    }

    #[test]
    fn a_head_is_used_for_its_own_images_only() {
        let [one, two] =
            [1, 2].map(|byte| image(1 << 20, &[(0, vec![byte; 1000]), (9000, vec![3])]));
        let (_, head) = digests(&[(&one, 5000)], None);
        let mut head = head.unwrap();
        assert_eq!(digests(&[(&two, 5000)], Some(&head)).0, [two.digest()]);
        // That it is used shows when it is wrong.
        head.state = Hasher::new().save();
        assert_ne!(digests(&[(&one, 5000)], Some(&head)).0, [one.digest()]);
        assert_eq!(digests(&[(&two, 5000)], Some(&head)).0, [two.digest()]);
        assert_eq!(digests(&[], None), (vec![], None));
    }

    #[test]
    fn holes_lie_between_extents() {
        let image = image(
            10,
            &[(6, b"cd".to_vec()), (1, b"ab".to_vec()), (3, b"x".to_vec())],
        );
        let seen: Vec<String> = image
            .pieces(0, 10)
            .iter()
            .map(|piece| format!("{piece:?}"))
            .collect();
        assert_eq!(
            seen,
            [
                "Hole(1)",
                "Data(Extent(2 bytes at 1))",
                "Data(Extent(1 bytes at 3))",
                "Hole(2)",
                "Data(Extent(2 bytes at 6))",
                "Hole(2)"
            ]
        );
        assert_eq!(
            [0, 1, 2, 3, 5, 11].map(|at| image.whole_extents(at)),
            [0, 1, 1, 3, 5, 10]
        );
    }
}
