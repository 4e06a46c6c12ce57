//! Strings: sequences of code points in units of one, two or four bytes, the smallest that hold every code point
//! (the idea of PEP 393), so that indexing takes constant time and equal strings are equal bytes.
//!
//! Code points include lone surrogates, as in Python. A string that only one reference knows grows in place, with
//! room to spare, so that building a string by appending takes linear time.

#![allow(unsafe_code)]

use crate::error::{PyError, Result};
use crate::hash;
use crate::heap;
use crate::immortal;
use crate::limits;
use crate::object::{Header, Kind, Ref};
use std::alloc::{self, Layout};
use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::ptr::NonNull;

/// Flag of a string of ASCII characters only.
pub const FLAG_ASCII: u32 = 1;
/// Flag of a string of two-byte units.
pub const FLAG_TWO_BYTES: u32 = 2;
/// Flag of a string of four-byte units.
pub const FLAG_FOUR_BYTES: u32 = 4;

/// Units are aligned for the widest, so that a buffer serves any width.
const ALIGN: usize = 4;
/// The first code point beyond one-byte units.
const LATIN1_END: u32 = 0x100;
/// The first code point beyond two-byte units.
const BASIC_PLANE_END: u32 = 0x1_0000;

/// A string.
#[repr(C)]
pub struct Str {
    header: Header,
    /// In code points.
    pub(crate) length: usize,
    /// The units; dangling while `capacity` is zero.
    pub(crate) data: NonNull<u8>,
    /// In bytes.
    capacity: usize,
    /// The hash once it is known; zero before, and for the few strings whose hash it is.
    hash: Cell<i64>,
}

