//! Licences under the names that bills of materials know them by (the SPDX licence list).

use serde::{Deserialize, Serialize};

/// A licence, as CycloneDX writes it down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Licence {
    /// One of the SPDX list.
    Id(String),
    /// Any other, by the name that its copyright file gives it.
    Name(String),
}

/// Debian's short names, and the SPDX list's for the same licence.
const NAMES: [(&str, &str); 49] = [
    ("AGPL-3", "AGPL-3.0-only"),
    ("AGPL-3+", "AGPL-3.0-or-later"),
    ("Apache-2", "Apache-2.0"),
    ("Apache-2.0", "Apache-2.0"),
    ("Artistic-1", "Artistic-1.0"),
    ("Artistic-2", "Artistic-2.0"),
    ("BSD-2-Clause", "BSD-2-Clause"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-3-Clause", "BSD-3-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("BSD-4-Clause", "BSD-4-Clause"),
    ("BSD-4-clause", "BSD-4-Clause"),
    ("BSL-1.0", "BSL-1.0"),
    ("CC0-1.0", "CC0-1.0"),
    ("Expat", "MIT"),
    ("FSFAP", "FSFAP"),
    ("FSFUL", "FSFUL"),
    ("FSFULLR", "FSFULLR"),
    ("GFDL-1.3+", "GFDL-1.3-or-later"),
    ("GPL-1", "GPL-1.0-only"),
    ("GPL-1+", "GPL-1.0-or-later"),
    ("GPL-2", "GPL-2.0-only"),
    ("GPL-2.0", "GPL-2.0-only"),
    ("GPL-2+", "GPL-2.0-or-later"),
    ("GPL-2.0+", "GPL-2.0-or-later"),
    ("GPL-3", "GPL-3.0-only"),
    ("GPL-3+", "GPL-3.0-or-later"),
    ("GPL-3.0+", "GPL-3.0-or-later"),
    ("ISC", "ISC"),
    ("LGPL-2", "LGPL-2.0-only"),
    ("LGPL-2+", "LGPL-2.0-or-later"),
    ("LGPL-2.0", "LGPL-2.0-only"),
    ("LGPL-2.0+", "LGPL-2.0-or-later"),
    ("LGPL-2.1", "LGPL-2.1-only"),
    ("LGPL-2.1+", "LGPL-2.1-or-later"),
    ("LGPL-3", "LGPL-3.0-only"),
    ("LGPL-3+", "LGPL-3.0-or-later"),
    ("LGPL-3.0+", "LGPL-3.0-or-later"),
    ("MIT", "MIT"),
    ("MPL-1.1", "MPL-1.1"),
    ("MPL-2.0", "MPL-2.0"),
    ("OFL-1.1", "OFL-1.1"),
    ("OpenSSL", "OpenSSL"),
    ("Python-2.0", "Python-2.0"),
    ("Unlicense", "Unlicense"),
    ("X11", "X11"),
    ("Zlib", "Zlib"),
    ("curl", "curl"),
    ("zlib", "Zlib"),
];

impl Licence {
    /// From the synopsis in a Debian copyright file. Only a name that stands for exactly one
    /// licence of the SPDX list becomes its id; expressions and local names stay as they are.
    #[must_use]
    pub fn of_debian(synopsis: &str) -> Self {
        match NAMES.iter().find(|(short, _)| *short == synopsis) {
            Some((_, id)) => Self::Id((*id).to_owned()),
            None => Self::Name(synopsis.to_owned()),
        }
    }

    /// What stands where nobody has said it in a form that a machine can read (SPDX's word).
    #[must_use]
    pub fn not_asserted() -> Self {
        Self::Name("NOASSERTION".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_become_ids() {
        let id = |text: &str| Licence::Id(text.to_owned());
        assert_eq!(Licence::of_debian("Expat"), id("MIT"));
        assert_eq!(Licence::of_debian("GPL-2+"), id("GPL-2.0-or-later"));
        let either = Licence::of_debian("GPL-2+ or Artistic");
        assert_eq!(either, Licence::Name("GPL-2+ or Artistic".to_owned()));
    }

    #[test]
    fn every_id_is_on_the_list() {
        let list = include_str!("../tests/schemas/spdx.schema.json");
        let list: serde_json::Value = serde_json::from_str(list).unwrap();
        let list = list["enum"].as_array().unwrap();
        for (short, id) in NAMES {
            assert!(list.iter().any(|one| one == id), "{short}: {id}");
        }
    }
}
