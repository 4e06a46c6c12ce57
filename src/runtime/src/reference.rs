//! The reference patcher: goes by stencils and holes, one after the other, and checks every value.
//!
//! It knows nothing of fragments, and works out for itself where everything goes; the fast patchers must write the same
//! bytes. It is also what names the hole where a value does not fit.

use crate::assemble::{LEAVE, LabelId, TOP, UopArguments};
use crate::executor::{ExecutorHeader, ExitRecord};
use crate::fragment::Recipe;
use crate::hole::{Hole, HoleValue};
use crate::layout::{VENEER_LEN, veneer};
use crate::patch::{PatchError, Surroundings, fill, is_call};
use crate::prepared::{Placement, Prepared};
use crate::stencil::Part;
use crate::table::{MAX_ALIGN, StencilTable};
use std::collections::{BTreeSet, HashMap};

/// Where the parts of a placement are, in bytes from the start of the block.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    hot: u32,
    cold: u32,
    data: u32,
}

impl Places {
    fn of(&self, part: Part) -> u32 {
        match part {
            Part::Hot => self.hot,
            Part::Cold => self.cold,
            Part::Data => self.data,
        }
    }
}

struct Reference<'a> {
    table: &'a StencilTable,
    prepared: &'a Prepared,
    around: &'a Surroundings<'a>,
    recipes: Vec<Recipe<'a>>,
    places: Vec<Places>,
    /// Where pooled constants are.
    pool: HashMap<u64, u32>,
    /// Where the code ends.
    end: u32,
}

/// Writes the whole block.
///
/// # Errors
/// A value does not fit its hole. The block then holds rubbish and must not be run.
pub(crate) fn write(
    table: &StencilTable,
    prepared: &Prepared,
    around: &Surroundings<'_>,
    block: &mut [u8],
) -> Result<(), PatchError> {
    let recipes = recipes(table, prepared);
    let mut reference = Reference {
        table,
        prepared,
        around,
        places: vec![Places::default(); recipes.len()],
        recipes,
        pool: HashMap::new(),
        end: 0,
    };
    reference.place_code();
    let layout = around.layout;
    let code_gap = reference.end as usize..layout.data as usize;
    block[code_gap].fill(0xcc);
    block[layout.data as usize..][..prepared.data.len()].fill(0);
    reference.place_data(block);
    reference.write_records(block);
    reference.write_veneers(block);
    for index in 0..reference.recipes.len() {
        for part in [Part::Hot, Part::Cold, Part::Data] {
            reference.copy(index, part, block)?;
        }
    }
    Ok(())
}

/// The recipe of each placement.
fn recipes<'t>(table: &'t StencilTable, prepared: &Prepared) -> Vec<Recipe<'t>> {
    let of = |placement: &Placement| Recipe::of(table, placement.stencil, placement.renaming);
    // The assembler has refused stencils that are not in the table.
    prepared.placements.iter().filter_map(of).collect()
}

/// The symbols that a trace's code calls, each once, ascending.
pub(crate) fn called_symbols(table: &StencilTable, prepared: &Prepared) -> Vec<u32> {
    let mut symbols = BTreeSet::new();
    for recipe in recipes(table, prepared) {
        for part in [Part::Hot, Part::Cold] {
            let (bytes, holes) = recipe.part(part);
            let calls = holes
                .iter()
                .filter(|hole| hole.value() == HoleValue::Symbol && is_call(hole, bytes));
            symbols.extend(calls.map(Hole::symbol));
        }
    }
    symbols.into_iter().collect()
}