/// The units of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units<'a> {
    /// One byte each: the Latin-1 range.
    One(&'a [u8]),
    /// Two bytes each: the basic plane.
    Two(&'a [u16]),
    /// Four bytes each.
    Four(&'a [u32]),
}

impl Units<'_> {
    /// The code point at an index, which is in range.
    fn at(self, index: usize) -> u32 {
        match self {
            Self::One(units) => units[index].into(),
            Self::Two(units) => units[index].into(),
            Self::Four(units) => units[index],
        }
    }
}

impl Str {
    /// How many code points there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether every character is ASCII.
    pub fn is_ascii(&self) -> bool {
        self.header.flags.get() & FLAG_ASCII != 0
    }

    /// The bytes of a unit: 1, 2 or 4.
    pub fn width(&self) -> usize {
        match self.header.flags.get() & (FLAG_TWO_BYTES | FLAG_FOUR_BYTES) {
            0 => 1,
            FLAG_TWO_BYTES => 2,
            _ => 4,
        }
    }

    /// The units.
    pub fn units(&self) -> Units<'_> {
        // SAFETY: the buffer holds `length` units of the width that the flags say.
        unsafe {
            match self.width() {
                1 => Units::One(self.slice_of()),
                2 => Units::Two(self.slice_of()),
                _ => Units::Four(self.slice_of()),
            }
        }
    }

    /// # Safety
    /// `T` is the unit.
    unsafe fn slice_of<T>(&self) -> &[T] {
        // SAFETY: the caller's promise; the buffer, or the dangling pointer, is aligned for any unit.
        unsafe { std::slice::from_raw_parts(self.data.cast().as_ptr(), self.length) }
    }

    /// The text of an ASCII string.
    pub fn as_ascii(&self) -> Option<&str> {
        match self.units() {
            Units::One(bytes) if self.is_ascii() => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The code points.
    pub fn code_points(&self) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
        let units = self.units();
        (0..self.length).map(move |index| units.at(index))
    }

    /// The text, with a replacement character for each surrogate.
    pub fn to_string_lossy(&self) -> String {
        self.code_points()
            .map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    }

    /// The code point at this index, if it is in range.
    pub fn get(&self, index: usize) -> Option<u32> {
        (index < self.length).then(|| self.units().at(index))
    }

    /// The code point of a string of one.
    pub(crate) fn as_code_point(&self) -> Option<u32> {
        if self.length == 1 { self.get(0) } else { None }
    }

    /// The order by code points.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.units(), other.units()) {
            (Units::One(a), Units::One(b)) => a.cmp(b),
            (Units::Two(a), Units::Two(b)) => a.cmp(b),
            (Units::Four(a), Units::Four(b)) => a.cmp(b),
            _ => self.code_points().cmp(other.code_points()),
        }
    }

    /// `hash(string)`
    pub(crate) fn hash(&self) -> i64 {
        if self.hash.get() == 0 {
            self.hash.set(hash::string(self));
        }
        self.hash.get()
    }

    /// Whether `part` occurs.
    pub fn contains(&self, part: &Self) -> bool {
        if let (Some(text), Some(part)) = (self.as_ascii(), part.as_ascii()) {
            return text.contains(part);
        }
        if part.is_empty() {
            return true;
        }
        if part.length > self.length || part.width() > self.width() {
            return false;
        }
        match (self.units(), part.units()) {
            (Units::One(text), Units::One(part)) => occurs(text, part),
            (Units::Two(text), Units::Two(part)) => occurs(text, part),
            (Units::Four(text), Units::Four(part)) => occurs(text, part),
            (Units::Two(text), Units::One(part)) => occurs(text, &widen(part)),
            (Units::Four(text), Units::One(part)) => occurs(text, &widen(part)),
            (Units::Four(text), Units::Two(part)) => occurs(text, &widen(part)),
            _ => false,
        }
    }

    /// An immortal string's struct; see [`immortal::ascii`].
    pub(crate) fn from_ascii_byte(byte: u8) -> Self {
        debug_assert!(byte.is_ascii());
        let mut string = Self::with_capacity(
            LayoutOf {
                width: 1,
                is_ascii: true,
            },
            1,
        );
        string.push_units(&[byte]);
        string
    }

    /// An empty string with room for `capacity` units.
    fn with_capacity(layout: LayoutOf, capacity: usize) -> Self {
        let mut string = Self {
            header: Header::new(Kind::Str, layout.flags()),
            length: 0,
            data: NonNull::<u32>::dangling().cast(),
            capacity: 0,
            hash: Cell::new(0),
        };
        string.set_capacity(capacity.saturating_mul(layout.width));
        string
    }

    /// Reallocates the buffer to this many bytes, no fewer than are used. Ends the process when there is no memory.
    fn set_capacity(&mut self, bytes: usize) {
        if bytes == self.capacity {
            return;
        }
        let Ok(new) = Layout::from_size_align(bytes, ALIGN) else {
            alloc::handle_alloc_error(Layout::new::<Header>());
        };
        // SAFETY: a capacity that is not zero is the size of a buffer from here; `bytes` is not zero in `alloc` and
        // `realloc`: it is no smaller than `capacity`, from which it differs.
        let buffer = unsafe {
            if self.capacity == 0 {
                alloc::alloc(new)
            } else {
                let old = Layout::from_size_align_unchecked(self.capacity, ALIGN);
                alloc::realloc(self.data.as_ptr(), old, bytes)
            }
        };
        self.data = NonNull::new(buffer).unwrap_or_else(|| alloc::handle_alloc_error(new));
        self.capacity = bytes;
    }

    /// Appends units of the string's own width. There must be room.
    fn push_units<T: Copy>(&mut self, units: &[T]) {
        debug_assert_eq!(size_of::<T>(), self.width());
        assert!((self.length + units.len()) * size_of::<T>() <= self.capacity);
        // SAFETY: there is room behind the units that are used, and the buffer is aligned for any unit. `units` is
        // borrowed from another string, since this one is borrowed mutably.
        unsafe {
            let end = self.data.cast::<T>().as_ptr().add(self.length);
            std::ptr::copy_nonoverlapping(units.as_ptr(), end, units.len());
        }
        self.length += units.len();
        self.hash.set(0);
    }

    /// Appends a string of no wider units. There must be room.
    fn push_string(&mut self, other: &Self) {
        match (self.width(), other.units()) {
            (1, Units::One(units)) => self.push_units(units),
            (2, Units::One(units)) => self.push_units::<u16>(&widen(units)),
            (2, Units::Two(units)) => self.push_units(units),
            (_, Units::One(units)) => self.push_units::<u32>(&widen(units)),
            (_, Units::Two(units)) => self.push_units::<u32>(&widen(units)),
            (_, Units::Four(units)) => self.push_units(units),
        }
    }

    fn layout(&self) -> LayoutOf {
        LayoutOf {
            width: self.width(),
            is_ascii: self.is_ascii(),
        }
    }
}

impl Drop for Str {
    fn drop(&mut self) {
        if self.capacity != 0 {
            // SAFETY: the buffer was allocated with this size.
            unsafe {
                let layout = Layout::from_size_align_unchecked(self.capacity, ALIGN);
                alloc::dealloc(self.data.as_ptr(), layout);
            }
        }
    }
}

/// Lone surrogates, which UTF-8 does not have, become U+FFFD.
impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        if let Some(text) = self.as_ascii() {
            return f.write_str(text);
        }
        self.code_points().try_for_each(|c| {
            f.write_char(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER))
        })
    }
}

/// The representation of a string.
#[derive(Clone, Copy)]
struct LayoutOf {
    width: usize,
    is_ascii: bool,
}

impl LayoutOf {
    /// The smallest for code points up to this one.
    fn for_largest(code_point: u32) -> Self {
        let width = match code_point {
            ..LATIN1_END => 1,
            LATIN1_END..BASIC_PLANE_END => 2,
            _ => 4,
        };
        Self {
            width,
            is_ascii: code_point < 0x80,
        }
    }

    /// The smallest for the characters of both.
    fn union(self, other: Self) -> Self {
        Self {
            width: self.width.max(other.width),
            is_ascii: self.is_ascii && other.is_ascii,
        }
    }

