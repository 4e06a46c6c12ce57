//! Coverage: which uops of traces were executed, and which of their ways out were taken.
//!
//! A trace gets a counting uop in front of each of its own, and on each way to an exit or an error, in front of a copy of
//! the uop that it leads to. What the trace does stays the same; what its code is like does not, as counters stand between
//! uops that would otherwise share a stencil or registers.

use mimeo::stencil::UopFlags;
use mimeo::trace::{Label, Trace, TraceError, Uop};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A way through a uop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// It was reached.
    Executed,
    /// It left through its jump.
    Jump,
    /// It left through its error.
    Error,
}

/// Counters for traces that are to be watched.
///
/// Machine code adds to them: they must outlive it.
#[derive(Debug, Default)]
pub struct Coverage {
    counters: Vec<Counter>,
}

#[derive(Debug)]
struct Counter {
    uop: String,
    way: Way,
    /// Boxed, as machine code holds its address.
    count: Box<AtomicU64>,
}

impl Coverage {
    /// How often each way was taken, by uop.
    pub fn counts(&self) -> BTreeMap<(&str, Way), u64> {
        let mut counts = BTreeMap::new();
        for counter in &self.counters {
            let key = (counter.uop.as_str(), counter.way);
            *counts.entry(key).or_default() += counter.count.load(Ordering::Relaxed);
        }
        counts
    }

    /// The same trace with counters, and for each uop of it which uop of `trace` it belongs to.
    ///
    /// A way that leads to a uop with another behind it is not counted: there is no room for a counter on it.
    ///
    /// # Errors
    /// The table has no uop that counts, or labels of the trace are not bound.
    pub fn instrument<'t>(
        &mut self,
        trace: &Trace<'t>,
    ) -> Result<(Trace<'t>, Vec<usize>), TraceError> {
        let mut watched = Trace::new(trace.table());
        let labels = trace.uops().iter().map(|_| watched.label()).collect();
        let mut instrumentation = Instrumentation {
            coverage: self,
            trace,
            watched,
            labels,
            places: Vec::new(),
            ways: Vec::new(),
        };
        instrumentation.run()?;
        Ok((instrumentation.watched, instrumentation.places))
    }

    /// A uop that counts this way.
    fn counter(&mut self, trace: &Trace<'_>, of: &Uop, way: Way) -> Result<Uop, TraceError> {
        let count = Box::<AtomicU64>::default();
        let address = std::ptr::from_ref(&*count) as u64;
        self.counters.push(Counter {
            uop: trace.table().uop(of.id).name.to_owned(),
            way,
            count,
        });
        Ok(trace.uop("_COUNT")?.operand(address))
    }
}

struct Instrumentation<'a, 't> {
    coverage: &'a mut Coverage,
    trace: &'a Trace<'t>,
    watched: Trace<'t>,
    /// Where each uop of the trace begins.
    labels: Vec<Label>,
    places: Vec<usize>,
    /// What is to be counted on the way from a uop to another, and the label of that way.
    ways: Vec<(Label, Way, usize, usize)>,
}

impl Instrumentation<'_, '_> {
    fn run(&mut self) -> Result<(), TraceError> {
        for (index, uop) in self.trace.uops().iter().enumerate() {
            self.watched.bind(self.labels[index])?;
            // What goes to the top goes to the second uop: the first is counted behind itself.
            if index != 0 {
                self.count(uop, Way::Executed, index)?;
            }
            let mut uop = *uop;
            uop.jump = self.way(uop.jump, Way::Jump, index);
            uop.error = self.way(uop.error, Way::Error, index);
            self.push(uop, index);
            if index == 0 && !self.is_terminal(&uop) {
                self.count(&uop, Way::Executed, index)?;
            }
        }
        for (label, way, from, to) in std::mem::take(&mut self.ways) {
            self.watched.bind(label)?;
            self.count(&self.trace.uops()[from], way, from)?;
            self.count(&self.trace.uops()[to], Way::Executed, to)?;
            self.push(self.trace.uops()[to], to);
        }
        Ok(())
    }

    fn push(&mut self, uop: Uop, place: usize) {
        self.watched.push(uop);
        self.places.push(place);
    }

    fn count(&mut self, uop: &Uop, way: Way, place: usize) -> Result<(), TraceError> {
        let counter = self.coverage.counter(self.trace, uop, way)?;
        self.push(counter, place);
        Ok(())
    }

    /// Where a way begins that led to `label` before.
    fn way(&mut self, label: Option<Label>, way: Way, from: usize) -> Option<Label> {
        let to = self.trace.position(label?)?;
        let leaves =
            self.trace.uops().get(to).is_some_and(|uop| {
                self.is_terminal(uop) && uop.jump.is_none() && uop.error.is_none()
            });
        if !leaves {
            return self.labels.get(to).copied();
        }
        let label = self.watched.label();
        self.ways.push((label, way, from, to));
        Some(label)
    }

    fn is_terminal(&self, uop: &Uop) -> bool {
        let info = self.trace.table().uop(uop.id);
        info.flags.contains(UopFlags::TERMINAL)
    }
}
