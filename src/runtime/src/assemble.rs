//! Assembling: stencils, once they are chosen, become a [`Prepared`] trace: fragments in order, with their words.
//!
//! Whatever depends only on the trace is done here, once: values are fitted to their fields, each checked against its
//! range; constants are collected; labels become positions among the fragments. What depends on where the code will be
//! is left to [`patch`](crate::patch).
//!
//! Code goes to three regions, which follow one another in the block: the hot code of what is placed first, the code
//! that is placed after [`begin_cold`](Assembler::begin_cold), and the cold code of either.

use crate::engine::CompileError;
use crate::executor::{ExecutorHeader, ExitInfo, ExitRecord, Shared};
use crate::form::{Input, MAX_INPUTS, Register};
use crate::fragment::{
    Constants, Fragments, Instance, LinkTo, Mixer, OddHole, Piece, Recipe, Source,
};
use crate::hole::HoleValue;
use crate::layout::{MAX_LEN, TooLarge};
use crate::patch::PatchError;
use crate::prepared::{Fixup, FixupValue, Item, Link, Placement, Prepared, SymbolUse, TraceFacts};
use crate::stencil::Part;
use crate::table::{Limits, MAX_ALIGN, StencilTable, UopId, VariantId};
use crate::trace::FrameShape;
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// A stencil of a table: first the base forms, in the order of the uops, then the variants, in the table's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StencilId(u32);

impl StencilId {
    /// The base form of a uop.
    pub(crate) fn base(uop: UopId) -> Self {
        Self(uop.index() as u32)
    }

    /// A variant.
    pub(crate) fn variant(table: &StencilTable, variant: VariantId) -> Self {
        Self((table.uop_count() + variant.index()) as u32)
    }

    /// The position among all stencils.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which register stands for each placeholder: 16 nibbles, by the placeholder's number; the identity by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Renaming(u64);

impl Default for Renaming {
    fn default() -> Self {
        Self(0xfedc_ba98_7654_3210)
    }
}

impl Renaming {
    /// The same renaming but for one placeholder.
    #[must_use]
    pub(crate) fn with(self, placeholder: Register, actual: Register) -> Self {
        let shift = 4 * u32::from(placeholder.as_u8());
        Self(self.0 & !(0xf << shift) | u64::from(actual.as_u8()) << shift)
    }

    /// The renaming's nibbles in a mask, for comparing.
    pub(crate) fn masked(self, mask: u64) -> Self {
        Self(self.0 & mask)
    }

    /// The register that stands for a placeholder.
    pub(crate) fn of(self, placeholder: Register) -> Register {
        let nibble = self.0 >> (4 * u32::from(placeholder.as_u8())) & 0xf;
        // A nibble is always a register's number.
        Register::from_u8(nibble as u8).unwrap_or(placeholder)
    }
}

/// A place in the code that is being assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LabelId(u32);

impl LabelId {
    /// For arguments of stencils that do not go there.
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// The label at this position, for what stands in for the assembler.
    #[cfg(test)]
    pub(crate) const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The position among the labels.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The label of the trace's way out, as stencils refer to it, whether it is set already or not.
pub(crate) const LEAVE: LabelId = LabelId(0);

/// The label of the trace's second uop, likewise.
pub(crate) const TOP: LabelId = LabelId(1);

/// The exit of a stencil that has none.
pub(crate) const NO_EXIT: u32 = u32::MAX;

/// What the holes of one uop are filled with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UopArguments {
    pub(crate) oparg: u32,
    pub(crate) target: u32,
    pub(crate) operand: u64,
    pub(crate) operand1: u64,
}

/// What the holes of a stencil are filled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments<'a> {
    /// The position in the trace of the first uop, for errors.
    pub(crate) index: u32,
    /// The arguments of each uop that the stencil is made of.
    pub(crate) uops: &'a [UopArguments],
    /// The constants that inputs are; those of other inputs do not matter.
    pub(crate) inputs: [u64; MAX_INPUTS],
    /// Where its jump goes.
    pub(crate) jump: LabelId,
    /// Where it goes when it raises an error.
    pub(crate) error: LabelId,
    /// Its exit record, made by [`Assembler::exit`], or [`NO_EXIT`].
    pub(crate) exit: u32,
}

