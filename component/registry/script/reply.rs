//! What the registry of a script does with a request. It does nothing by itself.

use super::Fate;
use crate::host::HttpError;

/// What the registry does with one request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Answers.
    Answer { status: u16, headers: Vec<(String, String)>, body: Vec<u8>, fate: Fate },
    /// Does not answer, for this reason.
    Broken(HttpError),
    /// Never says anything.
    Silent,
    /// Takes so many bytes of what it is sent, and then does that.
    After(usize, Box<Reply>),
}

pub(crate) fn reply(status: u16) -> Reply {
    Reply::Answer { status, headers: vec![], body: vec![], fate: Fate::Whole }
}

pub(crate) fn broken(error: HttpError) -> Reply {
    Reply::Broken(error)
}

pub(crate) fn silent() -> Reply {
    Reply::Silent
}

impl Reply {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Reply::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(crate) fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Reply::Answer { body, .. } = &mut self {
            *body = bytes.into();
        }
        self
    }

    pub(crate) fn fate(mut self, new: Fate) -> Self {
        if let Reply::Answer { fate, .. } = &mut self {
            *fate = new;
        }
        self
    }

    /// Takes only so many bytes of the request's body.
    pub(crate) fn after(self, bytes: usize) -> Self {
        Reply::After(bytes, Box::new(self))
    }

    pub(crate) fn cut_at(self, bytes: usize) -> Self {
        self.fate(Fate::Cut(bytes))
    }
}
