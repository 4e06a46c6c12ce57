//! Fragments: stencils cut into pieces that are copied without looking at them.
//!
//! What costs time when a stencil is copied and patched is not the bytes but the branches that depend on it: how long it
//! is, how many holes it has, of which kinds. A *fragment* has always the same shape: up to 32 bytes of code, up to two
//! *words* (4-byte fields whose contents are known when the trace is prepared) and at most one *link* (a PC-relative
//! field whose destination is in the block, or a symbol). A stencil is cut into as many as it takes. Patching is then
//! the same few instructions for each fragment of each stencil, without a branch: see [`patch`](crate::patch). Links are
//! resolved afterwards.
//!
//! - 8-byte fields are two words. The word of a narrower field takes in the code bytes behind it.
//! - The code of a fragment holds the addends of its link.
//! - A field that is neither word nor link is a *fixup*: it stays out of the fragments and is filled afterwards. These
//!   are addresses of the block's parts in absolute fields, and whatever the table has of odd combinations.
//!
//! A stencil is cut when a trace needs it for the first time, with its registers renamed as the trace needs them, and
//! the result, an [`Instance`], is kept by the engine.

use crate::assemble::{Renaming, StencilId};
use crate::form::{Form, Input, MAX_INPUTS};
use crate::hole::{Hole, HoleValue};
use crate::patch::{fill, is_call};
use crate::reloc::RelocationKind;
use crate::stencil::{Part, Stencil};
use crate::table::{Limits, MAX_LINK_ADDEND, StencilTable, UopId, VariantId};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// The most code bytes of a fragment.
pub(crate) const FRAGMENT_LEN: usize = 32;

/// Bytes behind a block's code that patching may overwrite: a fragment and a word start inside the code.
pub(crate) const SLACK: usize = FRAGMENT_LEN + 4;

/// A piece of a stencil, in the shape that patching needs: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Fragment {
    /// The code, with the addends of links and with zeros where words are; what is behind its length does not matter.
    pub(crate) code: [u8; FRAGMENT_LEN],
    /// Which byte of the two words, 0 to 7, goes here; [`NO_BYTE`] where none does. A mask for `pshufb`.
    pub(crate) control: [u8; FRAGMENT_LEN],
}

const _: () = assert!(size_of::<Fragment>() == 64);

/// `pshufb` makes a byte with this control zero.
const NO_BYTE: u8 = 0x80;

/// Where a fragment's words are, for patchers without byte shuffles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WordPlaces {
    /// The bytes that words take, a bit each; 4 bits in a row for each word, fewer where it ends behind the fragment.
    pub(crate) mask: u32,
    /// Where the words are, ascending and 4 bytes apart at least; behind the code where there is none.
    pub(crate) offsets: [u8; 2],
}

/// A fragment and its length, in one number that needs no look at the fragment to know where the next one goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FragmentId(u32);

impl FragmentId {
    fn new(index: usize, len: usize) -> Self {
        Self((index as u32) << 6 | len as u32)
    }

    /// The position among the engine's fragments.
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        (self.0 >> 6) as usize
    }

    /// Bytes of code, 1 to 32.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        (self.0 & 63) as usize
    }
}

/// What a word is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Oparg,
    Operand,
    Operand1,
    Target,
    ExitIndex,
    Input,
}

/// A word of a fragment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) source: Source,
    /// Which of the fused uops, or which input.
    pub(crate) element: u8,
    shift: u8,
    kind: RelocationKind,
    /// Whether this is the upper half of an 8-byte field.
    upper: bool,
    addend: i32,
    /// The code bytes behind a narrow field, in place.
    context: u32,
    /// The hole's position among those of its part.
    pub(crate) hole: u32,
}

