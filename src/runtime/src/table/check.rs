//! The complete check of a table. Its bytes come from outside: whatever a record says is proven here before anything
//! else relies on it.

use super::records::{
    ElementRecord, Header, PartRecord, RegisterHoleRecord, SectionRecord, TextRecord, UopRecord,
    VariantRecord, section_range,
};
use super::{
    CALLING_CONVENTION, MAX_ALIGN, MAX_LINK_ADDEND, StencilTable, TRIPLE, TableError, UopEntry,
    VALUE_REGISTERS, Variants, invalid, sequence_name,
};
use crate::form::{Form, Input, MAX_FUSED, RegisterHole};
use crate::hole::{Hole, HoleValue};
use crate::reloc::RelocationKind;
use crate::stencil::{Stencil, UopFlags};
use std::fmt;
use zerocopy::byteorder::little_endian::U32;

impl StencilTable {
    pub(super) fn check_sections(&self) -> Result<(), TableError> {
        let header = &self.header;
        if header.header_length.get() as usize != size_of::<Header>() {
            return Err(invalid(
                "header",
                format!(
                    "its length is {}, expected {}",
                    header.header_length,
                    size_of::<Header>()
                ),
            ));
        }
        if header.reserved.get() != 0 || header.llvm_version[3].get() != 0 {
            return Err(invalid("header", "a reserved field is not 0"));
        }
        let ranges = [
            ("uops", section_range::<UopRecord>(header.uops)),
            ("variants", section_range::<VariantRecord>(header.variants)),
            ("elements", section_range::<ElementRecord>(header.elements)),
            ("holes", section_range::<Hole>(header.holes)),
            (
                "register holes",
                section_range::<RegisterHoleRecord>(header.register_holes),
            ),
            ("symbols", section_range::<TextRecord>(header.symbols)),
            ("code", section_range::<u8>(header.code)),
            ("data", section_range::<u8>(header.data)),
            ("strings", section_range::<u8>(header.strings)),
        ];
        let length = self.bytes.get().len();
        let mut end = size_of::<Header>();
        for (name, range) in ranges {
            // Sections follow one another without a gap, so that no byte of a file goes unchecked.
            match range {
                Some(range) if range.start == end && range.end <= length => end = range.end,
                range => {
                    let found = range.map_or("beyond any file".to_owned(), |range| {
                        format!("at {range:?}")
                    });
                    return Err(invalid(
                        format!("section {name}"),
                        format!(
                            "it lies {found}, expected to start at {end} inside the file's {length} bytes"
                        ),
                    ));
                }
            }
        }
        if end != length {
            return Err(invalid(
                "sections",
                format!("they end at {end}, the file at {length}"),
            ));
        }
        Ok(())
    }

    pub(super) fn check_strings(&self) -> Result<(), TableError> {
        let header = &self.header;
        for (place, text) in [
            ("set name", header.set),
            ("target triple", header.triple),
            ("CPU", header.cpu),
        ] {
            self.checked_text(text)
                .ok_or_else(|| invalid(place, "it is not UTF-8 inside the strings"))?;
        }
        Ok(())
    }

    pub(super) fn check_target(&self) -> Result<(), TableError> {
        let foreign = |what, found: &dyn fmt::Display, expected: &dyn fmt::Display| {
            Err(TableError::Foreign {
                what,
                found: found.to_string(),
                expected: expected.to_string(),
            })
        };
        if self.triple() != TRIPLE {
            return foreign("target", &self.triple(), &TRIPLE);
        }
        let convention = self.header.calling_convention.get();
        if convention != CALLING_CONVENTION {
            return foreign("calling convention", &convention, &CALLING_CONVENTION);
        }
        let registers = self.header.value_registers.get();
        if registers != VALUE_REGISTERS {
            return foreign(
                "a number of value registers of",
                &registers,
                &VALUE_REGISTERS,
            );
        }
        Ok(())
    }

