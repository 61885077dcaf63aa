use imgbuild_base::{Epoch, Kind, Tree, TreePath};
use imgbuild_pki::{Authority, Certificate, CertificateError};

/// systemd's clock never starts before the time of this file (systemd(1), "clock-epoch").
pub const CLOCK_FLOOR: &str = "usr/lib/clock-epoch";

/// Why a node could start with certificates that do not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// There is no floor, so a machine without a clock starts years ago.
    #[error(
        "/{CLOCK_FLOOR} is missing: a machine without a clock would start before its certificates hold"
    )]
    NoFloor,
    /// A certificate starts to hold after the floor.
    #[error(
        "/{path} starts to hold at {not_before}, but a machine without a clock starts at \
         {floor} (seconds since 1970): every handshake would fail"
    )]
    NotYetValid {
        /// The certificate.
        path: TreePath,
        /// When it starts to hold.
        not_before: Epoch,
        /// When the machine starts.
        floor: Epoch,
    },
    /// A certificate has ended before the floor.
    #[error(
        "/{path} holds only until {not_after}, before the machine's clock starts at {floor} \
         (seconds since 1970)"
    )]
    Expired {
        /// The certificate.
        path: TreePath,
        /// When it ends.
        not_after: Epoch,
        /// When the machine starts.
        floor: Epoch,
    },
    /// A file that looks like a certificate is none.
    #[error("/{0}: {1}")]
    Certificate(TreePath, CertificateError),
}

/// Proves that every certificate in a node's layer holds when its clock starts at its floor.
///
/// # Errors
/// [`ClockError`] naming the first file, in path order, for which that is not so.
pub fn check_clock(tree: &Tree) -> Result<(), ClockError> {
    let floor = tree.at(CLOCK_FLOOR).ok_or(ClockError::NoFloor)?.meta.mtime;
    for (path, certificate) in certificates(tree) {
        let validity = certificate
            .map_err(|error| ClockError::Certificate(path.clone(), error))?
            .validity();
        let path = path.clone();
        if validity.not_before() > floor {
            return Err(ClockError::NotYetValid {
                path,
                not_before: validity.not_before(),
                floor,
            });
        }
        if validity.not_after() < floor {
            return Err(ClockError::Expired {
                path,
                not_after: validity.not_after(),
                floor,
            });
        }
    }
    Ok(())
}

/// The certificates in `tree` that `authority` has issued, in path order.
pub fn leaves<'a>(
    tree: &'a Tree,
    authority: &'a Authority,
) -> impl Iterator<Item = (&'a TreePath, Result<Certificate, CertificateError>)> {
    let own = authority.certificate().der();
    let above = move |certificate: &Certificate| certificate.der() == own;
    let mut last = None;
    certificates(tree).filter(move |(path, certificate)| {
        // A file shows its certificate first, then those that vouch for it.
        let first = last.replace(*path) != Some(*path);
        first && !certificate.as_ref().is_ok_and(&above)
    })
}

/// Every certificate in a PEM file of `tree`, in path order.
pub fn certificates(
    tree: &Tree,
) -> impl Iterator<Item = (&TreePath, Result<Certificate, CertificateError>)> {
    tree.iter()
        .filter_map(|(path, entry)| match &entry.kind {
            Kind::File(body) => {
                let text = std::str::from_utf8(body.bytes()).ok()?;
                text.contains("-----BEGIN CERTIFICATE-----").then(|| {
                    match Certificate::parse_all(text) {
                        Ok(all) => all.into_iter().map(|one| (path, Ok(one))).collect(),
                        Err(error) => vec![(path, Err(error))],
                    }
                })
            }
            _ => None,
        })
        .flatten()
}
