//! What the sidecar knows of the services that its application uses. The discovery stream writes it; connections read immutable snapshots.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::endpoint::Endpoint;
use crate::metrics::Protocol;
use crate::proto::{self, port_number};

/// How long a first question waits for the controller's answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Subscriptions that nobody used for this long end.
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// The same for names that no service has.
const IDLE_LIMIT_NOT_FOUND: Duration = Duration::from_secs(60);
/// At most this many names are asked for at a time.
const MAX_SUBSCRIPTIONS: usize = 4_096;

/// One service as it is at some revision. Never changed: an update makes a new one.
#[derive(Debug)]
pub struct Service {
    /// Name of the service.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Revision of the service that this is.
    pub revision: u64,
    /// The address under which programs reach it.
    pub virtual_address: Ipv4Addr,
    /// Ports with their declared protocol; None is detected.
    pub ports: Vec<(u16, Option<Protocol>)>,
    /// All endpoints, in no order.
    pub endpoints: Vec<Rc<Endpoint>>,
}

impl Service {
    /// `name.namespace`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }

    /// The declared protocol of a port; None when it has none or the port is unknown.
    pub fn protocol(&self, port: u16) -> Option<Protocol> {
        self.ports
            .iter()
            .find(|(known, _)| *known == port)
            .and_then(|(_, protocol)| *protocol)
    }
}

/// What is known behind one name or address.
#[derive(Debug, Clone)]
enum Knowledge {
    /// The controller has not answered yet.
    Asked,
    /// There is no such service.
    Nothing,
    /// The service as it is now.
    Service(Rc<Service>),
}

/// One name or virtual address that the application used.
#[derive(Debug)]
pub struct Subscription {
    name: String,
    knowledge: watch::Sender<Knowledge>,
    used: Cell<Instant>,
}

impl Subscription {
    /// The name or address that was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The service as it is now, if there is one.
    pub fn service(&self) -> Option<Rc<Service>> {
        self.used.set(Instant::now());
        match &*self.knowledge.borrow() {
            Knowledge::Service(service) => Some(service.clone()),
            Knowledge::Asked | Knowledge::Nothing => None,
        }
    }

    fn is_nothing(&self) -> bool {
        !matches!(&*self.knowledge.borrow(), Knowledge::Service(_))
    }

    fn revision(&self) -> u64 {
        match &*self.knowledge.borrow() {
            Knowledge::Service(service) => service.revision,
            Knowledge::Asked | Knowledge::Nothing => 0,
        }
    }
}

/// What the discovery stream should tell the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Start updates, holding this revision.
    Subscribe(String, u64),
    /// End updates.
    Unsubscribe(String),
    /// An update could not be used.
    Reject(String, u64, String),
}

/// All subscriptions of the sidecar.
#[derive(Debug)]
pub struct Services {
    subscriptions: RefCell<HashMap<String, Rc<Subscription>>>,
    endpoints: RefCell<HashMap<String, Weak<Endpoint>>>,
    wishes: mpsc::UnboundedSender<Wish>,
    /// Whether a discovery stream is up: without one nobody answers, so nobody is waited for.
    pub online: Cell<bool>,
}

impl Services {
    /// An empty table, and the wishes that the discovery stream passes on. They are bounded by the number of subscriptions.
    pub fn new() -> (Rc<Services>, mpsc::UnboundedReceiver<Wish>) {
        let (wishes, receiver) = mpsc::unbounded_channel();
        (
            Rc::new(Services {
                subscriptions: RefCell::default(),
                endpoints: RefCell::default(),
                wishes,
                online: Cell::new(false),
            }),
            receiver,
        )
    }

    /// The subscription for a name or a dotted virtual address, made when it is new. The name that no service has and that was longest not asked for gives
    /// way when there are too many. None when all are in use.
    pub fn subscribe(&self, name: &str) -> Option<Rc<Subscription>> {
        let mut subscriptions = self.subscriptions.borrow_mut();
        if let Some(known) = subscriptions.get(name) {
            known.used.set(Instant::now());
            return Some(known.clone());
        }
        if subscriptions.len() >= MAX_SUBSCRIPTIONS {
            let spare = subscriptions
                .values()
                .filter(|held| Rc::strong_count(held) == 1 && held.is_nothing());
            let oldest = spare.min_by_key(|held| held.used.get())?.name.clone();
            subscriptions.remove(&oldest);
            self.wish(Wish::Unsubscribe(oldest));
        }
        let subscription = Rc::new(Subscription {
            name: name.to_owned(),
            knowledge: watch::Sender::new(Knowledge::Asked),
            used: Cell::new(Instant::now()),
        });
        subscriptions.insert(name.to_owned(), subscription.clone());
        self.wish(Wish::Subscribe(name.to_owned(), 0));
        Some(subscription)
    }

