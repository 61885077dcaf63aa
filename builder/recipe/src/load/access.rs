//! `[access]` and `[node.access]`.

use crate::checker::{Found, Reported, Table, mistake};
use crate::resolved::{Access, Console, Ssh};
use crate::values::{PasswordHash, SshKey};

/// The words for a console.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Log,
    Shell,
    Login,
}

impl Word {
    const ALL: [Self; 3] = [Self::Log, Self::Shell, Self::Login];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Shell => "shell",
            Self::Login => "login",
        }
    }
}

/// The cluster's.
pub(super) fn read(table: &Table<'_>) -> Result<Access, Reported> {
    read_node(table, Ok(&Access::default()))
}

/// A node's: the cluster's where it says nothing.
pub(super) fn read_node(
    table: &Table<'_>,
    cluster: Result<&Access, Reported>,
) -> Result<Access, Reported> {
    let keys = table.given_texts::<SshKey>("ssh_keys");
    let word = table.given_choice("console", &Word::ALL, Word::as_str);
    let hash = table.given_text::<PasswordHash>("root_password_hash");
    let cluster = cluster?;
    let (word, hash) = (word?, hash?);
    Ok(Access {
        ssh: match keys? {
            None => cluster.ssh.clone(),
            Some(found) => {
                let keys: Vec<SshKey> = found.value.into_iter().map(|key| key.value).collect();
                (!keys.is_empty()).then_some(Ssh { keys })
            }
        },
        console: console(table, word, hash, &cluster.console)?,
    })
}

fn console(
    table: &Table<'_>,
    word: Option<Found<Word>>,
    hash: Option<Found<PasswordHash>>,
    cluster: &Console,
) -> Result<Console, Reported> {
    let wanted = match (&word, cluster) {
        (Some(word), _) => word.value,
        (None, Console::Log) => Word::Log,
        (None, Console::Shell) => Word::Shell,
        (None, Console::Login { .. }) => Word::Login,
    };
    match (wanted, hash, cluster) {
        (Word::Login, Some(hash), _) => Ok(Console::Login {
            root_password: hash.value,
        }),
        (Word::Login, None, Console::Login { root_password }) => Ok(Console::Login {
            root_password: root_password.clone(),
        }),
        (Word::Login, None, _) => {
            let span = word.map_or(table.span(), |word| word.span);
            let message = format!(
                "`{}` is missing: nobody could log in",
                table.path("root_password_hash")
            );
            Err(table
                .checker()
                .report(mistake(span, message).label("with which password?").help(
                    "add `root_password_hash = \"...\"` with what `mkpasswd` or \
                     `openssl passwd -6` prints",
                )))
        }
        (_, Some(hash), _) => {
            let message = format!(
                "`{}` has no use: nothing asks for a password",
                table.path("root_password_hash")
            );
            Err(table.checker().report(
                mistake(hash.span, message)
                    .label("a password for what?")
                    .help(
                        "add `console = \"login\"` for a login prompt on the console; the ssh \
                         server takes keys only",
                    ),
            ))
        }
        (Word::Log, None, _) => Ok(Console::Log),
        (Word::Shell, None, _) => Ok(Console::Shell),
    }
}
