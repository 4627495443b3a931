//! What a request says beside its message: the namespace, and the lease that is to hold what it brings.

use super::Services;
use crate::images::Caller;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

/// containerd, `pkg/namespaces/grpc.go`.
const NAMESPACE: &str = "containerd-namespace";
/// containerd, `pkg/leases/grpc.go`.
const LEASE: &str = "containerd-lease";

impl Services {
    /// Returns who asks.
    ///
    /// Fails without a namespace. Whether it is one is for the component to say.
    pub(super) fn asked(&self, said: &MetadataMap) -> Result<Caller, Status> {
        match value(said, NAMESPACE)? {
            Some(namespace) if !namespace.is_empty() => Ok(Caller { namespace, ..self.caller.clone() }),
            _ => Err(Status::new(
                Code::FailedPrecondition,
                "namespace is required: the request has none in `containerd-namespace`",
            )),
        }
    }
}

/// Returns the lease that is to hold what comes of a request.
pub(super) fn lease(said: &MetadataMap) -> Result<Option<String>, Status> {
    Ok(value(said, LEASE)?.filter(|lease| !lease.is_empty()))
}

fn value(said: &MetadataMap, key: &str) -> Result<Option<String>, Status> {
    let Some(value) = said.get(key) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Status::invalid_argument(format!("`{key}` of the request is no text")))?;
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_lease_is_none_and_bytes_are_no_text() {
        let mut said = MetadataMap::new();
        assert_eq!(lease(&said).unwrap(), None);
        said.insert(LEASE, "".parse().unwrap());
        assert_eq!(lease(&said).unwrap(), None);
        said.insert(LEASE, "l1".parse().unwrap());
        assert_eq!(lease(&said).unwrap().as_deref(), Some("l1"));
        said.insert(LEASE, tonic::metadata::AsciiMetadataValue::try_from(&b"\xff"[..]).unwrap());
        assert_eq!(lease(&said).unwrap_err().code(), Code::InvalidArgument);
    }
}
