//! The network in memory: services by authority, and a log of every request.
//!
//! It answers in virtual time. It knows no protocol above HTTP; a registry is
//! one such service, in [`super::registry`].

use super::{
    clock::Clock,
    stream::{Fault, Pace, Stream},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use wharf_component::{
    host::{self, Challenge, HttpError, Method, Origin, Request, Response, Result, Visit},
    nouns::problem::ErrorCode,
};

/// Milliseconds from a request to its head.
const ROUND_TRIP_MS: u64 = 20;

/// The grant of who gets a token without a login.
const ANYBODY: &str = "anybody";

/// What a service sends back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// As in 200.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of the body, also for HEAD, which does not send it.
    pub body: Rc<[u8]>,
    /// How the body comes.
    pub pace: Pace,
    /// What goes wrong with it.
    pub fault: Option<Fault>,
}

impl Answer {
    /// An answer with a body of this type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Rc<[u8]>>) -> Self {
        let body = body.into();
        let headers = vec![
            ("content-type".to_owned(), content_type.to_owned()),
            ("content-length".to_owned(), body.len().to_string()),
        ];
        Self { status, headers, body, pace: Pace::default(), fault: None }
    }

    /// The same with one more header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

type Service = Rc<dyn Fn(&Request) -> std::result::Result<Answer, HttpError>>;

/// Is shown what a request carries, and may have enough of it after so many bytes.
type Taker = Rc<dyn Fn(&Request, &[u8]) -> std::result::Result<Answer, HttpError>>;

/// Everything that can be reached.
#[derive(Default)]
pub struct Network {
    services: RefCell<BTreeMap<String, Service>>,
    takers: RefCell<BTreeMap<String, Taker>>,
    /// After how many bytes the connection of a request that carries something breaks,
    /// by a function of the request.
    breaks: RefCell<Option<Breaks>>,
    /// Refuses a request before anything of what it carries has come.
    gate: RefCell<Option<Gate>>,
    logins: RefCell<BTreeMap<String, Result<Grant>>>,
    challenges: RefCell<Vec<Challenge>>,
    /// For which authority which grants are.
    granted: RefCell<BTreeSet<(String, String)>>,
    log: RefCell<Vec<Request>>,
    issuer: RefCell<Option<Issuer>>,
}

type Breaks = Rc<dyn Fn(&Request) -> Option<usize>>;

type Gate = Rc<dyn Fn(&Request) -> Option<Answer>>;

