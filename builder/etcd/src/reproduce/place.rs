//! Where two programs differ.

use object::{Object, ObjectSection};
use std::collections::BTreeMap;

/// Where two files differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The first byte that differs, counted from 0.
    pub offset: u64,
    /// The section of the first file that has it; `None` between sections, or behind the file.
    pub section: Option<String>,
    /// Every section whose content differs, or that only one of them has.
    pub sections: Vec<String>,
}

/// Where two files differ; `None` when nowhere. Files that are not ELF have no sections.
#[must_use]
pub(super) fn place(first: &[u8], second: &[u8]) -> Option<Place> {
    let mut bytes = first.iter().zip(second);
    let at = bytes.position(|(first, second)| first != second);
    let at = match at {
        None if first.len() == second.len() => return None,
        None => first.len().min(second.len()),
        Some(at) => at,
    };
    let offset = at as u64;
    let (one, two) = (sections(first), sections(second));
    let section = one.iter().find(|(_, (from, bytes))| {
        let len = bytes.len() as u64;
        (*from..from.saturating_add(len)).contains(&offset)
    });
    let content = |of: &BTreeMap<String, (u64, &[u8])>, name: &str| {
        of.get(name).map(|(_, bytes)| bytes.to_vec())
    };
    let mut names: Vec<&String> = one.keys().chain(two.keys()).collect();
    names.sort();
    names.dedup();
    Some(Place {
        offset,
        section: section.map(|(name, _)| name.clone()),
        sections: names
            .into_iter()
            .filter(|name| content(&one, name) != content(&two, name))
            .cloned()
            .collect(),
    })
}

/// The sections that have bytes in the file: where they begin, and the bytes.
fn sections(program: &[u8]) -> BTreeMap<String, (u64, &[u8])> {
    let Ok(file) = object::File::parse(program) else {
        return BTreeMap::new();
    };
    file.sections()
        .filter_map(|section| {
            let (from, _) = section.file_range()?;
            Some((
                section.name().ok()?.to_owned(),
                (from, section.data().ok()?),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_changed_byte_is_found_with_its_section() {
        let own = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(place(&own, &own), None);
        let (from, text) = sections(&own)[".text"];
        let at = usize::try_from(from).unwrap() + text.len() / 2;
        let mut other = own.clone();
        other[at] ^= 1;
        let found = place(&own, &other).unwrap();
        assert_eq!(found.offset, at as u64);
        assert_eq!(found.section.as_deref(), Some(".text"));
        assert_eq!(found.sections, [".text"]);
        other.truncate(at);
        assert_eq!(place(&own, &other).unwrap().offset, at as u64);
    }

    proptest! {
        #[test]
        fn any_two_files_are_told_apart(
            first in proptest::collection::vec(any::<u8>(), 0..80),
            second in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let found = place(&first, &second);
            prop_assert_eq!(found.is_none(), first == second);
            if let Some(Place { offset, .. }) = found {
                let at = usize::try_from(offset).unwrap();
                prop_assert_eq!(&first[..at], &second[..at]);
                prop_assert_ne!(first.get(at), second.get(at));
            }
        }
    }
}
