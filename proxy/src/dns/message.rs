//! DNS messages (RFC 1035), as far as a forwarder has to understand them: it reads the question and writes short answers.

#[cfg(test)]
pub(crate) mod tests;

use std::net::Ipv4Addr;

/// Record type of IPv4 addresses.
pub const TYPE_A: u16 = 1;
/// Question type for all types.
pub const TYPE_ANY: u16 = 255;
/// The Internet's class.
pub const CLASS_IN: u16 = 1;

/// Seconds that a program may remember a mesh name's address.
pub const TTL: u32 = 5;

const HEADER: usize = 12;
const TYPE_OPT: u16 = 41;
/// Bytes of a UDP answer that every program takes.
const PLAIN_UDP: u16 = 512;
/// Bytes of a UDP answer that this server announces.
const OWN_UDP: u16 = 1232;
/// Bytes of a UDP answer beyond which nothing is believed that a program announces.
const MAX_UDP: u16 = 16 * 1024;

const RESPONSE: u8 = 0x80;
const AUTHORITATIVE: u8 = 0x04;
const TRUNCATED: u8 = 0x02;
const RECURSION_DESIRED: u8 = 0x01;
const RECURSION_AVAILABLE: u8 = 0x80;
const CHECKING_DISABLED: u8 = 0x10;

/// How an answer went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The name exists.
    NoError = 0,
    /// The query cannot be read.
    FormErr = 1,
    /// Nobody could be asked.
    ServFail = 2,
    /// The name does not exist.
    NxDomain = 3,
    /// Only questions are answered.
    NotImp = 4,
    /// Answered by others only.
    Refused = 5,
}

/// A query that was read. It borrows the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    bytes: &'a [u8],
    question_end: usize,
    /// The name in small letters, without the trailing dot. Bytes that no host name has appear as `\DDD`.
    pub name: String,
    /// Type of the question.
    pub kind: u16,
    /// Class of the question.
    pub class: u16,
    /// Bytes of a UDP answer that the program takes, where it said so (EDNS).
    pub announced: Option<u16>,
}

/// Bytes that are no query to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Too short for a header, or an answer: saying something back could start a loop.
    NotAQuery,
    /// The operation is none that is served.
    Operation,
    /// The question cannot be read.
    Question,
}

impl Malformed {
    /// What to send back to whoever sent `bytes`, if anything.
    pub fn answer(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let code = match self {
            Malformed::NotAQuery => return None,
            Malformed::Operation => Code::NotImp,
            Malformed::Question => Code::FormErr,
        };
        let mut answer = vec![0; HEADER];
        answer[..2].copy_from_slice(bytes.get(..2)?);
        // The operation goes back as it came.
        answer[2] = RESPONSE | (bytes.get(2)? & (0x78 | RECURSION_DESIRED));
        answer[3] = code as u8;
        Some(answer)
    }
}

/// Reads a query: one question and nothing but additional records after it. A name in the question is written out in full.
pub fn parse(bytes: &[u8]) -> Result<Query<'_>, Malformed> {
    let counts = |at| read_u16(bytes, at).ok_or(Malformed::NotAQuery);
    let (questions, answers, authorities, additional) = (counts(4)?, counts(6)?, counts(8)?, counts(10)?);
    match (bytes[2] & RESPONSE, bytes[2] & 0x78) {
        (0, 0) => {}
        (0, _) => return Err(Malformed::Operation),
        _ => return Err(Malformed::NotAQuery),
    }
    if (questions, answers, authorities) != (1, 0, 0) {
        return Err(Malformed::Question);
    }
    let (name, end) = read_name(bytes).ok_or(Malformed::Question)?;
    let kind = read_u16(bytes, end).ok_or(Malformed::Question)?;
    let class = read_u16(bytes, end + 2).ok_or(Malformed::Question)?;
    let question_end = end + 4;
    let announced = find_announced(bytes, question_end, additional);
    Ok(Query {
        bytes,
        question_end,
        name,
        kind,
        class,
        announced,
    })
}