impl Word {
    /// The word for S, or `None` where it does not fit the field.
    #[inline]
    pub(crate) fn of(&self, value: u64) -> Option<u32> {
        if self.kind == RelocationKind::Abs64 && self.shift == 0 {
            // Any number fits; the sum wraps as the psABI's does.
            let sum = value.wrapping_add_signed(self.addend.into());
            return Some(if self.upper {
                (sum >> 32) as u32
            } else {
                sum as u32
            });
        }
        // Inputs are signed, everything else is not.
        let value = if self.source == Source::Input {
            i128::from(value.cast_signed())
        } else {
            i128::from(value)
        };
        let sum = i64::try_from((value << self.shift) + i128::from(self.addend)).ok()?;
        let (low, high) = self.kind.range().into_inner();
        if sum < low || sum > high {
            return None;
        }
        Some(match self.kind {
            RelocationKind::Abs64 if self.upper => (sum >> 32) as u32,
            RelocationKind::Abs16 => u32::from(sum as u16) | self.context,
            RelocationKind::Abs8 => u32::from(sum as u8) | self.context,
            _ => sum as u32,
        })
    }
}

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkTo {
    /// Nowhere: there is no link.
    Nothing,
    /// Something that the trace knows: `CONTINUE`, `CODE`, `COLD`, a label, the exit record, the header, the data.
    Value(HoleValue),
    /// The pooled constant that this input is.
    Pooled(u8),
    /// A symbol.
    Symbol {
        /// Its index.
        index: u32,
        /// Whether it is called: a veneer may then stand for it.
        called: bool,
    },
}

/// A fragment with what its fields are filled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) fragment: FragmentId,
    pub(crate) link: LinkTo,
    /// Where the link's field is, from the start of the fragment.
    pub(crate) link_offset: u32,
    pub(crate) words: [Option<Word>; 2],
}

/// The constants of a stencil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constants {
    /// It has none.
    None,
    /// They have no holes; all that have the same bytes and alignment share a number.
    Shared(u32),
    /// They have holes.
    Own,
}
/// A hole that fragments do not hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OddHole {
    pub(crate) part: Part,
    pub(crate) hole: Hole,
    /// Whether it is the field of a call.
    pub(crate) called: bool,
}

/// A stencil with its registers renamed, cut into fragments.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) hot: Range<u32>,
    pub(crate) cold: Range<u32>,
    pub(crate) hot_len: u32,
    pub(crate) cold_len: u32,
    pub(crate) constants: Constants,
    /// The bytes and the alignment of the constants.
    data: (Range<u32>, u32),
    /// The inputs that are pooled constants, a bit each.
    pub(crate) pooled: u8,
    /// The inputs that are constants of either kind.
    pub(crate) constant_inputs: [Option<Input>; MAX_INPUTS],
    /// Whether there are any.
    pub(crate) takes_inputs: bool,
    fixups: Range<u32>,
    limits: Range<u32>,
}

/// The fragments and instances that an engine has made so far. Nothing in it ever changes or goes away.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    pub(crate) fragments: Vec<Fragment>,
    /// As many as there are fragments.
    pub(crate) word_places: Vec<WordPlaces>,
    pieces: Vec<Piece>,
    fixups: Vec<OddHole>,
    instances: Vec<Instance>,
    limits: Vec<Limits>,
    data: Vec<u8>,
    /// What there is of each stencil.
    known: Vec<Known>,
    /// Instances of stencils that have placeholders.
    renamed: HashMap<(StencilId, Renaming), u32, BuildHasherDefault<Mixer>>,
    /// Numbers of constants without holes, by bytes and alignment.
    constants: HashMap<(Vec<u8>, u32), u32>,
}

/// What instances there are of a stencil.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// None yet.
    Nothing,
    /// The only one there can be: it has no placeholders.
    Only(u32),
    /// It has placeholders, and these nibbles of the renaming are theirs.
    Renamed(u64),
}

