//! One case: what a registry tries, and where each secret has to be afterwards. It is run by `run`.

use super::cast::{Cast, REPOSITORY, SERVERS, Who};
use super::listener::{Answer, Request};
use std::collections::BTreeSet;
use std::sync::Arc;
use wharf::credentials::helper::Helpers;
use wharf::credentials::{self, Document};
use wharf::images::Access;
use wharf::network;

/// What somebody answers, if it is not what they usually do.
type Role = Box<dyn Fn(&Cast, &Request) -> Option<Answer> + Send + Sync>;

/// Something that a case makes of its cast.
type Made<T> = Box<dyn Fn(&Cast) -> T + Send + Sync>;

/// Something that a case changes.
type Changed<T> = Box<dyn Fn(&Cast, &mut T) + Send + Sync>;

/// Makes who runs the programs that keep logins.
type Programs = Box<dyn Fn(&Arc<Cast>) -> Arc<dyn Helpers> + Send + Sync>;

/// What a registry tries, and what has to come of it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(super) secure: bool,
    pub(super) named: bool,
    challenge: Made<String>,
    roles: Vec<(Who, Role)>,
    documents: Made<Vec<Document>>,
    pub(super) access: Vec<Changed<Access>>,
    pub(super) network: Vec<Changed<network::Settings>>,
    credentials: Vec<Changed<credentials::Settings>>,
    helpers: Option<Programs>,
    pub(super) reference: Made<String>,
    pub(super) all_tags: bool,
    pub(super) expected: Expected,
}

/// What has to come of a case.
pub(super) struct Expected {
    pub(super) pulled: bool,
    /// Exactly who hears the login of the registry.
    pub(super) login_at: BTreeSet<Who>,
    /// Exactly who hears a token.
    pub(super) token_at: BTreeSet<Who>,
    /// Exactly who hears the login for somebody else.
    pub(super) stranger_at: BTreeSet<Who>,
    /// Exactly who hears the login for the proxy.
    pub(super) proxy_at: BTreeSet<Who>,
    /// Who is asked something.
    pub(super) visited: Vec<Who>,
    /// Who is asked nothing.
    pub(super) spared: Vec<Who>,
    /// Words in the targets of requests that have no secret.
    pub(super) bare: Vec<&'static str>,
    /// Of all of them together.
    pub(super) requests_max: usize,
}

