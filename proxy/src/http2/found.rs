//! What was found in field sections on their way into h2, which drops it, until whoever carries the stream asks for it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::MAX_STREAMS;
use super::sections::Section;

/// Findings of one client connection that nobody asked for yet. More are not kept: the connection ends. Honest clients cause none.
const LIMIT: usize = 2 * MAX_STREAMS as usize;

/// What a client sent.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The newest stream that the client opened.
    newest: Cell<u32>,
    /// Streams whose `:path` has a fragment, ascending.
    fragments: RefCell<Vec<u32>>,
    /// Streams with pseudo-fields in their trailers.
    trailers: RefCell<Vec<u32>>,
}

impl Asked {
    /// Looks at a head or trailers. True when there is too much that nobody asks for.
    pub(super) fn look(&self, section: Section) -> bool {
        if section.stream > self.newest.get() {
            self.newest.set(section.stream);
            section.said.fragment && add(&self.fragments, section.stream)
        } else {
            section.said.pseudo && add(&self.trailers, section.stream)
        }
    }

    /// Whether the `:path` of a stream has a fragment. Streams are asked for in their order.
    pub(super) fn has_fragment(&self, stream: u32) -> bool {
        let mut fragments = self.fragments.borrow_mut();
        let has = fragments.contains(&stream);
        // h2 refused the earlier ones itself.
        fragments.retain(|other| *other > stream);
        has
    }

    /// Whether the trailers of a stream, all of which came, have a pseudo-field.
    pub(super) fn has_pseudo_trailer(&self, stream: u32) -> bool {
        let mut trailers = self.trailers.borrow_mut();
        let place = trailers.iter().position(|other| *other == stream);
        place.map(|place| trailers.swap_remove(place)).is_some()
    }
}

fn add(streams: &RefCell<Vec<u32>>, stream: u32) -> bool {
    let mut streams = streams.borrow_mut();
    streams.push(stream);
    streams.len() > LIMIT
}

/// What a server answered on one connection.
#[derive(Debug, Default)]
pub(super) struct Answers(RefCell<Vec<Expected>>);

/// A stream on which an answer may come.
#[derive(Debug)]
struct Expected {
    stream: u32,
    /// Whether it ended with a section that has a pseudo-field: a head alone, or trailers.
    ended_with_pseudo: bool,
}

impl Answers {
    /// Notes what comes on a stream, until the answer is dropped. To be called before anything can come.
    pub(super) fn expect(self: &Rc<Self>, stream: u32) -> Answer {
        self.0.borrow_mut().push(Expected {
            stream,
            ended_with_pseudo: false,
        });
        Answer {
            answers: self.clone(),
            stream,
        }
    }

    /// Looks at a head or trailers.
    pub(super) fn look(&self, section: Section) {
        if section.ends_stream && section.said.pseudo {
            let mut expected = self.0.borrow_mut();
            if let Some(expected) = expected.iter_mut().find(|expected| expected.stream == section.stream) {
                expected.ended_with_pseudo = true;
            }
        }
    }
}

/// An answer that may come.
#[derive(Debug)]
pub(super) struct Answer {
    answers: Rc<Answers>,
    stream: u32,
}

impl Answer {
    /// Whether the trailers, all of which came, have a pseudo-field.
    pub(super) fn has_pseudo_trailer(&self) -> bool {
        let expected = self.answers.0.borrow();
        expected
            .iter()
            .any(|expected| expected.stream == self.stream && expected.ended_with_pseudo)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut expected = self.answers.0.borrow_mut();
        if let Some(place) = expected.iter().position(|expected| expected.stream == self.stream) {
            expected.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::hpack::Said;

    fn section(stream: u32, pseudo: bool, fragment: bool) -> Section {
        Section {
            stream,
            ends_stream: true,
            said: Said { pseudo, fragment },
        }
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_or_too_much() {
        let asked = Asked::default();
        for stream in (1..10_000).step_by(2) {
            assert!(!asked.look(section(stream, true, true)));
            // h2 refused every second one itself.
            if stream % 4 == 1 {
                assert!(asked.has_fragment(stream) && !asked.has_fragment(stream));
            }
        }
        assert!(!asked.look(section(1, false, true)));
        assert!(!asked.has_pseudo_trailer(1));
        let taken = (0..10_000).take_while(|_| !asked.look(section(1, true, false))).count();
        assert_eq!(taken, LIMIT);
        assert!(asked.has_pseudo_trailer(1));
    }

    #[test]
    fn answers_are_forgotten_when_nobody_expects_them() {
        let answers = Rc::new(Answers::default());
        let (first, second) = (answers.expect(1), answers.expect(3));
        answers.look(section(1, true, false));
        answers.look(section(5, true, false));
        assert!(first.has_pseudo_trailer() && !second.has_pseudo_trailer());
        drop(first);
        answers.look(section(1, true, false));
        assert_eq!(answers.0.borrow().len(), 1);
    }
}
