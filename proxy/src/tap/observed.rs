//! Requests and connections under way: counted, and shown to those who watch.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::shown::{self, Shown};
use super::{Tap, filter};
use crate::http::{Outcome, RequestView, ResponseView};
use crate::metrics::{Labels, RequestGuard, RouteLabel, Traffic};
use crate::proto::{Field, TapEvent};

/// A request under way.
#[derive(Debug)]
pub struct Observed {
    guard: RequestGuard,
    watched: Option<Box<Watched>>,
}

impl Observed {
    pub(crate) fn new(guard: RequestGuard, watched: Option<Box<Watched>>) -> Observed {
        Observed { guard, watched }
    }

    /// The request's method, as it is counted: those that are not common have one name.
    pub fn method(&self) -> &'static str {
        self.guard.method()
    }

    /// The head of the answer is there; `endpoint` is the id of whoever gave it, empty for the program behind this sidecar.
    pub fn answered(&self, endpoint: &str, head: &impl ResponseView) {
        if let Some(watched) = &self.watched {
            watched.answered(endpoint, head);
        }
    }

    /// Counts the request under `traffic` and the route that decided where it went as finished now, and shows it.
    pub fn finish(self, traffic: &Traffic, route: RouteLabel, outcome: &Outcome) {
        if let Some(watched) = self.watched {
            let route = (route != RouteLabel::DEFAULT).then(|| self.guard.route_name(route));
            watched.finish(traffic.labels(), route.as_deref().unwrap_or(""), outcome);
        }
        self.guard.finish(traffic, route, outcome);
    }
}

/// What was seen so far of a request, or an opaque connection, that somebody may want.
#[derive(Debug)]
pub struct Watched {
    /// The taps that want it as far as is known, and whether it was within their budget when it began. Beyond it, it is only counted.
    wanting: Vec<(Rc<Tap>, bool)>,
    /// The head as taps with and without secrets show it.
    plain: Option<Shown>,
    redacted: Option<Shown>,
    started: Instant,
    started_at: SystemTime,
    answer: OnceCell<Answer>,
}

#[derive(Debug, Default)]
struct Answer {
    head_at: Option<Instant>,
    endpoint: String,
    plain: Vec<Field>,
    redacted: Vec<Field>,
}

impl Watched {
    pub(super) fn new<H: RequestView>(wanting: Vec<(Rc<Tap>, bool)>, head: Option<&H>, started: Instant) -> Watched {
        let mut watched = Watched {
            wanting,
            plain: None,
            redacted: None,
            started,
            started_at: SystemTime::now(),
            answer: OnceCell::new(),
        };
        if let Some(head) = head {
            let shown = |secrets| {
                watched
                    .is_shown(secrets)
                    .then(|| Shown::of(head, watched.shows_fields(secrets), secrets))
            };
            (watched.plain, watched.redacted) = (shown(true), shown(false));
        }
        watched
    }

    fn is_shown(&self, secrets: bool) -> bool {
        self.wanting
            .iter()
            .any(|(tap, has_room)| *has_room && tap.wanted.with_secrets == secrets)
    }

    fn shows_fields(&self, secrets: bool) -> bool {
        let shows = |(tap, has_room): &(Rc<Tap>, bool)| *has_room && tap.wanted.with_secrets == secrets && tap.wanted.with_fields;
        self.wanting.iter().any(shows)
    }

    #[cold]
    fn answered(&self, endpoint: &str, head: &impl ResponseView) {
        let fields = |secrets| match self.shows_fields(secrets) {
            true => shown::fields(head.fields(), secrets),
            false => Vec::new(),
        };
        // There is only one final head.
        let _ = self.answer.set(Answer {
            head_at: Some(Instant::now()),
            endpoint: endpoint.to_owned(),
            plain: fields(true),
            redacted: fields(false),
        });
    }

    /// Shows it to the taps that want it now that its end is known.
    #[cold]
    pub(super) fn finish(&self, labels: &Labels, route: &str, outcome: &Outcome) {
        let now = Instant::now();
        for (tap, had_room) in &self.wanting {
            if tap.ended.get() || !filter::end(&tap.wanted, labels, outcome.status) {
                continue;
            }
            let sent = *had_room && tap.budget.take(now) && tap.outbox.push(self.event(tap, labels, route, outcome, now));
            if !sent {
                tap.dropped.set(tap.dropped.get() + 1);
            }
        }
    }

    fn event(&self, tap: &Tap, labels: &Labels, route: &str, outcome: &Outcome, now: Instant) -> TapEvent {
        let nothing = Answer::default();
        let answer = self.answer.get().unwrap_or(&nothing);
        let (head, response_fields) = match tap.wanted.with_secrets {
            true => (&self.plain, &answer.plain),
            false => (&self.redacted, &answer.redacted),
        };
        let Shown {
            method,
            authority,
            path,
            fields,
        } = head.clone().unwrap_or_default();
        let of_fields = |fields: Vec<Field>| if tap.wanted.with_fields { fields } else { Vec::new() };
        TapEvent {
            tap_id: tap.wanted.tap_id,
            direction: labels.direction.to_proto().into(),
            peer: Some(labels.peer_to_proto()),
            endpoint: answer.endpoint.clone(),
            port: labels.port.into(),
            protocol: labels.protocol.to_proto().into(),
            method,
            authority,
            path,
            status: outcome.status.into(),
            grpc_status: outcome.grpc_status,
            error: outcome.error.unwrap_or_default().into(),
            attempts: outcome.attempts,
            start_us: self
                .started_at
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
            head_latency_us: answer.head_at.map_or(0, |at| microseconds(self.started, at)),
            latency_us: microseconds(self.started, now),
            request_bytes: outcome.request_bytes,
            response_bytes: outcome.response_bytes,
            request_fields: of_fields(fields),
            response_fields: of_fields(response_fields.clone()),
            tls: labels.is_secured(),
            anonymous: labels.anonymous,
            route: route.into(),
        }
    }
}

fn microseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX)
}

/// An opaque connection under way; its end is when it is dropped.
#[derive(Debug)]
pub struct Connection<'a> {
    traffic: &'a Traffic,
    watched: Option<Box<Watched>>,
    outcome: Cell<Outcome>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(traffic: &'a Traffic, watched: Option<Box<Watched>>, endpoint: &str) -> Connection<'a> {
        if let Some(watched) = &watched {
            let endpoint = endpoint.to_owned();
            // It was made just now.
            let _ = watched.answer.set(Answer {
                endpoint,
                ..Answer::default()
            });
        }
        Connection {
            traffic,
            watched,
            outcome: Cell::new(Outcome {
                attempts: 1,
                ..Outcome::default()
            }),
        }
    }

    /// Counts bytes from the caller and from the called.
    pub fn count(&self, from_caller: u64, from_called: u64) {
        self.traffic.bytes(from_caller, from_called);
        let outcome = self.outcome.get();
        self.outcome.set(Outcome {
            request_bytes: outcome.request_bytes + from_caller,
            response_bytes: outcome.response_bytes + from_called,
            ..outcome
        });
    }

    /// Notes why it ends early.
    pub fn failed(&self, code: &'static str) {
        self.outcome.set(Outcome {
            error: Some(code),
            ..self.outcome.get()
        });
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        if let Some(watched) = &self.watched {
            watched.finish(self.traffic.labels(), "", &self.outcome.get());
        }
    }
}