/// Makes one [`Prepared`].
#[derive(Debug)]
pub(crate) struct Assembler<'e> {
    table: &'e StencilTable,
    symbols: &'e [u64],
    store: &'e RwLock<Fragments>,
    /// The read lock; given up only while an instance is made.
    fragments: Option<RwLockReadGuard<'e, Fragments>>,
    output: Output,
}

impl<'e> Assembler<'e> {
    /// An assembler for a trace of about `uops` uops.
    pub(crate) fn new(
        table: &'e StencilTable,
        symbols: &'e [u64],
        store: &'e RwLock<Fragments>,
        uops: usize,
    ) -> Self {
        let output = Output {
            regions: [
                Region::with_capacity(uops + uops / 2),
                Region::default(),
                Region::with_capacity(uops / 4),
            ],
            labels: vec![UNBOUND; 2],
            label_places: vec![u32::MAX; 2],
            placements: Vec::with_capacity(uops),
            uops: Vec::with_capacity(uops),
            symbol_numbers: vec![u32::MAX; 2 * symbols.len()],
            ..Output::default()
        };
        Self {
            table,
            symbols,
            store,
            fragments: Some(read(store)),
            output,
        }
    }

    /// A new label, which stands nowhere yet.
    pub(crate) fn label(&mut self) -> LabelId {
        let output = &mut self.output;
        output.labels.push(UNBOUND);
        output.label_places.push(u32::MAX);
        LabelId(output.labels.len() as u32 - 1)
    }

    /// Puts a label in front of the next stencil that is placed.
    pub(crate) fn bind(&mut self, label: LabelId) {
        let output = &mut self.output;
        let here = output.here();
        if let Some(place) = output.labels.get_mut(label.index()) {
            *place = here;
            output.label_places[label.index()] = output.placements.len() as u32;
        }
    }

    /// Says which label `LEAVE` holes mean.
    pub(crate) fn set_leave(&mut self, label: LabelId) {
        self.output.leave = Some(label);
    }

    /// Says which label `TOP` holes mean.
    pub(crate) fn set_top(&mut self, label: LabelId) {
        self.output.top = Some(label);
    }

    /// From here on, code is placed behind the hot code of what was placed before. Never undone.
    pub(crate) fn begin_cold(&mut self) {
        self.output.in_cold = true;
    }

    /// Makes an exit record.
    pub(crate) fn exit(&mut self, info: ExitInfo) -> u32 {
        self.output.exits.push(info);
        self.output.exits.len() as u32 - 1
    }

    /// Places a stencil behind the last one of the region; its cold code goes behind the cold code so far.
    ///
    /// What does not fit is reported by [`finish`](Self::finish).
    #[inline]
    pub(crate) fn place(
        &mut self,
        stencil: StencilId,
        renaming: Renaming,
        arguments: &Arguments<'_>,
    ) {
        let known = self
            .fragments
            .as_deref()
            .and_then(|fragments| fragments.find(stencil, renaming));
        let Some(number) = known.or_else(|| self.instantiate(stencil, renaming)) else {
            self.output.fail(CompileError::Internal(
                "a stencil that is not in the table was chosen",
            ));
            return;
        };
        if let Some(fragments) = &self.fragments {
            let instance = fragments.instance(number);
            let placed = self
                .output
                .place(fragments, instance, (stencil, renaming), arguments);
            if let Err(problem) = placed {
                self.report(problem, stencil, renaming, arguments);
            }
        }
    }

    #[cold]
    fn instantiate(&mut self, stencil: StencilId, renaming: Renaming) -> Option<u32> {
        let recipe = Recipe::of(self.table, stencil, renaming)?;
        self.fragments = None;
        let number = self
            .store
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .make(stencil, renaming, &recipe, self.symbols);
        self.fragments = Some(read(self.store));
        Some(number)
    }

    #[cold]
    fn report(
        &mut self,
        problem: Problem,
        stencil: StencilId,
        renaming: Renaming,
        arguments: &Arguments<'_>,
    ) {
        let error = match problem {
            Problem::Internal(message) => CompileError::Internal(message),
            Problem::Word { part, hole, value } => {
                let recipe = Recipe::of(self.table, stencil, renaming);
                let hole = recipe
                    .as_ref()
                    .and_then(|recipe| recipe.part(part).1.get(hole as usize));
                match hole.zip(recipe.as_ref()) {
                    Some((hole, recipe)) => CompileError::Patch(PatchError::new(
                        (arguments.index as usize, recipe.name(self.table, hole)),
                        (part, hole),
                        0,
                        value,
                    )),
                    None => CompileError::Internal("a field has no hole"),
                }
            }
        };
        self.output.fail(error);
    }

