//! The resources that the controller sent: each once, by its canonical name, with its version.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Service, endpoints, service};
use crate::endpoint::Endpoint;
use crate::proto::update::Content;
use crate::proto::{self, ResourceType, ResourceVersion};
use crate::route::Routes;

/// A resource in one version.
#[derive(Debug)]
struct Held<T: ?Sized> {
    version: String,
    content: Rc<T>,
}

type Table<T> = HashMap<String, Held<T>>;

/// All that is held.
#[derive(Debug, Default)]
pub(super) struct Resources {
    services: Table<Service>,
    routes: Table<Routes>,
    endpoints: Table<[Rc<Endpoint>]>,
}

impl Resources {
    /// A service.
    pub fn service(&self, name: &str) -> Option<Rc<Service>> {
        Some(self.services.get(name)?.content.clone())
    }

    /// Routes.
    pub fn routes(&self, name: &str) -> Option<Rc<Routes>> {
        Some(self.routes.get(name)?.content.clone())
    }

    /// The endpoints of a service.
    pub fn endpoints(&self, name: &str) -> Option<Rc<[Rc<Endpoint>]>> {
        Some(self.endpoints.get(name)?.content.clone())
    }

    /// Every endpoint.
    pub fn all_endpoints(&self) -> impl Iterator<Item = &Rc<Endpoint>> {
        self.endpoints.values().flat_map(|held| held.content.iter())
    }

    /// The version that is held of a resource; empty when nothing is.
    pub fn version(&self, kind: ResourceType, name: &str) -> &str {
        let version = match kind {
            ResourceType::Service => self.services.get(name).map(|held| &held.version),
            ResourceType::Routes => self.routes.get(name).map(|held| &held.version),
            ResourceType::Endpoints => self.endpoints.get(name).map(|held| &held.version),
            ResourceType::Unspecified => None,
        };
        version.map_or("", String::as_str)
    }

    /// The versions of all that is held.
    pub fn versions(&self) -> Vec<ResourceVersion> {
        fn of<T: ?Sized>(kind: ResourceType, table: &Table<T>) -> impl Iterator<Item = ResourceVersion> {
            table.iter().map(move |(name, held)| ResourceVersion {
                r#type: kind.into(),
                name: name.clone(),
                version: held.version.clone(),
            })
        }
        of(ResourceType::Service, &self.services)
            .chain(of(ResourceType::Routes, &self.routes))
            .chain(of(ResourceType::Endpoints, &self.endpoints))
            .collect()
    }

    /// Takes an update in. What cannot be used is refused whole, with the reason, and what was held stays.
    pub fn update(&mut self, update: &proto::Update) -> Result<(), String> {
        let Some(ResourceVersion { r#type, name, version }) = &update.resource else {
            return Err("it names no resource".into());
        };
        if service::split(name).1.is_empty() {
            return Err(format!("{name:?} is no canonical name"));
        }
        if version.is_empty() {
            return Err("it has no version".into());
        }
        let kind = ResourceType::try_from(*r#type).map_err(|_| format!("{type} is no type of resource that is known here"))?;
        if !update.base.is_empty() {
            let held = self.version(kind, name);
            if kind != ResourceType::Endpoints {
                return Err("it is a difference, which only endpoints have".into());
            }
            if held != update.base {
                return Err(format!("it is a difference to version {:?}, and {held:?} is held", update.base));
            }
        }
        match (kind, &update.content) {
            (ResourceType::Service, Some(Content::Service(service))) => {
                hold(&mut self.services, name, version, Rc::new(Service::from_proto(name, service)?));
            }
            (ResourceType::Routes, Some(Content::Routes(routes))) => {
                hold(&mut self.routes, name, version, Rc::new(Routes::from_proto(routes)?));
            }
            (ResourceType::Endpoints, Some(Content::Endpoints(endpoints))) => {
                let known = self.endpoints(name).unwrap_or_default();
                let base: &[Rc<Endpoint>] = if update.base.is_empty() { &[] } else { &known };
                let content = endpoints::updated(name, &known, base, endpoints)?;
                hold(&mut self.endpoints, name, version, content);
            }
            _ => return Err("its content is not of its type, or of a kind that is not known here".into()),
        }
        Ok(())
    }

    /// Forgets a resource.
    pub fn remove(&mut self, kind: ResourceType, name: &str) {
        match kind {
            ResourceType::Service => drop(self.services.remove(name)),
            ResourceType::Routes => drop(self.routes.remove(name)),
            ResourceType::Endpoints => drop(self.endpoints.remove(name)),
            ResourceType::Unspecified => {}
        }
    }
}

fn hold<T: ?Sized>(table: &mut Table<T>, name: &str, version: &str, content: Rc<T>) {
    let version = version.to_owned();
    table.insert(name.to_owned(), Held { version, content });
}
