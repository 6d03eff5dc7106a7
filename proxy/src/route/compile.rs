//! Routes as the controller says them, checked and made ready for matching.

use http::HeaderName;

use super::matching::{Match, Pair, Path, Text};
use super::path::READINGS;
use super::{Backend, Destination, Routes, Rule, edits};
use crate::http::{Edits, OWN_FIELDS};
use crate::http1::is_token;
use crate::proto::{self, path_match, port_number};

/// Bytes of a route's name, with its namespace.
const MAX_NAME: usize = 512;
/// Bytes of the word that says why there is no backend.
const MAX_FAILURE: usize = 64;

impl Routes {
    /// As the controller said them; an error says what of them cannot be.
    pub fn from_proto(routes: &proto::Routes) -> Result<Routes, String> {
        match proto::RoutesKind::try_from(routes.kind) {
            Ok(proto::RoutesKind::Http | proto::RoutesKind::Grpc) => {}
            _ => return Err(format!("{} is no kind of route that is known here", routes.kind)),
        }
        let rules = routes.rules.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
        let compiled = routes.matches.iter().enumerate();
        let matches = compiled.map(|(place, each)| matching(each, rules.len()).map_err(|reason| format!("match {place}: {reason}")));
        Ok(Routes {
            matches: matches.collect::<Result<_, _>>()?,
            rules,
        })
    }
}

fn rule(rule: &proto::RouteRule) -> Result<Rule, String> {
    let at = |reason: String| format!("rule {} of {:?}: {reason}", rule.index, rule.route);
    if rule.route.is_empty() || rule.route.len() > MAX_NAME {
        return Err(at("its route has no name of at most 512 bytes".into()));
    }
    if rule.backends.is_empty() && !is_word(&rule.failure) {
        return Err(at("it has no backend, and no word that says why".into()));
    }
    let backends = rule.backends.iter().map(|each| backend(rule, each).map_err(at));
    let backends = backends.collect::<Result<Vec<_>, _>>()?;
    Ok(Rule {
        route: rule.route.clone(),
        index: rule.index,
        weights: backends.iter().map(|backend| u64::from(backend.weight)).sum(),
        backends,
        failure: rule.failure.clone(),
    })
}

fn backend(rule: &proto::RouteRule, backend: &proto::Backend) -> Result<Backend, String> {
    if backend.weight == 0 {
        return Err(format!("the backend {:?} has the weight 0", backend.service));
    }
    let destination = if backend.service.is_empty() {
        match is_word(&backend.failure) {
            true => Err(backend.failure.clone()),
            false => return Err("a backend has no service, and no word that says why".into()),
        }
    } else {
        Ok(Destination {
            service: backend.service.clone(),
            port: port_number(backend.port).map_err(|reason| format!("the backend {:?}: {reason}", backend.service))?,
        })
    };
    Ok(Backend {
        weight: backend.weight,
        destination,
        request: Edits {
            drop: OWN_FIELDS,
            ..edits::composed([&rule.request_headers, &backend.request_headers])?
        },
        response: edits::composed([&backend.response_headers, &rule.response_headers])?,
    })
}

fn matching(wanted: &proto::RouteMatch, rules: usize) -> Result<Match, String> {
    let rule = wanted.rule as usize;
    if rule >= rules {
        return Err(format!("there is no rule {rule}"));
    }
    if !wanted.method.bytes().all(is_token) {
        return Err(format!("{:?} is no method", wanted.method));
    }
    let headers = wanted
        .headers
        .iter()
        .map(|field| match HeaderName::from_lowercase(field.name.as_bytes()) {
            Ok(_) => Ok(pair(field)),
            Err(_) => Err(format!("{:?} is no name of a field in lower case", field.name)),
        });
    Ok(Match {
        rule,
        path: path(wanted)?,
        method: wanted.method.clone(),
        headers: headers.collect::<Result<_, _>>()?,
        query: wanted.query_params.iter().map(pair).collect(),
    })
}

fn path(wanted: &proto::RouteMatch) -> Result<Option<Path>, String> {
    let is_call = !wanted.grpc_service.is_empty() || !wanted.grpc_method.is_empty();
    let path = match (&wanted.path, is_call) {
        (None, false) => return Ok(None),
        (None, true) => return Ok(Some(Path::Grpc(wanted.grpc_service.clone(), wanted.grpc_method.clone()))),
        (Some(_), true) => return Err("it is of a path and of a gRPC call".into()),
        (Some(path), false) => path
            .r#match
            .as_ref()
            .ok_or("its path is compared in a way that is not known here")?,
    };
    let (path_match::Match::Exact(value) | path_match::Match::Prefix(value)) = path;
    if !value.starts_with('/') {
        return Err(format!("the path {value:?} does not begin with a slash"));
    }
    Ok(match path {
        path_match::Match::Exact(value) => Some(Path::Exact(text(value))),
        path_match::Match::Prefix(value) => match value.trim_end_matches('/') {
            // It is the beginning of what is no path, too, such as the `*` of OPTIONS.
            "" => None,
            value => Some(Path::Prefix(text(value))),
        },
    })
}

fn text(value: &str) -> Text {
    let mut read = Vec::new();
    READINGS[0].read(value.as_bytes(), &mut read);
    Text {
        sent: value.as_bytes().into(),
        read: read.into(),
    }
}

fn pair(field: &proto::Field) -> Pair {
    Pair {
        name: field.name.clone(),
        value: field.value.clone(),
    }
}

/// Whether a text is what may stand in an answer as the reason of a failure.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_FAILURE && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
