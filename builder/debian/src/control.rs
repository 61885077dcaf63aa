//! Control files: stanzas of `Name: value` fields (Debian Policy 5.1).
//!
//! [`stanzas`] walks a file of many stanzas (an index has seventy thousand) without copying;
//! a [`StanzaRef`] is a window on the text, [`Stanza`] owns its own.

use std::fmt;

/// Why a text is not a control file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The bytes are not UTF-8 (Debian Policy 5.1 requires it).
    #[error("line {line} of the control file is not UTF-8")]
    NotUtf8 {
        /// The line, counted from 1.
        line: usize,
    },
    /// A line that is neither a field, a continuation, nor empty.
    #[error("line {line} of the control file is {text:?}: expected \"Name: value\"")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What it holds.
        text: String,
    },
    /// A continuation line with no field before it.
    #[error("line {line} of the control file continues a field, but none was begun")]
    Continuation {
        /// The line, counted from 1.
        line: usize,
    },
    /// The file holds no stanza, or more than one.
    #[error("the control file has {0} stanzas: expected exactly one")]
    Stanzas(usize),
    /// A field that must be there is not.
    #[error("the stanza beginning at line {line} has no field {field}")]
    Missing {
        /// The field's name.
        field: &'static str,
        /// The stanza's first line, counted from 1.
        line: usize,
    },
}

/// Reads bytes as the UTF-8 text a control file has to be.
///
/// # Errors
/// [`ControlError::NotUtf8`].
pub fn text(bytes: &[u8]) -> Result<&str, ControlError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        ControlError::NotUtf8 {
            line: before.split(|&byte| byte == b'\n').count(),
        }
    })
}

/// One checked stanza, borrowed from the file it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StanzaRef<'a> {
    text: &'a str,
    line: usize,
}

impl<'a> StanzaRef<'a> {
    /// The line of the file on which it begins, counted from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The stanza as written, without the empty line after it.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// Its fields in order: the name as written, and the value without surrounding blanks.
    /// A value of several lines keeps its line breaks and leading blanks.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        Fields(self.text)
    }

    /// The value of a field; names are compared without regard to case (Policy 5.1).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of a field that must be there.
    ///
    /// # Errors
    /// [`ControlError::Missing`].
    pub fn require(&self, field: &'static str) -> Result<&'a str, ControlError> {
        self.get(field).ok_or(ControlError::Missing {
            field,
            line: self.line,
        })
    }
}

/// The fields of a text whose form was checked.
struct Fields<'a>(&'a str);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0;
        let mut from = 0;
        // A field ends before the first line that does not begin with a blank.
        let end = loop {
            match text[from..].find('\n') {
                None => break text.len(),
                Some(at) => {
                    from += at + 1;
                    if !text[from..].starts_with([' ', '\t']) {
                        break from;
                    }
                }
            }
        };
        let (field, rest) = text.split_at(end);
        self.0 = rest;
        let (name, value) = field.split_once(':')?;
        Some((name, value.trim()))
    }
}

/// The stanzas of a control file, in order. Stops after the first error.
pub fn stanzas(text: &str) -> impl Iterator<Item = Result<StanzaRef<'_>, ControlError>> {
    Stanzas {
        rest: text,
        line: 1,
    }
}

struct Stanzas<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Stanzas<'a> {
    fn read(&mut self) -> Result<Option<StanzaRef<'a>>, ControlError> {
        let mut begin: Option<usize> = None;
        let mut first_line = self.line;
        let text = self.rest;
        let mut at = 0;
        while at < text.len() {
            let end = text[at..].find('\n').map_or(text.len(), |len| at + len);
            let line = &text[at..end];
            let number = self.line;
            let next = (end + 1).min(text.len());
            self.line += 1;
            if line
                .bytes()
                .all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
            {
                // Policy: stanzas are separated by lines of nothing but blanks.
                if let Some(begin) = begin {
                    self.rest = &text[next..];
                    return Ok(Some(StanzaRef {
                        text: &text[begin..at],
                        line: first_line,
                    }));
                }
            } else if line.starts_with([' ', '\t']) {
                if begin.is_none() {
                    return Err(ControlError::Continuation { line: number });
                }
            } else if is_field(line) {
                if begin.is_none() {
                    begin = Some(at);
                    first_line = number;
                }
            } else {
                return Err(ControlError::Line {
                    line: number,
                    text: line.chars().take(80).collect(),
                });
            }
            at = next;
        }
        self.rest = "";
        Ok(begin.map(|begin| StanzaRef {
            text: &text[begin..],
            line: first_line,
        }))
    }
}

