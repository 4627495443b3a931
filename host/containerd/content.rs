//! `containerd.services.content.v1.Content`: blobs, and how they come here. What may be read and written is decided by
//! the component; the bytes go between the client and the content service.

mod read;
mod write;

use super::convert::{fields, info, needed, timestamp};
use super::{Answers, Services, asked, status};
use crate::bindings::exports::wharf::images::records as wit;
use crate::content::{Ingest, Key};
use crate::hash::Digest;
use futures::stream::{self, StreamExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic::{Request, Response, Status, Streaming};
use wharf_containerd_api::content::content_server::Content;
use wharf_containerd_api::content::{
    AbortRequest, DeleteContentRequest, InfoRequest, InfoResponse, ListContentRequest, ListContentResponse,
    ListStatusesRequest, ListStatusesResponse, ReadContentRequest, ReadContentResponse, Status as Standing,
    StatusRequest, StatusResponse, UpdateRequest, UpdateResponse, WriteContentRequest, WriteContentResponse,
};
use wharf_containerd_api::happenings::ContentDelete;
use wharf_containerd_api::{Timestamp, content};

/// How many blobs one message lists: as many as containerd's.
const LISTED_MAX: u32 = 100;

#[tonic::async_trait]
impl Content for Services {
    type ListStream = Answers<ListContentResponse>;
    type ReadStream = Answers<ReadContentResponse>;
    type WriteStream = Answers<WriteContentResponse>;

    async fn info(&self, request: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let digest = request.into_inner().digest;
        let found =
            self.ask("get-content", async |accessor, records| records.call_get_content(accessor, caller, digest).await);
        Ok(Response::new(InfoResponse { info: Some(found.await?.into()) }))
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Result<Response<UpdateResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let UpdateRequest { info: wanted, update_mask } = request.into_inner();
        let (wanted, fields) = (info(needed(wanted, "info")?), fields(update_mask));
        let changed = self.ask("update-content", async |accessor, records| {
            records.call_update_content(accessor, caller, wanted, fields).await
        });
        Ok(Response::new(UpdateResponse { info: Some(changed.await?.into()) }))
    }

    async fn list(&self, request: Request<ListContentRequest>) -> Result<Response<Self::ListStream>, Status> {
        let caller = self.asked(request.metadata())?;
        let (services, filters) = (self.clone(), request.into_inner().filters);
        let page = async move |after: Option<String>| {
            let (caller, filters) = (caller.clone(), filters.clone());
            let found = services.ask("list-content", async |accessor, records| {
                records.call_list_content(accessor, caller, filters, after, LISTED_MAX).await
            });
            let info: Vec<content::Info> = found.await?.into_iter().map(Into::into).collect();
            Ok::<_, Status>(info)
        };
        // A failure of the first page is one of the request.
        let first = page(None).await?;
        let pages = stream::try_unfold(Some(first), move |page_now| {
            let page = page.clone();
            async move {
                let Some(info) = page_now.filter(|info| !info.is_empty()) else { return Ok(None) };
                let next = page(info.last().map(|last| last.digest.clone())).await?;
                Ok(Some((ListContentResponse { info }, Some(next))))
            }
        });
        Ok(Response::new(pages.boxed()))
    }

    async fn delete(&self, request: Request<DeleteContentRequest>) -> Result<Response<()>, Status> {
        let caller = self.asked(request.metadata())?;
        let digest = request.into_inner().digest;
        let (namespace, told) = (caller.namespace.clone(), ContentDelete { digest: digest.clone() });
        let gone = self.ask("delete-content", async |accessor, records| {
            records.call_delete_content(accessor, caller, digest).await
        });
        gone.await?;
        self.exchange.tell(&namespace, &told);
        Ok(Response::new(()))
    }

    async fn read(&self, request: Request<ReadContentRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let caller = self.asked(request.metadata())?;
        let wanted = request.into_inner();
        let digest = wanted.digest.clone();
        let found =
            self.ask("get-content", async |accessor, records| records.call_get_content(accessor, caller, digest).await);
        let digest = known(&found.await?.digest)?;
        let blob = match self.content.blob_ready(&digest) {
            Some(blob) => Ok(blob),
            None => {
                let store = self.content.clone();
                tokio::task::spawn_blocking(move || store.blob(&digest)).await.map_err(status::thread)?
            }
        };
        Ok(Response::new(read::part(blob.map_err(status::content)?, wanted.offset, wanted.size)?))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let name = request.into_inner().r#ref;
        let found =
            self.ask("get-writing", async |accessor, records| records.call_get_writing(accessor, caller, name).await);
        let standing = self.standing(vec![found.await?]).await?.pop();
        Ok(Response::new(StatusResponse { status: standing }))
    }

    async fn list_statuses(
        &self,
        request: Request<ListStatusesRequest>,
    ) -> Result<Response<ListStatusesResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let filters = request.into_inner().filters;
        let found = self.ask("list-writings", async |accessor, records| {
            records.call_list_writings(accessor, caller, filters).await
        });
        let statuses = self.standing(found.await?).await?;
        Ok(Response::new(ListStatusesResponse { statuses }))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteContentRequest>>,
    ) -> Result<Response<Self::WriteStream>, Status> {
        let caller = self.asked(request.metadata())?;
        let lease = asked::lease(request.metadata())?;
        Ok(Response::new(write::answers(self.clone(), caller, lease, request.into_inner())))
    }

    async fn abort(&self, request: Request<AbortRequest>) -> Result<Response<()>, Status> {
        let caller = self.asked(request.metadata())?;
        let name = request.into_inner().r#ref;
        let gone = self
            .ask("abort-writing", async |accessor, records| records.call_abort_writing(accessor, caller, name).await);
        Ok(Response::new(gone.await?))
    }
}

impl Services {
    /// Says how far these ingests are.
    async fn standing(&self, found: Vec<wit::Writing>) -> Result<Vec<Standing>, Status> {
        let store = self.content.clone();
        let look = move || {
            let standing = found.into_iter().map(|writing| {
                let unfinished = store.unfinished(Key::of(&writing.ingest))?;
                let (offset, updated) = unfinished.map_or((0, None), |found| (found.bytes, Some(ago(found.age))));
                let wit::Writing { name, total, expected, started, .. } = writing;
                Ok(Standing {
                    started_at: Some(timestamp(started)),
                    updated_at: updated.or(Some(timestamp(started))),
                    r#ref: name,
                    offset: i64::try_from(offset).unwrap_or(i64::MAX),
                    total,
                    expected: expected.unwrap_or_default(),
                })
            });
            standing.collect::<Result<Vec<_>, crate::content::Error>>()
        };
        tokio::task::spawn_blocking(look).await.map_err(status::thread)?.map_err(status::content)
    }
}

/// When something was that is so long ago.
fn ago(age: Duration) -> Timestamp {
    let then = SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH);
    let since = then.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or_default(),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
    }
}

/// Reads a digest that the component has named.
fn known(digest: &str) -> Result<Digest, Status> {
    digest.parse().map_err(|_| Status::internal(format!("`{}` is no digest", digest.escape_debug())))
}

/// How many bytes an ingest has, as messages say it.
fn length(ingest: &Ingest) -> i64 {
    i64::try_from(ingest.offset()).unwrap_or(i64::MAX)
}
