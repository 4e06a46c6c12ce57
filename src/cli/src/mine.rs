//! `mimeo mine`: which sequences of uops occur so often in a corpus of traces that fusing them would pay.
//!
//! A trace is a recorded one, or one of the scalar set as `mimeo-bench` writes it: an object with `uops` and `labels`.
//!
//! Sequences are chosen greedily, as dictionaries of phrases are: the one whose fusion saves the most stencils in the
//! whole corpus comes first; then the corpus is tiled with it, and what is left is counted anew. Every trace weighs the
//! same, however long it is.

use crate::failure::{Answer, Failure, Format};
use crate::tables;
use clap::Args;
use mimeo::form::MAX_FUSED;
use mimeo::stencil::UopFlags;
use mimeo::table::StencilTable;
use mimeo_objects::recorded::Document;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Find the sequences of uops that are worth fusing in a corpus of traces
///
/// Prints a list that `ir-templates/supernodes` can hold, best sequence first.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Recorded traces, or scalar traces with the scalar set's table
    #[arg(required = true, value_name = "TRACE.json")]
    traces: Vec<PathBuf>,
    /// The table whose uops they are, instead of the embedded one
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Propose at most this many sequences
    #[arg(long, value_name = "N", default_value_t = 48)]
    limit: usize,
    /// Leave out sequences that occur in fewer traces: what one program does often is not what programs do
    #[arg(long, value_name = "N", default_value_t = 3)]
    least_traces: usize,
    /// Fuse at most this many uops
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=MAX_FUSED as i64))]
    longest: u8,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A proposed sequence.
#[derive(Debug, Serialize)]
struct Proposal {
    uops: Vec<String>,
    /// In how many traces it occurs where no better sequence does.
    traces: usize,
    /// How often it occurs there.
    occurrences: usize,
    /// The part of all stencils that fusing it saves, a trace weighing as much as any other, in percent.
    saved_percent: f64,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let table = tables::open_to_run(arguments.table.as_deref())?;
    let mut corpus = Corpus::default();
    let mut unusable = Vec::new();
    for path in &arguments.traces {
        if let Err(failure) = corpus.read(path, &table) {
            unusable.push(failure);
        }
    }
    let proposals = corpus.mine(arguments);
    match arguments.format {
        Format::Text => print_list(&corpus, &proposals, out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &proposals)
                .map_err(|error| Failure::Output(error.into()))?;
            writeln!(out)?;
        }
    }
    Failure::all(unusable, out)?;
    Ok(Answer::Yes)
}

fn print_list(
    corpus: &Corpus,
    proposals: &[Proposal],
    out: &mut impl Write,
) -> Result<(), Failure> {
    writeln!(
        out,
        "# {} uops in {} traces",
        corpus
            .traces
            .iter()
            .map(|trace| trace.uops.len())
            .sum::<usize>(),
        corpus.traces.len()
    )?;
    for proposal in proposals {
        writeln!(
            out,
            "{}  # saves {:.2} % of the stencils; {} times in {} traces",
            proposal.uops.join(" "),
            proposal.saved_percent,
            proposal.occurrences,
            proposal.traces
        )?;
    }
    let saved = proposals.iter().map(|proposal| proposal.saved_percent);
    // The sum of nothing is a negative zero.
    let total = saved.fold(0.0, |sum, percent| sum + percent);
    writeln!(out, "# together {total:.1} %")?;
    Ok(())
}

/// What mining needs of a scalar trace.
#[derive(Debug, Deserialize)]
struct ScalarDocument {
    uops: Vec<ScalarUop>,
    #[serde(default)]
    labels: Vec<usize>,
}

#[derive(Debug, Deserialize)]
struct ScalarUop {
    op: String,
}

/// The uops that selection takes for operands or destinations of others.
const MOVES: UopFlags = UopFlags::LOADS_LOCAL
    .union(UopFlags::STORES_LOCAL)
    .union(UopFlags::CONSTANT)
    .union(UopFlags::COPIES)
    .union(UopFlags::DROPS)
    .union(UopFlags::SWAPS);

