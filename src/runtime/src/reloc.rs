//! Relocation kinds: how a hole's value becomes bytes, in the letters of the x86-64 psABI
//! (System V ABI, AMD64 supplement, section 4.4.1): S is the symbol's value, A the addend, P the place.

use std::fmt;
use std::ops::RangeInclusive;

/// How a value is written into a hole. The numbers are those of the ELF `r_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RelocationKind {
    /// `R_X86_64_64`: S + A, 8 bytes.
    Abs64 = 1,
    /// `R_X86_64_PC32`: S + A - P, 4 bytes, sign-extended. `R_X86_64_PLT32` is read as this: there is no PLT here.
    Pc32 = 2,
    /// `R_X86_64_32`: S + A, 4 bytes, zero-extended by the instruction.
    Abs32 = 10,
    /// `R_X86_64_32S`: S + A, 4 bytes, sign-extended by the instruction.
    Abs32S = 11,
    /// `R_X86_64_16`: S + A, 2 bytes.
    Abs16 = 12,
    /// `R_X86_64_8`: S + A, 1 byte.
    Abs8 = 14,
}

impl RelocationKind {
    /// Every kind, in the order of the ELF numbers.
    pub const ALL: [Self; 6] = [
        Self::Abs64,
        Self::Pc32,
        Self::Abs32,
        Self::Abs32S,
        Self::Abs16,
        Self::Abs8,
    ];

    /// The kind with this number in a table, or `None`.
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Abs64,
            2 => Self::Pc32,
            10 => Self::Abs32,
            11 => Self::Abs32S,
            12 => Self::Abs16,
            14 => Self::Abs8,
            _ => return None,
        })
    }

    /// The psABI's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abs64 => "R_X86_64_64",
            Self::Pc32 => "R_X86_64_PC32",
            Self::Abs32 => "R_X86_64_32",
            Self::Abs32S => "R_X86_64_32S",
            Self::Abs16 => "R_X86_64_16",
            Self::Abs8 => "R_X86_64_8",
        }
    }

    /// How many bytes are written.
    pub const fn width(self) -> usize {
        match self {
            Self::Abs64 => 8,
            Self::Pc32 | Self::Abs32 | Self::Abs32S => 4,
            Self::Abs16 => 2,
            Self::Abs8 => 1,
        }
    }

    /// Whether P is subtracted.
    pub const fn is_pc_relative(self) -> bool {
        matches!(self, Self::Pc32)
    }

    /// The values of the whole expression (S + A, or S + A - P) that fit.
    ///
    /// The psABI leaves open how an instruction extends a field of one or two bytes. x86 sign-extends nearly all of
    /// them, so these are signed here: a value that fits is right under either reading.
    pub const fn range(self) -> RangeInclusive<i64> {
        match self {
            Self::Abs64 => i64::MIN..=i64::MAX,
            Self::Pc32 | Self::Abs32S => i32::MIN as i64..=i32::MAX as i64,
            Self::Abs32 => 0..=u32::MAX as i64,
            Self::Abs16 => i16::MIN as i64..=i16::MAX as i64,
            Self::Abs8 => i8::MIN as i64..=i8::MAX as i64,
        }
    }

    /// Writes `value` at the start of `place` if it is in [`range`](Self::range) and `place` is wide enough.
    ///
    /// `value` is the whole expression, with P already subtracted for a PC-relative kind. Returns whether it was
    /// written; nothing is written otherwise.
    #[must_use]
    pub fn write(self, place: &mut [u8], value: i64) -> bool {
        if !self.range().contains(&value) {
            return false;
        }
        // One copy of a constant length each.
        match self {
            Self::Abs64 => put(place, value.to_le_bytes()),
            Self::Pc32 | Self::Abs32 | Self::Abs32S => put(place, (value as u32).to_le_bytes()),
            Self::Abs16 => put(place, (value as u16).to_le_bytes()),
            Self::Abs8 => put(place, (value as u8).to_le_bytes()),
        }
    }
}

fn put<const N: usize>(place: &mut [u8], bytes: [u8; N]) -> bool {
    match place.first_chunk_mut::<N>() {
        Some(field) => {
            *field = bytes;
            true
        }
        None => false,
    }
}

impl fmt::Display for RelocationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row per kind: smallest, largest, and one beyond each where such a value exists.
    #[test]
    fn each_kind_accepts_its_range_and_nothing_beyond() {
        type Row = (RelocationKind, i64, i64, &'static [u8], &'static [u8]);
        let rows: [Row; 6] = [
            (
                RelocationKind::Abs64,
                i64::MIN,
                i64::MAX,
                &[0, 0, 0, 0, 0, 0, 0, 0x80],
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            ),
            (
                RelocationKind::Pc32,
                -0x8000_0000,
                0x7fff_ffff,
                &[0, 0, 0, 0x80],
                &[0xff, 0xff, 0xff, 0x7f],
            ),
            (
                RelocationKind::Abs32,
                0,
                0xffff_ffff,
                &[0, 0, 0, 0],
                &[0xff, 0xff, 0xff, 0xff],
            ),
            (
                RelocationKind::Abs32S,
                -0x8000_0000,
                0x7fff_ffff,
                &[0, 0, 0, 0x80],
                &[0xff, 0xff, 0xff, 0x7f],
            ),
            (
                RelocationKind::Abs16,
                -0x8000,
                0x7fff,
                &[0, 0x80],
                &[0xff, 0x7f],
            ),
            (RelocationKind::Abs8, -0x80, 0x7f, &[0x80], &[0x7f]),
        ];
        assert_eq!(rows.map(|row| row.0), RelocationKind::ALL);
        for (kind, low, high, low_bytes, high_bytes) in rows {
            for (value, bytes) in [(low, low_bytes), (high, high_bytes)] {
                let mut place = [0xcc; 9];
                assert!(kind.write(&mut place, value), "{kind} refuses {value}");
                assert_eq!(&place[..kind.width()], bytes, "{kind} of {value}");
                assert!(
                    place[kind.width()..].iter().all(|&byte| byte == 0xcc),
                    "{kind} writes too far"
                );
            }
            for value in [low.checked_sub(1), high.checked_add(1)]
                .into_iter()
                .flatten()
            {
                let mut place = [0xcc; 8];
                assert!(!kind.write(&mut place, value), "{kind} accepts {value}");
                assert_eq!(place, [0xcc; 8], "{kind} writes a refused value");
            }
            assert!(
                !kind.write(&mut [0; 8][..kind.width() - 1], low),
                "{kind} writes beyond the place"
            );
            assert_eq!(RelocationKind::from_u8(kind as u8), Some(kind));
        }
        assert_eq!(RelocationKind::from_u8(0), None);
        assert_eq!(RelocationKind::from_u8(9), None);
    }
}
