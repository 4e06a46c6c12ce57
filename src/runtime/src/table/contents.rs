//! What goes into a table, and how it is written.

use super::records::{
    ElementRecord, FormRecord, Header, LimitsRecord, PartRecord, RegisterHoleRecord, SectionRecord,
    TextRecord, UopRecord, VariantRecord,
};
use super::{
    Bytes, CALLING_CONVENTION, FORMAT_VERSION, Limits, MAGIC, MAX_LENGTH, StencilTable, TRIPLE,
    TableError, VALUE_REGISTERS, invalid, refresh_checksum, sequence_name,
};
use crate::form::{Form, RegisterHole};
use crate::hole::Hole;
use crate::stencil::{StackEffect, StencilBuf, StencilGroupBuf, UopFlags, UopInfo};
use std::fmt;
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{U16, U32, U64};

/// One uop of a table that is being made.
#[derive(Clone, Debug)]
pub struct UopContents {
    /// The name, unique in the table.
    pub name: String,
    /// See [`UopInfo::effect`].
    pub effect: StackEffect,
    /// See [`UopInfo::leaving_effect`].
    pub leaving_effect: StackEffect,
    /// See [`UopInfo::flags`].
    pub flags: UopFlags,
    /// See [`UopInfo::oparg_max`].
    pub oparg_max: u32,
    /// See [`UopInfo::operand_max`].
    pub operand_max: u64,
    /// See [`UopInfo::operand1_max`].
    pub operand1_max: u64,
    /// See [`UopInfo::locals`].
    pub locals: u32,
    /// The stencils.
    pub group: StencilGroupBuf,
}

impl UopContents {
    /// What the runtime will know of it.
    pub fn info(&self) -> UopInfo<'_> {
        UopInfo {
            name: &self.name,
            effect: self.effect,
            leaving_effect: self.leaving_effect,
            flags: self.flags,
            oparg_max: self.oparg_max,
            operand_max: self.operand_max,
            operand1_max: self.operand1_max,
            locals: self.locals,
        }
    }
}

/// One variant of a table that is being made: another form of a uop, or of several fused into one stencil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantContents {
    /// The names of the uops, in the order in which they run; at most [`MAX_FUSED`](crate::form::MAX_FUSED).
    pub uops: Vec<String>,
    /// How values come and go.
    pub form: Form,
    /// The largest oparg that the code was compiled for, for each uop.
    pub oparg_max: Vec<u32>,
    /// The largest operand that the code was compiled for, for each uop.
    pub operand_max: Vec<u64>,
    /// The largest second operand that the code was compiled for, for each uop: 2^n - 1, n from 0 to 64.
    pub operand1_max: Vec<u64>,
    /// The stencils.
    pub group: StencilGroupBuf,
    /// Where its placeholders stand, for [`Form::Operands`].
    pub register_holes: Vec<RegisterHole>,
}

impl fmt::Display for VariantContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.uops.iter().map(String::as_str);
        f.write_str(&sequence_name(names, &self.form))
    }
}

/// Everything that goes into a table.
#[derive(Clone, Debug)]
pub struct TableContents {
    /// The name of the uop set.
    pub set: String,
    /// The CPU that the code needs.
    pub cpu: String,
    /// The LLVM that made the code: major, minor, patch.
    pub llvm_version: (u16, u16, u16),
    /// BLAKE3 of what the stencils were made from.
    pub digest: [u8; 32],
    /// BLAKE3 of the templates' source, or zeros; see [`StencilTable::sources`].
    pub sources: [u8; 32],
    /// The names of the symbols that holes refer to, by index.
    pub symbols: Vec<String>,
    /// The uops, in any order.
    pub uops: Vec<UopContents>,
    /// Further forms, in any order.
    pub variants: Vec<VariantContents>,
}

impl TableContents {
    /// The table's bytes: the same contents always give the same bytes.
    ///
    /// # Errors
    /// Something does not fit the format, or the contents are not a valid table.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TableError> {
        let bytes = Writer::default().write(self)?;
        // Whatever this library writes, it reads.
        StencilTable::check(Bytes::Owned(bytes)).map(|table| match table.bytes {
            Bytes::Owned(bytes) => bytes,
            Bytes::Static(_) | Bytes::Mapped(_) => Vec::new(),
        })
    }
}