/// A fast hash of a few words that nobody outside chooses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        // An odd number whose bits look random: 2^64 divided by the golden ratio.
        self.0 = (self.0.rotate_left(25) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Fragments {
    /// The number of an instance, if it exists.
    #[inline]
    pub(crate) fn find(&self, stencil: StencilId, renaming: Renaming) -> Option<u32> {
        match *self.known.get(stencil.index())? {
            Known::Nothing => None,
            Known::Only(number) => Some(number),
            Known::Renamed(mask) => self.renamed.get(&(stencil, renaming.masked(mask))).copied(),
        }
    }

    /// An instance by its number.
    #[inline]
    pub(crate) fn instance(&self, number: u32) -> &Instance {
        &self.instances[number as usize]
    }

    /// The pieces of a part of an instance.
    #[inline]
    pub(crate) fn pieces(&self, range: &Range<u32>) -> &[Piece] {
        &self.pieces[range.start as usize..range.end as usize]
    }

    /// The fixups of an instance.
    pub(crate) fn fixups(&self, instance: &Instance) -> &[OddHole] {
        &self.fixups[instance.fixups.start as usize..instance.fixups.end as usize]
    }

    /// The largest arguments of the uops of an instance.
    #[inline]
    pub(crate) fn limits(&self, instance: &Instance) -> &[Limits] {
        &self.limits[instance.limits.start as usize..instance.limits.end as usize]
    }

    /// The bytes of an instance's constants and their alignment.
    pub(crate) fn data(&self, instance: &Instance) -> (&[u8], u32) {
        let (range, align) = &instance.data;
        (&self.data[range.start as usize..range.end as usize], *align)
    }

    /// Makes an instance, unless there is one, and returns its number.
    pub(crate) fn make(
        &mut self,
        stencil: StencilId,
        renaming: Renaming,
        recipe: &Recipe<'_>,
        symbols: &[u64],
    ) -> u32 {
        if let Some(number) = self.find(stencil, renaming) {
            return number;
        }
        let first_fixup = self.fixups.len() as u32;
        let first_limits = self.limits.len() as u32;
        self.limits.extend_from_slice(&recipe.limits);
        let hot = self.cut(Part::Hot, &recipe.hot, symbols);
        let cold = self.cut(Part::Cold, &recipe.cold, symbols);
        let data = recipe.data;
        let first_data = self.data.len() as u32;
        self.data.extend_from_slice(data.bytes);
        let constants = if data.bytes.is_empty() {
            Constants::None
        } else if data.holes.is_empty() {
            let next = self.constants.len() as u32;
            let key = (data.bytes.to_owned(), data.align);
            Constants::Shared(*self.constants.entry(key).or_insert(next))
        } else {
            self.fixups.extend(data.holes.iter().map(|&hole| OddHole {
                part: Part::Data,
                hole,
                called: false,
            }));
            Constants::Own
        };
        let instance = Instance {
            hot,
            cold,
            hot_len: recipe.hot.bytes.len() as u32,
            cold_len: recipe.cold.bytes.len() as u32,
            constants,
            data: (first_data..first_data + data.bytes.len() as u32, data.align),
            pooled: recipe.inputs(HoleValue::Pooled),
            constant_inputs: recipe.constant_inputs,
            takes_inputs: recipe.constant_inputs.iter().any(Option::is_some),
            fixups: first_fixup..self.fixups.len() as u32,
            limits: first_limits..self.limits.len() as u32,
        };
        let number = self.instances.len() as u32;
        self.instances.push(instance);
        let index = stencil.index();
        if self.known.len() <= index {
            self.known.resize(index + 1, Known::Nothing);
        }
        if recipe.placeholders == 0 {
            self.known[index] = Known::Only(number);
        } else {
            self.known[index] = Known::Renamed(recipe.placeholders);
            let renaming = renaming.masked(recipe.placeholders);
            self.renamed.insert((stencil, renaming), number);
        }
        number
    }

    /// Cuts one part into fragments; its fixups are noted apart.
    fn cut(&mut self, part: Part, code: &Code<'_>, symbols: &[u64]) -> Range<u32> {
        let first = self.pieces.len() as u32;
        let mut bytes = code.bytes.to_vec();
        let mut fields = Vec::new();
        for (index, hole) in code.holes.iter().enumerate() {
            match classify(hole, code, symbols, &mut bytes) {
                Class::Done => {}
                Class::Fixup => self.fixups.push(OddHole {
                    part,
                    hole: *hole,
                    called: is_call(hole, &code.bytes),
                }),
                Class::Link(to) => fields.push(Field::link(hole, to)),
                Class::Word(source) => fields.extend(Field::words(hole, source, index as u32)),
            }
        }
        let mut start = 0;
        let mut fields = &fields[..];
        while start < bytes.len() {
            let (end, count) = next_cut(start, bytes.len(), fields);
            let (inside, rest) = fields.split_at(count);
            let piece = self.piece(&bytes, start..end, inside);
            self.pieces.push(piece);
            (start, fields) = (end, rest);
        }
        first..self.pieces.len() as u32
    }

    /// Makes the fragment of these bytes and fields.
    fn piece(&mut self, bytes: &[u8], range: Range<usize>, fields: &[Field]) -> Piece {
        let (start, len) = (range.start, range.len());
        let mut fragment = Fragment {
            code: [0; FRAGMENT_LEN],
            control: [NO_BYTE; FRAGMENT_LEN],
        };
        fragment.code[..len].copy_from_slice(&bytes[range]);
        let mut places = WordPlaces {
            mask: 0,
            offsets: [FRAGMENT_LEN as u8; 2],
        };
        let mut piece = Piece {
            fragment: FragmentId::new(self.fragments.len(), len),
            link: LinkTo::Nothing,
            link_offset: 0,
            words: [None; 2],
        };
        let mut words = 0;
        for field in fields {
            let offset = field.offset - start;
            match field.filled {
                Filled::Link(to) => {
                    piece.link = to;
                    piece.link_offset = offset as u32;
                }
                Filled::Word(mut word) => {
                    word.context = context(&fragment.code, offset, field.width);
                    piece.words[words] = Some(word);
                    places.offsets[words] = offset as u8;
                    // What does not fit stands behind the fragment.
                    for (byte, at) in (offset..FRAGMENT_LEN).take(4).enumerate() {
                        places.mask |= 1 << at;
                        fragment.control[at] = (4 * words + byte) as u8;
                    }
                    words += 1;
                }
            }
        }
        // Words are merged into the code, and hold the code's bytes in their contexts.
        for (code, &control) in fragment.code.iter_mut().zip(&fragment.control) {
            if control != NO_BYTE {
                *code = 0;
            }
        }
        self.fragments.push(fragment);
        self.word_places.push(places);
        piece
    }
}

/// The code bytes that share a word with a field of this width, in place.
fn context(code: &[u8; FRAGMENT_LEN], offset: usize, width: usize) -> u32 {
    let mut word = [0; 4];
    for (index, byte) in word.iter_mut().enumerate().skip(width) {
        *byte = code.get(offset + index).copied().unwrap_or(0);
    }
    u32::from_le_bytes(word)
}

/// Where the fragment that starts at `start` ends, and how many of the fields, which are those from there on, it holds.
fn next_cut(start: usize, len: usize, fields: &[Field]) -> (usize, usize) {
    let limit = len.min(start + FRAGMENT_LEN);
    let (mut words, mut links, mut free) = (0, 0, start);
    for (count, field) in fields.iter().enumerate() {
        if field.offset >= limit {
            return (limit, count);
        }
        let is_word = matches!(field.filled, Filled::Word(_));
        let full = if is_word {
            // The word of a narrow field may reach into the next field: that starts a fragment of its own then.
            words == 2 || field.offset < free
        } else {
            links == 1
        };
        if full || field.offset + field.width > limit {
            return (field.offset, count);
        }
        if is_word {
            words += 1;
            free = field.offset + 4;
        } else {
            links += 1;
        }
    }
    (limit, fields.len())
}

/// What becomes of a hole.
enum Class {
    /// It is filled for good.
    Done,
    Fixup,
    Link(LinkTo),
    Word(Source),
}

fn classify(hole: &Hole, code: &Code<'_>, symbols: &[u64], bytes: &mut [u8]) -> Class {
    let field = &mut bytes[hole.offset() as usize..];
    if hole.kind().is_pc_relative() {
        // The table's check has bounded the addend, so that whatever is in reach fits its field with it.
        if hole.shift() != 0 || hole.addend().unsigned_abs() > MAX_LINK_ADDEND {
            return Class::Fixup;
        }
        let Some(to) = link_to(hole, code) else {
            return Class::Fixup;
        };
        return if hole.kind().write(field, hole.addend().into()) {
            Class::Link(to)
        } else {
            Class::Fixup
        };
    }
    let source = match hole.value() {
        HoleValue::Oparg => Source::Oparg,
        HoleValue::Operand => Source::Operand,
        HoleValue::Operand1 => Source::Operand1,
        HoleValue::Target => Source::Target,
        HoleValue::ExitIndex => Source::ExitIndex,
        HoleValue::Input => Source::Input,
        HoleValue::Zero => return done_if(fill(hole, 0, 0, field)),
        HoleValue::Symbol => {
            let address = symbols.get(hole.symbol() as usize).copied();
            return done_if(address.is_some_and(|address| fill(hole, 0, address, field)));
        }
        _ => return Class::Fixup,
    };
    Class::Word(source)
}

/// What does not fit becomes a fixup, which reports it where a trace uses it.
fn done_if(fits: bool) -> Class {
    if fits { Class::Done } else { Class::Fixup }
}

fn link_to(hole: &Hole, code: &Code<'_>) -> Option<LinkTo> {
    Some(match hole.value() {
        HoleValue::Zero
        | HoleValue::Oparg
        | HoleValue::Operand
        | HoleValue::Operand1
        | HoleValue::Target
        | HoleValue::ExitIndex
        | HoleValue::Input => return None,
        HoleValue::Pooled => LinkTo::Pooled(hole.element()),
        HoleValue::Symbol => LinkTo::Symbol {
            index: hole.symbol(),
            called: is_call(hole, &code.bytes),
        },
        value => LinkTo::Value(value),
    })
}

/// A field that a fragment must hold as a whole.
struct Field {
    /// From the start of the part.
    offset: usize,
    width: usize,
    filled: Filled,
}

enum Filled {
    Word(Word),
    Link(LinkTo),
}

impl Field {
    fn link(hole: &Hole, to: LinkTo) -> Self {
        Self {
            offset: hole.offset() as usize,
            width: 4,
            filled: Filled::Link(to),
        }
    }

    /// One word, or the two halves of an 8-byte field.
    fn words(hole: &Hole, source: Source, index: u32) -> impl Iterator<Item = Self> + use<> {
        let (offset, width) = (hole.offset() as usize, hole.kind().width());
        let word = Word {
            source,
            element: hole.element(),
            shift: hole.shift(),
            kind: hole.kind(),
            upper: false,
            addend: hole.addend(),
            context: 0,
            hole: index,
        };
        (0..width.div_ceil(4)).map(move |half| Self {
            offset: offset + 4 * half,
            width: width.min(4),
            filled: Filled::Word(Word {
                upper: half == 1,
                ..word
            }),
        })
    }
}

/// Code with its registers renamed.
pub(crate) struct Code<'t> {
    pub(crate) bytes: Cow<'t, [u8]>,
    pub(crate) holes: &'t [Hole],
}

