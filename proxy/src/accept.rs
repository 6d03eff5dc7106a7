//! Taking in the connections that others open.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::errors;
use crate::open::{self, Connection, Group};
use crate::sidecar::Sidecar;
use crate::stream::Stream;

/// Pause after the kernel gave no connection, for lack of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections of `group` and serves each in a task of its own, until draining starts. Connections that wait in the kernel then are still taken.
pub async fn accept<Serving>(
    listener: &TcpListener,
    sidecar: &Sidecar,
    group: &Rc<Group>,
    mut serve: impl FnMut(TcpStream, SocketAddr, Rc<Connection>) -> Serving,
) where
    Serving: Future<Output = ()> + 'static,
{
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = sidecar.drain.started() => return,
        };
        match accepted {
            Ok((tcp, address)) => {
                let Some(entered) = open::enter(group, &tcp) else {
                    let detail = "all others were active".to_owned();
                    sidecar.metrics.refused(errors::TOO_MANY_CONNECTIONS, address.ip(), detail);
                    Stream::from(tcp).reset_on_close();
                    continue;
                };
                let counted = sidecar.drain.connection();
                let connection = entered.connection().clone();
                let serving = serve(tcp, address, connection.clone());
                let task = tokio::task::spawn_local(async move {
                    serving.await;
                    drop((counted, entered));
                });
                open::served_by(&connection, task.abort_handle());
            }
            Err(error) => {
                open::starved(format!("a connection could not be accepted: {error}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