/// A variant with the indices of its uops.
struct SortedVariant<'a> {
    uops: Vec<u32>,
    form: FormRecord,
    contents: &'a VariantContents,
}

/// The variants in the order of a table: of their uops, then of their forms.
fn sorted_variants<'a>(
    uops: &[&UopContents],
    variants: &'a [VariantContents],
) -> Result<Vec<SortedVariant<'a>>, TableError> {
    let mut sorted = variants
        .iter()
        .map(|contents| {
            let problem = |problem| invalid(format!("variant {contents}"), problem);
            contents.form.check().map_err(problem)?;
            let (count, opargs) = (contents.uops.len(), contents.oparg_max.len());
            let (operands, second) = (contents.operand_max.len(), contents.operand1_max.len());
            if [opargs, operands, second] != [count; 3] {
                return Err(problem(format!(
                    "it has {count} uops, but {opargs} largest opargs, {operands} largest operands and {second} largest \
                     second operands"
                )));
            }
            let index_of = |name: &String| {
                uops.binary_search_by(|uop| uop.name.cmp(name))
                    .map(|index| index as u32)
                    .map_err(|_| problem(format!("there is no uop {name}")))
            };
            Ok(SortedVariant {
                uops: contents.uops.iter().map(index_of).collect::<Result<_, _>>()?,
                form: FormRecord::of(&contents.form),
                contents,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    sorted.sort_by(|a, b| (&a.uops, a.form.key()).cmp(&(&b.uops, b.form.key())));
    Ok(sorted)
}

#[derive(Default)]
struct Writer {
    strings: Vec<u8>,
    code: Vec<u8>,
    data: Vec<u8>,
    holes: Vec<Hole>,
    elements: Vec<ElementRecord>,
    register_holes: Vec<RegisterHoleRecord>,
}

impl Writer {
    fn write(mut self, contents: &TableContents) -> Result<Vec<u8>, TableError> {
        let mut uops: Vec<&UopContents> = contents.uops.iter().collect();
        uops.sort_by(|a, b| a.name.cmp(&b.name));
        let set = self.text(&contents.set);
        let triple = self.text(TRIPLE);
        let cpu = self.text(&contents.cpu);
        let symbols: Vec<TextRecord> = contents
            .symbols
            .iter()
            .map(|name| self.text(name))
            .collect();
        let uop_records: Vec<UopRecord> = uops
            .iter()
            .map(|uop| self.uop(uop))
            .collect::<Result<_, _>>()?;
        let variant_records: Vec<VariantRecord> = sorted_variants(&uops, &contents.variants)?
            .iter()
            .map(|variant| self.variant(variant))
            .collect::<Result<_, _>>()?;
        let (major, minor, patch) = contents.llvm_version;
        let mut end = size_of::<Header>() as u64;
        let mut section = |count: usize, size: usize| {
            let record = SectionRecord {
                offset: U32::new(end as u32),
                count: U32::new(count as u32),
            };
            end += (count * size) as u64;
            record
        };
        let mut header = Header {
            magic: MAGIC,
            format_version: U32::new(FORMAT_VERSION),
            header_length: U32::new(size_of::<Header>() as u32),
            calling_convention: U32::new(CALLING_CONVENTION),
            llvm_version: [U16::new(major), U16::new(minor), U16::new(patch), U16::ZERO],
            value_registers: U32::new(VALUE_REGISTERS),
            digest: contents.digest,
            sources: contents.sources,
            set,
            triple,
            cpu,
            uops: section(uop_records.len(), size_of::<UopRecord>()),
            variants: section(variant_records.len(), size_of::<VariantRecord>()),
            elements: section(self.elements.len(), size_of::<ElementRecord>()),
            holes: section(self.holes.len(), size_of::<Hole>()),
            register_holes: section(self.register_holes.len(), size_of::<RegisterHoleRecord>()),
            symbols: section(symbols.len(), size_of::<TextRecord>()),
            code: section(self.code.len(), 1),
            data: section(self.data.len(), 1),
            strings: section(self.strings.len(), 1),
            ..Header::default()
        };
        if end > MAX_LENGTH {
            return Err(TableError::TooLarge {
                what: "bytes",
                found: end,
                limit: MAX_LENGTH,
            });
        }
        header.file_length = U64::new(end);
        let sections: [&[u8]; 10] = [
            header.as_bytes(),
            uop_records.as_bytes(),
            variant_records.as_bytes(),
            self.elements.as_bytes(),
            self.holes.as_bytes(),
            self.register_holes.as_bytes(),
            symbols.as_bytes(),
            &self.code,
            &self.data,
            &self.strings,
        ];
        let mut bytes = sections.concat();
        refresh_checksum(&mut bytes);
        Ok(bytes)
    }

    fn text(&mut self, text: &str) -> TextRecord {
        let record = TextRecord {
            offset: U32::new(self.strings.len() as u32),
            length: U32::new(text.len() as u32),
        };
        self.strings.extend_from_slice(text.as_bytes());
        record
    }

    fn uop(&mut self, uop: &UopContents) -> Result<UopRecord, TableError> {
        let limits = LimitsRecord::of(Limits::of(&uop.info()))
            .map_err(|problem| invalid(format!("uop {}", uop.name), problem))?;
        let [hot, cold, data] = self.group(&uop.group);
        Ok(UopRecord {
            name: self.text(&uop.name),
            popped: uop.effect.popped.into(),
            pushed: uop.effect.pushed.into(),
            leaving_popped: uop.leaving_effect.popped.into(),
            leaving_pushed: uop.leaving_effect.pushed.into(),
            flags: U32::new(uop.flags.bits()),
            limits,
            locals: U32::new(uop.locals),
            hot,
            cold,
            data,
        })
    }

    fn variant(&mut self, variant: &SortedVariant<'_>) -> Result<VariantRecord, TableError> {
        let first_element = U32::new(self.elements.len() as u32);
        let first_register_hole = U32::new(self.register_holes.len() as u32);
        let contents = variant.contents;
        for (index, &uop) in variant.uops.iter().enumerate() {
            // `sorted_variants` has counted them.
            let limits = LimitsRecord::of(Limits {
                oparg: contents.oparg_max[index],
                operand: contents.operand_max[index],
                operand1: contents.operand1_max[index],
            });
            self.elements.push(ElementRecord {
                uop: U32::new(uop),
                limits: limits
                    .map_err(|problem| invalid(format!("variant {contents}"), problem))?,
            });
        }
        let mut register_holes = contents.register_holes.clone();
        register_holes.sort_by_key(RegisterHole::order);
        self.register_holes
            .extend(register_holes.iter().map(RegisterHoleRecord::of));
        let [hot, cold, data] = self.group(&contents.group);
        Ok(VariantRecord {
            first_element,
            element_count: U32::new(variant.uops.len() as u32),
            first_register_hole,
            register_hole_count: U32::new(register_holes.len() as u32),
            form: variant.form,
            hot,
            cold,
            data,
        })
    }

    fn group(&mut self, group: &StencilGroupBuf) -> [PartRecord; 3] {
        [
            Self::part(&mut self.code, &mut self.holes, &group.hot),
            Self::part(&mut self.code, &mut self.holes, &group.cold),
            Self::part(&mut self.data, &mut self.holes, &group.data),
        ]
    }

    fn part(bytes: &mut Vec<u8>, holes: &mut Vec<Hole>, part: &StencilBuf) -> PartRecord {
        let record = PartRecord {
            offset: U32::new(bytes.len() as u32),
            length: U32::new(part.bytes.len() as u32),
            first_hole: U32::new(holes.len() as u32),
            hole_count: U32::new(part.holes.len() as u32),
            align: U32::new(part.align),
        };
        bytes.extend_from_slice(&part.bytes);
        holes.extend_from_slice(&part.holes);
        record
    }
}