impl Query<'_> {
    /// The query as it came.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// Bytes that a UDP answer may have.
    pub fn udp_size(&self) -> usize {
        self.announced.unwrap_or(PLAIN_UDP).clamp(PLAIN_UDP, MAX_UDP).into()
    }

    /// An answer with one address.
    pub fn answer_address(&self, address: Ipv4Addr) -> Vec<u8> {
        self.build(AUTHORITATIVE, Code::NoError, Some(address))
    }

    /// An answer without records. What is said of mesh names is final; that nobody could be asked is not.
    pub fn answer(&self, code: Code) -> Vec<u8> {
        let authoritative = if matches!(code, Code::NoError | Code::NxDomain) {
            AUTHORITATIVE
        } else {
            0
        };
        self.build(authoritative, code, None)
    }

    /// An answer that asks the program to come back over TCP.
    pub fn answer_truncated(&self) -> Vec<u8> {
        self.build(TRUNCATED, Code::NoError, None)
    }

    /// True when `response` answers this query: same id, same question. Failures may come without a question.
    pub fn is_answered_by(&self, response: &[u8]) -> bool {
        let Some(head) = response.get(..HEADER) else { return false };
        if head[..2] != self.bytes[..2] || head[2] & RESPONSE == 0 {
            return false;
        }
        match read_u16(response, 4) {
            Some(0) => code(response) != 0,
            // Resolvers may change the case of the name, but not what is asked of it.
            Some(1) => response.get(HEADER..self.question_end).is_some_and(|question| {
                let (name, asked) = question.split_at(question.len() - 4);
                let (own_name, own_asked) = self.bytes[HEADER..self.question_end].split_at(question.len() - 4);
                name.eq_ignore_ascii_case(own_name) && asked == own_asked
            }),
            _ => false,
        }
    }

    fn build(&self, flags: u8, code: Code, address: Option<Ipv4Addr>) -> Vec<u8> {
        let mut answer = Vec::with_capacity(self.question_end + 27);
        answer.extend_from_slice(&self.bytes[..2]);
        answer.push(RESPONSE | flags | (self.bytes[2] & RECURSION_DESIRED));
        answer.push(RECURSION_AVAILABLE | (self.bytes[3] & CHECKING_DISABLED) | code as u8);
        let counts = [1, address.is_some().into(), 0, self.announced.is_some().into()];
        answer.extend(counts.into_iter().flat_map(u16::to_be_bytes));
        answer.extend_from_slice(&self.bytes[HEADER..self.question_end]);
        if let Some(address) = address {
            // A pointer to the name of the question.
            answer.extend_from_slice(&[0xc0, HEADER as u8]);
            answer.extend([TYPE_A, CLASS_IN].into_iter().flat_map(u16::to_be_bytes));
            answer.extend_from_slice(&TTL.to_be_bytes());
            answer.extend_from_slice(&4u16.to_be_bytes());
            answer.extend_from_slice(&address.octets());
        }
        if self.announced.is_some() {
            // An OPT record: the root, the type, the size in place of a class, no flags, no options.
            answer.push(0);
            answer.extend([TYPE_OPT, OWN_UDP, 0, 0, 0].into_iter().flat_map(u16::to_be_bytes));
        }
        answer
    }
}

/// True when whoever answered did so for want of something better, so that another resolver may know more.
pub fn is_failure(response: &[u8]) -> bool {
    [Code::ServFail, Code::NotImp, Code::Refused]
        .iter()
        .any(|failure| *failure as u8 == code(response))
}

/// True when an answer says that the name does not exist.
pub fn denies(response: &[u8]) -> bool {
    code(response) == Code::NxDomain as u8
}

fn code(response: &[u8]) -> u8 {
    response.get(3).map_or(Code::FormErr as u8, |flags| flags & 0x0f)
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The name of the question and the place after it.
fn read_name(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut name, mut at) = (String::new(), HEADER);
    loop {
        // The two high bits mark pointers, which a question has nothing to point at with.
        let length = match *bytes.get(at)? {
            length @ 0..=63 => usize::from(length),
            _ => return None,
        };
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        if at + length - HEADER > 254 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        for &byte in bytes.get(at..at + length)? {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.to_ascii_lowercase().into()),
                _ => name.push_str(&format!("\\{byte:03}")),
            }
        }
        at += length;
    }
}

/// The UDP size in the OPT record, if there is one that can be read. What else is there is the resolvers' business.
fn find_announced(bytes: &[u8], mut at: usize, records: u16) -> Option<u16> {
    for _ in 0..records {
        let is_root = *bytes.get(at)? == 0;
        at = skip_name(bytes, at)?;
        let (kind, class) = (read_u16(bytes, at)?, read_u16(bytes, at + 2)?);
        if is_root && kind == TYPE_OPT {
            return Some(class);
        }
        at += 10 + usize::from(read_u16(bytes, at + 8)?);
    }
    None
}

fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0..=0xff => return Some(at + 2),
            _ => return None,
        }
    }
}
