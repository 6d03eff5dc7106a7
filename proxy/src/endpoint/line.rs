//! Those who wait for the same thing.

use std::collections::VecDeque;

use tokio::sync::oneshot;

/// A line in which the newest and the oldest get what there is in turn: nobody waits until a whole crowd that came before has got it, and nobody for ever. Whoever does
/// not wait any more is passed over.
#[derive(Debug)]
pub(super) struct Line<T> {
    /// The oldest first, each with the number of those who came before.
    waiting: VecDeque<(u64, oneshot::Sender<T>)>,
    came: u64,
    newest_is_next: bool,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Line {
            waiting: VecDeque::new(),
            came: 0,
            newest_is_next: true,
        }
    }
}

impl<T> Line<T> {
    /// How many wait.
    pub fn len(&mut self) -> usize {
        self.waiting.retain(|(_, waiting)| !waiting.is_closed());
        self.waiting.len()
    }

    /// How many came so far.
    pub fn came(&self) -> u64 {
        self.came
    }

    /// Takes a place in the line.
    pub fn join(&mut self) -> oneshot::Receiver<T> {
        let (waiting, given) = oneshot::channel();
        self.waiting.push_back((self.came, waiting));
        self.came += 1;
        given
    }

    /// Gives something to whoever is next. An error: nobody waits, and here it is.
    pub fn give(&mut self, mut given: T) -> Result<(), T> {
        loop {
            let next = if self.newest_is_next {
                self.waiting.pop_back()
            } else {
                self.waiting.pop_front()
            };
            let Some((_, waiting)) = next else { return Err(given) };
            match waiting.send(given) {
                Ok(()) => break,
                Err(unwanted) => given = unwanted,
            }
        }
        self.newest_is_next = !self.newest_is_next;
        Ok(())
    }

    /// Gives something to all who were among the first `came`.
    pub fn give_all(&mut self, came: u64, mut given: impl FnMut() -> T) {
        while self.waiting.front().is_some_and(|(before, _)| *before < came) {
            if let Some((_, waiting)) = self.waiting.pop_front() {
                // Who does not wait any more needs nothing.
                let _ = waiting.send(given());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_and_the_oldest_go_in_turn_and_whoever_left_is_passed_over() {
        let mut line = Line::default();
        let mut waiting: Vec<_> = (0..6).map(|_| line.join()).collect();
        waiting.remove(4);
        assert_eq!(line.len(), 5);
        for given in 0..4 {
            line.give(given).unwrap();
        }
        let got: Vec<_> = waiting.iter_mut().map(|waiting| waiting.try_recv().ok()).collect();
        assert_eq!(got, [Some(1), Some(3), None, Some(2), Some(0)]);
        line.give(4).unwrap();
        assert_eq!(line.give(5), Err(5));
    }

    #[test]
    fn those_who_came_first_are_told_at_once() {
        let mut line = Line::default();
        let mut first: Vec<_> = (0..2).map(|_| line.join()).collect();
        let came = line.came();
        let mut later = line.join();
        line.give_all(came, || "told");
        assert!(first.iter_mut().all(|waiting| waiting.try_recv() == Ok("told")));
        assert!(later.try_recv().is_err());
    }
}
