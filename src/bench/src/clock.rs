//! The clock that times are taken with: the processor time of this thread, the system's work for it included.
//!
//! Nothing that is measured waits for anything, so this is the time it takes on a machine that does nothing else; on one
//! that does, what other processes are given in between is not counted.

use rustix::time::{ClockId, clock_gettime};
use std::ops::Sub;
use std::time::Duration;

/// A moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment(Duration);

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Self(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }

    /// The time since.
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
