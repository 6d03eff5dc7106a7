//! The routes of a port, with the ports that they send requests to.

use std::rc::Rc;

use super::target::Target;
use crate::balance::Rng;
use crate::errors;
use crate::http::{Edits, Reply, RequestView};
use crate::metrics::{Metrics, RouteLabel};
use crate::route::{Backend, Decision, Routes};

/// The routes of a port in one version.
#[derive(Debug)]
pub struct Routing {
    routes: Rc<Routes>,
    /// For each of their rules.
    rules: Vec<RoutedRule>,
}

#[derive(Debug)]
struct RoutedRule {
    label: RouteLabel,
    /// For each backend; None for one that is no service.
    targets: Vec<Option<Rc<Target>>>,
}

/// What routes decided of a request.
#[derive(Debug)]
pub struct Routed {
    /// The route that decided; that of requests which none does when no match holds.
    pub label: RouteLabel,
    /// Where the request goes, or the answer to it.
    pub outcome: Result<Chosen, Reply>,
}

/// The backend that was chosen for a request.
#[derive(Debug)]
pub struct Chosen {
    /// Its port.
    pub target: Rc<Target>,
    routing: Rc<Routing>,
    place: (usize, usize),
}

impl Routing {
    /// Makes routes of a `port` ready.
    pub fn new(routes: Rc<Routes>, port: &Target, metrics: &Metrics) -> Routing {
        let target = |backend: &Backend| Some(Rc::new(port.of_backend(backend.destination.as_ref().ok()?)));
        let rules = routes.rules().iter().map(|rule| RoutedRule {
            label: metrics.route(&rule.route),
            targets: rule.backends.iter().map(target).collect(),
        });
        Routing {
            rules: rules.collect(),
            routes,
        }
    }

    /// Whether it is of these routes, in this version.
    pub fn is_of(&self, routes: &Rc<Routes>) -> bool {
        Rc::ptr_eq(&self.routes, routes)
    }

    /// Decides where a request to the service `name` goes.
    pub fn route(self: &Rc<Self>, head: &impl RequestView, name: impl Fn() -> String, rng: &mut Rng) -> Routed {
        let rule = match self.routes.decide(head) {
            Decision::Rule(rule) => rule,
            Decision::None => {
                let routes = self.routes.names().join(", ");
                let message = format!("the routes of {} ({routes}) have no match for this request", name());
                return Routed::refused(Reply::new(404, errors::NO_ROUTE, message));
            }
            Decision::Ambiguous => {
                let message = format!(
                    "programs read the path in different ways, for which the routes of {} differ; send it without dots, double slashes and needless escapes",
                    name()
                );
                return Routed::refused(Reply::new(400, errors::AMBIGUOUS_PATH, message));
            }
        };
        let (routed, decided) = (&self.rules[rule], &self.routes.rules()[rule]);
        let drawn = decided.draw(rng);
        let target = drawn.and_then(|backend| routed.targets[backend].clone());
        Routed {
            label: routed.label,
            outcome: match (drawn, target) {
                (Some(backend), Some(target)) => Ok(Chosen {
                    target,
                    routing: self.clone(),
                    place: (rule, backend),
                }),
                _ => Err(decided.refusal(drawn.map(|backend| &decided.backends[backend]))),
            },
        }
    }
}

impl Routed {
    fn refused(reply: Reply) -> Routed {
        Routed {
            label: RouteLabel::DEFAULT,
            outcome: Err(reply),
        }
    }
}

impl Chosen {
    fn backend(&self) -> &Backend {
        &self.routing.routes.rules()[self.place.0].backends[self.place.1]
    }

    /// What changes in the request.
    pub fn request(&self) -> &Edits {
        &self.backend().request
    }

    /// What changes in the answer.
    pub fn response(&self) -> Option<&Edits> {
        Some(&self.backend().response).filter(|edits| !edits.is_empty())
    }
}
