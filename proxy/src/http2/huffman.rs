//! The Huffman code of HPACK (RFC 7541, appendix B), as far as it is needed to count symbols and to find the one that begins a fragment.

/// Lengths of codes in bits, ascending, with how many codes have each. The code is canonical: the codes of a length go on where those of the length before end.
const LENGTHS: [(u32, u32); 21] = [
    (5, 10),
    (6, 26),
    (7, 32),
    (8, 6),
    (10, 5),
    (11, 3),
    (12, 2),
    (13, 6),
    (14, 2),
    (15, 3),
    (19, 3),
    (20, 8),
    (21, 13),
    (22, 26),
    (23, 29),
    (24, 12),
    (25, 4),
    (26, 15),
    (27, 19),
    (28, 29),
    (30, 4),
];

/// What 32 bits are below that begin with a code of each length or a shorter one.
const BOUNDS: [u64; LENGTHS.len()] = bounds();

const fn bounds() -> [u64; LENGTHS.len()] {
    let (mut bounds, mut end, mut place) = ([0; LENGTHS.len()], 0, 0);
    while place < LENGTHS.len() {
        let (length, count) = LENGTHS[place];
        end += (count as u64) << (32 - length);
        bounds[place] = end;
        place += 1;
    }
    bounds
}

/// The code of `#`, 12 bits: nine ones, then 010.
const HASH: u32 = 0xffa;
/// The code of `:`, 7 bits.
const COLON: u8 = 0b101_1100;
/// The code of `:path`, filled up with ones. With other bits after it nobody accepts it.
pub(super) const PATH: &[u8] = b"\xb9\x58\xd3\x3f";

/// Whether a coded text that begins with this byte begins with a colon.
pub(super) fn is_colon(first: u8) -> bool {
    first >> 1 == COLON
}

/// What a coded text says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Symbols {
    /// How many symbols it has.
    pub(super) count: usize,
    /// Whether one of them is `#`.
    pub(super) has_hash: bool,
}

/// Reads a coded text. What is no code counts as one: nobody who decodes the text accepts it.
pub(super) fn symbols(text: &[u8]) -> Symbols {
    let mut symbols = Symbols::default();
    // Bits that were read; the last ones are yet to be decoded.
    let (mut bits, mut waiting) = (0u64, 0);
    for byte in text {
        bits = bits << 8 | u64::from(*byte);
        waiting += 8;
        while waiting > 0 {
            // Bits that were not read yet are zeros here, which makes no shorter code of what is the start of one.
            let next = (bits << (64 - waiting) >> 32) as u32;
            let length = length(next);
            if length > waiting {
                break;
            }
            waiting -= length;
            symbols.count += 1;
            symbols.has_hash |= next >> 20 == HASH;
        }
    }
    symbols
}

/// The length of the code that 32 bits begin with.
fn length(bits: u32) -> u32 {
    let place = BOUNDS.iter().position(|bound| u64::from(bits) < *bound);
    LENGTHS[place.unwrap_or(LENGTHS.len() - 1)].0
}

/// Whether the code of `#` is anywhere among the bits of a whole text, even across other codes. Cheap, and nearly never true without a `#`.
pub(super) fn may_have_hash(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else {
        return is_in(text.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)));
    };
    // Each eight bytes hold every code that begins in the first six.
    let mut before_last = &text[..text.len() - 1];
    while let Some(bytes) = before_last.first_chunk() {
        if is_in(u64::from_be_bytes(*bytes)) {
            return true;
        }
        before_last = &before_last[6..];
    }
    is_in(u64::from_be_bytes(*last))
}

fn is_in(bits: u64) -> bool {
    let two = bits & bits << 1;
    let four = two & two << 2;
    let nine = four & four << 4 & bits << 8;
    nine & !(bits << 9) & bits << 10 & !(bits << 11) != 0
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Symbols in the order of their codes, of those that have at most 15 bits, and some more.
    const SYMBOLS: &[u8] = b"012aceiost %-./3456789=A_bdfghlmnpru:BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz&*,;XZ!\"()?'+|#>\0$@[]~^}<`{\\\xc3\xd0";

    /// Encodes a text of `SYMBOLS`; the last byte is filled up with ones.
    pub fn encoded(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for symbol in text {
            let mut place = SYMBOLS.iter().position(|known| known == symbol).expect("a symbol with a code") as u32;
            let mut code = 0;
            let mut before = LENGTHS[0].0;
            for (length, count) in LENGTHS {
                code <<= length - before;
                before = length;
                if place < count {
                    bits.extend((0..length).rev().map(|bit| (code + place) >> bit & 1 == 1));
                    break;
                }
                (code, place) = (code + count, place - count);
            }
        }
        let byte = |bits: &[bool]| (0..8).fold(0, |byte, bit| byte << 1 | u8::from(*bits.get(bit).unwrap_or(&true)));
        bits.chunks(8).map(byte).collect()
    }

    /// Text as it is in paths and fields.
    pub fn text(longest: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(proptest::sample::select(SYMBOLS), 0..=longest)
    }

    #[test]
    fn the_code_is_whole_and_the_one_of_the_rfc() {
        assert_eq!(BOUNDS.last(), Some(&(1 << 32)));
        // RFC 7541, C.4.1, and appendix B.
        assert_eq!(encoded(b"www.example.com"), b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff");
        assert_eq!(encoded(b"#"), b"\xff\xaf");
        assert_eq!(encoded(b"\\"), b"\xff\xfe\x1f");
        assert_eq!(encoded(b":path"), PATH);
        assert!(is_colon(PATH[0]) && !is_colon(encoded(b"path")[0]));
    }

    proptest! {
        #[test]
        fn symbols_are_counted_and_a_fragment_is_found(text in text(80)) {
            let coded = encoded(&text);
            let expected = Symbols { count: text.len(), has_hash: text.contains(&b'#') };
            prop_assert_eq!(symbols(&coded), expected);
            prop_assert!(may_have_hash(&coded) || !expected.has_hash);
        }

        #[test]
        fn where_there_may_be_no_fragment_there_is_none(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0xff)], 0..200)) {
            prop_assert!(may_have_hash(&bytes) || !symbols(&bytes).has_hash);
        }
    }
}
