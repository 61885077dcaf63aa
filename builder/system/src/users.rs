//! Users and groups, as base-passwd's maintainer script and `systemd-sysusers` would make them.
//!
//! base-passwd's masters come first, then every entry of `usr/lib/sysusers.d` (sysusers.d(5)).
//! Ids that an entry leaves open are given out from 999 downwards in the order of the entries,
//! which is that of their files' names; `etcd`, whose package has no such file, always comes
//! first, so that its data keeps its owner when packages come and go.

use imgbuild_base::{Epoch, Meta, Tree, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The group `shadow`, which may read password hashes (base-passwd).
const SHADOW: u32 = 42;
/// Ids of system accounts end here (Debian Policy 9.2.2).
const HIGHEST: u32 = 999;
const LOWEST: u32 = 100;

/// Ids that other layers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemIds {
    /// User id of `etcd`.
    pub etcd_user: u32,
    /// Group id of `etcd`.
    pub etcd_group: u32,
    /// Every user's id.
    pub users: BTreeMap<String, u32>,
    /// Every group's id.
    pub groups: BTreeMap<String, u32>,
}

/// Why the users cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    /// base-passwd's list is not in the tree.
    #[error("/{0} is missing: the package base-passwd must be among the packages")]
    NoMaster(&'static str),
    /// A line of a list cannot be read.
    #[error("/{file} line {line}: {problem}")]
    Line {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// No id is free.
    #[error("no id between {LOWEST} and {HIGHEST} is free for {0}")]
    Full(String),
}

struct User {
    name: String,
    uid: u32,
    gid: u32,
    gecos: String,
    home: String,
    shell: String,
}

struct Group {
    name: String,
    gid: u32,
    members: BTreeSet<String>,
}

#[derive(Default)]
struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

/// Makes passwd, group, shadow and gshadow in `tree` and returns the ids. Without bash, root
/// gets `/bin/sh`.
///
/// # Errors
/// [`UsersError`].
pub fn make(tree: &mut Tree, epoch: Epoch) -> Result<SystemIds, UsersError> {
    let mut accounts = Accounts::default();
    accounts.masters(tree)?;
    accounts.user("etcd", None, "etcd", "/var/lib/etcd", "/usr/sbin/nologin")?;
    let files: Vec<(String, String)> = tree
        .iter()
        .filter(|(path, _)| {
            path.is_within("usr/lib/sysusers.d") && path.as_str().ends_with(".conf")
        })
        .filter_map(|(path, _)| {
            let bytes = tree.file(path.as_str())?;
            let text = String::from_utf8_lossy(bytes).into_owned();
            Some((path.as_str().to_owned(), text))
        })
        .collect();
    for (file, text) in &files {
        accounts.sysusers(file, text)?;
    }
    let bash = crate::resolve::resolve(tree, "bin/bash").is_some();
    for user in accounts
        .users
        .iter_mut()
        .filter(|user| !bash && user.shell == "/bin/bash")
    {
        user.shell = "/bin/sh".to_owned();
    }
    accounts.write(tree, epoch);
    Ok(accounts.ids())
}

impl Accounts {
    fn masters(&mut self, tree: &Tree) -> Result<(), UsersError> {
        const PASSWD: &str = "usr/share/base-passwd/passwd.master";
        const GROUP: &str = "usr/share/base-passwd/group.master";
        let lines = |file: &'static str| {
            let bytes = tree.file(file).ok_or(UsersError::NoMaster(file))?;
            let text = String::from_utf8_lossy(bytes).into_owned();
            let lines: Vec<Vec<String>> = text
                .lines()
                .map(|line| line.split(':').map(str::to_owned).collect())
                .collect();
            Ok(lines)
        };
        let wrong = |file: &str, line: usize| UsersError::Line {
            file: file.to_owned(),
            line: line + 1,
            problem: "not an account: expected fields separated by ':'".to_owned(),
        };
        for (at, fields) in lines(PASSWD)?.iter().enumerate() {
            let [name, _, uid, gid, gecos, home, shell] = &fields[..] else {
                return Err(wrong(PASSWD, at));
            };
            self.users.push(User {
                name: name.clone(),
                uid: uid.parse().map_err(|_| wrong(PASSWD, at))?,
                gid: gid.parse().map_err(|_| wrong(PASSWD, at))?,
                gecos: gecos.clone(),
                home: home.clone(),
                shell: shell.clone(),
            });
        }
        for (at, fields) in lines(GROUP)?.iter().enumerate() {
            let [name, _, gid, _] = &fields[..] else {
                return Err(wrong(GROUP, at));
            };
            let gid = gid.parse().map_err(|_| wrong(GROUP, at))?;
            self.put_group(name, gid);
        }
        Ok(())
    }

    fn gid(&self, name: &str) -> Option<u32> {
        let group = self.groups.iter().find(|group| group.name == name)?;
        Some(group.gid)
    }

    fn free(&self, id: u32) -> bool {
        self.users.iter().all(|user| user.uid != id) && self.groups.iter().all(|g| g.gid != id)
    }

    fn next(&self, name: &str) -> Result<u32, UsersError> {
        (LOWEST..=HIGHEST)
            .rev()
            .find(|&id| self.free(id))
            .ok_or_else(|| UsersError::Full(name.to_owned()))
    }

    fn put_group(&mut self, name: &str, gid: u32) {
        self.groups.push(Group {
            name: name.to_owned(),
            gid,
            members: BTreeSet::new(),
        });
    }

    fn group(&mut self, name: &str, id: Option<u32>) -> Result<u32, UsersError> {
        if let Some(gid) = self.gid(name) {
            return Ok(gid);
        }
        let gid = match id {
            Some(id) => id,
            None => self.next(name)?,
        };
        self.put_group(name, gid);
        Ok(gid)
    }

    /// A user with a group of the same name and, where it is open, the same id.
    fn user(
        &mut self,
        name: &str,
        ids: Option<(u32, Option<u32>)>,
        gecos: &str,
        home: &str,
        shell: &str,
    ) -> Result<(), UsersError> {
        if self.users.iter().any(|user| user.name == name) {
            return Ok(());
        }
        let (uid, gid) = match ids {
            Some((uid, Some(gid))) => (uid, gid),
            Some((uid, None)) => (uid, self.group(name, Some(uid))?),
            None => match self.gid(name) {
                Some(gid) if self.users.iter().all(|user| user.uid != gid) => (gid, gid),
                Some(gid) => (self.next(name)?, gid),
                None => {
                    let id = self.next(name)?;
                    (id, self.group(name, Some(id))?)
                }
            },
        };
        self.users.push(User {
            name: name.to_owned(),
            uid,
            gid,
            gecos: gecos.to_owned(),
            home: home.to_owned(),
            shell: shell.to_owned(),
        });
        Ok(())
    }

    fn sysusers(&mut self, file: &str, text: &str) -> Result<(), UsersError> {
        for (line, number) in text.lines().zip(1..) {
            let fields = words(line);
            let wrong = |problem: &str| UsersError::Line {
                file: file.to_owned(),
                line: number,
                problem: problem.to_owned(),
            };
            let [kind, name, rest @ ..] = &fields[..] else {
                if fields.is_empty() {
                    continue;
                }
                return Err(wrong("expected a type and a name (sysusers.d(5))"));
            };
            let field = |at: usize, default: &str| {
                let text = rest.get(at).map_or("-", String::as_str);
                if text == "-" {
                    default.to_owned()
                } else {
                    text.to_owned()
                }
            };
            let id = field(0, "");
            match kind.trim_end_matches(['!', '+']) {
                "g" => {
                    let id = match id.as_str() {
                        "" => None,
                        text => Some(text.parse().map_err(|_| wrong("the id is no number"))?),
                    };
                    self.group(name, id)?;
                }
                "u" => {
                    let ids = match id.split_once(':') {
                        _ if id.is_empty() => None,
                        None => Some((id.parse().map_err(|_| wrong("the id is no number"))?, None)),
                        Some((uid, group)) => {
                            let gid = group.parse().ok().or_else(|| self.gid(group));
                            let gid = gid.ok_or_else(|| wrong("the group does not exist"))?;
                            let uid = match uid {
                                "-" => self.next(name)?,
                                text => text.parse().map_err(|_| wrong("the id is no number"))?,
                            };
                            Some((uid, Some(gid)))
                        }
                    };
                    let home = field(2, "/");
                    let shell = field(3, "/usr/sbin/nologin");
                    self.user(name, ids, &field(1, name), &home, &shell)?;
                }
                "m" => {
                    self.group(&id, None)?;
                    if let Some(group) = self.groups.iter_mut().find(|group| group.name == id) {
                        group.members.insert(name.clone());
                    }
                }
                "r" => {}
                _ => return Err(wrong("the type is none of u, g, m, r (sysusers.d(5))")),
            }
        }
        Ok(())
    }

    fn write(&self, tree: &mut Tree, epoch: Epoch) {
        let day = epoch.seconds() / 86_400;
        let (mut passwd, mut shadow) = (String::new(), String::new());
        for user in &self.users {
            let User {
                name,
                uid,
                gid,
                gecos,
                home,
                shell,
            } = user;
            let _ = writeln!(passwd, "{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}");
            let _ = writeln!(shadow, "{name}:*:{day}:0:99999:7:::");
        }
        let (mut group, mut gshadow) = (String::new(), String::new());
        for Group { name, gid, members } in &self.groups {
            let members: Vec<&str> = members.iter().map(String::as_str).collect();
            let members = members.join(",");
            let _ = writeln!(group, "{name}:x:{gid}:{members}");
            let _ = writeln!(gshadow, "{name}:*::{members}");
        }
        let open = Meta::root(0o644, epoch);
        let secret = Meta::root(0o640, epoch).owned_by(0, SHADOW);
        for (name, meta, text) in [
            ("etc/passwd", open, passwd),
            ("etc/group", open, group),
            ("etc/shadow", secret, shadow),
            ("etc/gshadow", secret, gshadow),
        ] {
            if let Ok(path) = TreePath::new(name) {
                tree.put_file(path, meta, text);
            }
        }
    }

    fn ids(&self) -> SystemIds {
        let users: BTreeMap<String, u32> = self
            .users
            .iter()
            .map(|user| (user.name.clone(), user.uid))
            .collect();
        let groups: BTreeMap<String, u32> = self
            .groups
            .iter()
            .map(|group| (group.name.clone(), group.gid))
            .collect();
        SystemIds {
            etcd_user: users.get("etcd").copied().unwrap_or(HIGHEST),
            etcd_group: groups.get("etcd").copied().unwrap_or(HIGHEST),
            users,
            groups,
        }
    }
}

