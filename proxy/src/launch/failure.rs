//! What a person is told when something does not work.

use std::fmt;
use std::io::Write;

/// Exit code for failures of the launcher itself, as of `timeout`, `env` and `docker run`.
pub const EXIT_LAUNCHER: u8 = 125;

/// A failure with a stable code, what happened, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For example "WEFT-L-NO-SIDECAR".
    pub code: String,
    /// What happened, where and why.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl Failure {
    /// See the fields.
    pub fn new(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure {
            code: code.to_owned(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        if !self.hint.is_empty() {
            write!(f, "\n      {}", self.hint)?;
        }
        Ok(())
    }
}

/// One message to the person, on standard error, which may be closed.
pub fn say(text: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "weft: {text}");
}
