//! Directories with certificates, as docker, podman and containerd have them for single registries: authorities in
//! `*.crt`, certificates of the client in `*.cert` with their keys in `*.key`. dockerd(8), “Insecure registries”;
//! containers-certs.d(5).
//!
//! Whether what is in the files is PEM is seen by whoever uses it.

use super::{Error, Reader};
use crate::network::{Identity, Site};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// What a directory, or the keys of a table, say about TLS.
#[derive(Clone, Debug, Default)]
pub(super) struct Certificates {
    /// In PEM.
    authorities: Vec<u8>,
    identity: Option<Identity>,
}

impl Certificates {
    /// Reads files that are named one by one. The key of a pair may be in the file of the certificate; of several pairs
    /// the first is used.
    pub(super) fn of_files(
        reader: &Reader<'_>,
        authorities: &[PathBuf],
        pairs: &[(PathBuf, Option<PathBuf>)],
    ) -> Result<Self, Error> {
        let mut read = Self::default();
        for file in authorities {
            read.authorities.extend(reader.required(file)?);
            read.authorities.push(b'\n');
        }
        if let Some((certificates, key)) = pairs.first() {
            let key = reader.required(key.as_ref().unwrap_or(certificates))?;
            read.identity = Some(Identity { certificates: reader.required(certificates)?, key });
        }
        if let [(used, _), _, ..] = pairs {
            let (pairs, used) = (pairs.len(), used.display());
            reader.warn(format!("of {pairs} certificates of the client the first is used, `{used}`"));
        }
        Ok(read)
    }

    /// Reads the files of a directory. Returns none if it has no such file, or is not there.
    pub(super) fn of_directory(reader: &Reader<'_>, directory: &Path) -> Result<Option<Self>, Error> {
        let mut names = reader.list(directory)?;
        names.sort_unstable();
        let with = |end: &str| -> Vec<PathBuf> {
            let ours = |name: &&std::ffi::OsString| Path::new(name).extension() == Some(OsStr::new(end));
            names.iter().filter(ours).map(|name| directory.join(name)).collect()
        };
        let (authorities, certificates, keys) = (with("crt"), with("cert"), with("key"));
        let missing = |file: PathBuf, of: &PathBuf| {
            let why = format!("it is missing, and `{}` belongs to it", of.display());
            Error::Read { file, why: io::Error::new(io::ErrorKind::NotFound, why) }
        };
        if let Some(alone) = keys.iter().find(|key| !certificates.contains(&key.with_extension("cert"))) {
            return Err(missing(alone.with_extension("cert"), alone));
        }
        if authorities.is_empty() && certificates.is_empty() {
            return Ok(None);
        }
        let key = |file: &PathBuf| Some(file.with_extension("key")).filter(|key| keys.contains(key));
        let pairs: Vec<_> = certificates.iter().map(|file| (file.clone(), key(file))).collect();
        Self::of_files(reader, &authorities, &pairs).map(Some)
    }

    /// Adds to a site what it does not have.
    pub(super) fn complete(self, site: &mut Site) {
        if site.authorities.is_empty() {
            site.authorities = self.authorities;
        }
        site.identity = site.identity.take().or(self.identity);
    }
}
