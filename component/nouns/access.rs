//! How registries are spoken to: what the machine's configuration says, in the
//! words of `wit/vocabulary.wit`, whose doc comments are the specification. Which
//! rule decides about a reference, and what that makes of it, is decided in
//! `registry/endpoint.rs`.

/// How often a request is sent again while nothing new arrives, if nobody says
/// otherwise.
pub const RETRIES: u32 = 4;
/// After so long without a byte a request is given up, if nobody says otherwise.
pub const SILENCE_MS: u64 = 60_000;

/// See `types.origin`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Whether it is reached by TLS.
    pub secure: bool,
    /// As in `registry-1.docker.io` or `127.0.0.1:5000`.
    pub authority: String,
}

/// See `vocabulary.access`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Registries that are spoken to without TLS, as in `registry.lan:5000`.
    /// Loopback addresses are, without being listed.
    pub plain_http: Vec<String>,
    /// What configuration says about registries.
    pub rules: Vec<Rule>,
    /// Short names and what they stand for.
    pub aliases: Vec<(String, String)>,
    /// How often a request is sent again while nothing new arrives.
    pub retries: u32,
    /// After so long without a byte a request is given up, in milliseconds.
    pub silence_ms: u64,
}

/// As on a machine without configuration.
impl Default for Access {
    fn default() -> Self {
        Self {
            plain_http: Vec::new(),
            rules: Vec::new(),
            aliases: Vec::new(),
            retries: RETRIES,
            silence_ms: SILENCE_MS,
        }
    }
}

/// See `vocabulary.rule`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// As in `docker.io`, `docker.io/library`, `*.example.com` or empty.
    pub prefix: String,
    /// Whether nothing that it is about may be used.
    pub blocked: bool,
    /// Where to ask, in order of trial; last the registry itself, if it is not
    /// among them.
    pub endpoints: Vec<Endpoint>,
}

/// See `vocabulary.endpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it answers.
    pub origin: Origin,
    /// What the paths of the API begin with, as in `/v2`.
    pub base: String,
    /// What stands in the repository's path instead of the rule's prefix.
    pub path: Option<String>,
    /// What it is used for.
    pub capabilities: Capabilities,
    /// Which references it is asked for.
    pub asked_for: AskedFor,
    /// Whether it is not the registry itself.
    pub mirror: bool,
    /// Whether requests say which registry is meant, by the query `ns`.
    pub names_registry: bool,
}

/// See `vocabulary.capabilities`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// To find out what a tag points to, and to list tags.
    pub resolve: bool,
    /// To fetch by digest.
    pub pull: bool,
    /// To push.
    pub push: bool,
}

impl Capabilities {
    /// Everything.
    pub const ALL: Self = Self { resolve: true, pull: true, push: true };
}

/// See `vocabulary.asked-for`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AskedFor {
    /// Every reference.
    #[default]
    All,
    /// Those with a digest.
    Digests,
    /// Those with a tag.
    Tags,
}
