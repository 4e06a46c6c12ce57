//! Inputs that are the same on each run.

/// Numbers of a seeded xorshift64 (Marsaglia 2003).
pub(super) fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.max(1);
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    }
}

/// Bytes as words, the last filled up with zeros.
pub(super) fn words_of_bytes(bytes: &[u8]) -> Vec<u64> {
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    bytes.chunks(8).map(word).collect()
}

/// 32-bit numbers as words.
pub(super) fn words_of_u32(numbers: &[u32]) -> Vec<u64> {
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    words_of_bytes(&bytes)
}

/// Floats as words.
pub(super) fn words_of_f64(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// Integers as words.
pub(super) fn words_of_i64(numbers: &[i64]) -> Vec<u64> {
    numbers.iter().map(|&number| number as u64).collect()
}
