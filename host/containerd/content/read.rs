//! Parts of blobs, a message after the other.

use super::super::{Answers, status};
use crate::content::Blob;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use std::ops::Range;
use tonic::Status;
use wharf_containerd_api::content::ReadContentResponse;

/// How many bytes a message has: as many as containerd's.
const MESSAGE_BYTES: u64 = 1 << 20;

/// Returns `size` bytes of a blob from `offset` on, or as many as follow if that is none or too many. No offset is the
/// beginning. containerd, `content.proto`.
///
/// Fails if `offset` is beyond the end.
pub(super) fn part(blob: Blob, offset: i64, size: i64) -> Result<Answers<ReadContentResponse>, Status> {
    let range = range(blob.size(), offset, size)?;
    let messages = stream::try_unfold(Some((blob, range)), |left| async move {
        let Some((blob, range)) = left.filter(|(_, range)| !range.is_empty()) else { return Ok(None) };
        let next = range.start..range.end.min(range.start + MESSAGE_BYTES);
        let (end, offset, length) = (range.end, next.start, next.end - next.start);
        let (blob, bytes) = match blob.read_ready(offset, length) {
            Some(bytes) => (blob, Ok(bytes)),
            None => {
                let read = move || {
                    let bytes = blob.read(offset, length);
                    (blob, bytes)
                };
                tokio::task::spawn_blocking(read).await.map_err(status::thread)?
            }
        };
        let data = Bytes::from(bytes.map_err(status::content)?);
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        // Who has the last message may remove the blob, and nobody holds it any more.
        let left = (next.end < end).then_some((blob, next.end..end));
        Ok(Some((ReadContentResponse { offset, data }, left)))
    });
    Ok(messages.boxed())
}

/// The bytes that are meant of so many.
fn range(length: u64, offset: i64, size: i64) -> Result<Range<u64>, Status> {
    // What is negative is none.
    let start = u64::try_from(offset).unwrap_or(0);
    if start > length {
        return Err(Status::out_of_range(format!("read past object length {length} bytes")));
    }
    match u64::try_from(size).unwrap_or(0) {
        0 => Ok(start..length),
        size => Ok(start..start.saturating_add(size).min(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_within_its_blob() {
        let rows = [
            ((0, 0), Some(0..10)),
            ((3, 0), Some(3..10)),
            ((3, 7), Some(3..10)),
            ((3, 8), Some(3..10)),
            ((3, 2), Some(3..5)),
            ((10, 0), Some(10..10)),
            ((11, 0), None),
            ((-1, 0), Some(0..10)),
            ((4, -1), Some(4..10)),
            ((10, i64::MAX), Some(10..10)),
            ((i64::MAX, i64::MAX), None),
        ];
        for ((offset, size), expected) in rows {
            assert_eq!(range(10, offset, size).ok(), expected, "{offset} {size}");
        }
    }
}