    /// The subscription of an existing service, waiting for the controller's first answer up to a second. None when there is no such service or nobody answers.
    pub async fn find(&self, name: &str) -> Option<Rc<Subscription>> {
        let subscription = self.subscribe(name)?;
        if !self.online.get() {
            subscription.service()?;
            return Some(subscription);
        }
        let mut knowledge = subscription.knowledge.subscribe();
        let answered = knowledge.wait_for(|knowledge| !matches!(knowledge, Knowledge::Asked));
        // A time-out leaves what is known as it is, which the next line reads.
        let _ = tokio::time::timeout(ANSWER_LIMIT, answered).await;
        subscription.service()?;
        Some(subscription)
    }

    /// Every subscription with the revision that is held, for a new discovery stream.
    pub fn resume(&self) -> Vec<(String, u64)> {
        self.subscriptions
            .borrow()
            .values()
            .map(|subscription| (subscription.name.clone(), subscription.revision()))
            .collect()
    }

    /// Every subscription.
    pub fn all(&self) -> Vec<Rc<Subscription>> {
        self.subscriptions.borrow().values().cloned().collect()
    }

    /// Takes in an update. What cannot be used is refused alone, with the reason, and what was held stays.
    pub fn update(&self, update: proto::ServiceUpdate) -> Result<(), String> {
        let Some(subscription) = self.subscriptions.borrow().get(&update.subscription).cloned() else {
            return Ok(());
        };
        let knowledge = if update.found {
            let before = match &*subscription.knowledge.borrow() {
                Knowledge::Service(service) if !update.full => Some(service.clone()),
                _ => None,
            };
            self.apply(before.as_deref(), &update).inspect_err(|reason| {
                self.wish(Wish::Reject(update.subscription.clone(), update.revision, reason.clone()));
            })?
        } else {
            Knowledge::Nothing
        };
        subscription.knowledge.send_replace(knowledge);
        Ok(())
    }

    fn apply(&self, before: Option<&Service>, update: &proto::ServiceUpdate) -> Result<Knowledge, String> {
        let virtual_address = update
            .virtual_address
            .parse()
            .map_err(|_| format!("virtual address {:?} is no IPv4 address", update.virtual_address))?;
        let ports = update
            .ports
            .iter()
            .map(|port| Ok((port_number(port.port)?, declared(port.protocol()))))
            .collect::<Result<Vec<_>, String>>()?;
        let mut added = Vec::with_capacity(update.endpoints_added.len());
        for endpoint in &update.endpoints_added {
            added.push(self.endpoint(endpoint, &update.service, &update.namespace)?);
        }
        let replaced = |id: &str| added.iter().any(|endpoint| endpoint.id == id) || update.endpoints_removed.iter().any(|gone| gone == id);
        let kept = before
            .into_iter()
            .flat_map(|service| &service.endpoints)
            .filter(|endpoint| !replaced(&endpoint.id))
            .cloned();
        let endpoints = kept.chain(added.iter().cloned()).collect();
        Ok(Knowledge::Service(Rc::new(Service {
            name: update.service.clone(),
            namespace: update.namespace.clone(),
            revision: update.revision,
            virtual_address,
            ports,
            endpoints,
        })))
    }

