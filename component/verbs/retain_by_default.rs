//! Retain by default: what is kept of names that come from now on and say nothing. It is
//! recorded in the namespace, and no name that is here changes by it.

use super::{
    contract::{Caller, Retention},
    failing::problem,
    store::{self, Records},
};
use crate::{host::Host, nouns::problem::Problem};

/// Sets it, if it is to be set, and returns it. See `images.retain-by-default`.
pub async fn retain_by_default<H: Host>(
    host: &H,
    caller: &Caller,
    retention: Option<Retention>,
) -> Result<Retention, Problem> {
    let work = async {
        let Some(retention) = retention else {
            return Records::begin(host, caller).await?.usual_retention().await;
        };
        store::change(host, caller, async |records| {
            // Read, so that of two who set it at once one is second.
            if records.usual_retention().await? != retention {
                records.put_usual_retention(retention);
            }
            Ok(retention)
        })
        .await
    };
    work.await.map_err(problem("cannot say what is kept of names that come"))
}
