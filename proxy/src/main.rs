//! `weft-proxy`: the sidecar. `weft-launch` starts it and tells it by its bootstrap message what to do.

use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use weft_proxy::bootstrap::Channel;

fn main() -> ExitCode {
    let bootstrap = Channel::inherited().and_then(|channel| Ok((channel.receive_bootstrap()?, channel)));
    let (bootstrap, channel) = match bootstrap {
        Ok(received) => received,
        Err(error) => {
            eprintln!(
                "weft-proxy: no bootstrap message on descriptor 3: {error}. The sidecar is started by `weft run`. (WEFT-P-NO-BOOTSTRAP)"
            );
            return ExitCode::from(2);
        }
    };
    // Every connection takes a descriptor or two; the soft limit is meant for programs that use select(2).
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    weft_proxy::sys::settle_heap();
    weft_proxy::tls::install_provider();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("weft-proxy: the kernel gives no event queue: {error}");
            return ExitCode::FAILURE;
        }
    };
    let tasks = tokio::task::LocalSet::new();
    // A task of its own: what `block_on` is given is polled whenever any task has something to do.
    let run = async { tokio::task::spawn_local(weft_proxy::run::run(bootstrap, channel)).await };
    match tasks.block_on(&runtime, run).map_err(std::io::Error::from).flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weft-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}
