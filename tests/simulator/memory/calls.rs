//! Calls of a machine in memory: what comes between a caller and what is called.

use super::{
    Memory, Trap,
    locks::Locks,
    process::{Call, Fate, Then},
    stream::Stream,
};
use std::{future::Future, rc::Rc};
use wharf_component::{
    host::{HttpError, Request, Response, Result},
    nouns::problem::ErrorCode,
};

impl Memory {
    /// Does `act` right before the next `call`, once. The call fails if it does.
    /// Several for one call are used up one by one, oldest first.
    pub fn interfere(&self, call: Call, act: impl FnOnce(&Memory) -> Result<()> + 'static) {
        self.inner.traps.borrow_mut().push(Trap { call, act: Box::new(act) });
    }

    fn before(&self, call: Call) -> Result<()> {
        let position = self.inner.traps.borrow().iter().position(|trap| trap.call == call);
        match position {
            Some(position) => {
                let trap = self.inner.traps.borrow_mut().remove(position);
                (trap.act)(self)
            }
            None => Ok(()),
        }
    }

    /// Lets traps and fate have their say before a call, or inside one.
    pub(super) async fn step(&self, call: Call, about: &str) -> Result<()> {
        self.before(call)?;
        let Some(fate) = self.fate() else { return Ok(()) };
        let verdict = fate.at(self.process.id, self.inner.clock.now_ms(), call, about);
        self.inner.clock.sleep(verdict.wait_ms).await;
        match verdict.then {
            Then::Go => Ok(()),
            Then::Fail(code) => {
                fate.ended(self.process.id, self.inner.clock.now_ms(), call, about, Some(&code));
                Err(code)
            }
            Then::Stop => std::future::pending().await,
        }
    }

    /// Makes a call: `work`, after fate has had its say.
    pub(super) async fn call<T>(&self, call: Call, about: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.step(call, about).await?;
        let result = work.await;
        if let Some(fate) = self.fate() {
            fate.ended(self.process.id, self.inner.clock.now_ms(), call, about, result.as_ref().err());
        }
        result
    }

    pub(super) async fn exchange(
        &self,
        request: Request,
        carried: Option<Stream>,
    ) -> std::result::Result<Response<Stream>, HttpError> {
        // What a call of this kind fails with is the network's.
        self.step(Call::Send, &request.path).await.map_err(|code| match code {
            ErrorCode::Unavailable => HttpError::Timeout,
            ErrorCode::NotFound => HttpError::Connect("connection refused".to_owned()),
            other => HttpError::Broken(other.to_string()),
        })?;
        self.inner.network.clone().send(&self.inner.clock, request, carried).await
    }

    /// Waits until nobody has something for himself. Who looks for a test sees it as
    /// it is.
    pub(super) async fn wait<K: Ord + Clone>(&self, claimed: &Locks<K>, key: &K) {
        if !self.process.is_observer {
            claimed.free(key).await;
        }
    }

    pub(super) fn fate(&self) -> Option<Rc<dyn Fate>> {
        self.inner.fate.borrow().clone().filter(|_| !self.process.is_observer)
    }
}