    /// The endpoint with what was learned about it, when it is known already under the same address and identity.
    fn endpoint(&self, update: &proto::Endpoint, service: &str, namespace: &str) -> Result<Rc<Endpoint>, String> {
        let address: IpAddr = update
            .address
            .parse()
            .map_err(|_| format!("endpoint {:?}: address {:?} is no IP address", update.id, update.address))?;
        let inbound_port = u16::try_from(update.inbound_port)
            .map_err(|_| format!("endpoint {:?}: inbound port {} is no port", update.id, update.inbound_port))?;
        if (inbound_port == 0) != update.identity.is_empty() {
            return Err(format!(
                "endpoint {:?}: identity and inbound port come together or not at all",
                update.id
            ));
        }
        let ports = update
            .ports
            .iter()
            .map(|port| Ok((port_number(port.service_port)?, port_number(port.target_port)?)))
            .collect::<Result<Vec<_>, String>>()?;
        let mut endpoints = self.endpoints.borrow_mut();
        let known = endpoints.get(&update.id).and_then(Weak::upgrade);
        let fresh = Endpoint::new(&update.id, address, inbound_port, &update.identity, ports, service, namespace);
        let endpoint = match known {
            Some(known) if known.same_place(&fresh) => known,
            _ => Rc::new(fresh),
        };
        endpoints.insert(update.id.clone(), Rc::downgrade(&endpoint));
        Ok(endpoint)
    }

    /// Compares a digest with what is held. False when an update was lost; the service is then asked for anew.
    pub fn verify(&self, digest: &proto::Digest) -> bool {
        let Some(subscription) = self.subscriptions.borrow().get(&digest.subscription).cloned() else {
            return true;
        };
        let Some(service) = subscription.service_unused() else {
            return true;
        };
        let hash = service
            .endpoints
            .iter()
            .fold(0, |hash, endpoint| hash ^ fnv1a(endpoint.id.as_bytes()));
        let matches = service.revision == digest.revision
            && service.endpoints.len() == digest.endpoint_count as usize
            && hash == digest.endpoint_hash;
        if !matches {
            self.wish(Wish::Subscribe(subscription.name.clone(), 0));
        }
        matches
    }

    /// Ends the subscriptions that were not used for a while and forgets endpoints that nobody holds.
    pub fn sweep(&self) {
        self.subscriptions.borrow_mut().retain(|name, subscription| {
            let limit = if subscription.revision() == 0 {
                IDLE_LIMIT_NOT_FOUND
            } else {
                IDLE_LIMIT
            };
            let used = Rc::strong_count(subscription) > 1 || subscription.used.get().elapsed() < limit;
            if !used {
                self.wish(Wish::Unsubscribe(name.clone()));
            }
            used
        });
        self.endpoints.borrow_mut().retain(|_, endpoint| endpoint.strong_count() > 0);
        for endpoint in self.endpoints.borrow().values().filter_map(Weak::upgrade) {
            endpoint.sweep();
        }
    }

    fn wish(&self, wish: Wish) {
        // The receiver lives as long as the sidecar.
        let _ = self.wishes.send(wish);
    }
}

impl Subscription {
    /// The service as it is now, if there is one. It does not count as use.
    pub fn service_unused(&self) -> Option<Rc<Service>> {
        let used = self.used.get();
        let service = self.service();
        self.used.set(used);
        service
    }
}

fn declared(protocol: proto::Protocol) -> Option<Protocol> {
    match protocol {
        proto::Protocol::Unspecified => None,
        proto::Protocol::Http1 => Some(Protocol::Http1),
        proto::Protocol::Http2 => Some(Protocol::Http2),
        proto::Protocol::Tcp => Some(Protocol::Tcp),
    }
}

