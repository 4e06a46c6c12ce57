//! Which parts of an arena's segments are free, and in what sense. Bookkeeping only: it knows nothing of memory.

use std::collections::{BTreeMap, BTreeSet};

/// A part of a segment, in bytes. Offset and length are multiples of [`GRANULE`](super::GRANULE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) segment: usize,
    pub(super) offset: usize,
    pub(super) len: usize,
}

impl Span {
    /// Whether `next` begins where this ends, in the same segment.
    fn touches(&self, next: &Self) -> bool {
        self.segment == next.segment && self.offset + self.len == next.offset
    }
}

/// Which parts of the segments are free, and in what sense; it knows nothing of memory.
///
/// Blocks are carved off the front of one region until that is too small; then the best fitting free span becomes the
/// region. Most allocations are therefore one addition, and traces that are compiled together lie together.
#[derive(Default)]
pub(super) struct Pool {
    /// The rest of the region being carved.
    region: Span,
    /// Usable at once.
    free: FreeList,
    /// Freed, but to be reclaimed after a barrier only.
    retired: Vec<Span>,
    pub(super) retired_len: usize,
}

impl Pool {
    /// Takes `len` bytes from the region or, where it is too small, from the free span that fits best.
    pub(super) fn carve(&mut self, len: usize) -> Option<Span> {
        if self.region.len < len {
            self.give_region_back();
            self.region = self.free.take_best(len)?;
        }
        let span = Span { len, ..self.region };
        self.region.offset += len;
        self.region.len -= len;
        Some(span)
    }

    /// Adds memory that is usable at once.
    pub(super) fn add(&mut self, span: Span) {
        self.free.insert(span);
    }

    /// Takes memory back, to be used again after [`reclaim`](Self::reclaim).
    pub(super) fn retire(&mut self, span: Span) {
        self.retired_len += span.len;
        self.retired.push(span);
    }

    /// Makes everything retired free, and returns it, merged.
    ///
    /// The region is given up too, so that the next one is again what fits best: memory that is warm, rather than the
    /// rest of a segment that was never touched.
    pub(super) fn reclaim(&mut self) -> Vec<Span> {
        let mut spans = std::mem::take(&mut self.retired);
        self.retired_len = 0;
        spans.sort_unstable();
        spans.dedup_by(|next, span| {
            let touches = span.touches(next);
            if touches {
                span.len += next.len;
            }
            touches
        });
        self.give_region_back();
        for &span in &spans {
            self.free.insert(span);
        }
        spans
    }

    fn give_region_back(&mut self) {
        self.free.insert(std::mem::take(&mut self.region));
    }
}

/// Free spans, none touching another: by place to merge neighbours, by length to find the best fit.
#[derive(Default)]
struct FreeList {
    /// Segment and offset to length.
    by_place: BTreeMap<(usize, usize), usize>,
    /// Length, segment, offset.
    by_len: BTreeSet<(usize, usize, usize)>,
}

impl FreeList {
    /// Adds a span, merged with the neighbours it touches. Empty spans are ignored.
    fn insert(&mut self, mut span: Span) {
        if span.len == 0 {
            return;
        }
        let before = self
            .by_place
            .range(..(span.segment, span.offset))
            .next_back();
        if let Some(before) = before
            .map(Self::span)
            .filter(|before| before.touches(&span))
        {
            self.remove(before);
            span = Span {
                len: before.len + span.len,
                ..before
            };
        }
        let after = self.by_place.range((span.segment, span.offset)..).next();
        if let Some(after) = after.map(Self::span).filter(|after| span.touches(after)) {
            self.remove(after);
            span.len += after.len;
        }
        self.by_place.insert((span.segment, span.offset), span.len);
        self.by_len.insert((span.len, span.segment, span.offset));
    }

    /// Takes the shortest span of at least `len` bytes, and of these the first.
    fn take_best(&mut self, len: usize) -> Option<Span> {
        let &(len, segment, offset) = self.by_len.range((len, 0, 0)..).next()?;
        let span = Span {
            segment,
            offset,
            len,
        };
        self.remove(span);
        Some(span)
    }

    fn remove(&mut self, span: Span) {
        self.by_place.remove(&(span.segment, span.offset));
        self.by_len.remove(&(span.len, span.segment, span.offset));
    }

    fn span((&(segment, offset), &len): (&(usize, usize), &usize)) -> Span {
        Span {
            segment,
            offset,
            len,
        }
    }
}
