//! Licences in a package's copyright file, where a machine can read it (Debian's "Machine-readable
//! debian/copyright file", version 1.0, once called DEP 5).

use crate::control;
use std::collections::BTreeSet;

/// The synopses of the licences of all the package's files, as `GPL-2+` or `GPL-2+ or Artistic`.
/// `None` where the file is in no such form: then only a person can tell.
#[must_use]
pub fn licences(text: &[u8]) -> Option<BTreeSet<String>> {
    let text = control::text(text).ok()?;
    let mut stanzas = control::stanzas(text);
    let head = stanzas.next()?.ok()?;
    if !head.get("Format")?.contains("copyright-format") {
        return None;
    }
    let mut found = BTreeSet::new();
    for stanza in stanzas {
        let stanza = stanza.ok()?;
        // Stanzas without files hold the full text of licences that others name.
        if stanza.get("Files").is_some() {
            let synopsis = stanza.get("License")?.lines().next()?.trim();
            if !synopsis.is_empty() {
                found.insert(synopsis.to_owned());
            }
        }
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMAT: &str =
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";

    #[test]
    fn every_stanza_with_files_counts() {
        let text = format!(
            "{FORMAT}Upstream-Name: x\nLicense: Overall\n\nFiles: *\nCopyright: a\nLicense: GPL-2+ or \
             Artistic\n\nFiles: b\nCopyright: b\nLicense: Expat\n Permission is granted.\n .\n \
             More.\n\nLicense: Apache-2.0\n The text.\n"
        );
        let found = licences(text.as_bytes()).unwrap();
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["Expat", "GPL-2+ or Artistic"]);
    }

    #[test]
    fn prose_is_for_people() {
        assert_eq!(licences(b"This package was debianized by a.\n"), None);
        assert_eq!(licences(b""), None);
        assert_eq!(licences(&[0xff]), None);
        let without_licence = format!("{FORMAT}\nFiles: *\nCopyright: a\n");
        assert_eq!(licences(without_licence.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_left(text in "(Format: copyright-format\n|Files: a\n|License: b\n| c\n|\n|.){0,12}") {
            if let Some(found) = licences(text.as_bytes()) {
                prop_assert!(found.iter().all(|one| !one.is_empty() && !one.contains('\n')));
            }
        }
    }
}
