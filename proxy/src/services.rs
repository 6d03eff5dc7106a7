//! What the sidecar knows of the services that its application uses. The discovery stream writes it; connections read immutable snapshots.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::timeout_at;

use crate::dns::names;
use crate::endpoint::Endpoint;
use crate::metrics::Protocol;
use crate::proto::{self, port_number};

mod silence;
mod subscription;

use silence::Silence;
use subscription::Knowledge;
pub use subscription::{Found, Subscription};

/// Subscriptions that nobody used for this long end.
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// The same for names that no service has.
const IDLE_LIMIT_NOT_FOUND: Duration = Duration::from_secs(60);
/// At most this many names are asked for at a time.
const MAX_SUBSCRIPTIONS: usize = 4_096;
/// Wishes that wait for a controller that is away or slow. With so many nothing new is wished for.
const MAX_WISHES: usize = 4 * MAX_SUBSCRIPTIONS;

/// Characters of a name (RFC 1035, 3.1). The controller ends a stream that asks for a longer one, and with it all that others ask for.
const MAX_NAME: usize = 253;

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

/// What is subscribed to for a port that a service may have published on the host's loopback.
pub fn published_name(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// All subscriptions of the sidecar.
#[derive(Debug)]
pub struct Services {
    subscriptions: RefCell<HashMap<String, Rc<Subscription>>>,
    endpoints: RefCell<HashMap<String, Weak<Endpoint>>>,
    wishes: mpsc::Sender<Wish>,
    namespace: String,
    silence: Silence,
}

impl Services {
    /// An empty table for a workload of `namespace`, and the wishes that the discovery stream passes on. They are bounded by the number of subscriptions.
    pub fn new(namespace: &str) -> (Rc<Services>, mpsc::Receiver<Wish>) {
        let (wishes, receiver) = mpsc::channel(MAX_WISHES);
        (
            Rc::new(Services {
                subscriptions: RefCell::default(),
                endpoints: RefCell::default(),
                wishes,
                namespace: namespace.to_owned(),
                silence: Silence::new(),
            }),
            receiver,
        )
    }

    /// The subscription for a name or a dotted virtual address, made when it is new. The name that no service has and that was longest not asked for gives
    /// way when there are too many. None when all are in use.
    pub fn subscribe(&self, name: &str) -> Option<Rc<Subscription>> {
        if name.len() > MAX_NAME {
            return None;
        }
        let mut subscriptions = self.subscriptions.borrow_mut();
        if let Some(known) = subscriptions.get(name) {
            known.used.set(Instant::now());
            return Some(known.clone());
        }
        // One that gives way is wished away, too.
        if self.wishes.capacity() < 2 {
            return None;
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

    /// The service behind a name or virtual address, waiting for the controller's first answer for as long as it is likely to come.
    pub async fn find(&self, name: &str) -> Found {
        if !names::virtual_address(name) && !names::candidate(name) {
            return Found::Nothing;
        }
        self.ask(name, self.is_ours(name)).await
    }

    /// The service that has published a port on the host's loopback, as far as the controller says.
    pub async fn find_published(&self, port: u16) -> Found {
        self.ask(&published_name(port), false).await
    }

    async fn ask(&self, name: &str, ours: bool) -> Found {
        let Some(subscription) = self.subscribe(name) else {
            return Found::Unanswered { ours };
        };
        if let Some(found) = subscription.found() {
            return found;
        }
        if !self.silence.is_connected()
            && let Some(known) = self.known(name)
        {
            return Found::Service(known);
        }
        let mut knowledge = subscription.knowledge.subscribe();
        let answered = knowledge.wait_for(|knowledge| !matches!(knowledge, Knowledge::Asked));
        // A time-out leaves what is known as it is, which the next line reads.
        let _ = timeout_at(self.silence.deadline(ours), answered).await;
        subscription
            .found()
            .or_else(|| self.known(name).map(Found::Service))
            .unwrap_or(Found::Unanswered { ours })
    }

    /// Something came from the controller, so it answers.
    pub fn heard(&self) {
        self.silence.ended();
    }

    /// The discovery stream was lost.
    pub fn lost(&self) {
        self.silence.disconnected();
    }

    /// True for what only the mesh can know: its addresses, names without a dot, those below `.weft`, and those of a namespace that is known to exist.
    fn is_ours(&self, name: &str) -> bool {
        if names::virtual_address(name) || names::only_here(name) {
            return true;
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        let Some((_, namespace)) = name.rsplit_once('.') else {
            return true;
        };
        let exists = |known: &Rc<Subscription>| match &*known.knowledge.borrow() {
            Knowledge::Service(service) => service.namespace.eq_ignore_ascii_case(namespace),
            Knowledge::Asked | Knowledge::Nothing => false,
        };
        namespace.eq_ignore_ascii_case(&self.namespace) || self.subscriptions.borrow().values().any(exists)
    }

    /// A service that is known under another of its names, or under its virtual address.
    fn known(&self, name: &str) -> Option<Rc<Subscription>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let plain = name.strip_suffix(".weft").unwrap_or(name);
        let (first, namespace) = plain.split_once('.').unwrap_or((plain, &self.namespace));
        let address: Option<Ipv4Addr> = name.parse().ok();
        let subscriptions = self.subscriptions.borrow();
        let mut held = subscriptions.values();
        let found = held.find(|held| match &*held.knowledge.borrow() {
            Knowledge::Service(service) => {
                Some(service.virtual_address) == address || (service.name == first && service.namespace == namespace)
            }
            Knowledge::Asked | Knowledge::Nothing => false,
        });
        found.cloned()
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
            used || !self.wish(Wish::Unsubscribe(name.clone()))
        });
        self.endpoints.borrow_mut().retain(|_, endpoint| endpoint.strong_count() > 0);
        for endpoint in self.endpoints.borrow().values().filter_map(Weak::upgrade) {
            endpoint.sweep();
        }
    }

    /// False when there are too many. A later sweep or digest makes it good.
    fn wish(&self, wish: Wish) -> bool {
        self.wishes.try_send(wish).is_ok()
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
mod tests;
