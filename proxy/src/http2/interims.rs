//! How many interim heads an answer may have.

use tokio::time::Instant;

/// Those that may come at once.
const AT_ONCE: u64 = 64;

/// Interim heads of one answer. They wait for the client without a window, so there are never very many.
#[derive(Default)]
pub(super) struct Interims {
    count: u64,
    first: Option<Instant>,
}

impl Interims {
    /// Counts one more. False when it is too many: beyond those that may come at once there is one a second, for answers that take long.
    pub(super) fn one_more(&mut self) -> bool {
        self.count += 1;
        self.count <= AT_ONCE + self.first.get_or_insert_with(Instant::now).elapsed().as_secs()
    }
}