impl Case {
    /// A registry that wants the password, has it, and gives the image: the pull succeeds.
    pub(crate) fn basic(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            secure: false,
            named: false,
            challenge: Box::new(|_| "Basic realm=\"harbour\"".to_owned()),
            roles: Vec::new(),
            documents: Box::new(|cast| vec![Cast::document(&cast.authority(Who::Registry), &cast.password())]),
            access: Vec::new(),
            network: Vec::new(),
            credentials: Vec::new(),
            helpers: None,
            reference: Box::new(|cast| format!("{}/{REPOSITORY}", cast.authority(Who::Registry))),
            all_tags: false,
            expected: Expected {
                pulled: true,
                login_at: [Who::Registry].into(),
                token_at: BTreeSet::new(),
                stranger_at: BTreeSet::new(),
                proxy_at: BTreeSet::new(),
                visited: vec![Who::Registry],
                spared: Vec::new(),
                bare: Vec::new(),
                requests_max: 100,
            },
        }
    }

    /// The same with a token server of its own, which gets the login, and the registry gets the token.
    pub(crate) fn bearer(name: &str) -> Self {
        let case = Self::basic(name).challenges(Cast::own_bearer);
        case.login_at(&[Who::Tokens]).token_at(&[Who::Registry])
    }

    /// Everybody is reached by TLS, and by names: `registry.test`, and `cdn.test` for who is far.
    pub(crate) fn secure(self) -> Self {
        Self { secure: true, ..self }
    }

    /// Everybody is reached by these names without TLS.
    pub(crate) fn named(self) -> Self {
        let case = Self { named: true, ..self };
        case.access(|cast, access| access.plain_http.extend(SERVERS.map(|who| cast.authority(who))))
            .network(|cast, settings| settings.plain_http.extend(SERVERS.map(|who| cast.authority(who))))
    }

    /// Everybody is reached by these names, and nobody said that it is without TLS.
    pub(crate) fn unlisted(self) -> Self {
        Self { named: true, ..self }
    }

    /// What the registry says to who has no right.
    pub(crate) fn challenges(self, challenge: impl Fn(&Cast) -> String + Send + Sync + 'static) -> Self {
        Self { challenge: Box::new(challenge), ..self }
    }

    /// Lets somebody answer something else, where `role` returns something.
    pub(crate) fn at(
        mut self,
        who: Who,
        role: impl Fn(&Cast, &Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        self.roles.push((who, Box::new(role)));
        self
    }

    /// Lets the registry answer something else to who is welcome, where `role` returns something.
    pub(crate) fn steers(self, role: impl Fn(&Cast, &Request) -> Option<Answer> + Send + Sync + 'static) -> Self {
        self.at(Who::Registry, move |cast, request| cast.is_welcome(request).then(|| role(cast, request)).flatten())
    }

    /// The documents with logins.
    pub(crate) fn documents(self, documents: impl Fn(&Cast) -> Vec<Document> + Send + Sync + 'static) -> Self {
        Self { documents: Box::new(documents), ..self }
    }

    /// Changes what configuration says about registries.
    pub(crate) fn access(mut self, change: impl Fn(&Cast, &mut Access) + Send + Sync + 'static) -> Self {
        self.access.push(Box::new(change));
        self
    }

    /// Changes what the network is made with.
    pub(crate) fn network(mut self, change: impl Fn(&Cast, &mut network::Settings) + Send + Sync + 'static) -> Self {
        self.network.push(Box::new(change));
        self
    }

    /// Who runs the programs that keep logins.
    pub(crate) fn helpers(mut self, helpers: impl Fn(&Arc<Cast>) -> Arc<dyn Helpers> + Send + Sync + 'static) -> Self {
        self.helpers = Some(Box::new(helpers));
        self
    }

    /// Changes what the credentials are made with.
    pub(crate) fn credentials(
        mut self,
        change: impl Fn(&Cast, &mut credentials::Settings) + Send + Sync + 'static,
    ) -> Self {
        self.credentials.push(Box::new(change));
        self
    }

    /// What is pulled.
    pub(crate) fn reference(self, reference: impl Fn(&Cast) -> String + Send + Sync + 'static) -> Self {
        Self { reference: Box::new(reference), ..self }
    }

    pub(crate) fn all_tags(self) -> Self {
        Self { all_tags: true, ..self }
    }

    pub(crate) fn fails(mut self) -> Self {
        self.expected.pulled = false;
        self
    }

    /// Exactly who hears the login.
    pub(crate) fn login_at(mut self, who: &[Who]) -> Self {
        self.expected.login_at = who.iter().copied().collect();
        self
    }

    /// Exactly who hears a token.
    pub(crate) fn token_at(mut self, who: &[Who]) -> Self {
        self.expected.token_at = who.iter().copied().collect();
        self
    }

    /// Exactly who hears the login for somebody else.
    pub(crate) fn stranger_at(mut self, who: &[Who]) -> Self {
        self.expected.stranger_at = who.iter().copied().collect();
        self
    }

    /// Exactly who hears the login for the proxy.
    pub(crate) fn proxy_at(mut self, who: &[Who]) -> Self {
        self.expected.proxy_at = who.iter().copied().collect();
        self
    }

    /// Who is asked something. It shows that the attempt was made.
    pub(crate) fn visits(mut self, who: &[Who]) -> Self {
        self.expected.visited.extend(who);
        self
    }

    /// The same, where the registry itself need not be asked.
    pub(crate) fn visits_only(mut self, who: &[Who]) -> Self {
        self.expected.visited = who.to_vec();
        self
    }

    /// Who is asked nothing.
    pub(crate) fn spares(mut self, who: &[Who]) -> Self {
        self.expected.spared.extend(who);
        self
    }

    /// Requests that there are, and in which is no secret: those with this word in their target.
    pub(crate) fn bare(mut self, word: &'static str) -> Self {
        self.expected.bare.push(word);
        self
    }

    /// The most requests to all of them together.
    pub(crate) fn requests_max(mut self, count: usize) -> Self {
        self.expected.requests_max = count;
        self
    }

    /// What the credentials of the case are made with.
    pub(super) fn credentials_settings(&self, cast: &Arc<Cast>) -> credentials::Settings {
        let helpers = self.helpers.as_ref().map(|helpers| helpers(cast));
        let mut settings = credentials::Settings { documents: self.documents_of(cast), helpers, ..Default::default() };
        self.credentials.iter().for_each(|change| change(cast, &mut settings));
        settings
    }

    /// The documents with logins.
    pub(super) fn documents_of(&self, cast: &Cast) -> Vec<Document> {
        (self.documents)(cast)
    }

    /// What somebody answers to a request.
    pub(super) fn answer(&self, cast: &Cast, who: Who, request: &Request) -> Option<Answer> {
        let roles = self.roles.iter().filter(|(whose, _)| *whose == who);
        let special = roles.map(|(_, role)| role).find_map(|role| role(cast, request));
        Some(special.unwrap_or_else(|| match who {
            Who::Registry => cast.guarded(request, &(self.challenge)(cast)),
            Who::Tokens => cast.token(request),
            Who::Other | Who::Far | Who::Proxy => cast.content(request),
        }))
    }
}