    /// The prepared trace.
    ///
    /// # Errors
    /// The first thing that did not fit.
    pub(crate) fn finish(
        self,
        shape: FrameShape,
        uops: usize,
        shared: &Arc<Shared>,
    ) -> Result<Prepared, CompileError> {
        self.output.finish(shape, uops, shared)
    }
}

fn read(store: &RwLock<Fragments>) -> RwLockReadGuard<'_, Fragments> {
    // Instances are added whole, so a panic elsewhere in the process does not spoil them.
    store.read().unwrap_or_else(PoisonError::into_inner)
}

/// What is wrong with a stencil that was to be placed.
enum Problem {
    Internal(&'static str),
    Word { part: Part, hole: u32, value: u64 },
}

/// Checks that a stencil was compiled for its arguments. The trace's check has done that for base forms.
#[inline]
fn check(limits: &[Limits], instance: &Instance, arguments: &Arguments<'_>) -> Result<(), Problem> {
    let uops = arguments.uops;
    let covered = |(uop, limits): (&UopArguments, &Limits)| {
        limits.cover(uop.oparg, uop.operand, uop.operand1)
    };
    if uops.len() != limits.len() || !uops.iter().zip(limits).all(covered) {
        return Err(Problem::Internal(
            "a stencil was chosen for more or larger arguments than it is for",
        ));
    }
    if instance.takes_inputs {
        let mut inputs = instance.constant_inputs.iter().zip(arguments.inputs);
        let accepted =
            |(input, bits): (&Option<Input>, u64)| input.is_none_or(|input| input.accepts(bits));
        if !inputs.all(accepted) {
            return Err(Problem::Internal(
                "a form was chosen for a constant that it cannot take",
            ));
        }
    }
    Ok(())
}

/// Where a link leads, while positions are not known: a kind in the upper three bits, a number in the others.
type Destination = u32;

const KIND_SHIFT: u32 = 29;
/// The first three kinds are the regions, by the position of an item; one past the end is what follows.
const COLD: u32 = 2;
const LABEL: u32 = 3;
const SYMBOL: u32 = 4;
/// The executor's header is 0, exit n is n + 1.
const RECORD: u32 = 5;
const POOL: u32 = 6;
const CONSTANT: u32 = 7;

const UNBOUND: Destination = u32::MAX;

fn destination(kind: u32, number: usize) -> Destination {
    kind << KIND_SHIFT | number as u32
}

/// What was assembled so far.
#[derive(Debug, Default)]
struct Output {
    /// Hot code, stubs, cold code.
    regions: [Region; 3],
    in_cold: bool,
    hot_len: u64,
    code_len: u64,
    /// Where labels stand.
    labels: Vec<Destination>,
    /// Which placement they stand in front of.
    label_places: Vec<u32>,
    leave: Option<LabelId>,
    top: Option<LabelId>,
    exits: Vec<ExitInfo>,
    placements: Vec<Placement>,
    uops: Vec<UopArguments>,
    inputs: Vec<[u64; MAX_INPUTS]>,
    symbols: Vec<SymbolUse>,
    /// The number among `symbols` of each of the table's symbols, as data and as function.
    symbol_numbers: Vec<u32>,
    pool: Vec<u64>,
    pool_numbers: HashMap<u64, u32, BuildHasherDefault<Mixer>>,
    constants: Vec<u8>,
    /// Where each of the constants starts.
    constant_offsets: Vec<u32>,
    constant_numbers: HashMap<u32, u32, BuildHasherDefault<Mixer>>,
    fixups: Vec<Fixup>,
    error: Option<CompileError>,
}

/// The fragments of one region.
#[derive(Debug, Default)]
struct Region {
    items: Vec<Item>,
    /// Links count items from the start of the region and lead to [`Destination`]s.
    links: Vec<Link>,
}

impl Region {
    fn with_capacity(items: usize) -> Self {
        Self {
            items: Vec::with_capacity(items),
            links: Vec::with_capacity(items / 2),
        }
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn push(&mut self, item: Item, link: Option<(u32, Destination)>) {
        if let Some((offset, to)) = link {
            self.links.push(Link {
                item: self.items.len() as u32,
                offset,
                to,
            });
        }
        self.items.push(item);
    }
}

/// What the links of one stencil can lead to.
struct Surroundings<'a> {
    arguments: &'a Arguments<'a>,
    code: Destination,
    next: Destination,
    cold: Destination,
    data: Destination,
    pool: [u32; MAX_INPUTS],
}

impl Output {
    fn fail(&mut self, error: CompileError) {
        self.error.get_or_insert(error);
    }

