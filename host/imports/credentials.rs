//! `wharf:images/credentials` over the credentials service.

use crate::bindings::wharf::images::credentials::{
    Challenge, Host, HostGrant, HostGrantWithStore, HostWithStore, Visit,
};
use crate::credentials::{self, Bearer, Error};
use crate::engine::state::{HasState, Push, State};
use crate::network;
use wasmtime::Result;
use wasmtime::component::{Access, Accessor, Resource};
use wharf_vocabulary::types::{ErrorCode, Origin};

/// The host's side of `credentials.grant`.
#[derive(Debug)]
pub struct Grant {
    service: credentials::Grant,
}

/// Returns the condition that the component learns.
pub fn condition(error: &Error) -> ErrorCode {
    match error {
        Error::NotFound { .. } => ErrorCode::NotFound,
        Error::Helper { .. } => ErrorCode::Unsupported,
        Error::Document { .. } | Error::Challenge { .. } | Error::Settings { .. } => ErrorCode::Invalid,
        Error::Denied { .. } | Error::Rejected { .. } => ErrorCode::Denied,
        Error::Unavailable { .. } => ErrorCode::Unavailable,
    }
}

impl Host for State {}
impl HostGrant for State {}

impl<T: Send + 'static> HostWithStore<T> for HasState {
    async fn authorize(
        store: &Accessor<T, Self>,
        registry: Origin,
        repository: Option<String>,
        challenge: Challenge,
        visit: Visit,
    ) -> Result<std::result::Result<Resource<Grant>, ErrorCode>> {
        let (credentials, warnings) = store.with(|mut access| {
            let state = access.get();
            state.crossings.note("credentials.authorize");
            (state.services.credentials.clone(), state.warnings.clone())
        });
        let Ok(registry) = network::Origin::new(registry.secure, &registry.authority) else {
            return Ok(Err(ErrorCode::Invalid));
        };
        let challenge = match challenge {
            Challenge::Basic => credentials::Challenge::Basic,
            Challenge::Bearer(bearer) => credentials::Challenge::Bearer(Bearer {
                realm: bearer.realm,
                service: bearer.service,
                scopes: bearer.scopes,
            }),
        };
        let visit = match visit {
            Visit::WithLogin => credentials::Visit::WithLogin,
            Visit::Anonymous => credentials::Visit::Anonymous,
        };
        match credentials.authorize(&registry, repository.as_deref(), &challenge, visit).await {
            Ok(service) => Ok(Ok(store.push(Grant { service })?)),
            Err(error) => {
                // The component learns the condition. The text may name files of this machine, so
                // it goes to the person by the log.
                if !matches!(error, Error::NotFound { .. }) {
                    warnings.tell(&error.to_string(), |line| {
                        tracing::warn!(target: "wharf::credentials", "{line}");
                    });
                }
                Ok(Err(condition(&error)))
            }
        }
    }
}

impl<T: Send + 'static> HostGrantWithStore<T> for HasState {
    fn id(mut store: Access<'_, T, Self>, grant: Resource<Grant>) -> Result<String> {
        Ok(store.get().table.get(&grant)?.service.id().to_owned())
    }

    fn anonymous(mut store: Access<'_, T, Self>, grant: Resource<Grant>) -> Result<bool> {
        Ok(store.get().table.get(&grant)?.service.anonymous())
    }

    fn drop(mut store: Access<'_, T, Self>, grant: Resource<Grant>) -> Result<()> {
        store.get().table.delete(grant)?;
        Ok(())
    }
}