/// Splits a line at blanks; double quotes hold a field together; `#` begins a comment.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    let comment = rest.starts_with('#');
    while !rest.is_empty() && !comment {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(sysusers: &str) -> Tree {
        let mut tree = Tree::new();
        let mut put = |path: &str, text: &str| {
            let path = TreePath::new(path).unwrap();
            tree.put_file(path, Meta::root(0o644, Epoch::ZERO), text.to_owned());
        };
        put(
            "usr/share/base-passwd/passwd.master",
            "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        );
        put(
            "usr/share/base-passwd/group.master",
            "root:*:0:\nshadow:*:42:\nnogroup:*:65534:\n",
        );
        put("usr/lib/sysusers.d/a.conf", sysusers);
        tree
    }

    #[test]
    fn accounts_as_the_scripts_would_make_them() {
        let mut tree = tree(
            "# comment\ng input -\nu! net - \"Network Management\"\nu x 33:nogroup - /x /bin/false\nm x input\n",
        );
        let ids = make(&mut tree, Epoch::from_u32(86_400 * 20_000)).unwrap();
        let text = |path: &str| String::from_utf8(tree.file(path).unwrap().to_vec()).unwrap();
        assert_eq!(
            text("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\n\
             nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
             etcd:x:999:999:etcd:/var/lib/etcd:/usr/sbin/nologin\n\
             net:x:997:997:Network Management:/:/usr/sbin/nologin\n\
             x:x:33:65534:x:/x:/bin/false\n"
        );
        assert_eq!(
            text("etc/group"),
            "root:x:0:\nshadow:x:42:\nnogroup:x:65534:\netcd:x:999:\ninput:x:998:x\nnet:x:997:\n"
        );
        assert!(text("etc/shadow").starts_with("root:*:20000:0:99999:7:::\n"));
        let meta = tree.at("etc/shadow").unwrap().meta;
        assert_eq!((meta.mode, meta.gid), (0o640, 42));
        assert_eq!((ids.etcd_user, ids.groups["input"]), (999, 998));
    }

    #[test]
    fn a_wrong_entry_is_named() {
        let error = make(&mut tree("\nq what -\n"), Epoch::ZERO).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/usr/lib/sysusers.d/a.conf line 2: the type is none of u, g, m, r (sysusers.d(5))"
        );
        let error = make(&mut tree("u a 1:nowhere\n"), Epoch::ZERO).unwrap_err();
        assert!(
            error.to_string().contains("the group does not exist"),
            "{error}"
        );
    }

    #[test]
    fn base_passwd_is_needed() {
        let error = make(&mut Tree::new(), Epoch::ZERO).unwrap_err();
        assert_eq!(
            error,
            UsersError::NoMaster("usr/share/base-passwd/passwd.master")
        );
    }
}
