//! `containerd.services.transfer.v1.Transfer`: images from one place to another, as the verbs of the component do it.
//!
//! | from | to | what it is |
//! | --- | --- | --- |
//! | `OCIRegistry` | `ImageStore` | a pull |
//! | `ImageStore` | `OCIRegistry` | a push |
//! | `ImageImportStream` | `ImageStore` | a load |
//! | `ImageStore` | `ImageExportStream` | a save |
//! | `ImageStore` | `ImageStore` | a tag |
//!
//! - `wanted`: what of a request can be done; the rest is refused.
//! - `progress`, `logins`, `archives`: what goes through streams of `streaming` meanwhile.
//!
//! Names are recorded as the client writes them, by what the service of images does: a name that is there points to the
//! same then. Whether it may is decided by the component, as for any client.

mod archives;
mod logins;
mod progress;
mod wanted;

use super::convert::{needed, pairs};
use super::streaming::Line;
use super::{Services, status};
use crate::bindings::exports::wharf::images::records::ImageRecord;
use crate::credentials::Credentials;
use crate::door::Settings;
use crate::images::{Archive, Caller, Failure, LoadOptions, PullOptions, PushOptions, SaveOptions, Saved, Wharf};
use archives::Received;
use progress::Teller;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use wanted::{Errand, Registry, Stored};
use wharf_containerd_api::transfer::TransferRequest;
use wharf_containerd_api::transfer::transfer_server::Transfer;

#[tonic::async_trait]
impl Transfer for Services {
    async fn transfer(&self, request: Request<TransferRequest>) -> Result<Response<()>, Status> {
        let caller = self.asked(request.metadata())?;
        let TransferRequest { source, destination, options } = request.into_inner();
        let heard = options.map(|options| options.progress_stream).filter(|name| !name.is_empty());
        let heard = heard.map(|name| self.streams.take(&caller.namespace, &name)).transpose()?;
        let errand = wanted::errand(&needed(source, "source")?, &needed(destination, "destination")?)?;
        // What is dropped is stopped, and has time to leave nothing.
        let stop = self.exchange.over.child_token();
        let _guard = stop.clone().drop_guard();
        let services = self.clone();
        let work = tokio::spawn(async move {
            let work = Work { services, caller, stop };
            work.run(errand, heard).await
        });
        work.await.map_err(status::thread)??;
        Ok(Response::new(()))
    }
}

/// One transfer.
struct Work {
    services: Services,
    caller: Caller,
    stop: CancellationToken,
}

impl Work {
    async fn run(&self, errand: Errand, heard: Option<Line>) -> Result<(), Status> {
        let teller = Teller::new(heard, errand.image());
        let done = match errand {
            Errand::Pull(registry, stored) => self.pull(registry, stored, &teller).await,
            Errand::Push(stored, registry) => self.push(stored, registry, &teller).await,
            Errand::Import(stream, stored) => self.import(&stream, stored, &teller).await,
            Errand::Export(stored, exported) => self.export(stored, exported, &teller).await,
            Errand::Tag(from, to) => self.record(&from.name, &to, &teller).await,
        };
        teller.end().await;
        done
    }

    /// Makes ready what speaks to a registry in the name of the client.
    async fn prepared(&self, registry: &Registry) -> Result<(Wharf, Settings), Status> {
        let line = registry.logins.as_ref().map(|name| self.services.streams.take(&self.caller.namespace, name));
        let line = line.transpose()?;
        let (prepare, references) = (self.services.prepare.clone(), vec![registry.reference.clone()]);
        let prepared = tokio::task::spawn_blocking(move || prepare(&references)).await.map_err(status::thread)?;
        let (mut services, mut settings) = prepared.map_err(Failure::Problem)?;
        let logins = line.map(|line| logins::settings(line, registry.reference.clone())).unwrap_or_default();
        services.credentials = Credentials::new(logins, services.network.clone())
            .map_err(|error| Status::internal(format!("the logins cannot be used: {error}")))?;
        if registry.is_plain {
            settings.access.plain_http.push(registry.host.clone());
        }
        Ok((self.services.wharf.on(services), settings))
    }

    async fn pull(&self, registry: Registry, stored: Stored, teller: &Teller) -> Result<(), Status> {
        let (wharf, settings) = self.prepared(&registry).await?;
        let options = PullOptions {
            wanted: stored.wanted(),
            all_tags: false,
            concurrent_downloads: settings.concurrent_transfers,
            unpack: stored.unpack,
            retention: None,
            access: settings.access,
        };
        let reference = &registry.reference;
        teller.say(format!("Resolving from {reference}"));
        let turn = self.turn().await;
        let mut tell = |event| teller.event(event);
        let pulled = wharf.pull(&self.caller, reference, &options, &self.stop, &mut tell).await?;
        drop(turn);
        let pulled = pulled.into_iter().next().ok_or_else(|| Status::internal("the pull has brought nothing"))?;
        self.record(&pulled.image.name, &stored, teller).await?;
        teller.say(format!("Completed pull from {reference}"));
        Ok(())
    }