/// What a stencil is made of once its registers are renamed.
pub(crate) struct Recipe<'t> {
    pub(crate) hot: Code<'t>,
    pub(crate) cold: Code<'t>,
    pub(crate) data: Stencil<'t>,
    /// The uops that are in it.
    uops: Vec<UopId>,
    limits: Vec<Limits>,
    constant_inputs: [Option<Input>; MAX_INPUTS],
    /// The nibbles of a [`Renaming`] that matter.
    placeholders: u64,
}

impl<'t> Recipe<'t> {
    /// The recipe of a stencil, or `None` where the table has no such stencil.
    pub(crate) fn of(
        table: &'t StencilTable,
        stencil: StencilId,
        renaming: Renaming,
    ) -> Option<Self> {
        match stencil.index().checked_sub(table.uop_count()) {
            None => Some(Self::base(table, table.uops().nth(stencil.index())?)),
            Some(variant) => Some(Self::variant(
                table,
                table.variants().nth(variant)?,
                renaming,
            )),
        }
    }

    fn base(table: &'t StencilTable, uop: UopId) -> Self {
        let (group, info) = (table.group(uop), table.uop(uop));
        Self {
            hot: Code::of(group.hot),
            cold: Code::of(group.cold),
            data: group.data,
            uops: vec![uop],
            limits: vec![Limits::of(&info)],
            constant_inputs: [None; MAX_INPUTS],
            placeholders: 0,
        }
    }

