//! Lines for people in the sidecar's log: rare events only, never one for each request.

/// Writes one line with the time to standard error, which the launcher leads to the workload's log.
macro_rules! log {
    ($($argument:tt)*) => {
        $crate::log::write(format_args!($($argument)*))
    };
}
pub(crate) use log;

use std::cell::Cell;
use std::fmt::Arguments;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Lines a second beyond which the rest are left out, so that a flood of trouble does not fill the disk.
const LINES_PER_SECOND: u32 = 20;

thread_local! {
    static BUDGET: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
}

pub(crate) fn write(message: Arguments<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (second, lines) = BUDGET.get();
    let lines = if second == now.as_secs() { lines + 1 } else { 1 };
    BUDGET.set((now.as_secs(), lines));
    if lines > LINES_PER_SECOND {
        return;
    }
    let rest = if lines == LINES_PER_SECOND {
        " (further lines of this second are left out)"
    } else {
        ""
    };
    let text = message.to_string();
    // Whoever the text comes from must not be able to write lines or terminal codes of their own.
    let text: String = text
        .chars()
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect();
    // There is nowhere to tell that the log cannot be written.
    let _ = writeln!(std::io::stderr(), "{}.{:03} {text}{rest}", now.as_secs(), now.subsec_millis());
}