    /// Where the next stencil will be.
    fn here(&self) -> Destination {
        let region = usize::from(self.in_cold);
        destination(region as u32, self.regions[region].len())
    }

    fn place(
        &mut self,
        fragments: &Fragments,
        instance: &Instance,
        (stencil, renaming): (StencilId, Renaming),
        arguments: &Arguments<'_>,
    ) -> Result<(), Problem> {
        check(fragments.limits(instance), instance, arguments)?;
        let region = usize::from(self.in_cold);
        self.code_len += u64::from(instance.hot_len) + u64::from(instance.cold_len);
        if !self.in_cold {
            self.hot_len += u64::from(instance.hot_len);
        }
        if self.code_len + self.constants.len() as u64 > MAX_LEN {
            // Reported by `finish`, with the whole length.
            return Ok(());
        }
        let hot = self.regions[region].len();
        let surroundings = Surroundings {
            arguments,
            code: destination(region as u32, hot),
            next: destination(region as u32, hot + instance.hot.len()),
            cold: destination(COLD, self.regions[COLD as usize].len()),
            data: self.constants(fragments, instance),
            pool: self.pooled(instance, arguments),
        };
        self.placements.push(Placement {
            stencil,
            renaming,
            index: arguments.index,
            uops: self.uops.len() as u32,
            inputs: self.inputs.len() as u32,
            jump: arguments.jump,
            error: arguments.error,
            exit: arguments.exit,
        });
        self.uops.extend_from_slice(arguments.uops);
        if instance.takes_inputs {
            self.inputs.push(arguments.inputs);
        }
        for piece in fragments.pieces(&instance.hot) {
            let (item, link) = self.item(piece, Part::Hot, &surroundings)?;
            self.regions[region].push(item, link);
        }
        for piece in fragments.pieces(&instance.cold) {
            let (item, link) = self.item(piece, Part::Cold, &surroundings)?;
            self.regions[COLD as usize].push(item, link);
        }
        for &odd in fragments.fixups(instance) {
            let fixup = self.fixup(odd, &surroundings);
            self.fixups.push(fixup);
        }
        Ok(())
    }

    /// Where the constants of a stencil are; they are added where they are not there yet.
    fn constants(&mut self, fragments: &Fragments, instance: &Instance) -> Destination {
        if instance.constants == Constants::None {
            // The stencil has no data, so what a DATA hole holds does not matter: the start of the constants, say.
            return destination(RECORD, 0);
        }
        let next = self.constant_offsets.len() as u32;
        if let Constants::Shared(class) = instance.constants {
            let number = *self.constant_numbers.entry(class).or_insert(next);
            if number != next {
                return destination(CONSTANT, number as usize);
            }
        }
        let (bytes, align) = fragments.data(instance);
        let start = self.constants.len().next_multiple_of(align as usize);
        self.constants.resize(start, 0);
        self.constants.extend_from_slice(bytes);
        self.constant_offsets.push(start as u32);
        destination(CONSTANT, next as usize)
    }

    /// The numbers in the pool of the inputs that are pooled constants.
    fn pooled(&mut self, instance: &Instance, arguments: &Arguments<'_>) -> [u32; MAX_INPUTS] {
        let mut numbers = [0; MAX_INPUTS];
        if instance.pooled != 0 {
            for (index, number) in numbers.iter_mut().enumerate() {
                if instance.pooled >> index & 1 != 0 {
                    let (bits, next) = (arguments.inputs[index], self.pool.len() as u32);
                    *number = *self.pool_numbers.entry(bits).or_insert(next);
                    if *number == next {
                        self.pool.push(bits);
                    }
                }
            }
        }
        numbers
    }

