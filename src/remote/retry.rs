//! Which failures pass by themselves, and how long to wait for that.

use crate::error::Error;
use crate::error::Result;
use crate::remote::Settings;
use std::time::Duration;

/// The first pause; each of the next is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// A server that wants more rest than this is not waited for: the person may have other plans.
const ASKED_MAX: Duration = Duration::from_secs(120);

/// A failure on the way, before it is decided whether the person hears of it.
#[derive(Debug)]
pub struct Failure {
    pub error: Error,
    /// It may go well the next time.
    pub passes: bool,
    /// How long the server asked us to wait.
    pub asked: Option<Duration>,
}

impl Failure {
    pub fn final_(error: Error) -> Failure {
        Failure { error, passes: false, asked: None }
    }

    pub fn passing(error: Error) -> Failure {
        Failure { error, passes: true, asked: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::final_(error)
    }
}

/// The tries that one request has left.
pub struct Retry {
    left: u32,
    delay: Option<Duration>,
    next: Duration,
    times: u32,
}

impl Retry {
    pub fn new(settings: &Settings) -> Retry {
        Retry {
            left: settings.retry_times,
            times: settings.retry_times,
            delay: settings.retry_delay,
            next: FIRST,
        }
    }

    /// Waits until it is time to try again, or hands the failure on.
    pub async fn after(&mut self, failure: Failure) -> Result<()> {
        match self.pause(&failure) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(failure.error),
        }
    }

    /// What went well for a while has all its tries again.
    pub fn renew(&mut self) {
        self.left = self.times;
        self.next = FIRST;
    }

    fn pause(&mut self, failure: &Failure) -> Option<Duration> {
        if !failure.passes || failure.asked.is_some_and(|asked| asked > ASKED_MAX) {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        // With chance in it: a hundred clients that failed together must not come back together.
        let grown = self.next.mul_f64(0.5 + fastrand::f64());
        self.next = LONGEST.min(self.next * 2);
        Some(failure.asked.unwrap_or_default().max(self.delay.unwrap_or(grown)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(passes: bool, asked: Option<u64>) -> Failure {
        Failure { error: Error::Interrupted, passes, asked: asked.map(Duration::from_secs) }
    }

    fn retry(times: u32, delay: Option<Duration>) -> Retry {
        Retry::new(&Settings { retry_times: times, retry_delay: delay, ..Settings::default() })
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut retry = retry(10, None);
        let pauses: Vec<Duration> = (0..10).map(|_| retry.pause(&failure(true, None)).unwrap()).collect();
        for (n, pause) in pauses.iter().enumerate() {
            let middle = LONGEST.min(FIRST * (1 << n));
            assert!(*pause >= middle / 2 && *pause <= middle * 3 / 2, "{pauses:?}");
        }
        assert_eq!(retry.pause(&failure(true, None)), None);
        retry.renew();
        assert!(retry.pause(&failure(true, None)).is_some());
    }

    #[test]
    fn a_server_is_given_the_time_it_asks_for() {
        let mut retry = retry(2, Some(Duration::ZERO));
        assert_eq!(retry.pause(&failure(true, Some(7))), Some(Duration::from_secs(7)));
        assert_eq!(retry.pause(&failure(true, Some(3600))), None);
        assert_eq!(retry.pause(&failure(true, None)), Some(Duration::ZERO));
    }

    #[test]
    fn what_does_not_pass_is_not_tried_again() {
        assert_eq!(retry(2, None).pause(&failure(false, None)), None);
        assert_eq!(retry(0, None).pause(&failure(true, None)), None);
    }
}