/// A uop as mining sees it.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Index into the names.
    name: usize,
    /// Whether it can only be the first of a sequence: something jumps here.
    starts: bool,
    /// Whether it can only be the last of a sequence: it never goes on with the next uop.
    ends: bool,
    /// Whether it cannot be fused: the values that it takes depend on its oparg, it only moves a value (which becomes an
    /// operand of what takes it), or the table does not have it.
    alone: bool,
}

#[derive(Debug)]
struct Trace {
    uops: Vec<Step>,
    /// Which uops are part of a chosen sequence already.
    taken: Vec<bool>,
}

#[derive(Debug, Default)]
struct Corpus {
    names: Vec<String>,
    numbers: BTreeMap<String, usize>,
    traces: Vec<Trace>,
}

/// Where a sequence occurs: by trace, and how often in all, overlaps not counted.
#[derive(Debug, Default)]
struct Count {
    traces: BTreeSet<usize>,
    occurrences: usize,
    weight: f64,
    /// The trace and the position behind the last occurrence that was counted.
    behind: Option<(usize, usize)>,
}

impl Corpus {
    fn read(&mut self, path: &Path, table: &StencilTable) -> Result<(), Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::input(path, error))?;
        if let Ok(scalar) = serde_json::from_str::<ScalarDocument>(&text) {
            let starts: BTreeSet<usize> = scalar.labels.iter().copied().collect();
            let uops = scalar.uops.iter().enumerate();
            let uops: Vec<Step> = uops
                .map(|(index, uop)| self.step(&uop.op, starts.contains(&index), table))
                .collect();
            self.add(uops);
            return Ok(());
        }
        let document = Document::parse(&text).map_err(|error| Failure::input(path, error))?;
        for executor in &document.executors {
            let mut starts = BTreeSet::new();
            for uop in &executor.uops {
                starts.extend(uop.jump_target);
                starts.extend(uop.error_target);
                if uop.op == "_JUMP_TO_TOP" {
                    starts.insert(1);
                }
            }
            let uops = executor.uops.iter().enumerate();
            let uops: Vec<Step> = uops
                .map(|(index, uop)| self.step(&uop.op, starts.contains(&index), table))
                .collect();
            self.add(uops);
        }
        Ok(())
    }

    fn add(&mut self, uops: Vec<Step>) {
        self.traces.push(Trace {
            taken: vec![false; uops.len()],
            uops,
        });
    }

    fn step(&mut self, name: &str, starts: bool, table: &StencilTable) -> Step {
        let next = self.names.len();
        let number = *self.numbers.entry(name.to_owned()).or_insert(next);
        if number == next {
            self.names.push(name.to_owned());
        }
        let info = table.find(name).map(|id| table.uop(id));
        Step {
            name: number,
            starts,
            ends: info.is_some_and(|info| info.flags.contains(UopFlags::TERMINAL)),
            alone: info.is_none_or(|info| {
                !info.effect.popped.is_fixed()
                    || !info.effect.pushed.is_fixed()
                    || info.flags.intersects(MOVES)
            }),
        }
    }

    fn mine(&mut self, arguments: &Arguments) -> Vec<Proposal> {
        let mut proposals = Vec::new();
        while proposals.len() < arguments.limit {
            let counts = self.count(arguments.longest.into());
            let saved = |(sequence, count): (&Vec<usize>, &Count)| {
                (sequence.len() - 1) as f64 * count.weight
            };
            let best = counts
                .iter()
                .filter(|(_, count)| count.traces.len() >= arguments.least_traces)
                // Of equals the first in the order of the names' numbers, so that the list is reproducible.
                .reduce(|best, other| {
                    if saved(other) > saved(best) {
                        other
                    } else {
                        best
                    }
                });
            let Some((sequence, count)) = best else { break };
            proposals.push(Proposal {
                uops: sequence
                    .iter()
                    .map(|&name| self.names[name].clone())
                    .collect(),
                traces: count.traces.len(),
                occurrences: count.occurrences,
                saved_percent: 100.0 * saved((sequence, count)) / self.traces.len() as f64,
            });
            let sequence = sequence.clone();
            self.take(&sequence);
        }
        proposals
    }

    /// Counts every sequence of what is not taken.
    fn count(&self, longest: usize) -> BTreeMap<Vec<usize>, Count> {
        let mut counts: BTreeMap<Vec<usize>, Count> = BTreeMap::new();
        for (index, trace) in self.traces.iter().enumerate() {
            for start in 0..trace.uops.len() {
                for length in 2..=trace.fusable(start).min(longest) {
                    let names = trace.names(start, length);
                    let count = counts.entry(names).or_default();
                    if count
                        .behind
                        .is_some_and(|(trace, behind)| trace == index && start < behind)
                    {
                        continue;
                    }
                    count.behind = Some((index, start + length));
                    count.traces.insert(index);
                    count.occurrences += 1;
                    count.weight += 1.0 / trace.uops.len() as f64;
                }
            }
        }
        counts
    }

    /// Tiles the corpus with a sequence.
    fn take(&mut self, sequence: &[usize]) {
        for trace in &mut self.traces {
            let mut start = 0;
            while start < trace.uops.len() {
                let fits = trace.fusable(start) >= sequence.len()
                    && trace.names(start, sequence.len()) == sequence;
                if fits {
                    trace.taken[start..start + sequence.len()].fill(true);
                    start += sequence.len();
                } else {
                    start += 1;
                }
            }
        }
    }
}

