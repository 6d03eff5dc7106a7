//! Connections to one sidecar that are being opened. A handshake keeps both sides busy for the better part of a millisecond: hundreds at once would keep every request
//! waiting, here and there, and those that wait in the other sidecar would be taken for silent strangers. So they wait here, before they begin.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use super::connect::ConnectError;
use super::line::Line;

/// So many are opened at a time.
pub(super) const AT_ONCE: usize = 4;
/// One that takes longer waits for a network or for somebody who does not answer. That keeps nobody busy, so another may begin.
const PATIENCE: Duration = Duration::from_millis(20);

/// The connections to one sidecar that are being opened.
#[derive(Debug, Default)]
pub(super) struct Dials {
    begun: Cell<usize>,
    line: RefCell<Line<Result<Place, ConnectError>>>,
}

/// One of those that are opened at a time. When it is dropped, the next may begin.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// None when nobody need be told that it is free.
    dials: Option<Rc<Dials>>,
    /// Whether it had to be waited for.
    pub waited: bool,
}

impl Dials {
    /// A place, when there is one. An error: meanwhile the other sidecar turned out not to be there.
    pub async fn place(self: &Rc<Self>) -> Result<Place, ConnectError> {
        if self.begun.get() < AT_ONCE {
            self.begun.set(self.begun.get() + 1);
            return Ok(Place {
                dials: Some(self.clone()),
                waited: false,
            });
        }
        let given = self.line.borrow_mut().join(false);
        given.await.unwrap_or_else(|_| Err(ConnectError::sidecar_ends()))
    }

    /// Opens a connection in a `place`. When nobody is there, all who waited when it began are told so at once.
    pub async fn dial<T>(&self, place: Place, dial: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
        let came = self.line.borrow().came();
        let mut dial = pin!(dial);
        let dialled = match tokio::time::timeout(PATIENCE, &mut dial).await {
            Ok(dialled) => dialled,
            Err(_) => {
                drop(place);
                dial.await
            }
        };
        if let Err(error) = &dialled
            && error.is_absence()
        {
            self.line.borrow_mut().give_all(came, || Err(error.clone()));
        }
        dialled
    }

    /// Passes a place on.
    fn left(self: Rc<Self>) {
        let place = Place {
            dials: Some(self.clone()),
            waited: true,
        };
        let unwanted = self.line.borrow_mut().give(Ok(place));
        if let Err(Ok(mut place)) = unwanted {
            place.dials = None;
            self.begun.set(self.begun.get() - 1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(dials) = self.dials.take() {
            dials.left();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::task::{JoinHandle, LocalSet, spawn_local};
    use tokio::time::Instant;

    use super::*;

    type Dialled = JoinHandle<Result<u32, ConnectError>>;

    /// What happened, in order.
    type Log = Rc<RefCell<Vec<u32>>>;

    /// Dials for `milliseconds` once it may, notes that under its number, and answers that, or that nobody is there.
    fn dial(dials: &Rc<Dials>, log: &Log, number: u32, milliseconds: u64, there: bool) -> Dialled {
        let (dials, log) = (dials.clone(), log.clone());
        spawn_local(async move {
            let place = dials.place().await?;
            let dial = async {
                log.borrow_mut().push(number);
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                if there {
                    Ok(number)
                } else {
                    Err(ConnectError::connect(io::ErrorKind::TimedOut.into()))
                }
            };
            dials.dial(place, dial).await
        })
    }

    async fn in_local_time(test: impl Future<Output = ()>) {
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn few_begin_at_once_and_each_that_ends_lets_the_newest_or_the_oldest_begin() {
        in_local_time(async {
            let (dials, log) = (Rc::new(Dials::default()), Log::default());
            let dialled: Vec<_> = (0..AT_ONCE as u32 + 4).map(|number| dial(&dials, &log, number, 10, true)).collect();
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert_eq!(*log.borrow(), [0, 1, 2, 3]);
            for done in dialled {
                assert!(done.await.unwrap().is_ok());
            }
            assert_eq!(*log.borrow(), [0, 1, 2, 3, 7, 4, 6, 5]);
            assert_eq!(dials.begun.get(), 0);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_for_somebody_who_does_not_answer_hold_up_nobody_else() {
        in_local_time(async {
            let (dials, log) = (Rc::new(Dials::default()), Log::default());
            for number in 0..AT_ONCE as u32 {
                dial(&dials, &log, number, 1_000, false);
            }
            let began = Instant::now();
            assert!(dial(&dials, &log, 9, 0, true).await.unwrap().is_ok());
            assert_eq!(began.elapsed(), PATIENCE);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_waited_when_it_began_learn_at_once_that_nobody_is_there() {
        in_local_time(async {
            let (dials, log) = (Rc::new(Dials::default()), Log::default());
            let refused: Vec<_> = (0..100).map(|number| dial(&dials, &log, number, 15, false)).collect();
            tokio::time::sleep(Duration::from_millis(10)).await;
            let later = dial(&dials, &log, 100, 0, true);
            for refused in refused {
                assert!(matches!(refused.await.unwrap(), Err(ConnectError::Connect(_))));
            }
            assert!(log.borrow().len() < 3 * AT_ONCE, "most of them without a dial");
            assert_eq!(later.await.unwrap().unwrap(), 100, "it came when those had begun");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_came_too_late_goes_to_the_next() {
        in_local_time(async {
            let (dials, log) = (Rc::new(Dials::default()), Log::default());
            let mut held = Vec::new();
            for _ in 0..AT_ONCE {
                held.push(dials.place().await.unwrap());
            }
            let mut early = Box::pin(dials.place());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(early.as_mut().poll(&mut context).is_pending());
            held.pop();
            let waits = dial(&dials, &log, 1, 0, true);
            tokio::task::yield_now().await;
            assert!(log.borrow().is_empty());
            drop(early);
            assert_eq!(waits.await.unwrap().unwrap(), 1);
        })
        .await;
    }
}