    #[inline]
    fn item(
        &mut self,
        piece: &Piece,
        part: Part,
        surroundings: &Surroundings<'_>,
    ) -> Result<(Item, Option<(u32, Destination)>), Problem> {
        let mut words = [0; 2];
        for (filled, word) in words.iter_mut().zip(&piece.words) {
            let Some(word) = word else { break };
            let value = number(word.source, word.element, surroundings.arguments);
            *filled = word.of(value).ok_or(Problem::Word {
                part,
                hole: word.hole,
                value,
            })?;
        }
        let to = match piece.link {
            LinkTo::Nothing => None,
            LinkTo::Value(value) => Some(surroundings.destination(value)),
            LinkTo::Pooled(input) => Some(surroundings.pooled(input)),
            LinkTo::Symbol { index, called } => Some(self.symbol(index, called)),
        };
        let item = Item {
            fragment: piece.fragment,
            words,
        };
        Ok((item, to.map(|to| (piece.link_offset, to))))
    }

    fn symbol(&mut self, index: u32, called: bool) -> Destination {
        let next = self.symbols.len() as u32;
        let known = &mut self.symbol_numbers[2 * index as usize + usize::from(called)];
        if *known == u32::MAX {
            *known = next;
            self.symbols.push(SymbolUse { index, called });
        }
        destination(SYMBOL, *known as usize)
    }

    #[cold]
    fn fixup(&mut self, odd: OddHole, surroundings: &Surroundings<'_>) -> Fixup {
        let OddHole { part, hole, called } = odd;
        let arguments = surroundings.arguments;
        let at = |source| FixupValue::Number(number(source, hole.element(), arguments));
        let value = match hole.value() {
            HoleValue::Zero => FixupValue::Number(0),
            HoleValue::Oparg => at(Source::Oparg),
            HoleValue::Operand => at(Source::Operand),
            HoleValue::Operand1 => at(Source::Operand1),
            HoleValue::Target => at(Source::Target),
            HoleValue::ExitIndex => at(Source::ExitIndex),
            HoleValue::Input => at(Source::Input),
            HoleValue::Symbol if !hole.kind().is_pc_relative() => FixupValue::Symbol(hole.symbol()),
            HoleValue::Symbol => FixupValue::Place(self.symbol(hole.symbol(), called)),
            HoleValue::Pooled => FixupValue::Place(surroundings.pooled(hole.element())),
            value => FixupValue::Place(surroundings.destination(value)),
        };
        let start = match part {
            Part::Hot => surroundings.code,
            Part::Cold => surroundings.cold,
            Part::Data => surroundings.data,
        };
        Fixup { start, value, hole }
    }

    fn finish(
        mut self,
        shape: FrameShape,
        uops: usize,
        shared: &Arc<Shared>,
    ) -> Result<Prepared, CompileError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let data = self.data_len();
        let veneers = 2 * u64::from(MAX_ALIGN) + 16 * (self.symbols.len() as u64 + 1);
        let found = self.code_len + data as u64 + veneers;
        if found > MAX_LEN {
            return Err(TooLarge {
                found,
                limit: MAX_LEN,
            }
            .into());
        }
        for (index, label) in [self.leave, self.top].into_iter().enumerate() {
            if let Some(label) = label {
                self.labels[index] = self.labels[label.index()];
                self.label_places[index] = self.label_places[label.index()];
            }
        }
        let positions = self.positions();
        let [mut region, stubs, cold] = std::mem::take(&mut self.regions);
        for further in [stubs, cold] {
            let first = region.len() as u32;
            region.items.extend_from_slice(&further.items);
            let moved = further.links.iter().map(|link| Link {
                item: first + link.item,
                ..*link
            });
            region.links.extend(moved);
        }
        let Region { items, mut links } = region;
        for link in &mut links {
            link.to = positions.of(link.to);
        }
        for fixup in &mut self.fixups {
            fixup.start = positions.of(fixup.start);
            if let FixupValue::Place(place) = &mut fixup.value {
                *place = positions.of(*place);
            }
        }
        if positions.unbound.get() {
            return Err(CompileError::Internal(
                "a stencil goes to a label that was never bound",
            ));
        }
        let (data, data_offsets) = self.data(data);
        Ok(Prepared {
            shared: Arc::clone(shared),
            items,
            links,
            code_len: self.code_len as u32,
            data,
            data_offsets,
            symbols: self.symbols,
            fixups: self.fixups,
            placements: self.placements,
            uops: self.uops,
            inputs: self.inputs,
            labels: self.label_places,
            facts: Arc::new(TraceFacts {
                shape,
                exits: self.exits.into(),
                hot_len: self.hot_len as u32,
                uops: uops as u32,
            }),
        })
    }

    /// Header, exit records and pool.
    fn records_len(&self) -> usize {
        size_of::<ExecutorHeader>()
            + self.exits.len() * size_of::<ExitRecord>()
            + self.pool.len() * size_of::<u64>()
    }

