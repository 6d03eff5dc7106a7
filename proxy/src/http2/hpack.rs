//! Walks over field sections in HPACK (RFC 7541) as they come, without decoding them: all that it tells is whether a field is a pseudo-field, and whether `:path` has
//! a fragment. It follows the dynamic table, of which it keeps sizes and these traits.

use super::huffman;

/// What a field costs in the table beyond its name and value (RFC 7541, 4.1).
const OVERHEAD: usize = 32;
/// Bytes of the dynamic table, as nobody was told otherwise (RFC 9113, 6.5.2).
const TABLE_SIZE: usize = 4096;
/// Entries that fit into it. A power of two.
const TABLE_ENTRIES: usize = TABLE_SIZE / OVERHEAD;
/// Bytes after the first that a number may take in h2, which refuses longer ones.
const NUMBER_BYTES: usize = 4;

/// The traits of a field, with the length of its name in the lower bits.
type Traits = u16;
const PSEUDO: Traits = 1 << 15;
const PATH: Traits = 1 << 14;
const FRAGMENT: Traits = 1 << 13;
/// Lengths of names. No entry of the table has one as long as this.
const NAME_LENGTH: Traits = FRAGMENT - 1;

/// The static table (RFC 7541, appendix A), from index 1.
const STATIC: [Traits; 61] = {
    let mut traits = [
        10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8,
        17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3, 16,
    ];
    let mut place = 0;
    while place < 14 {
        traits[place] |= PSEUDO;
        place += 1;
    }
    traits[3] |= PATH;
    traits[4] |= PATH;
    traits
};

/// What h2 ends the connection for.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// What a field section says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Whether it has a field whose name begins with a colon.
    pub pseudo: bool,
    /// Whether it has a `:path` with a `#`.
    pub fragment: bool,
}

/// The field sections of one direction of a connection.
#[derive(Debug, Default)]
pub struct Fields {
    table: Table,
    /// Traits of all fields of this section so far.
    said: Traits,
    /// The start of a field that did not come whole. h2 keeps as much of it, and ends the connection when it gets too long.
    start: Vec<u8>,
}

/// Why a field cannot be read.
enum Stop {
    NotWhole,
    Malformed,
}

impl From<Malformed> for Stop {
    fn from(Malformed: Malformed) -> Stop {
        Stop::Malformed
    }
}

impl Fields {
    /// Reads the next bytes of a section.
    #[inline]
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if self.start.is_empty() {
            let start = self.whole(bytes)?;
            self.start.extend_from_slice(start);
        } else {
            let mut all = std::mem::take(&mut self.start);
            all.extend_from_slice(bytes);
            let whole = all.len() - self.whole(&all)?.len();
            all.drain(..whole);
            self.start = all;
        }
        Ok(())
    }

    /// Ends the section.
    pub fn end(&mut self) -> Result<Said, Malformed> {
        if !self.start.is_empty() {
            return Err(Malformed);
        }
        let said = std::mem::take(&mut self.said);
        Ok(Said {
            pseudo: said & PSEUDO != 0,
            fragment: said & FRAGMENT != 0,
        })
    }

    /// Reads whole fields, and gives what is left.
    #[inline]
    fn whole<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        loop {
            bytes = match bytes {
                [] => return Ok(bytes),
                // What a connection says again and again.
                [index @ 0x80..=0xfe, rest @ ..] => {
                    self.said |= self.table.get(usize::from(index & 0x7f))?;
                    rest
                }
                // What is neither an index nor coded, and not for the table.
                [0x00 | 0x10, length @ 1..0x7f, rest @ ..]
                    if let Some((name, [value_length @ 0..0x7f, rest @ ..])) = rest.split_at_checked(usize::from(*length))
                        && let Some((value, rest)) = rest.split_at_checked(usize::from(*value_length)) =>
                {
                    if name[0] == b':' {
                        let is_fragment = name == b":path" && value.contains(&b'#');
                        self.said |= if is_fragment { PSEUDO | FRAGMENT } else { PSEUDO };
                    }
                    rest
                }
                _ => match self.field(bytes) {
                    Ok(rest) => rest,
                    Err(Stop::NotWhole) => return Ok(bytes),
                    Err(Stop::Malformed) => return Err(Malformed),
                },
            }
        }
    }

    /// Reads a field, or a new limit of the table, and gives what follows.
    #[inline(always)]
    fn field<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Stop> {
        let first = *bytes.first().ok_or(Stop::NotWhole)?;
        if first >= 0x80 {
            let (index, rest) = number(bytes, 0x7f)?;
            self.said |= self.table.get(index)?;
            return Ok(rest);
        }
        if first & 0xe0 == 0x20 {
            let (limit, rest) = number(bytes, 0x1f)?;
            self.table.limit(limit)?;
            return Ok(rest);
        }
        let goes_into_table = first >= 0x40;
        let (index, rest) = number(bytes, if goes_into_table { 0x3f } else { 0x0f })?;
        let (mut traits, rest) = if index == 0 {
            let (name, rest) = text(rest)?;
            (name.traits_of_name(goes_into_table), rest)
        } else {
            (self.table.get(index)? & !FRAGMENT, rest)
        };
        let (value, rest) = text(rest)?;
        if traits & PATH != 0 && value.has_hash() {
            traits |= FRAGMENT;
        }
        self.said |= traits;
        if goes_into_table {
            self.table.insert(traits, value.length());
        }
        Ok(rest)
    }
}