/// Whether a line begins a field: a name of printable ASCII without blanks or colons, not
/// beginning with `#` or `-`, then a colon.
fn is_field(line: &str) -> bool {
    let bytes = line.as_bytes();
    let Some(colon) = bytes.iter().position(|&byte| byte == b':') else {
        return false;
    };
    colon > 0 && !matches!(bytes[0], b'#' | b'-') && bytes[..colon].iter().all(u8::is_ascii_graphic)
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Result<StanzaRef<'a>, ControlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read().transpose();
        if matches!(item, Some(Err(_))) {
            self.rest = "";
        }
        item
    }
}

/// One checked stanza that owns its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Stanza(String);

impl Stanza {
    /// Reads a file that holds exactly one stanza, as a package's `control` does.
    ///
    /// # Errors
    /// [`ControlError`] when the form is wrong, or there is not exactly one stanza.
    pub fn parse(bytes: &[u8]) -> Result<Self, ControlError> {
        let all = stanzas(text(bytes)?).collect::<Result<Vec<_>, _>>()?;
        match all.as_slice() {
            [one] => Ok(Self(one.as_str().to_owned())),
            more => Err(ControlError::Stanzas(more.len())),
        }
    }

    /// The stanza to read fields of.
    #[must_use]
    pub fn view(&self) -> StanzaRef<'_> {
        StanzaRef {
            text: &self.0,
            line: 1,
        }
    }

    /// The value of a field; names are compared without regard to case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.view().get(name)
    }

    /// The stanza as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<StanzaRef<'_>> for Stanza {
    fn from(stanza: StanzaRef<'_>) -> Self {
        Self(stanza.text.to_owned())
    }
}

impl fmt::Debug for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.view().fields()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_and_continuations() {
        let text = "\n\nPackage: a\nDescription: short\n long\n .\n more\n\n \nPackage:b\n";
        let all: Vec<StanzaRef<'_>> = stanzas(text).map(Result::unwrap).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].line(), all[1].line()), (3, 10));
        assert_eq!(all[0].get("description"), Some("short\n long\n .\n more"));
        assert_eq!(all[1].get("Package"), Some("b"));
        assert_eq!(
            all[1].require("Version"),
            Err(ControlError::Missing {
                field: "Version",
                line: 10
            })
        );
    }

    #[test]
    fn errors_name_the_line() {
        let error = |text: &str| stanzas(text).find_map(Result::err);
        assert_eq!(
            error("A: b\nnonsense\nC: d\n"),
            Some(ControlError::Line {
                line: 2,
                text: "nonsense".into()
            })
        );
        assert_eq!(
            error("A: b\n\n x\n"),
            Some(ControlError::Continuation { line: 3 })
        );
        assert_eq!(
            Stanza::parse(b"A: b\n\xff"),
            Err(ControlError::NotUtf8 { line: 2 })
        );
        assert_eq!(Stanza::parse(b"\n"), Err(ControlError::Stanzas(0)));
        assert_eq!(
            Stanza::parse(b"A: b\n\nA: c"),
            Err(ControlError::Stanzas(2))
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "([A-Za-z:# \t\r\n-]|\\PC){0,200}") {
            for stanza in stanzas(&text).map_while(Result::ok) {
                for (name, value) in stanza.fields() {
                    prop_assert!(!name.is_empty());
                    prop_assert_eq!(value, value.trim());
                }
            }
        }

        #[test]
        fn what_was_written_is_read(fields in prop::collection::vec(
            ("[A-Za-z][A-Za-z-]{0,8}", "[a-z0-9]([a-z :]{0,8}[a-z0-9])?"), 1..8))
        {
            let text: String = fields.iter().map(|(n, v)| format!("{n}: {v}\n")).collect();
            let stanza = Stanza::parse(text.as_bytes()).unwrap();
            let read: Vec<(String, String)> =
                stanza.view().fields().map(|(n, v)| (n.into(), v.into())).collect();
            prop_assert_eq!(read, fields);
        }
    }
}
