use super::Kind;
use serde::Serialize;

/// The value of one of etcd's options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OptionValue {
    /// true or false.
    Flag(bool),
    /// A whole number.
    Number(u64),
    /// Text of printable ASCII characters.
    Text(String),
    /// A length of time: as written, and in nanoseconds, as the configuration file wants it.
    Duration {
        /// As written.
        #[serde(rename = "duration")]
        text: String,
        /// The same in nanoseconds.
        #[serde(skip)]
        nanoseconds: u64,
    },
    /// Texts without commas.
    List(Vec<String>),
}

/// Why a value is not what its option takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueMistake {
    /// What was expected, for under the line.
    pub expected: String,
    /// What to do.
    pub help: String,
}

fn expected(what: impl Into<String>, help: impl Into<String>) -> ValueMistake {
    ValueMistake {
        expected: what.into(),
        help: help.into(),
    }
}

impl Kind {
    /// What its values look like, with an article.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Duration => "a length of time in quotes".to_owned(),
            Self::Number(most) => format!("a whole number up to {most}"),
            Self::Text => "text in quotes".to_owned(),
            Self::Path => "an absolute path in quotes".to_owned(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                words.join(" or ")
            }
            Self::List | Self::Joined => "an array of texts".to_owned(),
            Self::Gates => "an array of `\"Name=true\"` or `\"Name=false\"`".to_owned(),
        }
    }

    /// An example of a value, as TOML.
    #[must_use]
    pub const fn example(self) -> &'static str {
        match self {
            Self::Flag => "true",
            Self::Duration => "\"300ms\"",
            Self::Number(_) => "1000",
            Self::Text => "\"text\"",
            Self::Path => "\"/etc/etcd/revoked.pem\"",
            Self::Choice(_) => "one of these words, in quotes",
            Self::List | Self::Joined => "[\"one\", \"two\"]",
            Self::Gates => "[\"InitialCorruptCheck=true\"]",
        }
    }

    fn mistake(self) -> ValueMistake {
        expected(self.describe(), format!("for example {}", self.example()))
    }

    /// A value written as true or false.
    ///
    /// # Errors
    /// [`ValueMistake`] when the option takes something else.
    pub fn flag(self, value: bool) -> Result<OptionValue, ValueMistake> {
        match self {
            Self::Flag => Ok(OptionValue::Flag(value)),
            _ => Err(self.mistake()),
        }
    }

    /// A value written as a whole number.
    ///
    /// # Errors
    /// [`ValueMistake`] when it is too large or the option takes something else.
    pub fn number(self, value: Option<u64>) -> Result<OptionValue, ValueMistake> {
        match (self, value) {
            (Self::Number(most), Some(value)) if value <= most => Ok(OptionValue::Number(value)),
            _ => Err(self.mistake()),
        }
    }

    /// A value written as text.
    ///
    /// # Errors
    /// [`ValueMistake`] when it has another form or the option takes something else.
    pub fn text(self, value: &str) -> Result<OptionValue, ValueMistake> {
        match self {
            Self::Text if printable(value) => Ok(OptionValue::Text(value.to_owned())),
            Self::Text => Err(expected(
                "printable ASCII characters",
                "write it in one line, without tabs and without special letters",
            )),
            Self::Path if printable(value) && value.starts_with('/') => {
                Ok(OptionValue::Text(value.to_owned()))
            }
            Self::Choice(words) if words.contains(&value) => {
                Ok(OptionValue::Text(value.to_owned()))
            }
            Self::Choice(words) => {
                let help = match crate::error::nearest(value, words.iter().copied()) {
                    Some(word) => format!("did you mean \"{word}\"?"),
                    None => "one of these words, in quotes".to_owned(),
                };
                Err(expected(self.describe(), help))
            }
            Self::Duration => match nanoseconds(value) {
                Some(nanoseconds) => Ok(OptionValue::Duration {
                    text: value.to_owned(),
                    nanoseconds,
                }),
                None => Err(expected(
                    "a number with a unit",
                    "units are ns, us, ms, s, m and h: \"300ms\", \"1h30m\"",
                )),
            },
            Self::List | Self::Joined | Self::Gates => Err(expected(
                self.describe(),
                format!("write it in brackets: [{value:?}]"),
            )),
            Self::Number(_) if value.parse::<u64>().is_ok() => Err(expected(
                self.describe(),
                format!("write it without quotes: {value}"),
            )),
            Self::Flag if matches!(value, "true" | "false") => Err(expected(
                self.describe(),
                format!("write it without quotes: {value}"),
            )),
            _ => Err(self.mistake()),
        }
    }

    /// A value written as an array of texts.
    ///
    /// # Errors
    /// [`ValueMistake`] when one of them has another form or the option takes something else.
    pub fn list(self, values: &[&str]) -> Result<OptionValue, ValueMistake> {
        let whole = |text: &&str| !text.is_empty() && printable(text) && !text.contains(',');
        match self {
            Self::List | Self::Joined | Self::Gates if !values.iter().all(whole) => Err(expected(
                "texts without commas",
                "write each in quotes of its own: [\"one\", \"two\"]",
            )),
            Self::Gates if !values.iter().all(|text| is_gate(text)) => Err(self.mistake()),
            Self::List | Self::Joined | Self::Gates if values.is_empty() => Err(expected(
                "at least one text",
                "leave the option out for etcd's own default",
            )),
            Self::List | Self::Joined | Self::Gates => Ok(OptionValue::List(
                values.iter().map(|&text| text.to_owned()).collect(),
            )),
            _ => Err(self.mistake()),
        }
    }
}