    async fn push(&self, stored: Stored, registry: Registry, teller: &Teller) -> Result<(), Status> {
        let reference = &registry.reference;
        let platform = match stored.platforms.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => return Err(Status::invalid_argument("one platform is pushed, or all: the source has several")),
        };
        let (wharf, settings) = self.prepared(&registry).await?;
        let options = PushOptions {
            destination: Some(reference.clone()).filter(|reference| *reference != stored.name),
            platform,
            all_tags: false,
            compress: None,
            force_compress: false,
            referrers: false,
            concurrent_uploads: settings.concurrent_transfers,
            access: settings.access,
        };
        teller.say(format!("Pushing to {reference}"));
        let _turn = self.turn().await;
        let mut tell = |event| teller.event(event);
        wharf.push(&self.caller, &stored.name, &[], &options, &self.stop, &mut tell).await?;
        teller.say(format!("Completed push to {reference}"));
        Ok(())
    }

    async fn import(&self, stream: &str, stored: Stored, teller: &Teller) -> Result<(), Status> {
        let line = self.services.streams.take(&self.caller.namespace, stream)?;
        let archive = Received::new(line, self.stop.child_token());
        let names = Some(stored.name.clone()).filter(|name| !name.is_empty());
        let options = LoadOptions {
            names: names.into_iter().collect(),
            platforms: stored.platforms.clone(),
            unpack: stored.unpack,
            retention: None,
        };
        teller.say("Importing".to_owned());
        let turn = self.turn().await;
        let mut tell = |event| teller.event(event);
        let loaded = self.services.wharf.load(&self.caller, archive, &options, &self.stop, &mut tell).await?;
        drop(turn);
        for name in loaded.images.into_iter().flat_map(|image| image.names) {
            let to = Stored { name: name.clone(), labels: stored.labels.clone(), ..Stored::default() };
            self.record(&name, &to, teller).await?;
        }
        loaded.notes.into_iter().for_each(|note| teller.say(note));
        teller.say("Completed import".to_owned());
        Ok(())
    }

    async fn export(&self, stored: Stored, exported: wanted::Exported, teller: &Teller) -> Result<(), Status> {
        let names: Vec<_> = std::iter::once(stored.name).filter(|name| !name.is_empty()).chain(stored.extra).collect();
        if names.is_empty() {
            return Err(Status::invalid_argument("no image is named that is to be exported"));
        }
        let line = self.services.streams.take(&self.caller.namespace, &exported.stream)?;
        let options = SaveOptions { form: exported.form, platforms: exported.platforms, complete: None };
        teller.say("Exporting".to_owned());
        let _turn = self.turn().await;
        let (stop, runtime) = (self.stop.clone(), Handle::current());
        let write = move |_: &Saved, archive: &mut Archive| archives::send(line, archive, &stop, &runtime);
        let saved = self.services.wharf.save(&self.caller, &names, &[], &options, &self.stop, write).await?;
        saved.notes.into_iter().for_each(|note| teller.say(note));
        teller.say("Completed export".to_owned());
        Ok(())
    }

    /// Records what a name here points to under the names that the client wants, with its labels.
    async fn record(&self, from: &str, to: &Stored, teller: &Teller) -> Result<(), Status> {
        let (caller, name) = (self.caller.clone(), from.to_owned());
        let found = self
            .services
            .ask("get-image", async |accessor, records| records.call_get_image(accessor, caller, name).await);
        let found = found.await?;
        for name in std::iter::once(&to.name).chain(&to.extra) {
            let record = ImageRecord { name: name.clone(), labels: pairs(to.labels.clone()), ..found.clone() };
            if *name != found.name || !to.labels.is_empty() {
                self.write(record).await?;
            }
            teller.name("saved", name, Some(found.target.clone().into()));
        }
        Ok(())
    }

    /// Makes a record, or makes the one that is there point to the same.
    async fn write(&self, record: ImageRecord) -> Result<(), Status> {
        let (caller, wanted) = (self.caller.clone(), record.clone());
        let made = self
            .services
            .ask("create-image", async |accessor, records| records.call_create_image(accessor, caller, wanted).await);
        match made.await.map_err(status::making) {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::AlreadyExists => {
                let labels = record.labels.iter().map(|(key, _)| format!("labels.{key}"));
                let fields = std::iter::once("target".to_owned()).chain(labels).collect();
                let caller = self.caller.clone();
                let changed = self.services.ask("update-image", async |accessor, records| {
                    records.call_update_image(accessor, caller, record, fields).await
                });
                changed.await?;
                Ok(())
            }
            Err(status) => Err(status),
        }
    }

    /// Waits until a sandbox is free.
    async fn turn(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.services.turns.acquire().await.expect("nobody closes the semaphore")
    }
}
