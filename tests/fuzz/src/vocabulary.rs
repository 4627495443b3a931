//! `vocabulary` of `wit/`: see `images`.

use super::types::Origin;

#[derive(Clone, Debug)]
pub struct Access {
    pub rules: Vec<Rule>,
    pub aliases: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub prefix: String,
    pub blocked: bool,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub origin: Origin,
    pub base: String,
    pub path: Option<String>,
    pub capabilities: Capabilities,
    pub asked_for: AskedFor,
    pub mirror: bool,
    pub names_registry: bool,
}

bitflags::bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Capabilities: u8 {
        const RESOLVE = 1;
        const PULL = 2;
        const PUSH = 4;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedFor {
    All,
    Digests,
    Tags,
}
