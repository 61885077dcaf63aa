//! The short hash of the commit, which upstream's script sets in a variable when linking.
//!
//! With `-trimpath` a program's build information does not tell the linker's flags. The linker
//! puts the value of a variable that is set with `-X` among the read-only data, with a NUL behind
//! it, and that is where it is looked for.

use std::collections::BTreeSet;

/// The lengths that git gives a short hash: at least 7 digits, more in large repositories.
const LENGTHS: std::ops::RangeInclusive<usize> = 7..=12;

/// The short hash in `program`. With the whole one, `revision`, it is the text that begins like
/// it; without, the only such text that is not in `other`, a program that does not use the
/// variable. `None` when nothing fits, or more than one text does.
#[must_use]
pub(super) fn find(program: &[u8], other: &[u8], revision: Option<&str>) -> Option<String> {
    let found = candidates(program);
    let mut fit: Vec<String> = match revision {
        Some(revision) => found
            .into_iter()
            .filter(|text| revision.starts_with(text.as_str()))
            .collect(),
        None => {
            let others = candidates(other);
            let own = found.into_iter().filter(|text| !others.contains(text));
            // Numbers are written so, too; a hash has no letter once in thirty times.
            own.filter(|text| text.bytes().any(|byte| byte.is_ascii_lowercase()))
                .filter(|text| text.bytes().any(|byte| byte.is_ascii_digit()))
                .collect()
        }
    };
    match fit.len() {
        1 => fit.pop(),
        _ => None,
    }
}

/// Every text of as many hexadecimal digits that a NUL ends.
fn candidates(program: &[u8]) -> BTreeSet<String> {
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let mut found = BTreeSet::new();
    let mut digits = 0;
    for (at, byte) in program.iter().enumerate() {
        if hex(byte) {
            digits += 1;
            continue;
        }
        if *byte == 0 && LENGTHS.contains(&digits) {
            let text = &program[at - digits..at];
            found.insert(String::from_utf8_lossy(text).into_owned());
        }
        digits = 0;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hash_is_told_from_other_texts() {
        let other = b"-ed25519\0 1048576\0";
        let program = b"-ed25519\0 1048576\0 2097152\0 b342331\0 b3423317262dc086\0 b34233\0";
        assert_eq!(find(program, other, None).as_deref(), Some("b342331"));
        let revision = "b3423317262dc086f41c54f9c3a469eb8f3b2741";
        let found = find(program, other, Some(revision));
        assert_eq!(found.as_deref(), Some("b342331"));
        assert_eq!(find(program, other, Some("0000000000")), None);
        let two = [&program[..], b"abcdef0\0"].concat();
        assert_eq!(find(&two, other, None), None);
        assert_eq!(
            find(&two, other, Some(revision)).as_deref(),
            Some("b342331")
        );
    }

    proptest! {
        #[test]
        fn it_is_found_anywhere(
            before in "[ -~]{0,20} ",
            sha in "[a-f][0-9][0-9a-f]{5,10}",
            behind in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let program = [before.as_bytes(), sha.as_bytes(), b"\0", &behind].concat();
            prop_assert!(candidates(&program).contains(&sha));
            let revision = format!("{sha:0<40}");
            let _ = find(&program, &behind, Some(&revision));
        }
    }
}
