//! Long runs of zeros, hashed for several digests at once.
//!
//! Most of a disk image is nothing, and each image's digest has to cross it. For a block of
//! zeros the message schedule (FIPS 180-4, 6.2.2) is zero too, so that only the 64 rounds are
//! left. Each has to wait for the one before it, but a processor with SHA instructions can
//! work on other digests meanwhile: three take little longer than one. Where there are no such
//! instructions zeros are hashed like any other bytes.

use super::Hasher;

/// SHA-256 works on blocks of this many bytes.
const BLOCK: u64 = 64;

/// More at a time do not fit into the processor's registers.
const MOST_LANES: usize = 4;

/// Zeros to be hashed the ordinary way.
static ZEROS: [u8; 16 << 10] = [0; 16 << 10];

/// Adds to each hasher so many zero bytes.
pub fn add_zeros(lanes: &mut [(&mut Hasher, u64)]) {
    for lanes in lanes.chunks_mut(MOST_LANES) {
        for (hasher, left) in &mut *lanes {
            // Up to the end of the block that was begun.
            let lead = (BLOCK - hasher.len % BLOCK) % BLOCK;
            add_few(hasher, lead.min(*left));
            *left -= lead.min(*left);
        }
        loop {
            // They have the same way to go, mostly; if not, the longer ones go on without.
            let mut open: Vec<_> = lanes
                .iter_mut()
                .filter(|(_, left)| *left >= BLOCK)
                .collect();
            let Some(blocks) = open.iter().map(|(_, left)| left / BLOCK).min() else {
                break;
            };
            let mut hashers: Vec<&mut Hasher> = Vec::with_capacity(MOST_LANES);
            for (hasher, left) in &mut open {
                *left -= blocks * BLOCK;
                hashers.push(hasher);
            }
            if !instructions::add_blocks(&mut hashers, blocks) {
                for hasher in hashers {
                    add_few(hasher, blocks * BLOCK);
                }
            }
        }
        for (hasher, left) in lanes {
            add_few(hasher, *left);
            *left = 0;
        }
    }
}

