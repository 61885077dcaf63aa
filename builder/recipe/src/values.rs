//! Values that only exist when they are right: one checking constructor each.

mod access;
mod certificate;
mod debian;
mod etcd;
mod file;
mod kernel;
mod link;
mod listen;
mod network;
mod unit;
mod variable;
mod wifi;

pub use access::{PasswordHash, SshKey};
pub use certificate::{BesidePath, FileName, SubjectName};
pub use debian::{MirrorUrl, PackageName};
pub use etcd::{AutoCompaction, EtcdVersion, Token};
pub use file::{AccountName, FileMode, FileText, SourcePath};
pub use kernel::{KernelArg, ModuleName, SysctlName, SysctlValue};
pub(crate) use link::InterfaceAddress;
pub use link::{DomainName, HostsEntry, MacAddress, OpenPort, Protocol, VlanId};
pub use listen::{AdvertisedUrl, ListenAddress, UrlPattern};
pub use network::{InterfaceName, San};
pub use unit::{DropInName, UnitName};
pub use variable::{VariableName, VariableValue};
pub use wifi::{Country, EnvName, HostPath, Ssid};

/// A text is not the value it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ValueError {
    /// What was written.
    pub text: String,
    /// What was expected, with its article: "an etcd version such as 3.6.16".
    pub expected: &'static str,
}

pub(crate) fn wrong(text: &str, expected: &'static str) -> ValueError {
    ValueError {
        text: text.to_owned(),
        expected,
    }
}

/// Serialises as what `Display` writes.
macro_rules! serialize_as_text {
    ($($name:ty),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )*};
}
use serialize_as_text;

#[cfg(test)]
mod testing {
    use std::str::FromStr;

    pub(super) fn good<T: FromStr>(texts: &[&str]) -> bool {
        texts.iter().all(|text| text.parse::<T>().is_ok())
    }

    pub(super) fn bad<T: FromStr>(texts: &[&str]) -> bool {
        texts.iter().all(|text| text.parse::<T>().is_err())
    }
}