fn printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn is_gate(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, value)| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && matches!(value, "true" | "false")
    })
}

/// A length of time as Go's `time.ParseDuration` reads it, in nanoseconds; `None` when it is
/// none, negative, or more than Go can hold (292 years). At most nine digits behind the point
/// count.
fn nanoseconds(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let end = after
            .find(|c: char| !c.is_ascii_lowercase())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || part.len() > 9 || part.contains('.') {
            return None;
        }
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        total = total.checked_add(whole.checked_mul(*scale)?)?;
        if !part.is_empty() {
            let digits = u32::try_from(part.len()).ok()?;
            let fraction = part.parse::<u64>().ok()?.checked_mul(*scale);
            // Nine digits of an hour overflow 64 bits: nobody writes that.
            total = total.checked_add(fraction? / 10_u64.pow(digits))?;
        }
        rest = after;
    }
    (!text.is_empty() && i64::try_from(total).is_ok()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_of_time() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("300ms", Some(300_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5m", Some(30_000_000_000)),
            ("2us", Some(2_000)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-5s", None),
            ("5d", None),
            ("1..5s", None),
            ("5 s", None),
            ("9999999h", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn each_kind_takes_its_own() {
        assert_eq!(Kind::Flag.flag(true), Ok(OptionValue::Flag(true)));
        assert!(Kind::Flag.number(Some(1)).is_err());
        let help = |kind: Kind, text: &str| kind.text(text).unwrap_err().help;
        assert_eq!(help(Kind::Flag, "true"), "write it without quotes: true");
        assert_eq!(help(Kind::Number(9), "7"), "write it without quotes: 7");
        assert_eq!(help(Kind::List, "a"), "write it in brackets: [\"a\"]");
        let words = Kind::Choice(&["json", "console"]);
        assert_eq!(help(words, "jsn"), "did you mean \"json\"?");
        assert_eq!(
            words.text("xml").unwrap_err().expected,
            "\"json\" or \"console\""
        );
        assert!(Kind::Number(9).number(Some(10)).is_err());
        assert!(Kind::Number(9).number(None).is_err());
        assert!(Kind::Path.text("etc/x").is_err());
        assert!(Kind::Text.text("a\nb").is_err());
        assert!(Kind::List.list(&["a,b"]).is_err());
        assert!(Kind::List.list(&[]).is_err());
        assert!(Kind::Gates.list(&["A=true", "B=false"]).is_ok());
        assert!(Kind::Gates.list(&["A=yes"]).is_err());
    }

    proptest! {
        #[test]
        fn no_length_of_time_panics(text in "[0-9.hmsnu -]{0,30}") {
            let _ = nanoseconds(&text);
        }
    }
}