/// Makes grants, by the authority that wants one.
type Issuer = Rc<dyn Fn(&str) -> Result<Grant>>;

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Network {
    /// Puts a service at an authority.
    pub fn serve(
        &self,
        authority: &str,
        service: impl Fn(&Request) -> std::result::Result<Answer, HttpError> + 'static,
    ) {
        self.services.borrow_mut().insert(authority.to_owned(), Rc::new(service));
    }

    /// The same for a service that takes what requests carry.
    pub fn take(
        &self,
        authority: &str,
        taker: impl Fn(&Request, &[u8]) -> std::result::Result<Answer, HttpError> + 'static,
    ) {
        self.takers.borrow_mut().insert(authority.to_owned(), Rc::new(taker));
    }

    /// Has connections break while requests carry something: after as many bytes as
    /// this says, if it says so.
    pub fn break_off(&self, breaks: impl Fn(&Request) -> Option<usize> + 'static) {
        self.breaks.replace(Some(Rc::new(breaks)));
    }

    /// Has `gate` refuse requests to services that take what they carry, before they
    /// carry it: a login is looked at when a request comes, however long its body takes.
    pub fn guard(&self, gate: impl Fn(&Request) -> Option<Answer> + 'static) {
        self.gate.replace(Some(Rc::new(gate)));
    }

    /// Sets what `authorize` answers for an authority to who comes with a login.
    /// Without it nobody has a login, and tokens are for everybody.
    pub fn log_in(&self, authority: &str, answer: Result<Grant>) {
        self.logins.borrow_mut().insert(authority.to_owned(), answer);
    }

    /// Has `issuer` answer every challenge from now on, by authority.
    pub fn issue(&self, issuer: impl Fn(&str) -> Result<Grant> + 'static) {
        self.issuer.replace(Some(Rc::new(issuer)));
    }

    /// The challenges that were to be answered since the last call.
    pub fn challenges(&self) -> Vec<Challenge> {
        self.challenges.take()
    }

    /// The URL of every request since the last call.
    pub fn requests_with_origin(&self) -> Vec<String> {
        let url = |request: Request| {
            let scheme = if request.origin.secure { "https" } else { "http" };
            format!("{scheme}://{}{}", request.origin.authority, request.path)
        };
        self.log.borrow_mut().drain(..).map(url).collect()
    }

    /// Method and path of every request since the last call.
    pub fn requests(&self) -> Vec<String> {
        self.log.borrow_mut().drain(..).map(|request| format!("{} {}", request.method.name(), request.path)).collect()
    }

    pub(super) async fn send(
        self: Rc<Self>,
        clock: &Clock,
        request: Request,
        carried: Option<Stream>,
    ) -> std::result::Result<Response<Stream>, HttpError> {
        if self.issuer.borrow().is_none() {
            self.log.borrow_mut().push(request.clone());
        }
        // An issuer's grants are looked at by the services that know it.
        let is_granted = |id: &String| self.granted.borrow().contains(&(request.origin.authority.clone(), id.clone()));
        let mut grants = request.headers.iter().filter(|(name, _)| name == "wharf-grant");
        if self.issuer.borrow().is_none() && !grants.all(|(_, id)| is_granted(id)) {
            return Err(HttpError::Denied("the grant is not for this origin".to_owned()));
        }
        clock.sleep(ROUND_TRIP_MS).await;
        let taker = self.takers.borrow().get(&request.origin.authority).cloned();
        let gate = self.gate.borrow().clone().filter(|_| taker.is_some());
        if let Some(refusal) = gate.and_then(|gate| gate(&request)) {
            return Ok(responded(clock, &request, refusal));
        }
        let brink = carried.as_ref().and_then(|_| self.breaks.borrow().clone()).and_then(|breaks| breaks(&request));
        let length = request.headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, length)| length.parse::<usize>().ok());
        let mut bytes = Vec::new();
        if let Some(mut carried) = carried {
            while brink.is_none_or(|brink| bytes.len() < brink)
                && let Some(chunk) = carried.next(brink.map_or(usize::MAX, |brink| brink - bytes.len())).await
            {
                bytes.extend(chunk);
            }
        }
        let nobody = || HttpError::Name("nobody has it".to_owned());
        let service = self.services.borrow().get(&request.origin.authority).cloned();
        let answer = match taker {
            // What came before the connection broke may have been taken, and nobody hears of it.
            Some(taker) if brink.is_some() => {
                // The last third was on the wire.
                let _ = taker(&request, &bytes[..bytes.len() - bytes.len() / 3]);
                return Err(HttpError::Broken("the connection was reset".to_owned()));
            }
            // As HTTP has it: a body that ends too early is none.
            Some(_) if length.is_some_and(|length| length != bytes.len()) => {
                return Err(HttpError::Broken("the body was shorter than it said".to_owned()));
            }
            Some(taker) => taker(&request, &bytes)?,
            None => service.ok_or_else(nobody)?(&request)?,
        };
        Ok(responded(clock, &request, answer))
    }

    pub(super) fn authorize(&self, registry: &Origin, challenge: &Challenge, visit: Visit) -> Result<Grant> {
        if let Some(issuer) = &*self.issuer.borrow() {
            return issuer(&registry.authority);
        }
        self.challenges.borrow_mut().push(challenge.clone());
        let login = self.logins.borrow().get(&registry.authority).cloned().filter(|_| visit == Visit::WithLogin);
        let grant = match (login, challenge) {
            (Some(answer), _) => answer?,
            (None, Challenge::Basic) => return Err(ErrorCode::NotFound),
            (None, Challenge::Bearer { .. }) => Grant { id: ANYBODY.to_owned(), anonymous: true },
        };
        self.granted.borrow_mut().insert((registry.authority.clone(), grant.id.clone()));
        Ok(grant)
    }
}

fn responded(clock: &Clock, request: &Request, answer: Answer) -> Response<Stream> {
    let body: Rc<[u8]> = if request.method == Method::Head { Rc::from([]) } else { answer.body };
    let body = Stream::new(clock, body, answer.pace, answer.fault);
    Response { status: answer.status, headers: answer.headers, end: body.end(), body }
}

/// See `credentials.grant`.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What the header says.
    pub id: String,
    /// Whether no login was used.
    pub anonymous: bool,
}

impl host::Grant for Grant {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn anonymous(&self) -> bool {
        self.anonymous
    }
}
