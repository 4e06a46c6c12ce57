//! Which pages of a segment are executable, and how many mappings that makes.
//!
//! The kernel has a mapping for each run of pages that may be used in one way. A process may have so many mappings and no
//! more (`vm.max_map_count`); where they are used up, nothing in it can map memory, be it for a thread's stack. So the arenas
//! of a process together take three quarters of them at most.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often one kind of page follows the other, in all segments of this process.
static EDGES: AtomicUsize = AtomicUsize::new(0);

/// What Linux has for `vm.max_map_count` where nobody has changed it.
const USUAL_MAPPINGS: usize = 65_530;

/// How many mappings the arenas of a process may take by changing pages.
pub(super) fn most_mappings() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        let mappings = text.and_then(|text| text.trim().parse().ok());
        mappings.unwrap_or(USUAL_MAPPINGS) / 4 * 3
    })
}

/// The pages of one segment.
pub(super) struct Pages {
    executable: Box<[bool]>,
    /// How often one kind follows the other here; what is around the segment counts as not executable.
    edges: usize,
}

impl Pages {
    /// So many pages, none of them executable.
    pub(super) fn new(count: usize) -> Self {
        Self {
            executable: vec![false; count].into(),
            edges: 0,
        }
    }

    /// Notes that a range becomes executable, or writable, unless there were more than `most` mappings then: the error says
    /// how many there are.
    pub(super) fn change(
        &mut self,
        range: Range<usize>,
        executable: bool,
        most: usize,
    ) -> Result<(), usize> {
        if range.is_empty() {
            return Ok(());
        }
        let kind = |page: Option<usize>| {
            page.and_then(|page| self.executable.get(page))
                .copied()
                .unwrap_or(false)
        };
        let edges =
            (range.start..=range.end).filter(|&page| kind(page.checked_sub(1)) != kind(Some(page)));
        let before = edges.count();
        let after = usize::from(kind(range.start.checked_sub(1)) != executable)
            + usize::from(kind(Some(range.end)) != executable);
        let all = EDGES.load(Ordering::Relaxed);
        if after > before && all + after - before > most {
            return Err(all);
        }
        EDGES.fetch_add(after, Ordering::Relaxed);
        EDGES.fetch_sub(before, Ordering::Relaxed);
        self.edges = self.edges + after - before;
        if let Some(pages) = self.executable.get_mut(range) {
            pages.fill(executable);
        }
        Ok(())
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        EDGES.fetch_sub(self.edges, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_those_of_the_pages() {
        let mut pages = Pages::new(16);
        let rows = [
            (0..2, true, 2),
            (2..5, true, 2),
            (3..4, false, 4),
            (3..3, true, 4),
            (15..16, true, 6),
            (3..4, true, 4),
            (0..16, true, 2),
            (0..8, false, 2),
            (0..16, false, 0),
        ];
        for (range, executable, edges) in rows {
            let text = format!("{range:?} {executable}");
            pages.change(range, executable, usize::MAX).expect(&text);
            assert_eq!(pages.edges, edges, "{text}");
        }
        assert!(pages.change(1..2, true, 1).is_err());
        assert_eq!(pages.edges, 0);
    }
}