    fn variant(table: &'t StencilTable, variant: VariantId, renaming: Renaming) -> Self {
        let variant = table.variant(variant);
        let group = variant.group;
        let (mut hot, mut cold) = (Code::of(group.hot), Code::of(group.cold));
        let mut placeholders = 0;
        for hole in variant.register_holes {
            placeholders |= 0xf << (4 * hole.register.as_u8());
            let code = if hole.cold { &mut cold } else { &mut hot };
            hole.rename(renaming.of(hole.register), code.bytes.to_mut());
        }
        let mut constant_inputs = [None; MAX_INPUTS];
        if let Form::Operands(form) = variant.form {
            for (constant, &input) in constant_inputs.iter_mut().zip(&form.inputs) {
                *constant = (!matches!(input, Input::Register(_))).then_some(input);
            }
        }
        Self {
            hot,
            cold,
            data: group.data,
            uops: variant.uops.to_vec(),
            limits: (0..variant.uops.len())
                .map(|element| variant.limits(element))
                .collect(),
            constant_inputs,
            placeholders,
        }
    }

    /// One part's bytes and holes.
    pub(crate) fn part(&self, part: Part) -> (&[u8], &'t [Hole]) {
        match part {
            Part::Hot => (&self.hot.bytes, self.hot.holes),
            Part::Cold => (&self.cold.bytes, self.cold.holes),
            Part::Data => (self.data.bytes, self.data.holes),
        }
    }

    /// The inputs that this value is of, a bit each.
    fn inputs(&self, value: HoleValue) -> u8 {
        self.holes()
            .filter(|hole| hole.value() == value)
            .fold(0, |inputs, hole| inputs | 1 << (hole.element() % 8))
    }

    /// The holes of all parts.
    pub(crate) fn holes(&self) -> impl Iterator<Item = &'t Hole> {
        [self.hot.holes, self.cold.holes, self.data.holes]
            .into_iter()
            .flatten()
    }

    /// The name of the uop that a hole is of; the first uop's for what belongs to the whole.
    pub(crate) fn name(&self, table: &StencilTable, hole: &Hole) -> String {
        let of_input = matches!(hole.value(), HoleValue::Input | HoleValue::Pooled);
        let element = if of_input { 0 } else { hole.element() };
        let uop = self.uops.get(usize::from(element));
        uop.map_or_else(String::new, |&uop| table.uop(uop).name.to_owned())
    }
}

impl<'t> Code<'t> {
    fn of(stencil: Stencil<'t>) -> Self {
        Self {
            bytes: Cow::Borrowed(stencil.bytes),
            holes: stencil.holes,
        }
    }
}
