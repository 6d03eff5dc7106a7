//! `weft-launch`: puts a program behind a sidecar. Started by `weft run`.

fn main() {}
