//! The sidecar as the rest of the launcher sees it; `keeper` does the work.

use crate::bootstrap::{Redirection, Role};
use crate::launch::api::Api;
use crate::launch::arguments::Arguments;
use crate::launch::failure::Failure;
use crate::launch::keeper::{Keeper, Plan};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A sidecar that does not answer holds up the program's signal no longer than this; one that does is done sooner.
const WITHDRAWN: Duration = Duration::from_secs(4);

/// What happens to the sidecar.
#[derive(Debug)]
pub enum Event {
    /// It can carry the program's calls.
    Ready,
    /// The controller had forgotten the workload, and has it in its registry again.
    Registered,
    /// A person removed the workload from the mesh: there is no sidecar any more, and none follows.
    Removed,
    /// It, or what it needs, failed. A new attempt follows.
    Trouble(Trouble),
}

/// What failed.
#[derive(Debug)]
pub struct Trouble {
    /// For the person.
    pub failure: Failure,
    /// Whether waiting may help; a program that has not started yet does not wait otherwise.
    pub passing: bool,
}

/// What has become of the sidecar since the program's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// How often it was started again.
    pub restarts: u32,
    /// How the last one that ended did so.
    pub last_end: Option<End>,
    /// How often the workload was registered anew.
    pub registrations: u32,
}

/// The end of a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// How, for example "signal 9".
    pub reason: String,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
}

/// What the keeper is told.
pub enum Order {
    /// A listener for this and all later sidecars.
    Publish(u16, OwnedFd),
    /// The program is about to get a signal that ends it. Answered, or dropped where there is no sidecar to do it, once that may be sent.
    Withdraw(oneshot::Sender<()>),
    /// The workload ends: it is not registered anew from now on, which is answered.
    Leave(oneshot::Sender<()>),
    /// End the sidecar in order.
    Stop,
    /// End it at once.
    Kill,
}

/// A sidecar that is kept running.
pub struct Sidecar {
    orders: mpsc::Sender<Order>,
    events: mpsc::Receiver<Event>,
    life: watch::Receiver<Life>,
    task: JoinHandle<()>,
}

impl Sidecar {
    /// Starts it, and starts it again when it ends.
    pub fn keep(arguments: &Arguments, api: Api, redirection: Redirection, descriptors: Vec<(Role, OwnedFd)>) -> Sidecar {
        let (orders, incoming) = mpsc::channel(16);
        let (outgoing, events) = mpsc::channel(16);
        let (living, life) = watch::channel(Life::default());
        let keeper = Keeper::new(Plan::new(arguments, redirection), api, descriptors, incoming, outgoing, living);
        Sidecar {
            orders,
            events,
            life,
            task: tokio::spawn(keeper.run()),
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// What hands over listeners that are opened later.
    pub fn publisher(&self) -> Publisher {
        Publisher(self.orders.clone())
    }

    /// What has become of it, now and later.
    pub fn life(&self) -> watch::Receiver<Life> {
        self.life.clone()
    }

    /// Lets calls go elsewhere before the program gets a signal that ends it. Resolves when none is under way, or after a few seconds.
    pub fn withdraw(&self) -> impl Future<Output = ()> + use<> {
        let orders = self.orders.clone();
        async move {
            let (answer, withdrawn) = oneshot::channel();
            let answered = async {
                if orders.send(Order::Withdraw(answer)).await.is_ok() {
                    // Dropped, there is nobody to wait for.
                    let _ = withdrawn.await;
                }
            };
            let _ = timeout(WITHDRAWN, answered).await;
        }
    }

    /// From now on the workload is not registered anew.
    pub async fn leave(&mut self) {
        // Nobody reads events any more; a full queue must not hold the keeper.
        self.events.close();
        let (answer, left) = oneshot::channel();
        if self.orders.send(Order::Leave(answer)).await.is_ok() {
            // If the keeper is gone, it does not register anything either.
            let _ = left.await;
        }
    }

    /// Ends it in order, within 12 s. `hurry` cuts that short.
    pub async fn stop(mut self, hurry: impl Future<Output = ()>) {
        if self.orders.send(Order::Stop).await.is_err() {
            return;
        }
        tokio::pin!(hurry);
        tokio::select! {
            _ = &mut self.task => return,
            () = &mut hurry => {}
        }
        let _ = self.orders.send(Order::Kill).await;
        let _ = self.task.await;
    }
}

/// Hands listeners to the sidecar, and to those that follow it.
#[derive(Clone)]
pub struct Publisher(mpsc::Sender<Order>);

impl Publisher {
    /// A port of the service that is open on the host now.
    pub async fn publish(&self, port: u16, listener: OwnedFd) {
        let _ = self.0.send(Order::Publish(port, listener)).await;
    }
}
