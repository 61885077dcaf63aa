use crate::build_info::BuildInfo;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Answers what go asks of git.
const GIT: &str = include_str!("git.go");

/// The commit that programs are stamped with: what go would learn from git in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    revision: String,
    seconds: i64,
    modified: bool,
    tags: Vec<String>,
}

/// A commit that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Not a revision of git's.
    #[error("{0:?} is no revision: expected 40 or 64 hexadecimal digits")]
    Revision(String),
    /// Not a time.
    #[error("{0:?} is no time of a commit: expected a form as 2026-10-22T22:52:36Z")]
    Time(String),
    /// Not a tag.
    #[error("{0:?} cannot be a tag here: expected letters, digits, '.', '-', '+' and '/'")]
    Tag(String),
}

impl Commit {
    /// The commit that a program was stamped with; `None` when with none. `tags` are those that
    /// point at it.
    ///
    /// # Errors
    /// [`CommitError`].
    pub fn of(info: &BuildInfo, tags: Vec<String>) -> Result<Option<Self>, CommitError> {
        let setting = |name: &str| info.settings.get(name).map(String::as_str);
        let (Some("git"), Some(revision), Some(time)) =
            (setting("vcs"), setting("vcs.revision"), setting("vcs.time"))
        else {
            return Ok(None);
        };
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !matches!(revision.len(), 40 | 64) || !revision.bytes().all(hex) {
            return Err(CommitError::Revision(revision.to_owned()));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-+/".contains(&byte);
        if let Some(tag) = tags.iter().find(|tag| !tag.bytes().all(plain)) {
            return Err(CommitError::Tag(tag.clone()));
        }
        let when = OffsetDateTime::parse(time, &Rfc3339);
        Ok(Some(Self {
            revision: revision.to_owned(),
            seconds: when
                .map_err(|_| CommitError::Time(time.to_owned()))?
                .unix_timestamp(),
            modified: setting("vcs.modified") == Some("true"),
            tags,
        }))
    }

    /// Its hash.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The program that answers for git.
    pub(super) fn git(&self) -> String {
        let changed = if self.modified { " M file\\n" } else { "" };
        let tags: Vec<String> = self.tags.iter().map(|tag| format!("{tag:?}")).collect();
        format!(
            "{GIT}\nconst (\n\trevision = {:?}\n\tseconds = \"{}\"\n\tchanged = \"{changed}\"\n)\n\n\
             var tags = []string{{{}}}\n",
            self.revision,
            self.seconds,
            tags.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(revision: &str, time: &str) -> BuildInfo {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let settings = [
            ("vcs", "git"),
            ("vcs.revision", revision),
            ("vcs.time", time),
        ];
        BuildInfo {
            settings: settings.map(own).into(),
            ..BuildInfo::default()
        }
    }

    #[test]
    fn a_commit_is_what_the_program_says() {
        let (revision, time) = ("a".repeat(40), "2026-10-22T22:52:36Z");
        let tags = vec!["server/v3.6.16".to_owned()];
        let commit = Commit::of(&stamped(&revision, time), tags)
            .unwrap()
            .unwrap();
        assert_eq!(commit.revision(), revision);
        let git = commit.git();
        for line in [
            "seconds = \"1792709556\"",
            "changed = \"\"",
            "var tags = []string{\"server/v3.6.16\"}",
        ] {
            assert!(git.contains(line), "{line} is not in {git}");
        }
        assert_eq!(Commit::of(&BuildInfo::default(), Vec::new()), Ok(None));
    }

    #[test]
    fn nothing_gets_into_the_program_that_is_no_commit() {
        let (revision, time) = ("a".repeat(40), "2026-10-22T22:52:36Z");
        let of = |revision: &str, time: &str, tag: &str| {
            Commit::of(&stamped(revision, time), vec![tag.to_owned()]).unwrap_err()
        };
        let quote = "\"\n".repeat(20);
        assert_eq!(of(&quote, time, ""), CommitError::Revision(quote.clone()));
        assert!(matches!(of(&revision, "now", ""), CommitError::Time(_)));
        assert!(matches!(of(&revision, time, "a\"b"), CommitError::Tag(_)));
    }
}
