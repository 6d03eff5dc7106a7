//! Classes of bytes, and where a run of them ends.

/// `tchar` of RFC 9110: what methods and field names consist of.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = matches!(i as u8,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z'
            | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        i += 1;
    }
    table
};

/// 1 in each byte of a word.
const ONES: u64 = u64::MAX / 255;
/// The highest bit of each byte of a word.
const HIGH: u64 = ONES << 7;

/// Whether a byte may be in a method or a field's name.
pub fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether a byte may be in a field's value or a reason phrase: anything but controls, though tabs are allowed.
pub fn is_value(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || byte == b'\t'
}

/// Where the run of token bytes that starts at `from` ends.
pub fn token_end(bytes: &[u8], from: usize) -> usize {
    const LETTER_GAP: u64 = ONES * (0x7f - b'z' as u64);
    let mut at = from;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        // The high bit of a byte is set where it is no letter; carries and borrows only add false alarms.
        let lower = u64::from_le_bytes(*word) | (ONES * 0x20);
        let below = lower.wrapping_sub(ONES * b'a' as u64);
        let above = lower.wrapping_add(LETTER_GAP);
        let alarm = (below | above | lower) & HIGH;
        if alarm == 0 {
            at += 8;
            continue;
        }
        let first = alarm.trailing_zeros() as usize / 8;
        if !is_token(word[first]) {
            return at + first;
        }
        at += first + 1;
    }
    while at < bytes.len() && is_token(bytes[at]) {
        at += 1;
    }
    at
}

/// Where the run of value bytes that starts at `from` ends.
pub fn value_end(bytes: &[u8], from: usize) -> usize {
    run_end(bytes, from, b' ', is_value)
}

/// Where the run of visible ASCII bytes that starts at `from` ends. May stop early at `0x80` and above, never late.
pub fn visible_end(bytes: &[u8], from: usize) -> usize {
    run_end(bytes, from, b'!', |b| (b'!'..0x7f).contains(&b))
}

/// Skips eight bytes at a time while all of them are visible or spaces (`lowest`) ASCII, and settles the rest one by one.
fn run_end(bytes: &[u8], from: usize, lowest: u8, belongs: impl Fn(u8) -> bool) -> usize {
    let mut at = from;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let bytes = *word;
        let word = u64::from_le_bytes(bytes);
        // The high bit of a byte is set where it is below `lowest`, DEL, or not ASCII; borrows only add false alarms.
        let below = word.wrapping_sub(ONES * lowest as u64);
        let delete = (word ^ (ONES * 0x7f)).wrapping_sub(ONES);
        let alarm = (below | delete | word) & HIGH;
        if alarm == 0 {
            at += 8;
            continue;
        }
        let first = alarm.trailing_zeros() as usize / 8;
        if !belongs(bytes[first]) {
            return at + first;
        }
        at += first + 1;
    }
    while at < bytes.len() && belongs(bytes[at]) {
        at += 1;
    }
    at
}

/// Text of a run that was checked to be ASCII.
pub fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

/// Removes spaces and tabs at both ends.
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma-separated list, without the empty ones.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_end_where_a_look_at_each_byte_says(mut bytes in prop::collection::vec(prop_oneof![8 => 0x20..0x7fu8, 1 => any::<u8>()], 0..64), from in 0..64usize) {
            let from = from.min(bytes.len());
            let naive = |belongs: fn(u8) -> bool, bytes: &[u8]| (from..bytes.len()).find(|&i| !belongs(bytes[i])).unwrap_or(bytes.len());
            prop_assert_eq!(value_end(&bytes, from), naive(is_value, &bytes));
            prop_assert_eq!(visible_end(&bytes, from), naive(|b| (b'!'..0x7f).contains(&b), &bytes));
            bytes.retain(|&b| b != b' ');
            let from = from.min(bytes.len());
            prop_assert_eq!(token_end(&bytes, from), (from..bytes.len()).find(|&i| !is_token(bytes[i])).unwrap_or(bytes.len()));
        }
    }

    #[test]
    fn lists_skip_empty_elements_and_surrounding_blanks() {
        assert_eq!(
            list(b" close ,,\tkeep-alive,").collect::<Vec<_>>(),
            [b"close".as_slice(), b"keep-alive"]
        );
    }
}