impl Reference<'_> {
    /// Hot code, stubs, and the cold code of either.
    fn place_code(&mut self) {
        for (place, recipe) in self.places.iter_mut().zip(&self.recipes) {
            place.hot = self.end;
            self.end += recipe.hot.bytes.len() as u32;
        }
        for (place, recipe) in self.places.iter_mut().zip(&self.recipes) {
            place.cold = self.end;
            self.end += recipe.cold.bytes.len() as u32;
        }
    }

    /// The pool, behind the exit records, and the constants of the stencils.
    fn place_data(&mut self, block: &mut [u8]) {
        let mut end = self.around.layout.exit(self.prepared.exits().len() as u32);
        for (recipe, placement) in self.recipes.iter().zip(&self.prepared.placements) {
            let inputs: BTreeSet<u8> = recipe
                .holes()
                .filter(|hole| hole.value() == HoleValue::Pooled)
                .map(Hole::element)
                .collect();
            for input in inputs {
                let bits = self.prepared.inputs[placement.inputs as usize][usize::from(input)];
                self.pool.entry(bits).or_insert_with(|| {
                    block[end as usize..][..8].copy_from_slice(&bits.to_le_bytes());
                    end += 8;
                    end - 8
                });
            }
        }
        let mut known: HashMap<(&[u8], u32), u32> = HashMap::new();
        end = end.next_multiple_of(MAX_ALIGN);
        for (recipe, place) in self.recipes.iter().zip(&mut self.places) {
            let data = recipe.data;
            let start = end.next_multiple_of(data.align);
            let shared = known.get(&(data.bytes, data.align));
            if data.bytes.is_empty() {
                place.data = self.around.layout.data;
            } else if let Some(&start) = shared.filter(|_| data.holes.is_empty()) {
                place.data = start;
            } else {
                place.data = start;
                end = start + data.bytes.len() as u32;
                if data.holes.is_empty() {
                    known.insert((data.bytes, data.align), start);
                }
            }
        }
    }

    /// The executor's header and exit records.
    fn write_records(&self, block: &mut [u8]) {
        let (layout, id) = (self.around.layout, self.around.id.0);
        let mut put = |start: u32, bytes: &[u8]| {
            block[start as usize..][..bytes.len()].copy_from_slice(bytes);
        };
        put(layout.data, &ExecutorHeader { valid: 1, id }.to_bytes());
        for (index, info) in (0..).zip(self.prepared.exits()) {
            let record = ExitRecord {
                executor: id,
                ..ExitRecord::of(index, info)
            };
            put(layout.exit(index), &record.to_bytes());
        }
    }

    fn write_veneers(&self, block: &mut [u8]) {
        for (slot, &symbol) in self.around.veneers.iter().enumerate() {
            let start = self.around.layout.veneers as usize + slot * VENEER_LEN as usize;
            block[start..][..VENEER_LEN as usize]
                .copy_from_slice(&veneer(self.around.symbols[symbol as usize]));
        }
    }

    fn copy(&self, index: usize, part: Part, block: &mut [u8]) -> Result<(), PatchError> {
        let recipe = &self.recipes[index];
        let (bytes, holes) = recipe.part(part);
        let start = self.places[index].of(part);
        let copied = &mut block[start as usize..][..bytes.len()];
        copied.copy_from_slice(bytes);
        for hole in holes {
            let place = self.around.base + u64::from(start) + u64::from(hole.offset());
            let value = self.value(index, hole, bytes);
            if !fill(hole, place, value, &mut copied[hole.offset() as usize..]) {
                let uop = self.prepared.placements[index].index as usize;
                return Err(PatchError::new(
                    (uop, recipe.name(self.table, hole)),
                    (part, hole),
                    place,
                    value,
                ));
            }
        }
        Ok(())
    }

    /// S, for the placement at `index`.
    fn value(&self, index: usize, hole: &Hole, code: &[u8]) -> u64 {
        let placement = &self.prepared.placements[index];
        let places = &self.places[index];
        let at = |offset: u32| self.around.base + u64::from(offset);
        let element = usize::from(hole.element());
        let uop = || self.uop(placement, element);
        let input = || {
            let inputs = self.prepared.inputs.get(placement.inputs as usize);
            inputs
                .and_then(|inputs| inputs.get(element))
                .copied()
                .unwrap_or_default()
        };
        match hole.value() {
            HoleValue::Zero => 0,
            HoleValue::Oparg => uop().oparg.into(),
            HoleValue::Operand => uop().operand,
            HoleValue::Operand1 => uop().operand1,
            HoleValue::Target => uop().target.into(),
            HoleValue::Continue => at(places.hot + self.recipes[index].hot.bytes.len() as u32),
            HoleValue::JumpTarget => at(self.label(placement.jump)),
            HoleValue::ErrorTarget => at(self.label(placement.error)),
            HoleValue::ExitIndex => placement.exit.into(),
            HoleValue::Exit => at(self.around.layout.exit(placement.exit)),
            HoleValue::Executor => at(self.around.layout.data),
            HoleValue::Code => at(places.hot),
            HoleValue::Cold => at(places.cold),
            HoleValue::Data => at(places.data),
            HoleValue::Top => at(self.label(TOP)),
            HoleValue::Leave => at(self.label(LEAVE)),
            HoleValue::Input => input(),
            HoleValue::Pooled => at(self.pool.get(&input()).copied().unwrap_or_default()),
            HoleValue::Symbol => self.symbol(hole, code),
        }
    }

    fn uop(&self, placement: &Placement, element: usize) -> UopArguments {
        let index = placement.uops as usize + element;
        self.prepared.uops.get(index).copied().unwrap_or_default()
    }

    /// Where a label stands.
    fn label(&self, label: LabelId) -> u32 {
        let place = self.prepared.labels.get(label.index()).copied();
        // The assembler has refused traces that go to labels that stand nowhere.
        let place = place.unwrap_or_default() as usize;
        match self.places.get(place) {
            Some(places) => places.hot,
            // Behind the last stencil; its cold code, if any, comes next.
            None => self.places.first().map_or(self.end, |first| first.cold),
        }
    }

    /// A symbol's address, or that of its veneer where it has one and is called.
    fn symbol(&self, hole: &Hole, code: &[u8]) -> u64 {
        let around = self.around;
        if is_call(hole, code)
            && let Ok(slot) = around.veneers.binary_search(&hole.symbol())
        {
            return around.base
                + u64::from(around.layout.veneers)
                + slot as u64 * u64::from(VENEER_LEN);
        }
        around.symbols[hole.symbol() as usize]
    }
}
