//! What of a certificate says how long a connection may stand on it. webpki verifies certificates but does not hand these out, so the fields are walked here; the
//! certificate has been verified before.

/// When a certificate ends, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The first 8 octets of its serial number: those of the workload that it was issued for.
    pub serial_prefix: u64,
    /// End of its validity, seconds since 1970.
    pub not_after: i64,
}

impl Term {
    /// Reads a certificate, DER (RFC 5280, 4.1). None when it is no certificate.
    pub fn of(mut certificate: &[u8]) -> Option<Term> {
        let mut body = item(&mut certificate, SEQUENCE)?;
        let mut fields = item(&mut body, SEQUENCE)?;
        if fields.first() == Some(&VERSION) {
            der_item(&mut fields)?;
        }
        let serial = item(&mut fields, INTEGER)?;
        let (_signature, _issuer) = (item(&mut fields, SEQUENCE)?, item(&mut fields, SEQUENCE)?);
        let mut validity = item(&mut fields, SEQUENCE)?;
        let _not_before = der_item(&mut validity)?;
        let (kind, not_after) = der_item(&mut validity)?;
        Some(Term {
            serial_prefix: prefix(serial),
            not_after: seconds(kind, not_after)?,
        })
    }
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`.
const VERSION: u8 = 0xa0;

/// The first 8 octets of a positive number, without the zero that keeps it positive.
fn prefix(serial: &[u8]) -> u64 {
    let octets = serial.strip_prefix(&[0]).unwrap_or(serial);
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(octets) {
        *to = *from;
    }
    u64::from_be_bytes(first)
}

/// A time (RFC 5280, 4.1.2.5), always in GMT and with seconds, as seconds since 1970.
fn seconds(kind: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (kind, text.len()) {
        (UTC_TIME, 12) => match text[..2].parse::<i64>().ok()? {
            year @ 50.. => (1900 + year, &text[2..]),
            year => (2000 + year, &text[2..]),
        },
        (GENERALIZED_TIME, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let two = |at: usize| rest[at..at + 2].parse::<i64>().ok();
    let (month, day) = (two(0)?, two(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(((days(year, month, day) * 24 + two(4)?) * 60 + two(6)?) * 60 + two(8)?)
}

/// Days from 1970 to a day of the Gregorian calendar. Years are counted from March, so that the leap day is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    const TO_1970: i64 = 719_468;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - TO_1970
}

fn item<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, value) = der_item(input)?;
    (found == tag).then_some(value)
}

/// Takes one DER item with a length of at most two bytes off the front.
pub fn der_item<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
        _ => return None,
    };
    *input = rest.get(length..)?;
    Some((tag, &rest[..length]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SerialNumber};

    #[test]
    fn serial_number_and_end_are_read_from_a_certificate() {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&[0xf1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
        for (year, not_after) in [(2031, 1_922_400_000), (2049, 2_490_393_600), (2100, 4_099_766_400)] {
            params.not_after = rcgen::date_time_ymd(year, 12, 2);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let term = Term::of(certificate.der()).unwrap();
            assert_eq!(term.serial_prefix, 0xf102_0304_0506_0708);
            assert_eq!(term.not_after, params.not_after.unix_timestamp());
            assert!((term.not_after - not_after).abs() < 400 * 86_400, "{year}");
        }
    }

    #[test]
    fn times_are_read_as_the_calendar_has_them() {
        let cases: [(u8, &str, Option<i64>); 8] = [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "691231235959Z", Some(-1)),
            (GENERALIZED_TIME, "20240229120000Z", Some(1_709_208_000)),
            (GENERALIZED_TIME, "21000301000000Z", Some(4_107_542_400)),
            (UTC_TIME, "7001010000Z", None),
            (GENERALIZED_TIME, "20241301000000Z", None),
            (GENERALIZED_TIME, "2024022912000+Z", None),
            (SEQUENCE, "20240229120000Z", None),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(seconds(kind, text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(bytes: Vec<u8>, kind: u8) {
            let _ = Term::of(&bytes);
            let _ = seconds(kind, &bytes);
        }
    }
}
