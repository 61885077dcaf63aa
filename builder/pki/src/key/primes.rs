//! The primes of RSA keys, found in what the cluster's secret gives.
//!
//! The candidates are a sequence without end: for the numbers 0, 1, 2, …, as many derived bytes
//! as the prime has, with the two highest bits and the lowest bit set. The first that is prime,
//! and whose predecessor has no factor in common with the public exponent, is taken (FIPS 186-5
//! A.1.3). So a key is a function of secret and label alone, whatever way primality is tested.

use crate::{ClusterSecret, KeyLabel};
use p256::elliptic_curve::bigint::modular::runtime_mod::{DynResidue, DynResidueParams};
use p256::elliptic_curve::bigint::{U1024, U2048, Uint};
use zeroize::Zeroizing;

/// The public exponent of every key.
pub(super) const EXPONENT: u64 = 65_537;

/// Rounds of Miller and Rabin's test: for random candidates of 1024 bits and more, five are
/// enough for an error below 2^-112 (FIPS 186-5 table B.1).
const ROUNDS: usize = 8;

/// Every prime below this divides no candidate that is tested further.
const SMALL: u32 = 4096;

/// The two primes of a key, `N` bytes each.
pub(super) fn pair<const N: usize>(
    secret: &ClusterSecret,
    purpose: &str,
    label: &KeyLabel,
) -> [Zeroizing<[u8; N]>; 2] {
    let small = small_primes();
    let find = |which: &str, not: Option<&[u8; N]>| {
        let label = label.clone().with(which);
        (0_u64..)
            .map(|attempt| {
                let label = label.clone().with(attempt.to_string());
                let mut bytes = secret.expand::<N>(purpose, &label);
                bytes[0] |= 0xc0;
                bytes[N - 1] |= 1;
                bytes
            })
            .find(|bytes| {
                // FIPS 186-5 A.1.1: the primes differ within their first 100 bits.
                not.is_none_or(|other| bytes[..12] != other[..12])
                    && residue(bytes.as_slice(), EXPONENT) != 1
                    && is_prime(bytes.as_slice(), &small)
            })
            .expect("one of 2^64 candidates is prime")
    };
    let first = find("p", None);
    let second = find("q", Some(&first));
    [first, second]
}

/// The odd primes below [`SMALL`], in groups whose products fit 32 bits.
fn small_primes() -> Vec<(u64, Vec<u64>)> {
    let is_prime = |n: &u32| {
        (3..)
            .step_by(2)
            .take_while(|d| d * d <= *n)
            .all(|d| !n.is_multiple_of(d))
    };
    let mut groups: Vec<(u64, Vec<u64>)> = Vec::new();
    for prime in (3..SMALL).step_by(2).filter(is_prime).map(u64::from) {
        match groups.last_mut() {
            Some((product, group)) if *product * prime <= u64::from(u32::MAX) => {
                *product *= prime;
                group.push(prime);
            }
            _ => groups.push((prime, vec![prime])),
        }
    }
    groups
}

/// The number modulo `by`, which has at most 32 bits.
fn residue(bytes: &[u8], by: u64) -> u64 {
    bytes.chunks(4).fold(0, |rest, word| {
        word.iter()
            .fold(rest, |rest, byte| rest << 8 | u64::from(*byte))
            % by
    })
}

fn is_prime(bytes: &[u8], small: &[(u64, Vec<u64>)]) -> bool {
    let divided = small.iter().any(|(product, primes)| {
        let rest = residue(bytes, *product);
        primes.iter().any(|prime| rest.is_multiple_of(*prime))
    });
    if divided {
        return false;
    }
    match bytes.len() {
        128 => miller_rabin(&U1024::from_be_slice(bytes)),
        _ => miller_rabin(&U2048::from_be_slice(bytes)),
    }
}

/// Miller and Rabin's test (FIPS 186-5 B.3.1) of an odd number above the bases, to the bases of
/// the first primes: nobody chooses the candidates, so nobody can choose them for these bases.
fn miller_rabin<const L: usize>(number: &Uint<L>) -> bool {
    let params = DynResidueParams::new(number);
    let one = DynResidue::one(params);
    let minus_one = one.neg();
    let before = number.wrapping_sub(&Uint::ONE);
    let twos = before.trailing_zeros();
    let odd = before.shr_vartime(twos);
    [2_u64, 3, 5, 7, 11, 13, 17, 19]
        .into_iter()
        .take(ROUNDS)
        .all(|base| {
            let mut power = DynResidue::new(&Uint::from(base), params).pow(&odd);
            if power == one || power == minus_one {
                return true;
            }
            (1..twos).any(|_| {
                power = power.square();
                power == minus_one
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: &str) -> Vec<u8> {
        (0..number.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&number[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn residues() {
        assert_eq!(residue(&[1, 0, 0, 0, 0], 65_537), 0x1_0000_0000 % 65_537);
        assert_eq!(residue(&[0, 0, 0, 0, 0, 0, 0, 9], 7), 2);
    }

    #[test]
    fn small_primes_are_all_there() {
        let all: Vec<u64> = small_primes().into_iter().flat_map(|(_, p)| p).collect();
        // There are 564 primes below 4096, 2 among them.
        assert_eq!((all.len(), all[0], all[562]), (563, 3, 4093));
    }

    #[test]
    fn tells_primes_from_others() {
        // The order of P-256's field is prime; so is 2^1024 - 105, the largest of 1024 bits.
        let mut largest = [0xff; 128];
        largest[127] = 0x97;
        assert!(miller_rabin(&U1024::from_be_slice(&largest)));
        largest[127] = 0x99;
        assert!(!miller_rabin(&U1024::from_be_slice(&largest)));
        let field = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
        let padded = [vec![0; 96], bytes(field)].concat();
        assert!(miller_rabin(&U1024::from_be_slice(&padded)));
        // A strong pseudoprime to base 2 (2047 = 23 · 89), and a Carmichael number.
        for composite in [2047_u64, 561] {
            assert!(!miller_rabin(&U1024::from(composite)));
        }
    }
}