    pub(super) fn check_symbols(&self) -> Result<(), TableError> {
        for (index, &text) in self.symbol_records().iter().enumerate() {
            match self.checked_text(text) {
                Some(name) if !name.is_empty() => {}
                _ => {
                    return Err(invalid(
                        format!("symbol {index}"),
                        "its name is not UTF-8 inside the strings, or empty",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Checks every uop and reads what compiling a trace needs of it.
    pub(super) fn read_uops(&self) -> Result<Vec<UopEntry>, TableError> {
        let mut entries = Vec::with_capacity(self.uop_count());
        let mut previous: Option<&str> = None;
        for (index, record) in self.uop_records().iter().enumerate() {
            let place = || format!("uop {index}");
            let name = self
                .checked_text(record.name)
                .filter(|name| !name.is_empty())
                .ok_or_else(|| {
                    invalid(
                        place(),
                        "its name is not UTF-8 inside the strings, or empty",
                    )
                })?;
            if previous.is_some_and(|previous| previous >= name) {
                return Err(invalid(
                    place(),
                    format!(
                        "{name} does not sort after {}",
                        previous.unwrap_or_default()
                    ),
                ));
            }
            previous = Some(name);
            let flags = UopFlags::from_bits(record.flags.get()).ok_or_else(|| {
                invalid(
                    format!("uop {name}"),
                    format!("flags {:#x} hold unknown bits", record.flags),
                )
            })?;
            let owner = Owner {
                name: &|| format!("uop {name}"),
                flags: &[flags],
                inputs: &[],
            };
            let limits = record.limits.read();
            limits.map_err(|problem| invalid(format!("uop {name}"), problem))?;
            self.check_parts(&owner, [record.hot, record.cold, record.data])?;
            entries.push(self.entry_of(record));
        }
        Ok(entries)
    }

    /// Checks every variant and reads what compiling a trace needs of it.
    pub(super) fn read_variants(&self) -> Result<Variants, TableError> {
        let elements: &[ElementRecord] = self.records(self.header.elements);
        let register_holes: &[RegisterHoleRecord] = self.records(self.header.register_holes);
        let records = self.variant_records();
        let mut variants = Variants {
            entries: Vec::with_capacity(records.len()),
            uops: Vec::with_capacity(elements.len()),
            limits: Vec::with_capacity(elements.len()),
            register_holes: Vec::with_capacity(register_holes.len()),
        };
        let mut uops = self.uop_records().iter();
        let switching = uops.find(|uop| {
            UopFlags::from_bits_truncate(uop.flags.get()).intersects(UopFlags::SWITCHES_FRAME)
        });
        let mut previous: Option<(&[ElementRecord], [u8; 8])> = None;
        for (index, record) in records.iter().enumerate() {
            let problem = |problem: String| invalid(format!("variant {index}"), problem);
            // What belongs to variants lies in their order and without gaps, so that no byte goes unchecked.
            let next = Next {
                what: "elements",
                start: variants.uops.len(),
                records: elements,
            };
            let elements = next.take(record.first_element, record.element_count);
            let elements = elements.map_err(problem)?;
            let form = record.form.read().map_err(problem)?;
            let flags = self.element_flags(elements).map_err(problem)?;
            if let (Form::Operands(_), Some(uop)) = (&form, switching) {
                let uop = self.text(uop.name);
                let message = "locals may be in registers, but they are another frame's behind";
                return Err(problem(format!("{message} {uop}")));
            }
            let key = (elements, record.form.key());
            if previous.is_some_and(|previous| !sorts_before(previous, key)) {
                return Err(problem("it does not sort after the one before".to_owned()));
            }
            previous = Some(key);

            let name = || {
                let uops = elements.iter().map(|element| self.uop_name(element.uop));
                format!("variant {}", sequence_name(uops, &form))
            };
            let owner = Owner {
                name: &name,
                flags: &flags[..elements.len()],
                inputs: form.inputs(),
            };
            let parts = self.check_parts(&owner, [record.hot, record.cold, record.data])?;
            let next = Next {
                what: "register holes",
                start: variants.register_holes.len(),
                records: register_holes,
            };
            let holes = next.take(record.first_register_hole, record.register_hole_count);
            let holes = holes.map_err(|problem| invalid(name(), problem))?;
            read_register_holes(holes, &form, parts, &mut variants.register_holes)
                .map_err(|problem| invalid(name(), problem))?;
            for element in elements {
                variants.uops.push(self.uop_id(element.uop.get()));
                let limits = element.limits.read();
                let limits = limits.map_err(|problem| invalid(name(), problem))?;
                variants.limits.push(limits);
            }
            variants.entries.push(self.variant_entry_of(record, form));
        }
        let ends = [
            ("elements", elements.len(), variants.uops.len()),
            (
                "register holes",
                register_holes.len(),
                variants.register_holes.len(),
            ),
        ];
        for (what, found, used) in ends {
            if used != found {
                let problem = format!("there are {found}, but the variants use {used}");
                return Err(invalid(what, problem));
            }
        }
        Ok(variants)
    }

    /// The flags of a variant's uops.
    fn element_flags(&self, elements: &[ElementRecord]) -> Result<[UopFlags; MAX_FUSED], String> {
        let mut flags = [UopFlags::empty(); MAX_FUSED];
        if elements.is_empty() || elements.len() > MAX_FUSED {
            let count = elements.len();
            return Err(format!("it has {count} uops, expected 1 to {MAX_FUSED}"));
        }
        for (index, (element, flags)) in elements.iter().zip(&mut flags).enumerate() {
            let Some(uop) = self.uop_records().get(element.uop.get() as usize) else {
                return Err(format!(
                    "uop {} does not exist, there are {}",
                    element.uop,
                    self.uop_count()
                ));
            };
            *flags = UopFlags::from_bits_truncate(uop.flags.get());
            if flags.intersects(UopFlags::SWITCHES_FRAME) {
                return Err(format!(
                    "{} goes to another frame, and so has no variants",
                    self.text(uop.name)
                ));
            }
            if flags.contains(UopFlags::TERMINAL) && index + 1 != elements.len() {
                return Err(format!(
                    "{} never continues, but is not the last of its uops",
                    self.text(uop.name)
                ));
            }
        }
        Ok(flags)
    }

    fn uop_name(&self, uop: U32) -> &str {
        let record = self.uop_records().get(uop.get() as usize);
        record.map_or("", |record| self.text(record.name))
    }

    fn check_parts(
        &self,
        owner: &Owner<'_>,
        [hot, cold, data]: [PartRecord; 3],
    ) -> Result<[Stencil<'_>; 2], TableError> {
        let mut leaving = Leaving::default();
        let hot = self.check_part(owner, "hot code", self.header.code, hot, &mut leaving)?;
        let cold = self.check_part(owner, "cold code", self.header.code, cold, &mut leaving)?;
        self.check_part(owner, "data", self.header.data, data, &mut leaving)?;
        Ok([hot, cold])
    }

    fn check_part(
        &self,
        owner: &Owner<'_>,
        part: &str,
        section: SectionRecord,
        record: PartRecord,
        leaving: &mut Leaving,
    ) -> Result<Stencil<'_>, TableError> {
        let place = || format!("{}, {part}", (owner.name)());
        let stencil = self
            .part(section, record)
            .ok_or_else(|| invalid(place(), "its bytes or holes lie outside their section"))?;
        let max_align = if part == "data" { MAX_ALIGN } else { 1 };
        if !stencil.align.is_power_of_two() || stencil.align > max_align {
            return Err(invalid(
                place(),
                format!(
                    "its alignment is {}, expected a power of two up to {max_align}",
                    stencil.align
                ),
            ));
        }
        let symbols = self.header.symbols.count.get() as usize;
        let mut end = 0;
        for hole in stencil.holes {
            let problem = |problem: String| {
                invalid(place(), format!("hole at {:#x}: {problem}", hole.offset()))
            };
            hole.check(symbols).map_err(problem)?;
            owner.check_hole(hole).map_err(problem)?;
            leaving.check(hole).map_err(problem)?;
            if hole.offset() < end {
                return Err(problem(format!(
                    "it overlaps the one before, which ends at {end:#x}"
                )));
            }
            end = hole.end();
            if end as usize > stencil.bytes.len() {
                return Err(problem(format!(
                    "it ends at {end:#x}, behind the {:#x} bytes",
                    stencil.bytes.len()
                )));
            }
        }
        Ok(stencil)
    }
}

/// Records that have to start where those of the variant before end.
struct Next<'a, T> {
    what: &'static str,
    start: usize,
    records: &'a [T],
}

impl<'a, T> Next<'a, T> {
    fn take(&self, first: U32, count: U32) -> Result<&'a [T], String> {
        let rest = self.records.get(self.start..).unwrap_or_default();
        let count = count.get() as usize;
        match rest.get(..count) {
            Some(records) if first.get() as usize == self.start => Ok(records),
            _ => Err(format!(
                "{} {first} and {count} on, expected them from {} of {}",
                self.what,
                self.start,
                self.records.len()
            )),
        }
    }
}

fn sorts_before(a: (&[ElementRecord], [u8; 8]), b: (&[ElementRecord], [u8; 8])) -> bool {
    fn uops(elements: &[ElementRecord]) -> impl Iterator<Item = u32> {
        elements.iter().map(|element| element.uop.get())
    }
    uops(a.0).cmp(uops(b.0)).then(a.1.cmp(&b.1)).is_lt()
}

/// Checks a variant's register holes and appends them.
fn read_register_holes(
    records: &[RegisterHoleRecord],
    form: &Form,
    [hot, cold]: [Stencil<'_>; 2],
    read: &mut Vec<RegisterHole>,
) -> Result<(), String> {
    let placeholders = form.placeholders();
    let mut previous = None;
    for record in records {
        let hole = record.read()?;
        let (part, stencil) = if hole.cold {
            ("cold code", cold)
        } else {
            ("hot code", hot)
        };
        let problem = |problem: String| {
            format!(
                "register hole at {:#x} of the {part}: {problem}",
                hole.offset
            )
        };
        if !placeholders.contains(hole.register) {
            let problem_found = format!("{} is no placeholder of {form}", hole.register);
            return Err(problem(problem_found));
        }
        hole.check(stencil.bytes).map_err(problem)?;
        for byte in [Some(hole.offset), hole.rex].into_iter().flatten() {
            if is_patched(stencil.holes, byte) {
                return Err(problem(format!("a hole is at {byte:#x}")));
            }
        }
        // Two of one order would be for the same bits, which renaming would change twice.
        if previous.is_some_and(|previous| previous >= hole.order()) {
            return Err(problem("it does not sort after the one before".to_owned()));
        }
        previous = Some(hole.order());
        read.push(hole);
    }
    Ok(())
}

/// Whether a byte is in one of the holes, which ascend.
fn is_patched(holes: &[Hole], byte: u32) -> bool {
    let behind = holes.partition_point(|hole| hole.offset() <= byte);
    behind != 0 && holes[behind - 1].end() > byte
}

/// Whose stencils they are: what their holes may be filled with.
struct Owner<'a> {
    /// How messages call it.
    name: &'a dyn Fn() -> String,
    /// The flags of each uop that was fused.
    flags: &'a [UopFlags],
    /// None for base forms.
    inputs: &'a [Input],
}

impl Owner<'_> {
    /// Whether there is what the hole is filled with, and it fits where that is known already.
    fn check_hole(&self, hole: &Hole) -> Result<(), String> {
        let value = hole.value();
        let element = usize::from(hole.element());
        let announcing = UopFlags::announcing(value);
        let count = match value {
            HoleValue::Input | HoleValue::Pooled => self.inputs.len(),
            _ if announcing.is_empty() => 1,
            _ => self.flags.len(),
        };
        if element >= count {
            return Err(format!(
                "element {element} of {value} does not exist, there are {count}"
            ));
        }
        match value {
            HoleValue::Input => check_input(hole, self.inputs[element])?,
            HoleValue::Pooled if self.inputs[element] != Input::Pooled => {
                let input = self.inputs[element];
                return Err(format!(
                    "it is filled with {value} {element}, which is {input}"
                ));
            }
            _ => {}
        }
        if !announcing.is_empty() && !self.flags[element].intersects(announcing) {
            // Traces prepare labels and exit records for those uops that announce them.
            let names: Vec<_> = announcing.iter_names().map(|(name, _)| name).collect();
            return Err(format!(
                "it is filled with {value}, but the uop does not have the flag {}",
                names.join(" or ")
            ));
        }
        if hole.kind().is_pc_relative() && hole.addend().unsigned_abs() > MAX_LINK_ADDEND {
            return Err(format!(
                "its addend is {}, expected at most {MAX_LINK_ADDEND} either way",
                hole.addend()
            ));
        }
        Ok(())
    }
}

/// Whether every number that the input can be fits the hole: so none needs to be checked when a trace is compiled.
fn check_input(hole: &Hole, input: Input) -> Result<(), String> {
    let (value, kind, element) = (hole.value(), hole.kind(), hole.element());
    let Some(numbers) = input.numbers() else {
        return Err(format!(
            "it is filled with {value} {element}, which is {input}"
        ));
    };
    let addend = i64::from(hole.addend());
    let (low, high) = (numbers.start() + addend, numbers.end() + addend);
    let narrow = !kind.is_pc_relative() && kind != RelocationKind::Abs64;
    if !narrow || !kind.range().contains(&low) || !kind.range().contains(&high) {
        return Err(format!(
            "it is filled with {value} {element}, which is {input}: {low} to {high} do not fit {kind}"
        ));
    }
    Ok(())
}

/// Which uop of a variant has a way out of each kind. A trace gives a variant one label or exit record of a kind, so
/// only one of the uops may have it.
#[derive(Default)]
struct Leaving {
    jump: Option<u8>,
    error: Option<u8>,
    exit: Option<u8>,
}

impl Leaving {
    fn check(&mut self, hole: &Hole) -> Result<(), String> {
        let leaving = match hole.value() {
            HoleValue::JumpTarget => &mut self.jump,
            HoleValue::ErrorTarget => &mut self.error,
            HoleValue::Exit | HoleValue::ExitIndex => &mut self.exit,
            _ => return Ok(()),
        };
        let first = *leaving.get_or_insert(hole.element());
        if first != hole.element() {
            return Err(format!(
                "it is filled with {} of element {}, but element {first} has one as well",
                hole.value(),
                hole.element()
            ));
        }
        Ok(())
    }
}
