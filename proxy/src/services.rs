//! What the sidecar knows of the services that its application uses. The discovery stream writes it; connections read immutable snapshots.
//!
//! What the application asks for is an alias. It leads to resources, which have canonical names and are held once, however many aliases lead to them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::dns::names;
use crate::endpoint::Endpoint;
use crate::proto::{self, Rejection, ResourceType, ResourceVersion};
use crate::route::Routes;

mod alias;
mod endpoints;
mod resources;
mod service;
mod silence;

use alias::Knowledge;
pub use alias::{Alias, Leads};
use resources::Resources;
pub use service::Service;
use silence::Silence;

/// Aliases that nobody used for this long are released.
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// The same for names that no service has.
const IDLE_LIMIT_NOT_FOUND: Duration = Duration::from_secs(60);
/// At most this many aliases are followed at a time.
const MAX_ALIASES: usize = 4_096;
/// Wishes that wait for a controller that is away or slow. With so many nothing new is wished for.
const MAX_WISHES: usize = 4 * MAX_ALIASES;

/// Characters of a name (RFC 1035, 3.1). The controller ends a stream that asks for a longer one, and with it all that others ask for.
const MAX_NAME: usize = 253;

/// What the discovery stream should tell the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Follow an alias.
    Resolve(String),
    /// Follow it no more.
    Release(String),
}

