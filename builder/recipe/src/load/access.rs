//! `[access]`.

use crate::checker::{Reported, Table};
use crate::resolved::{Access, Console, Ssh};
use crate::values::SshKey;

pub(super) fn read(table: &Table<'_>) -> Result<Access, Reported> {
    let keys = table.texts::<SshKey>("ssh_keys");
    let console = table.choice("console", &[Console::Log, Console::Shell], Console::as_str);
    let keys: Vec<SshKey> = keys?.into_iter().map(|key| key.value).collect();
    Ok(Access {
        ssh: (!keys.is_empty()).then_some(Ssh { keys }),
        console: console?.value,
    })
}
