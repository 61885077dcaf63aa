//! How many members of a cluster may fail.
//!
//! etcd commits a write when a majority has it (Raft). Of two members both are the majority:
//! a two-node cluster survives no failure, and less than a single node would.

use std::fmt;

/// A cluster's size and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    members: usize,
}

impl Quorum {
    /// The quorum of so many members.
    #[must_use]
    pub const fn of(members: usize) -> Self {
        Self { members }
    }

    /// How many members there are.
    #[must_use]
    pub const fn members(self) -> usize {
        self.members
    }

    /// How many of them must be up.
    #[must_use]
    pub const fn majority(self) -> usize {
        imgbuild_recipe::resolved::majority(self.members)
    }

    /// How many of them may be down.
    #[must_use]
    pub const fn tolerance(self) -> usize {
        self.members.saturating_sub(self.majority())
    }
}

impl fmt::Display for Quorum {
    /// A sentence, as in "2 of 3 members must be up; 1 may fail."
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.members == 1 {
            return f.write_str("One member: when it is down, so is the cluster.");
        }
        let failures = match self.tolerance() {
            0 => "none may fail".to_owned(),
            some => format!("{some} may fail"),
        };
        let (majority, members) = (self.majority(), self.members);
        write!(f, "{majority} of {members} members must be up; {failures}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majorities() {
        let seen: Vec<(usize, usize)> = (1..=7)
            .map(|members| {
                (
                    Quorum::of(members).majority(),
                    Quorum::of(members).tolerance(),
                )
            })
            .collect();
        let known = [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (4, 2), (4, 3)];
        assert_eq!(seen, known);
    }

    #[test]
    fn sentences() {
        let say = |members| Quorum::of(members).to_string();
        assert_eq!(say(1), "One member: when it is down, so is the cluster.");
        assert_eq!(say(2), "2 of 2 members must be up; none may fail.");
        assert_eq!(say(5), "3 of 5 members must be up; 2 may fail.");
    }
}
