//! Tokens until they expire, and one request for equal wishes at the same time.
//!
//! It lives in memory only, and does not know how a token is asked for.

use super::Origin;
use super::token::Fresh;
use super::{Clock, Error, Place};
use http::HeaderValue;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A token is replaced this long before it expires, so that it does not die on its way.
const LEEWAY: Duration = Duration::from_secs(10);

/// How many tokens are kept.
const TOKENS_MAX: usize = 1024;

/// What makes two wishes equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) registry: Origin,
    pub(super) realm: String,
    pub(super) service: Option<String>,
    /// Sorted, no duplicates.
    pub(super) scopes: Vec<String>,
    /// Whose token it is.
    pub(super) login: Option<Place>,
}

/// A token that is kept.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) authorization: HeaderValue,
    /// Set when the registry answered 401 to it. All grants of one token share it.
    pub(super) refused: Arc<AtomicBool>,
    expires: Instant,
}

impl Token {
    fn is_good(&self, now: Instant) -> bool {
        !self.refused.load(Ordering::Acquire) && now + LEEWAY < self.expires
    }
}

/// The cache.
#[derive(Default)]
pub(super) struct Cache {
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cache")
    }
}

/// The place of one token. Whoever holds the lock may ask for a new one; the others wait for what comes of it.
#[derive(Default)]
struct Slot {
    failures: AtomicU64,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    failure: Option<Error>,
}

impl Cache {
    /// Returns the token under `key` if it is good, or what `asking` brings.
    ///
    /// Who waited while somebody else asked and failed gets that failure, so that a failing server is asked once.
    pub(super) async fn get(
        &self,
        key: Key,
        clock: &Clock,
        asking: impl Future<Output = Result<Fresh, Error>>,
    ) -> Result<Token, Error> {
        let slot = self.slot(key, clock.now());
        let before = slot.failures.load(Ordering::Acquire);
        let mut state = slot.state.lock().await;
        let now = clock.now();
        if let Some(token) = state.token.as_ref().filter(|token| token.is_good(now)) {
            return Ok(token.clone());
        }
        if slot.failures.load(Ordering::Acquire) != before
            && let Some(failure) = &state.failure
        {
            return Err(failure.clone());
        }
        match asking.await {
            Ok(Fresh { authorization, lifetime, .. }) => {
                // Counted from before the request: the server may have started its clock at once.
                let token = Token { authorization, refused: Arc::default(), expires: now + lifetime };
                *state = State { token: Some(token.clone()), failure: None };
                Ok(token)
            }
            Err(error) => {
                *state = State { token: None, failure: Some(error.clone()) };
                slot.failures.fetch_add(1, Ordering::Release);
                Err(error)
            }
        }
    }

    fn slot(&self, key: Key, now: Instant) -> Arc<Slot> {
        let mut slots = self.slots.lock().expect("nothing panics while it holds the lock");
        if slots.len() >= TOKENS_MAX && !slots.contains_key(&key) {
            let used = |slot: &Arc<Slot>| Arc::strong_count(slot) > 1;
            let good = |slot: &Slot| {
                slot.state.try_lock().is_ok_and(|state| state.token.as_ref().is_some_and(|token| token.is_good(now)))
            };
            slots.retain(|_, slot| used(slot) || good(slot));
            if slots.len() >= TOKENS_MAX {
                slots.retain(|_, slot| used(slot));
            }
        }
        slots.entry(key).or_default().clone()
    }
}
