//! The endpoints of a service, whole or as a difference to those that are held.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::service;
use crate::endpoint::Endpoint;
use crate::proto::{self, port_number};

/// The endpoints that a service has after an update. `base` are those that stay where they are neither replaced nor removed. One that was known before, under the same address
/// and identity, keeps what was learned of it. An error says what cannot be.
pub(super) fn updated(
    service: &str,
    known: &[Rc<Endpoint>],
    base: &[Rc<Endpoint>],
    update: &proto::Endpoints,
) -> Result<Rc<[Rc<Endpoint>]>, String> {
    let known: HashMap<&str, &Rc<Endpoint>> = known.iter().map(|endpoint| (endpoint.id.as_str(), endpoint)).collect();
    let mut replaced: HashMap<&str, Option<Rc<Endpoint>>> = update.removed.iter().map(|id| (id.as_str(), None)).collect();
    for told in &update.endpoints {
        let fresh = endpoint(service, told).map_err(|reason| format!("endpoint {:?}: {reason}", told.id))?;
        let same = known.get(told.id.as_str()).filter(|known| known.same_place(&fresh));
        let endpoint = same.map_or_else(|| Rc::new(fresh), |known| Rc::clone(known));
        if let Some(Some(_)) = replaced.insert(&told.id, Some(endpoint)) {
            return Err(format!("endpoint {:?}: it is there twice", told.id));
        }
    }
    let stays = base.iter().filter(|endpoint| !replaced.contains_key(endpoint.id.as_str())).cloned();
    let fresh = update.endpoints.iter().filter_map(|told| replaced.get(told.id.as_str())?.clone());
    Ok(stays.chain(fresh).collect())
}

fn endpoint(service: &str, told: &proto::Endpoint) -> Result<Endpoint, String> {
    let addresses = told.addresses.iter().map(|address| match address.parse::<IpAddr>() {
        Ok(address) => Ok(address),
        Err(_) => Err(format!("address {address:?} is no IP address")),
    });
    let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
    let address = *addresses.first().ok_or("it has no address")?;
    let inbound_port = u16::try_from(told.inbound_port).map_err(|_| format!("inbound port {} is no port", told.inbound_port))?;
    if (inbound_port == 0) != told.identities.is_empty() || told.identities.iter().any(String::is_empty) {
        return Err("identities and inbound port come together or not at all".into());
    }
    let ports = told.ports.iter();
    let ports = ports.map(|port| Ok((port_number(port.service_port)?, port_number(port.target_port)?)));
    let (name, namespace) = service::split(service);
    Ok(Endpoint::new(
        &told.id,
        address,
        inbound_port,
        told.identities.clone(),
        ports.collect::<Result<Vec<_>, String>>()?,
        name,
        namespace,
    ))
}