/// The alias of a port that a service may have published on the host's loopback.
pub fn published_name(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// What is known behind a name or virtual address that was looked up.
#[derive(Debug)]
pub enum Found {
    /// An alias that leads to a service.
    Service(Rc<Alias>),
    /// There is no such service.
    Nothing,
    /// The controller does not answer.
    Unanswered {
        /// Whether nobody but the mesh may be asked: an answer from elsewhere would be somebody else's.
        ours: bool,
    },
}

/// All aliases and resources of the sidecar.
#[derive(Debug)]
pub struct Services {
    aliases: RefCell<HashMap<String, Rc<Alias>>>,
    resources: RefCell<Resources>,
    generation: Cell<u64>,
    wishes: mpsc::Sender<Wish>,
    namespace: String,
    silence: Silence,
}

impl Services {
    /// Empty tables for a workload of `namespace`, and the wishes that the discovery stream passes on. They are bounded by the number of aliases.
    pub fn new(namespace: &str) -> (Rc<Services>, mpsc::Receiver<Wish>) {
        let (wishes, receiver) = mpsc::channel(MAX_WISHES);
        (
            Rc::new(Services {
                aliases: RefCell::default(),
                resources: RefCell::default(),
                generation: Cell::new(1),
                wishes,
                namespace: namespace.to_owned(),
                silence: Silence::new(),
            }),
            receiver,
        )
    }

    /// Follows a name or a dotted virtual address, if it is not followed yet. The one that leads nowhere and that was longest not asked for gives way when there
    /// are too many. None when all are in use.
    pub fn follow(&self, name: &str) -> Option<Rc<Alias>> {
        if name.len() > MAX_NAME {
            return None;
        }
        let mut aliases = self.aliases.borrow_mut();
        if let Some(known) = aliases.get(name) {
            known.used.set(Instant::now());
            return Some(known.clone());
        }
        // One that gives way is wished away, too.
        if self.wishes.capacity() < 2 {
            return None;
        }
        if aliases.len() >= MAX_ALIASES {
            let spare = aliases
                .values()
                .filter(|alias| Rc::strong_count(alias) == 1 && alias.leads().is_none());
            let oldest = spare.min_by_key(|alias| alias.used.get())?.name.clone();
            aliases.remove(&oldest);
            self.wish(Wish::Release(oldest));
        }
        let alias = Rc::new(Alias::new(name));
        aliases.insert(name.to_owned(), alias.clone());
        self.wish(Wish::Resolve(name.to_owned()));
        Some(alias)
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
        let Some(alias) = self.follow(name) else {
            return Found::Unanswered { ours };
        };
        if let Some(found) = self.found(&alias) {
            return found;
        }
        if !self.silence.is_connected()
            && let Some(known) = self.known(name)
        {
            return Found::Service(known);
        }
        let mut knowledge = alias.knowledge.subscribe();
        let answered = knowledge.wait_for(|knowledge| !matches!(knowledge, Knowledge::Asked));
        // A time-out leaves what is known as it is, which the next line reads.
        let _ = timeout_at(self.silence.deadline(ours), answered).await;
        self.found(&alias)
            .or_else(|| self.known(name).map(Found::Service))
            .unwrap_or(Found::Unanswered { ours })
    }

    /// What the controller said; None when it has not said anything yet, or only what could not be used.
    fn found(&self, alias: &Rc<Alias>) -> Option<Found> {
        alias.used.set(Instant::now());
        match &*alias.knowledge.borrow() {
            Knowledge::Asked => None,
            Knowledge::Nothing => Some(Found::Nothing),
            Knowledge::Leads(leads) => self.service(&leads.service).map(|_| Found::Service(alias.clone())),
        }
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
        let exists = |alias: &Rc<Alias>| {
            let leads = alias.leads();
            leads.is_some_and(|leads| service::split(&leads.service).1.eq_ignore_ascii_case(namespace))
        };
        namespace.eq_ignore_ascii_case(&self.namespace) || self.aliases.borrow().values().any(exists)
    }

    /// An alias that leads to the service which is meant by another of its names, or by its virtual address.
    fn known(&self, name: &str) -> Option<Rc<Alias>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let plain = name.strip_suffix(".weft").unwrap_or(name);
        let meant = plain.split_once('.').unwrap_or((plain, &self.namespace));
        let address: Option<IpAddr> = name.parse().ok();
        let is_meant = |service: Rc<Service>| {
            address.is_some_and(|address| service.addresses.contains(&address)) || service::split(&service.full_name) == meant
        };
        let aliases = self.aliases.borrow();
        let mut known = aliases.values();
        known
            .find(|alias| alias.leads().and_then(|leads| self.service(&leads.service)).is_some_and(is_meant))
            .cloned()
    }

    /// A service by its canonical name, as it is now.
    pub fn service(&self, name: &str) -> Option<Rc<Service>> {
        self.resources.borrow().service(name)
    }

    /// Routes by their canonical name, as they are now.
    pub fn routes(&self, name: &str) -> Option<Rc<Routes>> {
        self.resources.borrow().routes(name)
    }

    /// The endpoints of a service by its canonical name, as they are now.
    pub fn endpoints(&self, name: &str) -> Option<Rc<[Rc<Endpoint>]>> {
        self.resources.borrow().endpoints(name)
    }

    /// The version that is held of a resource; empty when nothing is.
    pub fn version(&self, kind: ResourceType, name: &str) -> String {
        self.resources.borrow().version(kind, name).to_owned()
    }

    /// Another number after each change of an alias or a resource: whoever read them at the same generation need not read them again.
    pub fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Every alias, for a new discovery stream.
    pub fn resume(&self) -> Vec<String> {
        self.aliases.borrow().keys().cloned().collect()
    }

    /// Every resource, for a new discovery stream.
    pub fn held(&self) -> Vec<ResourceVersion> {
        self.resources.borrow().versions()
    }

    /// Every alias.
    pub fn all(&self) -> Vec<Rc<Alias>> {
        self.aliases.borrow().values().cloned().collect()
    }

    /// Takes in what an alias leads to. An error says what of it cannot be used; what it led to stays.
    pub fn lead(&self, told: &proto::Alias) -> Result<(), String> {
        let Some(alias) = self.aliases.borrow().get(&told.alias).cloned() else {
            return Ok(());
        };
        let knowledge = Knowledge::from_proto(told)?;
        self.changed();
        alias.knowledge.send_replace(knowledge);
        Ok(())
    }

    /// Takes in an update. What cannot be used is refused alone, with the reason, and what was held stays.
    pub fn update(&self, update: &proto::Update) -> Result<ResourceVersion, Rejection> {
        let mut resources = self.resources.borrow_mut();
        let updated = resources.update(update);
        let resource = update.resource.clone().unwrap_or_default();
        match updated {
            Ok(()) => {
                self.changed();
                Ok(resource)
            }
            Err(reason) => Err(Rejection {
                held: resources.version(resource.r#type(), &resource.name).to_owned(),
                rejected: Some(resource),
                reason,
            }),
        }
    }

    /// Forgets a resource that nothing leads to any more.
    pub fn remove(&self, removal: &proto::Removal) {
        self.resources.borrow_mut().remove(removal.r#type(), &removal.name);
        self.changed();
    }

    fn changed(&self) {
        self.generation.set(self.generation.get() + 1);
    }

    /// Releases the aliases that were not used for a while, and closes connections to endpoints that were idle for long.
    pub fn sweep(&self) {
        self.aliases.borrow_mut().retain(|name, alias| {
            let limit = match alias.leads() {
                Some(_) => IDLE_LIMIT,
                None => IDLE_LIMIT_NOT_FOUND,
            };
            let used = Rc::strong_count(alias) > 1 || alias.used.get().elapsed() < limit;
            used || !self.wish(Wish::Release(name.clone()))
        });
        self.resources.borrow().all_endpoints().for_each(|endpoint| endpoint.sweep());
    }

    /// False when there are too many. A later sweep makes it good.
    fn wish(&self, wish: Wish) -> bool {
        self.wishes.try_send(wish).is_ok()
    }
}

#[cfg(test)]
mod tests;