/// Reads a number whose first bits are those of a mask, and gives what follows.
#[inline(always)]
fn number(bytes: &[u8], mask: u8) -> Result<(usize, &[u8]), Stop> {
    match bytes {
        [] => Err(Stop::NotWhole),
        [first, rest @ ..] if first & mask == mask => long_number(rest, mask),
        [first, rest @ ..] => Ok((usize::from(first & mask), rest)),
    }
}

#[cold]
fn long_number(mut bytes: &[u8], mask: u8) -> Result<(usize, &[u8]), Stop> {
    let mut number = mask.into();
    for place in 0..NUMBER_BYTES {
        let [byte, rest @ ..] = bytes else { return Err(Stop::NotWhole) };
        number += usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok((number, rest));
        }
        bytes = rest;
    }
    Err(Stop::Malformed)
}

/// A name or value as it was sent.
#[derive(Clone, Copy)]
struct Text<'a> {
    is_coded: bool,
    bytes: &'a [u8],
}

/// Reads a name or value, and gives what follows.
#[inline(always)]
fn text(bytes: &[u8]) -> Result<(Text<'_>, &[u8]), Stop> {
    let is_coded = bytes.first().is_some_and(|first| *first >= 0x80);
    let (length, rest) = number(bytes, 0x7f)?;
    let (bytes, rest) = rest.split_at_checked(length).ok_or(Stop::NotWhole)?;
    Ok((Text { is_coded, bytes }, rest))
}

impl Text<'_> {
    /// The length once it is decoded.
    #[inline]
    fn length(self) -> usize {
        if self.is_coded {
            huffman::symbols(self.bytes).count
        } else {
            self.bytes.len()
        }
    }

    #[inline]
    fn has_hash(self) -> bool {
        if self.is_coded {
            huffman::may_have_hash(self.bytes) && huffman::symbols(self.bytes).has_hash
        } else {
            self.bytes.contains(&b'#')
        }
    }

    /// The traits of a field of this name. The length is needed only in the table.
    #[inline(always)]
    fn traits_of_name(self, goes_into_table: bool) -> Traits {
        let kind = match (self.is_coded, self.bytes) {
            (false, b":path") | (true, huffman::PATH) => PSEUDO | PATH,
            (false, [b':', ..]) => PSEUDO,
            (true, [first, ..]) if huffman::is_colon(*first) => PSEUDO,
            _ => 0,
        };
        if goes_into_table {
            kind | self.length().min(NAME_LENGTH.into()) as Traits
        } else {
            kind
        }
    }
}

/// The dynamic table: a ring.
#[derive(Debug)]
struct Table {
    entries: [Entry; TABLE_ENTRIES],
    newest: usize,
    count: usize,
    size: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    traits: Traits,
    size: u16,
}

impl Default for Table {
    fn default() -> Self {
        Table {
            entries: [Entry::default(); TABLE_ENTRIES],
            newest: 0,
            count: 0,
            size: 0,
            limit: TABLE_SIZE,
        }
    }
}

impl Table {
    /// The field at an index of both tables.
    #[inline]
    fn get(&self, index: usize) -> Result<Traits, Malformed> {
        let index = index.wrapping_sub(1);
        if let Some(traits) = STATIC.get(index) {
            return Ok(*traits);
        }
        let age = index.wrapping_sub(STATIC.len());
        if age < self.count {
            Ok(self.entry(age).traits)
        } else {
            Err(Malformed)
        }
    }

    /// The entry before which `age` newer ones came.
    #[inline]
    fn entry(&self, age: usize) -> Entry {
        self.entries[self.newest.wrapping_sub(age) % TABLE_ENTRIES]
    }

    fn insert(&mut self, traits: Traits, value_length: usize) {
        let size = usize::from(traits & NAME_LENGTH) + value_length + OVERHEAD;
        self.make_room(size);
        if size <= self.limit {
            self.newest = (self.newest + 1) % TABLE_ENTRIES;
            self.entries[self.newest] = Entry { traits, size: size as u16 };
            self.count += 1;
            self.size += size;
        }
    }

    fn limit(&mut self, limit: usize) -> Result<(), Malformed> {
        if limit > TABLE_SIZE {
            return Err(Malformed);
        }
        self.limit = limit;
        self.make_room(0);
        Ok(())
    }

    /// Evicts the oldest entries until as much fits in as is wanted, or none are left.
    fn make_room(&mut self, wanted: usize) {
        while self.size + wanted > self.limit && self.count > 0 {
            self.count -= 1;
            self.size -= usize::from(self.entry(self.count).size);
        }
    }
}