/// FNV-1a, 64 bits (draft-eastlake-fnv), as the digests use it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(id: &str, port: u32) -> proto::Endpoint {
        proto::Endpoint {
            id: id.into(),
            address: "127.0.0.1".into(),
            inbound_port: port,
            identity: "spiffe://weft.local/ns/default/sa/users".into(),
            ports: vec![proto::EndpointPort {
                service_port: 80,
                target_port: 8080,
            }],
        }
    }

    fn update(revision: u64, full: bool, added: &[(&str, u32)], removed: &[&str]) -> proto::ServiceUpdate {
        proto::ServiceUpdate {
            subscription: "users".into(),
            revision,
            full,
            found: true,
            namespace: "default".into(),
            service: "users".into(),
            virtual_address: "198.18.0.1".into(),
            ports: vec![proto::ServicePort { port: 80, protocol: 0 }],
            endpoints_added: added.iter().map(|(id, port)| endpoint(id, *port)).collect(),
            endpoints_removed: removed.iter().map(|id| id.to_string()).collect(),
        }
    }

    fn held(services: &Services) -> Vec<String> {
        let service = services.subscribe("users").unwrap().service().unwrap();
        let mut ids: Vec<_> = service.endpoints.iter().map(|endpoint| endpoint.id.clone()).collect();
        ids.sort();
        ids
    }

    fn subscribed() -> (Rc<Services>, mpsc::UnboundedReceiver<Wish>) {
        let (services, mut wishes) = Services::new();
        services.subscribe("users").unwrap();
        assert_eq!(wishes.try_recv().unwrap(), Wish::Subscribe("users".into(), 0));
        (services, wishes)
    }

    #[test]
    fn differences_add_and_remove_and_a_full_update_replaces() {
        let (services, _wishes) = subscribed();
        services.update(update(1, true, &[("a", 1), ("b", 2)], &[])).unwrap();
        services.update(update(2, false, &[("c", 3)], &["a"])).unwrap();
        assert_eq!(held(&services), ["b", "c"]);
        services.update(update(3, true, &[("d", 4)], &[])).unwrap();
        assert_eq!(held(&services), ["d"]);
        assert_eq!(services.resume(), [("users".to_owned(), 3)]);
    }

    #[test]
    fn very_many_names_that_do_not_exist_keep_out_no_service() {
        let (services, mut wishes) = subscribed();
        services.update(update(1, true, &[("a", 1)], &[])).unwrap();
        for number in 0..MAX_SUBSCRIPTIONS * 2 {
            services.subscribe(&format!("no-such-{number}")).unwrap();
        }
        assert_eq!(services.resume().len(), MAX_SUBSCRIPTIONS);
        assert_eq!(held(&services), ["a"]);
        let gone = std::iter::from_fn(|| wishes.try_recv().ok()).filter(|wish| matches!(wish, Wish::Unsubscribe(_)));
        assert_eq!(gone.count(), MAX_SUBSCRIPTIONS + 1);
    }

    #[test]
    fn an_endpoint_keeps_what_was_learned_until_it_moves() {
        let (services, _wishes) = subscribed();
        services.update(update(1, true, &[("a", 1)], &[])).unwrap();
        let before = services.subscribe("users").unwrap().service().unwrap().endpoints[0].clone();
        services.update(update(2, true, &[("a", 1)], &[])).unwrap();
        assert!(Rc::ptr_eq(
            &before,
            &services.subscribe("users").unwrap().service().unwrap().endpoints[0]
        ));
        services.update(update(3, false, &[("a", 9)], &[])).unwrap();
        assert!(!Rc::ptr_eq(
            &before,
            &services.subscribe("users").unwrap().service().unwrap().endpoints[0]
        ));
    }

    #[test]
    fn an_update_that_makes_no_sense_is_refused_and_what_was_held_stays() {
        let (services, mut wishes) = subscribed();
        services.update(update(1, true, &[("a", 1)], &[])).unwrap();
        let mut bad = update(2, false, &[("b", 70_000)], &[]);
        let reason = services.update(bad.clone()).unwrap_err();
        assert!(reason.contains("70000"), "{reason}");
        assert!(matches!(wishes.try_recv().unwrap(), Wish::Reject(name, 2, _) if name == "users"));
        bad.endpoints_added[0].inbound_port = 0;
        assert!(services.update(bad).unwrap_err().contains("identity"));
        assert_eq!(held(&services), ["a"]);
    }

    #[test]
    fn a_lost_update_is_found_by_the_digest_and_asked_for_anew() {
        let (services, mut wishes) = subscribed();
        services.update(update(1, true, &[("a", 1)], &[])).unwrap();
        let good = proto::Digest {
            subscription: "users".into(),
            revision: 1,
            endpoint_count: 1,
            endpoint_hash: fnv1a(b"a"),
        };
        assert!(services.verify(&good));
        assert!(!services.verify(&proto::Digest {
            revision: 2,
            endpoint_count: 2,
            endpoint_hash: fnv1a(b"a") ^ fnv1a(b"b"),
            ..good
        }));
        assert_eq!(wishes.try_recv().unwrap(), Wish::Subscribe("users".into(), 0));
    }

    #[test]
    fn hashes_are_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
