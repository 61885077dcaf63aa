//! The two styles in which apt is told its sources: sources.list(5).

/// The URIs of binary packages in a one-line style file, in its order:
/// `deb [ option=value … ] uri suite component…`.
pub(super) fn one_line(text: &str) -> Vec<String> {
    let mut uris = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line.strip_prefix("deb") else {
            continue;
        };
        // "deb-src" is another type.
        if !rest.starts_with([' ', '\t', '[']) {
            continue;
        }
        let mut rest = rest.trim_start();
        if let Some(options) = rest.strip_prefix('[') {
            let Some((_, after)) = options.split_once(']') else {
                continue;
            };
            rest = after;
        }
        uris.extend(rest.split_whitespace().next().map(str::to_owned));
    }
    uris
}

/// The URIs of binary packages in a deb822 style file, in its order: the `URIs` of each stanza
/// whose `Types` has `deb` and that is not disabled by `Enabled`.
pub(super) fn deb822(text: &str) -> Vec<String> {
    let mut uris = Vec::new();
    let mut stanza = Stanza::default();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            uris.append(&mut std::mem::take(&mut stanza).uris());
        } else if line.starts_with([' ', '\t']) {
            stanza.more(line);
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.begin(name, value);
        }
    }
    uris
}

/// The fields that matter here, of one stanza.
#[derive(Default)]
struct Stanza {
    types: String,
    uris: String,
    enabled: String,
    current: Option<Field>,
}

#[derive(Clone, Copy)]
enum Field {
    Types,
    Uris,
    Enabled,
}

impl Stanza {
    fn begin(&mut self, name: &str, value: &str) {
        self.current = match name.trim().to_ascii_lowercase().as_str() {
            "types" => Some(Field::Types),
            "uris" => Some(Field::Uris),
            "enabled" => Some(Field::Enabled),
            _ => None,
        };
        self.more(value);
    }

    fn more(&mut self, value: &str) {
        let field = match self.current {
            Some(Field::Types) => &mut self.types,
            Some(Field::Uris) => &mut self.uris,
            Some(Field::Enabled) => &mut self.enabled,
            None => return,
        };
        field.push(' ');
        field.push_str(value);
    }

    fn uris(self) -> Vec<String> {
        // apt takes these words for no (apt.conf(5) booleans); anything else is yes.
        let no = ["no", "false", "without", "off", "disable", "0"];
        let disabled = no.contains(&self.enabled.trim().to_ascii_lowercase().as_str());
        if disabled || !self.types.split_whitespace().any(|it| it == "deb") {
            return Vec::new();
        }
        self.uris.split_whitespace().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_line_style() {
        let text = "\
# deb http://commented.example/debian trixie main
deb http://a.example/debian trixie main # near
deb-src http://src.example/debian trixie main
  deb [ arch=amd64,arm64 signed-by=/usr/share/keyrings/x.gpg ] file:/srv/debian ./
deb\t[trusted=yes]\thttp://b.example/debian trixie
deb [never closed http://c.example/debian
deb
debian http://d.example/debian x
";
        let found = [
            "http://a.example/debian",
            "file:/srv/debian",
            "http://b.example/debian",
        ];
        assert_eq!(one_line(text), found);
    }

    #[test]
    fn deb822_style() {
        let text = "\
Types: deb deb-src
# a comment within
URIs: http://a.example/debian
 http://b.example/debian
Suites: trixie
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 URIs: http://not-a-field.example/debian
 -----END PGP PUBLIC KEY BLOCK-----

types: deb-src
URIs: http://src.example/debian

Enabled: no
Types: deb
URIs: http://off.example/debian

Types: deb
Enabled: yes
uris: http://c.example/debian";
        let found = [
            "http://a.example/debian",
            "http://b.example/debian",
            "http://c.example/debian",
        ];
        assert_eq!(deb822(text), found);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).*") {
            let found = one_line(&text).into_iter().chain(deb822(&text));
            for uri in found {
                prop_assert!(!uri.is_empty() && !uri.contains(char::is_whitespace));
            }
        }
    }
}
