//! Those who wait for the same thing.

use std::collections::VecDeque;

use tokio::sync::oneshot;

/// A line in which the newest and the oldest get what there is in turn: nobody waits until a whole crowd that came before has got it, and nobody for ever. The newest of
/// those who are known to give back what they get goes before the newest of the others, who may keep it. Whoever does not wait any more is passed over.
#[derive(Debug)]
pub(super) struct Line<T> {
    known: Queue<T>,
    others: Queue<T>,
    came: u64,
    newest_is_next: bool,
}

/// The oldest first, each with the number of those who came before.
type Queue<T> = VecDeque<(u64, oneshot::Sender<T>)>;

impl<T> Default for Line<T> {
    fn default() -> Self {
        Line {
            known: VecDeque::new(),
            others: VecDeque::new(),
            came: 0,
            newest_is_next: true,
        }
    }
}

impl<T> Line<T> {
    /// How many wait.
    pub fn len(&mut self) -> usize {
        let queues = [&mut self.known, &mut self.others].into_iter();
        queues
            .map(|queue| {
                queue.retain(|(_, waiting)| !waiting.is_closed());
                queue.len()
            })
            .sum()
    }

    /// How many came so far.
    pub fn came(&self) -> u64 {
        self.came
    }

    /// Takes a place in the line; `known` says that what was given before was given back.
    pub fn join(&mut self, known: bool) -> oneshot::Receiver<T> {
        let (waiting, given) = oneshot::channel();
        let queue = if known { &mut self.known } else { &mut self.others };
        queue.push_back((self.came, waiting));
        self.came += 1;
        given
    }

    /// Gives something to whoever is next. An error: nobody waits, and here it is.
    pub fn give(&mut self, given: T) -> Result<(), T> {
        self.give_to(given, Self::newest, Self::oldest)
    }

    /// Whether one of those waits who are known.
    pub fn has_known(&self) -> bool {
        !self.known.is_empty()
    }

    /// Gives something to one of those who are known. An error: none of them waits, and here it is.
    pub fn give_known(&mut self, given: T) -> Result<(), T> {
        self.give_to(given, |line| &mut line.known, |line| &mut line.known)
    }

    fn give_to(&mut self, mut given: T, newest: fn(&mut Self) -> &mut Queue<T>, oldest: fn(&mut Self) -> &mut Queue<T>) -> Result<(), T> {
        loop {
            let next = if self.newest_is_next {
                newest(self).pop_back()
            } else {
                oldest(self).pop_front()
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

    fn newest(&mut self) -> &mut Queue<T> {
        if self.known.is_empty() { &mut self.others } else { &mut self.known }
    }

    /// The queue of whoever waits longest.
    fn oldest(&mut self) -> &mut Queue<T> {
        let came = |queue: &Queue<T>| queue.front().map_or(u64::MAX, |(before, _)| *before);
        if came(&self.known) < came(&self.others) {
            &mut self.known
        } else {
            &mut self.others
        }
    }

    /// Gives something to all who were among the first `came`.
    pub fn give_all(&mut self, came: u64, mut given: impl FnMut() -> T) {
        while let Some((_, waiting)) = self.oldest().pop_front_if(|(before, _)| *before < came) {
            // Who does not wait any more needs nothing.
            let _ = waiting.send(given());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives numbers to all in the line, and says who got which.
    fn served<const N: usize>(mut line: Line<usize>, waiting: [Option<oneshot::Receiver<usize>>; N]) -> [Option<usize>; N] {
        for given in 0.. {
            if line.give(given).is_err() {
                break;
            }
        }
        waiting.map(|waiting| waiting?.try_recv().ok())
    }

    #[test]
    fn the_newest_and_the_oldest_go_in_turn_and_whoever_left_is_passed_over() {
        let mut line = Line::default();
        let mut waiting = [(); 6].map(|()| Some(line.join(false)));
        waiting[4] = None;
        assert_eq!(line.len(), 5);
        assert_eq!(served(line, waiting), [Some(1), Some(3), Some(4), Some(2), None, Some(0)]);
    }

    #[test]
    fn those_who_give_back_what_they_get_go_first_and_keep_nobody_waiting_for_ever() {
        let mut line = Line::default();
        let waiting = [false, false, true, true, true, false].map(|known| Some(line.join(known)));
        assert_eq!(served(line, waiting), [Some(1), Some(3), Some(4), Some(2), Some(0), Some(5)]);
    }

    #[test]
    fn something_can_be_for_those_alone_who_give_back_what_they_get() {
        let mut line = Line::default();
        let [other, left] = [false, true].map(|known| line.join(known));
        drop(left);
        assert_eq!(line.give_known(0), Err(0));
        let mut known = line.join(true);
        line.give_known(1).unwrap();
        assert_eq!((known.try_recv(), line.has_known()), (Ok(1), false));
        drop(other);
    }

    #[test]
    fn those_who_came_first_are_told_at_once() {
        let mut line = Line::default();
        let mut first = [line.join(false), line.join(true), line.join(false)];
        let came = line.came();
        let mut later = [line.join(false), line.join(true)];
        line.give_all(came, || "told");
        assert!(first.iter_mut().all(|waiting| waiting.try_recv() == Ok("told")));
        assert!(later.iter_mut().all(|waiting| waiting.try_recv().is_err()));
    }
}
