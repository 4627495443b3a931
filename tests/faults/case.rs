//! One case: what goes wrong, what is pulled meanwhile, and what has to come of it. It runs nothing.

use crate::support::fault_registry::{Auth, Fault, Object, Options, Stock};
use std::sync::Arc;
use wharf_component::nouns::access::Access;

/// How long a registry may be silent in these cases, in milliseconds.
pub(super) const SILENCE_MS: u64 = 1_500;
/// How often a request is sent again in these cases.
pub(super) const RETRIES: u32 = 3;

/// What is pulled.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// This tag.
    Tag(&'static str),
    /// The index, by its digest.
    Digest,
    /// All tags.
    AllTags,
}

/// The login that the machine has for the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    None,
    Right,
    /// With another password.
    Wrong,
}

/// What is in the store before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Before {
    Nothing,
    /// The image, pulled from the same registry when it was well.
    Pulled,
    /// So many wrong bytes of a blob, as an earlier run may have left them.
    Junk(Object, usize),
}

/// Who is asked before the registry.
#[derive(Clone, Debug)]
pub(super) enum Mirror {
    /// A registry with these faults.
    Registry(Options, Vec<Fault>),
    /// A server whose certificate nobody signed.
    Untrusted,
}

/// How a pull ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Pulled,
    /// With this code, and with each of these texts somewhere in its reasons.
    Failed(&'static str, Vec<&'static str>),
}

/// One case.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The row, the object, and what is special, as in `F08-layer-middle`.
    pub(super) id: String,
    pub(super) faults: Vec<Fault>,
    pub(super) options: Options,
    pub(super) mirror: Option<Mirror>,
    pub(super) ask: Ask,
    pub(super) before: Before,
    pub(super) login: Login,
    pub(super) access: Access,
    pub(super) end: End,
    /// How often each fault of the registry strikes. As often as it can, or at least once, if it is empty.
    pub(super) fires: Vec<u32>,
    /// The same for the mirror.
    pub(super) mirror_fires: Vec<u32>,
    /// At most so many bytes of an object are sent by the registry.
    pub(super) sent: Vec<(Object, u64)>,
    /// The same for the mirror.
    pub(super) mirror_sent: Vec<(Object, u64)>,
    /// So often an object is asked for at the registry.
    pub(super) asked: Vec<(Object, usize)>,
    /// So many warnings and notes have this text in them.
    pub(super) says: Vec<(&'static str, usize)>,
    /// After a fault nobody asks for the same object again before so many milliseconds have gone by.
    pub(super) apart_ms: u64,
}

/// A case that ends well.
pub(super) fn case(id: impl Into<String>, faults: impl Into<Vec<Fault>>) -> Case {
    Case {
        id: id.into(),
        faults: faults.into(),
        options: Options::default(),
        mirror: None,
        ask: Ask::Tag("latest"),
        before: Before::Nothing,
        login: Login::None,
        access: Access { retries: RETRIES, silence_ms: SILENCE_MS, ..Access::default() },
        end: End::Pulled,
        fires: Vec::new(),
        mirror_fires: Vec::new(),
        sent: Vec::new(),
        mirror_sent: Vec::new(),
        asked: Vec::new(),
        says: Vec::new(),
        apart_ms: 0,
    }
}

impl Case {
    /// The number of its row, as in 8.
    pub(super) fn row(&self) -> u32 {
        self.id[1..3].parse().expect("an id begins with `F` and two digits")
    }

    /// It fails with this code, and with each of these texts in its reasons.
    pub(super) fn fails(self, code: &'static str, why: &[&'static str]) -> Self {
        Self { end: End::Failed(code, why.to_vec()), ..self }
    }

    pub(super) fn fires(self, times: &[u32]) -> Self {
        Self { fires: times.to_vec(), ..self }
    }

    pub(super) fn mirror_fires(self, times: &[u32]) -> Self {
        Self { mirror_fires: times.to_vec(), ..self }
    }

    pub(super) fn retries(mut self, retries: u32) -> Self {
        self.access.retries = retries;
        self
    }

    pub(super) fn silence_ms(mut self, silence_ms: u64) -> Self {
        self.access.silence_ms = silence_ms;
        self
    }

    pub(super) fn auth(mut self, auth: Auth) -> Self {
        self.options.auth = auth;
        let wants_login = matches!(auth, Auth::Basic | Auth::TokenForLogin);
        self.login = if wants_login { Login::Right } else { Login::None };
        self
    }

    pub(super) fn login(self, login: Login) -> Self {
        Self { login, ..self }
    }

    pub(super) fn challenges(mut self, challenges: &[&str]) -> Self {
        self.options.challenges = challenges.iter().map(|&challenge| challenge.to_owned()).collect();
        self
    }

    pub(super) fn storage(mut self) -> Self {
        self.options.storage = true;
        self
    }

    pub(super) fn closed(mut self) -> Self {
        self.options.closed = true;
        self
    }

    pub(super) fn stock(mut self, stock: Stock) -> Self {
        self.options.stock = Arc::new(stock);
        self
    }

    pub(super) fn mirror(self, faults: impl Into<Vec<Fault>>) -> Self {
        self.mirror_with(Options::default(), faults)
    }

    pub(super) fn mirror_with(self, options: Options, faults: impl Into<Vec<Fault>>) -> Self {
        Self { mirror: Some(Mirror::Registry(options, faults.into())), ..self }
    }

    pub(super) fn untrusted_mirror(self) -> Self {
        Self { mirror: Some(Mirror::Untrusted), ..self }
    }

    pub(super) fn ask(self, ask: Ask) -> Self {
        Self { ask, ..self }
    }

    pub(super) fn before(self, before: Before) -> Self {
        Self { before, ..self }
    }

    pub(super) fn sent(mut self, object: Object, bytes_max: u64) -> Self {
        self.sent.push((object, bytes_max));
        self
    }

    pub(super) fn mirror_sent(mut self, object: Object, bytes_max: u64) -> Self {
        self.mirror_sent.push((object, bytes_max));
        self
    }

    pub(super) fn asked(mut self, object: Object, times: usize) -> Self {
        self.asked.push((object, times));
        self
    }

    pub(super) fn says(mut self, text: &'static str, times: usize) -> Self {
        self.says.push((text, times));
        self
    }

    pub(super) fn apart_ms(self, apart_ms: u64) -> Self {
        Self { apart_ms, ..self }
    }
}
