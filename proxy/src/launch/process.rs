//! Waiting for a child process, with patience that ends.

use std::process::{Child, ExitStatus};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const POLL: Duration = Duration::from_millis(2);

/// Waits until `child` has ended, at most `patience`; then kills it.
pub async fn end(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let ended = async {
        loop {
            match child.try_wait() {
                Ok(None) => sleep(POLL).await,
                other => return other.ok().flatten(),
            }
        }
    };
    if let Ok(status) = timeout(patience, ended).await {
        return status;
    }
    let _ = child.kill();
    child.wait().ok()
}
