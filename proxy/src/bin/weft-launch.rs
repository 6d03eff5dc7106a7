//! `weft-launch`: puts a program behind a sidecar. Started by `weft run`.

fn main() -> std::process::ExitCode {
    weft_proxy::launch::main(std::env::args_os().skip(1).collect())
}
