//! The path of a request, and the ways in which programs read one.
//!
//! A path is compared as it was sent, since it is passed on so. Programs read more than that out of some paths: they resolve escapes and segments of dots, merge
//! slashes, or take an escaped slash or a backslash for one. Whoever is allowed to call `/public` could so reach `/admin` behind a route's back, by
//! `/public/../admin` for example. Such a path is read in all these ways, and it is for the caller of [`Reading::read`] to see that all of them lead to the same.

/// The path before the query, and the query.
pub(super) fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// Whether all programs read a path alike.
pub(super) fn is_plain(path: &[u8]) -> bool {
    let mut after_slash = false;
    path.iter().all(|byte| {
        let is_plain = match byte {
            b'%' | b'\\' => false,
            b'/' | b'.' => !after_slash,
            _ => true,
        };
        after_slash = *byte == b'/';
        is_plain
    })
}

/// One way to read a path. Escapes and segments of dots are resolved in all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Escaped slashes and backslashes are slashes, too.
    slashes: bool,
    /// Several slashes are one.
    merged: bool,
}

/// All ways but that as it was sent.
pub(super) const READINGS: [Reading; 4] = [
    Reading {
        slashes: false,
        merged: false,
    },
    Reading {
        slashes: false,
        merged: true,
    },
    Reading {
        slashes: true,
        merged: false,
    },
    Reading {
        slashes: true,
        merged: true,
    },
];

impl Reading {
    /// Reads a path into `read`, whose bytes it replaces.
    pub fn read(self, path: &[u8], read: &mut Vec<u8>) {
        read.clear();
        let unescaped = self.unescaped(path);
        let Some(rest) = unescaped.strip_prefix(b"/") else {
            return read.extend(unescaped);
        };
        let mut segments = rest.split(|byte| *byte == b'/').peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            match segment {
                b"." => {}
                b".." => read.truncate(read.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
                b"" if self.merged => {}
                segment => {
                    read.push(b'/');
                    read.extend(segment);
                    continue;
                }
            }
            if is_last {
                read.push(b'/');
            }
        }
    }

    fn unescaped(self, path: &[u8]) -> Vec<u8> {
        let mut unescaped = Vec::with_capacity(path.len());
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            let escaped = (*first == b'%').then(|| escaped(after)).flatten();
            let byte = escaped.unwrap_or(*first);
            let is_slash = byte == b'\\' || byte == b'/' && escaped.is_some();
            match is_slash {
                true if self.slashes => unescaped.push(b'/'),
                // What stands for itself is told apart from what was written out.
                true if escaped.is_some() => unescaped.extend([b'%', after[0], after[1].to_ascii_uppercase()]),
                _ => unescaped.push(byte),
            }
            rest = if escaped.is_some() { &after[2..] } else { after };
        }
        unescaped
    }
}

/// The byte that an escape stands for, after its percent sign.
fn escaped(after: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(path: &str, reading: Reading) -> String {
        let mut read = Vec::new();
        reading.read(path.as_bytes(), &mut read);
        String::from_utf8_lossy(&read).into_owned()
    }

    #[test]
    fn a_path_is_plain_when_there_is_one_way_to_read_it() {
        for plain in ["/", "/a", "/a/b/", "/a.b/c", "/a..", "*", ""] {
            assert!(is_plain(plain.as_bytes()), "{plain}");
        }
        for other in ["//", "/a//b", "/.", "/./a", "/a/../b", "/..", "/%61", "/a%2fb", "/a\\b"] {
            assert!(!is_plain(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn paths_are_read_as_programs_read_them() {
        let cases = [
            ("/a/b", ["/a/b"; 4]),
            ("/%61/%62", ["/a/b"; 4]),
            ("/a/./b/../c", ["/a/c"; 4]),
            ("/a/..", ["/"; 4]),
            ("/a/.", ["/a/"; 4]),
            ("/../../a", ["/a"; 4]),
            ("/%2e%2E/a", ["/a"; 4]),
            ("/a//b", ["/a//b", "/a/b", "/a//b", "/a/b"]),
            ("/a//../b", ["/a/b", "/b", "/a/b", "/b"]),
            ("//", ["//", "/", "//", "/"]),
            ("/a%2fb", ["/a%2Fb", "/a%2Fb", "/a/b", "/a/b"]),
            ("/a/..%2fb", ["/a/..%2Fb", "/a/..%2Fb", "/b", "/b"]),
            ("/a\\b", ["/a\\b", "/a\\b", "/a/b", "/a/b"]),
            ("/a%5cb", ["/a%5Cb", "/a%5Cb", "/a/b", "/a/b"]),
            ("/%", ["/%"; 4]),
            ("/%zz%4", ["/%zz%4"; 4]),
            ("/%2561", ["/%61"; 4]),
            ("*", ["*"; 4]),
        ];
        for (path, expected) in cases {
            for (reading, expected) in READINGS.into_iter().zip(expected) {
                assert_eq!(read(path, reading), expected, "{path} {reading:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_plain_path_is_read_as_it_was_sent(path in "(/[a-z.]{0,3}){0,5}") {
            for reading in READINGS {
                if is_plain(path.as_bytes()) {
                    prop_assert_eq!(&read(&path, reading), &path);
                }
            }
        }

        #[test]
        fn no_segment_of_dots_is_left_in_what_is_read(path in "/([a./%2eE\\\\]|%2e|%2f){0,12}") {
            for reading in READINGS {
                prop_assert!(!read(&path, reading).split('/').any(|segment| matches!(segment, "." | "..")));
            }
        }
    }
}
