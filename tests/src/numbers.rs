//! A generator of numbers that are the same on each run.

/// Marsaglia's xorshift64 (Journal of Statistical Software 8(14), 2003).
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence with this number; 0 is taken for 1, because xorshift stays at 0.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// The next number of the sequence, which is never 0.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number in 0..`limit`, or 0 where the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        // The remainder is less than `limit`, so it fits.
        (self.number() % limit.max(1) as u64) as usize
    }
}
