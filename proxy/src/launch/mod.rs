//! `weft-launch`: puts a program behind a sidecar.
//!
//! Two processes of it run for each program. The one outside (`outside`, in the host's namespaces) holds the listeners, starts the sidecar, passes signals on
//! and ends as the program did. The one inside (`inside`, in the program's namespaces) prepares the network, makes sockets for the sidecar and is the
//! program's parent. They talk over one socket (`link`).

mod api;
mod arguments;
mod environment;
mod failure;
mod families;
mod files;
mod inside;
mod json;
mod keeper;
mod link;
mod namespace;
mod netlink;
mod network;
mod obstacle;
mod outside;
mod process;
mod publish;
mod redirect;
mod report;
mod sidecar;
mod signals;
mod way;

pub(crate) use link::Link;
pub(crate) use signals::Signals;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `weft-launch` with the arguments that follow the program's name.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    match arguments.split_first() {
        Some((first, rest)) if first == inside::COMMAND => inside::main(rest),
        _ => outside::main(arguments),
    }
}
