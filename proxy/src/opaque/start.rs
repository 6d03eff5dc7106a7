//! The start of a connection for bytes, judged before it reaches a program: could a server of HTTP, however lenient, find a request in it?
//!
//! What is looked for, and why no more than that:
//! - `HTTP/` in capitals, anywhere in the first 8 KiB. Every server wants it at the end of a request line; what stands before it may be anything, as some
//!   take any bytes for a method, a target or a blank.
//! - `http/` in small letters as the beginning of a word of the first line. Few servers take it, none of them further down, and elsewhere it is common:
//!   `okhttp/5`, `org/apache/http/`, and the ALPN of every TLS ClientHello, where its own length (8, a backspace) stands before it.
//! - A first line as of HTTP/0.9: a method and a target that begins with a slash or holds `//`. Servers that take one read fields below it. Other targets
//!   (`GET key`, as Redis takes it) are told from a request by the line below: fields make it one. Methods in small letters are left to memcached (`get /page`).
//! - The field that says who calls, under every spelling that some program folds to it.
//!
//! A line or binary header of the PROXY protocol may stand before each of them and does not count. A first line that is not complete after 8 KiB is followed
//! to its end, since servers take longer ones.
//!
//! Once the program has spoken, and not HTTP, between two lines of its client, it is no server of HTTP and the rest may say what it likes: mail, queries
//! and messages quote requests.

use super::words::{Word, Words, is_blank};

/// Bytes that are looked at in any case.
const LOOKED_AT: u32 = 8 * 1024;
const VERSION: &[u8] = b"http/";
/// A hyphen stands for anything that is neither letter nor digit.
const NAME: &[u8] = b"weft-client-id";
/// The start of a binary header of the PROXY protocol, version 2.
const PROXY_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// A SETTINGS frame, but for its length: an HTTP/2 server may speak first.
const SETTINGS: [Option<u8>; 9] = [Some(0), None, None, Some(4), Some(0), Some(0), Some(0), Some(0), Some(0)];

/// What was seen of a connection's start.
#[derive(Debug, Default)]
pub struct Start {
    verdict: Verdict,
    line: Line,
    /// Bytes so far, those of PROXY headers not counted.
    seen: u32,
    /// It begins as a record of TLS does.
    is_tls: bool,
    /// A NUL or a leading control byte was seen: what is under way is no text.
    is_binary: bool,
    /// The byte before this one.
    previous: u8,
    /// How much of the version, of the name and of the PROXY signature was matched.
    version: usize,
    name: usize,
    signature: usize,
    /// The byte before the version that is being matched, and whether all of it is in capitals.
    before: u8,
    is_capital: bool,
    /// The first word of the first line, and the present field's name.
    method: Word,
    field: Word,
    /// What the program said first.
    answer: [u8; 9],
    answered: usize,
    is_foreign: bool,
    /// What the program says shows nothing.
    is_skeptical: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    #[default]
    Open,
    Passed,
    Http,
}

/// Where in the lines the next byte stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Before the first word.
    #[default]
    Blank,
    Method,
    BeforeTarget,
    /// After the method's blank.
    Words(Words),
    /// Below a line of two words, at the start of a line.
    FieldStart {
        strict: bool,
    },
    FieldName {
        strict: bool,
    },
    FieldValue {
        strict: bool,
    },
    /// After a carriage return at the end of a line, and whether nothing else was on it.
    Return {
        strict: bool,
        empty: bool,
    },
    /// A line of the PROXY protocol.
    Proxy,
    /// In the rest of a PROXY header's fixed part, which ends in the length of what follows.
    ProxyHeader {
        left: u8,
        length: u16,
    },
    /// So much is left of a PROXY header.
    ProxyBody(u16),
    /// Below what could have been a request line.
    Later,
}

impl Start {
    /// A start that is judged whatever the program says: one that answers as a server of HTTP may still be one.
    pub fn skeptical() -> Start {
        Start {
            is_skeptical: true,
            ..Start::default()
        }
    }

    /// Looks at bytes of the client that follow those of the last call. False when they are, or were, taken for HTTP: then nothing of them may pass.
    pub fn passes(&mut self, bytes: &[u8]) -> bool {
        if self.verdict == Verdict::Open {
            self.look(bytes);
        }
        self.verdict != Verdict::Http
    }