fn add_few(hasher: &mut Hasher, mut count: u64) {
    while count > 0 {
        let step = usize::try_from(count).map_or(ZEROS.len(), |count| count.min(ZEROS.len()));
        hasher.update(&ZEROS[..step]);
        count -= step as u64;
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod instructions {
    pub(super) const fn add_blocks(_: &mut [&mut super::Hasher], _: u64) -> bool {
        false
    }
}

/// Intel's and AMD's SHA extensions.
#[cfg(target_arch = "x86_64")]
mod instructions {
    use super::{BLOCK, Hasher};
    use sha2::digest::common::hazmat::{SerializableState, SerializedState};
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_extract_epi32, _mm_set_epi32, _mm_setzero_si128,
        _mm_sha256rnds2_epu32, _mm_shuffle_epi32,
    };

    /// The constants of the rounds (FIPS 180-4, 4.2.2).
    const K: [u32; 64] = [
        0x428a_2f98,
        0x7137_4491,
        0xb5c0_fbcf,
        0xe9b5_dba5,
        0x3956_c25b,
        0x59f1_11f1,
        0x923f_82a4,
        0xab1c_5ed5,
        0xd807_aa98,
        0x1283_5b01,
        0x2431_85be,
        0x550c_7dc3,
        0x72be_5d74,
        0x80de_b1fe,
        0x9bdc_06a7,
        0xc19b_f174,
        0xe49b_69c1,
        0xefbe_4786,
        0x0fc1_9dc6,
        0x240c_a1cc,
        0x2de9_2c6f,
        0x4a74_84aa,
        0x5cb0_a9dc,
        0x76f9_88da,
        0x983e_5152,
        0xa831_c66d,
        0xb003_27c8,
        0xbf59_7fc7,
        0xc6e0_0bf3,
        0xd5a7_9147,
        0x06ca_6351,
        0x1429_2967,
        0x27b7_0a85,
        0x2e1b_2138,
        0x4d2c_6dfc,
        0x5338_0d13,
        0x650a_7354,
        0x766a_0abb,
        0x81c2_c92e,
        0x9272_2c85,
        0xa2bf_e8a1,
        0xa81a_664b,
        0xc24b_8b70,
        0xc76c_51a3,
        0xd192_e819,
        0xd699_0624,
        0xf40e_3585,
        0x106a_a070,
        0x19a4_c116,
        0x1e37_6c08,
        0x2748_774c,
        0x34b0_bcb5,
        0x391c_0cb3,
        0x4ed8_aa4a,
        0x5b9c_ca4f,
        0x682e_6ff3,
        0x748f_82ee,
        0x78a5_636f,
        0x84c8_7814,
        0x8cc7_0208,
        0x90be_fffa,
        0xa450_6ceb,
        0xbef9_a3f7,
        0xc671_78f2,
    ];

    /// Adds so many blocks of zeros to each hasher, all of which stand between two blocks.
    /// Whether it was done: otherwise nothing was changed.
    pub(super) fn add_blocks(hashers: &mut [&mut Hasher], blocks: u64) -> bool {
        if !is_x86_feature_detected!("sha") || !is_x86_feature_detected!("sse4.1") {
            return false;
        }
        match hashers {
            [a] => add([a], blocks),
            [a, b] => add([a, b], blocks),
            [a, b, c] => add([a, b, c], blocks),
            [a, b, c, d] => add([a, b, c, d], blocks),
            _ => None,
        }
        .is_some()
    }

    fn add<const N: usize>(hashers: [&mut Hasher; N], blocks: u64) -> Option<()> {
        let mut words = [[0; 8]; N];
        for (words, hasher) in words.iter_mut().zip(&hashers) {
            let state = hasher.sha.serialize();
            for (word, bytes) in words.iter_mut().zip(state.chunks_exact(4)) {
                *word = u32::from_le_bytes(bytes.try_into().ok()?);
            }
        }
        // SAFETY: the one caller has found that the processor has these instructions.
        #[allow(unsafe_code)]
        unsafe {
            zero_blocks(&mut words, blocks);
        }
        let mut made = Vec::with_capacity(N);
        for (words, hasher) in words.iter().zip(&hashers) {
            let len = hasher.len + blocks * BLOCK;
            // The eight words, the number of blocks, and an empty buffer.
            let mut state = SerializedState::<sha2::Sha256>::default();
            let new = words.iter().flat_map(|word| word.to_le_bytes());
            let new = new.chain((len / BLOCK).to_le_bytes());
            for (to, from) in state.iter_mut().zip(new) {
                *to = from;
            }
            let sha = sha2::Sha256::deserialize(&state).ok()?;
            made.push(Hasher { sha, len });
        }
        for (hasher, new) in hashers.into_iter().zip(made) {
            *hasher = new;
        }
        Some(())
    }

    /// The rounds of so many blocks of zeros, on each of the states `[a, b, c, d, e, f, g, h]`.
    /// The instruction holds a state as two vectors, from high to low `a b e f` and `c d g h`.
    ///
    /// Loops count, and what is called is marked for inlining: the states have to stay in
    /// registers, whatever else the compiler does, or this is slower than hashing one by one.
    #[target_feature(enable = "sha,sse4.1")]
    #[allow(clippy::needless_range_loop)]
    fn zero_blocks<const N: usize>(words: &mut [[u32; 8]; N], blocks: u64) {
        let mut constants = [_mm_setzero_si128(); 16];
        for at in 0..16 {
            constants[at] = vector([K[4 * at + 3], K[4 * at + 2], K[4 * at + 1], K[4 * at]]);
        }
        let mut abef = [_mm_setzero_si128(); N];
        let mut cdgh = [_mm_setzero_si128(); N];
        for lane in 0..N {
            let [a, b, c, d, e, f, g, h] = words[lane];
            abef[lane] = vector([a, b, e, f]);
            cdgh[lane] = vector([c, d, g, h]);
        }
        for _ in 0..blocks {
            let before = (abef, cdgh);
            for at in 0..16 {
                let low = constants[at];
                let high = _mm_shuffle_epi32(low, 0b00_00_11_10);
                for lane in 0..N {
                    cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], low);
                }
                for lane in 0..N {
                    abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], high);
                }
            }
            for lane in 0..N {
                abef[lane] = _mm_add_epi32(abef[lane], before.0[lane]);
                cdgh[lane] = _mm_add_epi32(cdgh[lane], before.1[lane]);
            }
        }
        for lane in 0..N {
            let ([a, b, e, f], [c, d, g, h]) = (parts(abef[lane]), parts(cdgh[lane]));
            words[lane] = [a, b, c, d, e, f, g, h];
        }
    }

    /// From high to low.
    #[inline]
    #[target_feature(enable = "sse4.1")]
    fn vector(words: [u32; 4]) -> __m128i {
        let [a, b, c, d] = words.map(u32::cast_signed);
        _mm_set_epi32(a, b, c, d)
    }

    /// From high to low.
    #[inline]
    #[target_feature(enable = "sse4.1")]
    fn parts(vector: __m128i) -> [u32; 4] {
        [
            _mm_extract_epi32(vector, 3),
            _mm_extract_epi32(vector, 2),
            _mm_extract_epi32(vector, 1),
            _mm_extract_epi32(vector, 0),
        ]
        .map(i32::cast_unsigned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_if_each_had_been_hashed_by_itself(
            lanes in proptest::collection::vec((0_usize..200, 0_usize..1000, 0_usize..200), 0..10),
        ) {
            let content = |&(before, zeros, after): &(usize, usize, usize)| {
                [vec![1; before], vec![0; zeros], vec![2; after]].concat()
            };
            let mut hashers: Vec<Hasher> = Vec::new();
            for &(before, ..) in &lanes {
                let mut hasher = Hasher::new();
                hasher.update(&vec![1; before]);
                hashers.push(hasher);
            }
            let mut open: Vec<(&mut Hasher, u64)> = hashers
                .iter_mut()
                .zip(&lanes)
                .map(|(hasher, lane)| (hasher, lane.1 as u64))
                .collect();
            add_zeros(&mut open);
            for (mut hasher, lane) in hashers.into_iter().zip(&lanes) {
                hasher.update(&vec![2; lane.2]);
                prop_assert_eq!(hasher.len, content(lane).len() as u64);
                prop_assert_eq!(hasher.finish(), Digest::of(&content(lane)));
            }
        }
    }

    /// The digest of a gibibyte of zeros, as sha256sum(1) has it.
    #[test]
    fn many_zeros() {
        let mut hashers = [Hasher::new(), Hasher::new(), Hasher::new()];
        let mut lanes: Vec<_> = hashers.iter_mut().map(|hasher| (hasher, 1 << 30)).collect();
        add_zeros(&mut lanes);
        let known = "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14";
        for hasher in hashers {
            assert_eq!(hasher.finish().to_string(), known);
        }
    }
}