    fn flags(self) -> u32 {
        let width = match self.width {
            1 => 0,
            2 => FLAG_TWO_BYTES,
            _ => FLAG_FOUR_BYTES,
        };
        width | if self.is_ascii { FLAG_ASCII } else { 0 }
    }
}

fn widen<From: Copy, To: std::convert::From<From>>(units: &[From]) -> Vec<To> {
    units.iter().map(|&unit| unit.into()).collect()
}

fn occurs<T: PartialEq>(text: &[T], part: &[T]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

impl Ref {
    /// A string.
    pub fn str(text: &str) -> Self {
        if !text.is_ascii() {
            return from_code_points(text.chars().map(u32::from));
        }
        if let [byte] = *text.as_bytes() {
            return single(byte.into());
        }
        let mut string = Str::with_capacity(LayoutOf::for_largest(0), text.len());
        string.push_units(text.as_bytes());
        heap::allocate(string)
    }
}

/// A string of these code points, each below 0x11_0000.
pub fn from_code_points(code_points: impl Iterator<Item = u32> + Clone) -> Ref {
    let (count, largest) = code_points
        .clone()
        .fold((0, 0), |(count, largest), c| (count + 1, c.max(largest)));
    let layout = LayoutOf::for_largest(largest);
    let mut string = Str::with_capacity(layout, count);
    // The casts lose nothing: the layout fits the largest code point.
    match layout.width {
        1 => code_points.for_each(|c| string.push_units(&[c as u8])),
        2 => code_points.for_each(|c| string.push_units(&[c as u16])),
        _ => code_points.for_each(|c| string.push_units(&[c])),
    }
    heap::allocate(string)
}

/// The string of one code point, which is below 0x11_0000.
pub fn single(code_point: u32) -> Ref {
    immortal::ascii(code_point).unwrap_or_else(|| from_code_points(std::iter::once(code_point)))
}

/// The string of the code points at the indices `start`, `start + step`, ..., which are in range.
pub(crate) fn pick(string: &Str, indices: impl Iterator<Item = usize> + Clone) -> Ref {
    let units = string.units();
    from_code_points(indices.map(|index| units.at(index)))
}

/// `a + b`, appended in place if nobody else refers to `a`.
///
/// # Errors
/// `TypeError` if one of them is not a string, `MemoryError` if the result is too long. Both are consumed anyhow.
pub(crate) fn concat(mut a: Ref, b: Ref) -> Result<Ref> {
    let (left, right) = (as_str(&a)?, as_str(&b)?);
    if right.is_empty() {
        return Ok(a);
    }
    if left.is_empty() {
        return Ok(b);
    }
    let layout = left.layout().union(right.layout());
    let length = left.length + right.length;
    limits::check_items(length)?;
    if layout.width == left.width()
        && let Some(left) = a.downcast_mut::<Str>()
    {
        let needed = length * layout.width;
        if needed > left.capacity {
            left.set_capacity(needed + needed / 4);
        }
        left.header.flags.set(layout.flags());
        left.push_string(right);
        return Ok(a);
    }
    let mut result = Str::with_capacity(layout, length);
    result.push_string(as_str(&a)?);
    result.push_string(right);
    Ok(heap::allocate(result))
}

/// The concatenation of strings.
///
/// # Errors
/// `TypeError` if one of them is not a string, `MemoryError` if the result is too long.
pub(crate) fn join(strings: &[Ref]) -> Result<Ref> {
    let mut layout = LayoutOf::for_largest(0);
    let mut length = 0_usize;
    let parts: Vec<&Str> = strings.iter().map(as_str).collect::<Result<_>>()?;
    for string in &parts {
        layout = layout.union(string.layout());
        length = length.saturating_add(string.length);
    }
    limits::check_items(length)?;
    let mut result = Str::with_capacity(layout, length);
    parts.iter().for_each(|string| result.push_string(string));
    Ok(heap::allocate(result))
}

fn as_str(object: &Ref) -> Result<&Str> {
    object
        .downcast()
        .ok_or_else(|| PyError::type_error(format!("expected str, found {}", object.type_name())))
}

/// `string * count`; a negative count is zero.
///
/// # Errors
/// `OverflowError` if the result's length is not an index, `MemoryError` if it is too long.
pub(crate) fn repeat(string: &Str, count: i64) -> Result<Ref> {
    let count = usize::try_from(count).unwrap_or(0);
    let length = string
        .length
        .checked_mul(count)
        .filter(|&length| length <= isize::MAX as usize);
    let Some(length) = length else {
        return Err(PyError::overflow("repeated string is too long"));
    };
    limits::check_items(length)?;
    let layout = if count == 0 {
        LayoutOf::for_largest(0)
    } else {
        string.layout()
    };
    let mut result = Str::with_capacity(layout, length);
    for _ in 0..if string.is_empty() { 0 } else { count } {
        result.push_string(string);
    }
    Ok(heap::allocate(result))
}