    /// The client sends no more. False as for `passes`: its end also ends a line.
    pub fn passes_end(&mut self) -> bool {
        if matches!(self.line, Line::Words(Words { is_request: true, .. })) && self.verdict == Verdict::Open {
            self.verdict = Verdict::Http;
        }
        self.verdict != Verdict::Http
    }

    /// Whether HTTP was found.
    pub fn is_http(&self) -> bool {
        self.verdict == Verdict::Http
    }

    /// Looks at what the program says.
    pub fn answers(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.is_foreign || self.is_skeptical || self.answered == self.answer.len() {
                return;
            }
            self.answer[self.answered] = *byte;
            self.answered += 1;
            let said = &self.answer[..self.answered];
            let version = said.iter().zip(VERSION).all(|(said, wanted)| said.eq_ignore_ascii_case(wanted));
            let settings = said
                .iter()
                .zip(SETTINGS)
                .all(|(said, wanted)| wanted.is_none_or(|wanted| wanted == *said));
            // HTTP/0.9 answers with the document itself.
            let document = matches!(said[0], b'<' | b'\r' | b'\n');
            self.is_foreign = !version && !settings && !document;
        }
    }

    fn look(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.is_over() {
                self.verdict = Verdict::Passed;
                return;
            }
            self.look_at(*byte);
            if self.verdict == Verdict::Http {
                return;
            }
            self.previous = *byte;
        }
    }

    /// Whether what follows cannot make a request.
    fn is_over(&self) -> bool {
        let is_between_lines = self.seen == 0 || !self.is_first_line() || self.is_binary;
        self.seen >= LOOKED_AT && self.line == Line::Later || self.is_foreign && is_between_lines
    }

    fn is_first_line(&self) -> bool {
        matches!(self.line, Line::Blank | Line::Method | Line::BeforeTarget | Line::Words(_))
    }

    fn look_at(&mut self, byte: u8) {
        match self.seen {
            0 => {
                self.is_tls = byte == 0x16;
                self.is_binary = byte < b' ' && !byte.is_ascii_whitespace();
            }
            1 => self.is_tls &= byte == 3,
            _ => {}
        }
        self.seen = self.seen.saturating_add(1);
        self.is_binary |= byte == 0;
        if self.ends_version(byte) || self.ends_name(byte) {
            self.verdict = Verdict::Http;
            return;
        }
        self.line = match self.next(byte) {
            Some(line) => line,
            None => {
                self.verdict = Verdict::Http;
                return;
            }
        };
        self.match_signature(byte);
    }

    fn ends_version(&mut self, byte: u8) -> bool {
        let lower = byte.to_ascii_lowercase();
        if lower == VERSION[0] {
            // No other letter of it is an h.
            (self.version, self.before, self.is_capital) = (1, self.previous, byte == b'H');
            return false;
        }
        if self.version == 0 || lower != VERSION[self.version] {
            self.version = 0;
            return false;
        }
        self.version += 1;
        self.is_capital &= !byte.is_ascii_lowercase();
        if self.version < VERSION.len() {
            return false;
        }
        self.version = 0;
        self.is_capital || self.is_first_line() && self.parts_words(self.before)
    }

    /// Whether some program takes a byte for what stands between words: all that is not visible, as letters beyond ASCII end in such bytes, too.
    fn parts_words(&self, byte: u8) -> bool {
        !(byte.is_ascii_graphic() || self.is_tls && byte == 8)
    }

    fn ends_name(&mut self, byte: u8) -> bool {
        let matches = match NAME[self.name] {
            b'-' => !byte.is_ascii_alphanumeric(),
            letter => byte.to_ascii_lowercase() == letter,
        };
        self.name = if matches {
            self.name + 1
        } else {
            // Only its first letter begins it again.
            usize::from(byte.to_ascii_lowercase() == NAME[0])
        };
        if self.name < NAME.len() {
            return false;
        }
        self.name = 0;
        true
    }

    /// The PROXY protocol's binary header is looked past, with what it carries.
    fn match_signature(&mut self, byte: u8) {
        if self.signature as u32 + 1 == self.seen && PROXY_SIGNATURE.get(self.signature) == Some(&byte) {
            self.signature += 1;
            if self.signature == PROXY_SIGNATURE.len() {
                self.line = Line::ProxyHeader { left: 4, length: 0 };
            }
        }
    }

    /// Begins anew after a header of the PROXY protocol.
    fn restart(&mut self) -> Line {
        (self.seen, self.signature, self.is_binary) = (0, 0, false);
        Line::Blank
    }

    /// Where the byte leads; None when it makes a request.
    fn next(&mut self, byte: u8) -> Option<Line> {
        let is_blank = is_blank(byte);
        Some(match (self.line, byte) {
            (Line::Blank, _) if is_blank || byte == b'\n' => Line::Blank,
            (Line::Blank, _) => {
                self.method = Word::default();
                self.method.push(byte);
                Line::Method
            }
            (Line::Method | Line::BeforeTarget, b'\n') => Line::Later,
            (Line::Method, _) if is_blank && self.method.is(b"PROXY") => Line::Proxy,
            (Line::Method | Line::BeforeTarget, _) if is_blank => Line::BeforeTarget,
            (Line::Method, _) => {
                self.method.push(byte);
                Line::Method
            }
            (Line::BeforeTarget, _) => Line::Words(Words::begin(&self.method, byte)),
            (Line::Words(words), b'\r' | b'\n') => return self.first_line_ends(words, byte),
            (Line::Words(words), _) => Line::Words(words.then(&self.method, self.previous, byte)),
            (Line::FieldStart { .. }, b'\n') => Line::Later,
            (Line::FieldStart { strict }, b'\r') => Line::Return { strict, empty: true },
            (Line::FieldStart { strict }, _) if is_blank => Line::FieldValue { strict },
            (Line::FieldStart { strict }, _) => {
                self.field = Word::default();
                return self.field_name(strict, byte);
            }
            (Line::FieldName { strict }, _) => return self.field_name(strict, byte),
            (Line::FieldValue { strict }, b'\r') => Line::Return { strict, empty: false },
            (Line::FieldValue { strict }, b'\n') => Line::FieldStart { strict },
            (Line::FieldValue { strict }, _) => Line::FieldValue { strict },
            (Line::Return { empty: true, .. }, b'\n') => Line::Later,
            (Line::Return { strict, .. }, b'\n') => Line::FieldStart { strict },
            (Line::Return { strict, .. }, _) => {
                self.line = Line::FieldStart { strict };
                return self.next(byte);
            }
            (Line::Proxy, b'\n') => self.restart(),
            (Line::Proxy, _) => Line::Proxy,
            (Line::ProxyHeader { left, length }, _) => match (left - 1, length << 8 | u16::from(byte)) {
                (0, 0) => self.restart(),
                (0, length) => Line::ProxyBody(length),
                (left, length) => Line::ProxyHeader { left, length },
            },
            (Line::ProxyBody(1), _) => self.restart(),
            (Line::ProxyBody(left), _) => Line::ProxyBody(left - 1),
            (Line::Later, _) => Line::Later,
        })
    }

    fn first_line_ends(&self, words: Words, byte: u8) -> Option<Line> {
        if words.is_request {
            return None;
        }
        if words.count > 2 {
            return Some(Line::Later);
        }
        // Python's servers take GET and any target; others any capitals. The rest is watched for the name.
        let strict = self.method.is(b"GET") || !words.is_other && self.method.is_plain();
        Some(match byte {
            b'\n' => Line::FieldStart { strict },
            _ => Line::Return { strict, empty: false },
        })
    }

    /// One more byte of what may be a field's name, or the line's end when it is none.
    fn field_name(&mut self, strict: bool, byte: u8) -> Option<Line> {
        // Python's servers take any visible bytes for a name, none at all, and a first line `From x`, as in mailboxes.
        let is_python = self.method.is(b"GET");
        let is_mailbox = is_python && byte == b' ' && self.field.is(b"From");
        match byte {
            b':' if !self.field.is_empty() || is_python => (!strict).then_some(Line::FieldValue { strict }),
            b' ' if is_mailbox => None,
            _ if crate::http1::is_token(byte) || is_python && byte.is_ascii_graphic() => {
                self.field.push(byte);
                Some(Line::FieldName { strict })
            }
            _ => Some(Line::Later),
        }
    }
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