    /// Bytes of the data area.
    fn data_len(&self) -> usize {
        let records = self.records_len();
        if self.constants.is_empty() {
            return records;
        }
        records.next_multiple_of(MAX_ALIGN as usize) + self.constants.len()
    }

    /// The data area, but for the executor's number and for fixups, and where the things in it start.
    fn data(&self, len: usize) -> (Vec<u8>, Vec<u32>) {
        let mut data = Vec::with_capacity(len);
        let mut offsets = Vec::with_capacity(
            1 + self.exits.len() + self.pool.len() + self.constant_offsets.len(),
        );
        offsets.push(0);
        data.extend_from_slice(&ExecutorHeader { valid: 1, id: 0 }.to_bytes());
        for (index, info) in (0..).zip(&self.exits) {
            offsets.push(data.len() as u32);
            data.extend_from_slice(&ExitRecord::of(index, info).to_bytes());
        }
        for bits in &self.pool {
            offsets.push(data.len() as u32);
            data.extend_from_slice(&bits.to_le_bytes());
        }
        if !self.constants.is_empty() {
            data.resize(data.len().next_multiple_of(MAX_ALIGN as usize), 0);
            let start = data.len() as u32;
            offsets.extend(self.constant_offsets.iter().map(|offset| start + offset));
            data.extend_from_slice(&self.constants);
        }
        (data, offsets)
    }

    /// Where everything is among the positions that patching notes, in the order of [`Prepared::items`].
    fn positions(&self) -> Positions {
        let [hot, stubs, cold] = self.regions.each_ref().map(|region| region.len() as u32);
        let records = hot + stubs + cold + 1;
        let pool = records + 1 + self.exits.len() as u32;
        let constants = pool + self.pool.len() as u32;
        let symbols = constants + self.constant_offsets.len() as u32;
        Positions {
            starts: [0, hot, hot + stubs, 0, symbols, records, pool, constants],
            labels: self.labels.clone(),
            unbound: Cell::new(false),
        }
    }
}

/// What turns destinations into indices of positions.
struct Positions {
    /// The first position of each kind of destination.
    starts: [u32; 8],
    labels: Vec<Destination>,
    /// Whether a label was asked for that stands nowhere.
    unbound: Cell<bool>,
}

impl Positions {
    #[inline]
    fn of(&self, destination: Destination) -> u32 {
        let (kind, number) = (
            destination >> KIND_SHIFT,
            destination & ((1 << KIND_SHIFT) - 1),
        );
        if kind != LABEL {
            return self.starts[kind as usize] + number;
        }
        match self.labels.get(number as usize) {
            Some(&place) if place != UNBOUND => self.of(place),
            _ => {
                self.unbound.set(true);
                0
            }
        }
    }
}

/// S of a field that holds a number.
#[inline]
fn number(source: Source, element: u8, arguments: &Arguments<'_>) -> u64 {
    let element = usize::from(element);
    // The table's check has found elements to be those of the stencil; `place` has counted the arguments.
    let uop = || arguments.uops.get(element).copied().unwrap_or_default();
    match source {
        Source::Oparg => uop().oparg.into(),
        Source::Operand => uop().operand,
        Source::Operand1 => uop().operand1,
        Source::Target => uop().target.into(),
        Source::ExitIndex => arguments.exit.into(),
        Source::Input => arguments.inputs.get(element).copied().unwrap_or_default(),
    }
}

impl Surroundings<'_> {
    #[inline]
    fn destination(&self, value: HoleValue) -> Destination {
        let label = |label: LabelId| destination(LABEL, label.index() & ((1 << KIND_SHIFT) - 1));
        match value {
            HoleValue::Continue => self.next,
            HoleValue::Code => self.code,
            HoleValue::Cold => self.cold,
            HoleValue::Data => self.data,
            HoleValue::JumpTarget => label(self.arguments.jump),
            HoleValue::ErrorTarget => label(self.arguments.error),
            HoleValue::Leave => label(LEAVE),
            HoleValue::Top => label(TOP),
            HoleValue::Exit => destination(RECORD, self.arguments.exit as usize + 1),
            // The others hold no address.
            _ => destination(RECORD, 0),
        }
    }

    fn pooled(&self, input: u8) -> Destination {
        let number = self.pool.get(usize::from(input)).copied().unwrap_or(0);
        destination(POOL, number as usize)
    }
}