impl Trace {
    /// How many uops from `start` on could be fused.
    fn fusable(&self, start: usize) -> usize {
        let mut length = 0;
        for (step, taken) in self.uops[start..]
            .iter()
            .zip(&self.taken[start..])
            .take(MAX_FUSED)
        {
            if *taken || step.alone || (length > 0 && step.starts) {
                break;
            }
            length += 1;
            if step.ends {
                break;
            }
        }
        length
    }

    fn names(&self, start: usize, length: usize) -> Vec<usize> {
        self.uops[start..start + length]
            .iter()
            .map(|step| step.name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(traces: &[&[&str]]) -> Corpus {
        let mut corpus = Corpus::default();
        for names in traces {
            let uops: Vec<Step> = names
                .iter()
                .map(|name| {
                    let next = corpus.names.len();
                    let number = *corpus.numbers.entry((*name).to_owned()).or_insert(next);
                    if number == next {
                        corpus.names.push((*name).to_owned());
                    }
                    Step {
                        name: number,
                        starts: name.starts_with('@'),
                        ends: name.ends_with('!'),
                        alone: name.starts_with('?'),
                    }
                })
                .collect();
            corpus.traces.push(Trace {
                taken: vec![false; uops.len()],
                uops,
            });
        }
        corpus
    }

    fn mined(traces: &[&[&str]], least_traces: usize) -> Vec<String> {
        let arguments = Arguments {
            traces: Vec::new(),
            table: None,
            limit: 8,
            least_traces,
            longest: 3,
            format: Format::Text,
        };
        let proposals = corpus(traces).mine(&arguments);
        proposals
            .iter()
            .map(|proposal| format!("{} x{}", proposal.uops.join(" "), proposal.occurrences))
            .collect()
    }

    #[test]
    fn the_sequence_that_saves_most_comes_first_and_is_taken() {
        // A B C saves two stencils twice; A B alone would save one three times.
        let found = mined(&[&["A", "B", "C", "A", "B", "C", "A", "B"]], 1);
        assert_eq!(found, ["A B C x2", "A B x1"]);
    }

    #[test]
    fn overlapping_occurrences_count_once() {
        assert_eq!(mined(&[&["A", "A", "A", "A"]], 1), ["A A x2"]);
        assert_eq!(
            mined(&[&["A", "A", "B", "A", "A"], &["A", "A"]], 2),
            ["A A x3"]
        );
    }

    #[test]
    fn nothing_reaches_over_a_label_or_behind_an_end() {
        assert_eq!(mined(&[&["A", "@B", "C"]], 1), ["@B C x1"]);
        assert_eq!(mined(&[&["A", "B!", "C"]], 1), ["A B! x1"]);
        assert!(mined(&[&["A", "?B", "C"]], 1).is_empty());
    }

    #[test]
    fn what_is_in_too_few_traces_is_left_out() {
        assert!(mined(&[&["A", "B"], &["A", "C"]], 2).is_empty());
    }
}
