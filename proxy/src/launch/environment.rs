//! What the program is told in environment variables: where named upstreams are and, without a namespace, its proxy.

use crate::launch::arguments::Upstream;
use std::net::SocketAddr;

/// Variables that a program goes through to its sidecar by, whatever it is written with. `no_proxy` is what the person had set, if anything.
///
/// Calls to the loopback stay direct. `https_proxy` stays as it was: the mesh has nothing to add to a connection that is encrypted already.
pub fn proxy_variables(proxy: SocketAddr, no_proxy: Option<&str>) -> Vec<(String, String)> {
    let url = format!("http://{proxy}");
    let direct: Vec<&str> = no_proxy
        .filter(|text| !text.is_empty())
        .into_iter()
        .chain(["localhost,127.0.0.1,::1"])
        .collect();
    let direct = direct.join(",");
    [
        ("http_proxy", &url),
        ("HTTP_PROXY", &url),
        ("grpc_proxy", &url),
        ("NODE_USE_ENV_PROXY", &"1".to_owned()),
        ("no_proxy", &direct),
        ("NO_PROXY", &direct),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .into()
}

/// The variable of each upstream: `WEFT_UPSTREAM_<NAME>`, followed by the port when one service is named with several.
pub fn upstream_variable(upstream: &Upstream, all: &[Upstream]) -> String {
    let name: String = upstream
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    let several = all.iter().any(|other| other.name == upstream.name && other.port != upstream.port);
    if several {
        format!("WEFT_UPSTREAM_{name}_{}", upstream.port)
    } else {
        format!("WEFT_UPSTREAM_{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(name: &str, port: u16) -> Upstream {
        Upstream {
            name: name.to_owned(),
            port,
        }
    }

    #[test]
    fn both_cases_of_http_proxy_point_at_the_sidecar_and_the_loopback_stays_direct() {
        let variables = proxy_variables("127.0.0.1:4000".parse().unwrap(), Some("corp.example"));
        let value = |name: &str| variables.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        assert_eq!(value("http_proxy"), Some("http://127.0.0.1:4000"));
        assert_eq!(value("HTTP_PROXY"), Some("http://127.0.0.1:4000"));
        assert_eq!(value("no_proxy"), Some("corp.example,localhost,127.0.0.1,::1"));
        assert_eq!(value("NODE_USE_ENV_PROXY"), Some("1"));
        assert_eq!(value("https_proxy"), None);
    }

    #[test]
    fn an_upstreams_variable_has_its_port_only_when_its_name_alone_would_be_ambiguous() {
        let all = [upstream("user-db.default", 5432), upstream("web", 80), upstream("web", 8080)];
        let names: Vec<String> = all.iter().map(|one| upstream_variable(one, &all)).collect();
        assert_eq!(
            names,
            ["WEFT_UPSTREAM_USER_DB_DEFAULT", "WEFT_UPSTREAM_WEB_80", "WEFT_UPSTREAM_WEB_8080"]
        );
    }
}
