//! Routes: what a request is decides where it goes, and what changes of it on its way. Pure: a head and random numbers in, a decision out.
//!
//! Which match takes precedence is the controller's to say: they are tried in order, and the first that holds decides.

mod compile;
mod edits;
mod matching;
mod path;
#[cfg(test)]
mod tests;

use crate::balance::Rng;
use crate::errors;
use crate::http::{Edits, Reply, RequestView};
use matching::{Match, Request};

/// The routes of a port of a service in one version.
#[derive(Debug, PartialEq, Eq)]
pub struct Routes {
    rules: Vec<Rule>,
    matches: Vec<Match>,
}

/// What happens to the requests of one rule of a route.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Namespace and name of the route: `default/users`.
    pub route: String,
    /// Place of the rule in the route.
    index: u32,
    /// Where the requests go.
    pub backends: Vec<Backend>,
    weights: u64,
    failure: String,
}

/// Where a part of a rule's requests goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Backend {
    weight: u32,
    /// Where that is, or why it is nowhere, in one word.
    pub destination: Result<Destination, String>,
    /// What changes in the requests.
    pub request: Edits,
    /// What changes in their answers.
    pub response: Edits,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Canonical name of the service.
    pub service: String,
    /// Its port.
    pub port: u16,
}

/// What the routes say of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The rule at this index decides.
    Rule(usize),
    /// No match holds.
    None,
    /// Its path can be read in different ways, which do not lead to the same rule.
    Ambiguous,
}

impl Routes {
    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Namespaces and names of the routes that the rules come from, in order and each once.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for rule in &self.rules {
            if !names.contains(&rule.route.as_str()) {
                names.push(&rule.route);
            }
        }
        names
    }

    /// Which rule decides for a request. Allocates nothing, unless the path can be read in different ways.
    pub fn decide(&self, head: &impl RequestView) -> Decision {
        let (path, query) = path::split(head.path());
        let sent = self.first(&Request {
            path: path.as_bytes(),
            is_read: false,
            query,
            head,
        });
        let is_alike = |path: &[u8]| {
            let read = Request {
                path,
                is_read: true,
                query,
                head,
            };
            self.first(&read) == sent
        };
        if !path::is_plain(path.as_bytes()) && !is_read_alike(path.as_bytes(), is_alike) {
            return Decision::Ambiguous;
        }
        sent.map_or(Decision::None, Decision::Rule)
    }

    fn first<H: RequestView>(&self, request: &Request<'_, H>) -> Option<usize> {
        self.matches.iter().find(|each| each.holds(request)).map(|each| each.rule)
    }
}

/// Whether all ways to read a path are alike.
#[cold]
fn is_read_alike(path: &[u8], is_alike: impl Fn(&[u8]) -> bool) -> bool {
    let mut read = Vec::with_capacity(path.len());
    path::READINGS.iter().all(|reading| {
        reading.read(path, &mut read);
        is_alike(&read)
    })
}

impl Rule {
    /// Index of the backend that a request goes to, drawn in proportion to the weights. None without backends.
    pub fn draw(&self, rng: &mut Rng) -> Option<usize> {
        if self.backends.len() < 2 {
            return self.backends.first().map(|_| 0);
        }
        let mut drawn = rng.below(self.weights as usize) as u64;
        self.backends.iter().position(|backend| {
            let is_here = drawn < u64::from(backend.weight);
            drawn = drawn.wrapping_sub(backend.weight.into());
            is_here
        })
    }

    /// The answer to requests that the rule sends nowhere: it has no backend, or the one that was drawn is none.
    pub fn refusal(&self, backend: Option<&Backend>) -> Reply {
        let failure = match backend.map(|backend| &backend.destination) {
            Some(Err(failure)) => failure,
            _ => &self.failure,
        };
        let Rule { route, index, .. } = self;
        let message = format!("rule {index} of the route {route} sends requests to no service: {failure}");
        Reply::new(500, errors::NO_BACKEND, message)
    }
}
