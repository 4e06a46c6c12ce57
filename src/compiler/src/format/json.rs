//! A table as a JSON document, and back. Nothing is lost: the table that is read is the one that was written, byte for byte.

use super::{FormatError, hex};
use mimeo::form::{Form, Input, OperandForm, Register, RegisterField, RegisterHole, RegisterSet};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{
    Count, StackEffect, Stencil, StencilBuf, StencilGroup, StencilGroupBuf, UopFlags,
};
use mimeo::table::{
    FORMAT_VERSION, StencilTable, TRIPLE, TableContents, UopContents, VALUE_REGISTERS,
    VariantContents,
};
use serde::{Deserialize, Serialize};

/// What the document says that it is.
const FORMAT: &str = "mimeo stencil table";

/// The only calling convention.
const CONVENTION: &str = "preserve_none";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    set: String,
    triple: String,
    cpu: String,
    calling_convention: String,
    llvm_version: (u16, u16, u16),
    digest: String,
    sources: String,
    value_registers: u32,
    symbols: Vec<String>,
    uops: Vec<Uop>,
    variants: Vec<VariantObject>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CountObject {
    fixed: u8,
    per_oparg: u8,
    low_bit: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Uop {
    name: String,
    popped: CountObject,
    pushed: CountObject,
    leaving_popped: CountObject,
    leaving_pushed: CountObject,
    flags: Vec<String>,
    oparg_max: u32,
    operand_max: u64,
    #[serde(default = "unlimited", skip_serializing_if = "is_unlimited")]
    operand1_max: u64,
    locals: u32,
    hot: PartObject,
    cold: PartObject,
    data: PartObject,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartObject {
    bytes: String,
    align: u32,
    holes: Vec<HoleObject>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoleObject {
    offset: u32,
    kind: String,
    value: String,
    symbol: Option<u32>,
    shift: u8,
    element: u8,
    addend: i32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantObject {
    uops: Vec<String>,
    oparg_max: Vec<u32>,
    operand_max: Vec<u64>,
    /// Empty where none of them is limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    operand1_max: Vec<u64>,
    form: FormObject,
    hot: PartObject,
    cold: PartObject,
    data: PartObject,
    register_holes: Vec<RegisterHoleObject>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum FormObject {
    Slots {
        registers_in: u8,
        registers_out: u8,
    },
    Operands {
        inputs: Vec<InputObject>,
        output: Option<String>,
        intact: u8,
        renameable: Vec<String>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InputObject {
    Register(String),
    Signed32,
    Unsigned(u8),
    Pooled,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegisterHoleObject {
    part: String,
    offset: u32,
    rex: Option<u32>,
    field: String,
    register: String,
}

/// The largest operand of code that takes any.
const fn unlimited() -> u64 {
    u64::MAX
}

fn is_unlimited(limit: &u64) -> bool {
    *limit == unlimited()
}

/// The names of the fields, by their numbers.
const FIELDS: [(RegisterField, &str); 3] = [
    (RegisterField::Reg, "reg"),
    (RegisterField::Base, "base"),
    (RegisterField::Index, "index"),
];

/// The table as a JSON document, which [`from_json`] reads.
///
/// One object; uops, variants and symbols stand on a line each. Bytes are hexadecimal text. Numbers are exact, up to 64
/// bits (`operand_max`, `operand1_max`): readers that take them for floating-point numbers round them.
///
/// ```json
/// {
/// "format": "mimeo stencil table", "version": 3, "set": "scalar", "triple": "x86_64-unknown-linux-gnu", "cpu": "x86-64",
/// "calling_convention": "preserve_none", "llvm_version": [19, 1, 7], "digest": "b79f...", "sources": "c01d...",
/// "value_registers": 3,
/// "symbols": ["mimeo_int_add"],
/// "uops": [
/// {"name": "LOAD_I64", "popped": {"fixed": 0, "per_oparg": 0, "low_bit": 0}, "pushed": ..., "leaving_popped": ...,
///  "leaving_pushed": ..., "flags": ["LOCAL", "OPARG"], "oparg_max": 100, "operand_max": 0, "locals": 0,
///  "hot": {"bytes": "498b8424...", "align": 1, "holes": [{"offset": 4, "kind": "R_X86_64_32S", "value": "OPARG",
///          "symbol": null, "shift": 3, "element": 0, "addend": 0}]},
///  "cold": ..., "data": ...}
/// ],
/// "variants": [
/// {"uops": ["LOAD_I64"], "oparg_max": [100], "operand_max": [0], "form": {"kind": "operands", "inputs": [],
///  "output": "r8", "intact": 0, "renameable": ["r15", "rdi"]}, "hot": ..., "cold": ..., "data": ...,
///  "register_holes": [{"part": "hot", "offset": 2, "rex": 0, "field": "reg", "register": "r8"}]}
/// ]
/// }
/// ```
///
/// `operand1_max`, of a uop a number and of a variant an array as `operand_max` is, stands there only where a second operand
/// is limited. A number of values is `fixed + per_oparg * oparg + low_bit * (oparg & 1)`. `symbol` is an index into the symbols, where
/// `value` is `SYMBOL`. An input is `{"register": "r8"}`, `"signed32"`, `{"unsigned": 5}` with its bits, or `"pooled"`. The
/// other kind of form is `{"kind": "slots", "registers_in": 1, "registers_out": 2}`. What the fields mean is said in
/// [`mimeo::table`].
///
/// # Errors
/// None but what writing JSON in memory can have.
pub fn to_json(table: &StencilTable) -> Result<String, FormatError> {
    let text = |text: &str| serde_json::to_string(text);
    let (major, minor, patch) = table.llvm_version();
    let uops = table.uops().map(|uop| write_uop(table, uop));
    let variants = table
        .variants()
        .map(|variant| write_variant(table, variant));
    let symbols: Vec<&str> = table.symbols().collect();
    Ok(format!(
        "{{\n\"format\": {}, \"version\": {FORMAT_VERSION}, \"set\": {}, \"triple\": {}, \"cpu\": {},\n\
         \"calling_convention\": {}, \"llvm_version\": [{major}, {minor}, {patch}], \"digest\": {}, \
         \"sources\": {}, \"value_registers\": {VALUE_REGISTERS},\n\"symbols\": {},\n\"uops\": {},\n\"variants\": {}\n}}\n",
        text(FORMAT)?,
        text(table.set())?,
        text(table.triple())?,
        text(table.cpu())?,
        text(CONVENTION)?,
        text(&hex(table.digest()))?,
        text(&hex(table.sources().unwrap_or(&[0; 32])))?,
        rows(symbols.into_iter())?,
        rows(uops)?,
        rows(variants)?
    ))
}

/// An array with an element on each line.
fn rows(elements: impl Iterator<Item = impl Serialize>) -> Result<String, FormatError> {
    let rows = elements
        .map(|element| serde_json::to_string(&element))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(match rows.is_empty() {
        true => "[]".to_owned(),
        false => format!("[\n{}\n]", rows.join(",\n")),
    })
}

fn write_uop(table: &StencilTable, uop: mimeo::table::UopId) -> Uop {
    let info = table.uop(uop);
    let [hot, cold, data] = write_group(table.group(uop));
    Uop {
        name: info.name.to_owned(),
        popped: write_count(info.effect.popped),
        pushed: write_count(info.effect.pushed),
        leaving_popped: write_count(info.leaving_effect.popped),
        leaving_pushed: write_count(info.leaving_effect.pushed),
        flags: info
            .flags
            .iter_names()
            .map(|(name, _)| name.to_owned())
            .collect(),
        oparg_max: info.oparg_max,
        operand_max: info.operand_max,
        operand1_max: info.operand1_max,
        locals: info.locals,
        hot,
        cold,
        data,
    }
}

fn write_variant(table: &StencilTable, variant: mimeo::table::VariantId) -> VariantObject {
    let variant = table.variant(variant);
    let [hot, cold, data] = write_group(variant.group);
    let infos = || variant.infos();
    let mut operand1_max: Vec<u64> = infos().map(|info| info.operand1_max).collect();
    if operand1_max.iter().all(is_unlimited) {
        operand1_max.clear();
    }
    VariantObject {
        uops: infos().map(|info| info.name.to_owned()).collect(),
        oparg_max: infos().map(|info| info.oparg_max).collect(),
        operand_max: infos().map(|info| info.operand_max).collect(),
        operand1_max,
        form: write_form(variant.form),
        hot,
        cold,
        data,
        register_holes: variant
            .register_holes
            .iter()
            .map(write_register_hole)
            .collect(),
    }
}

fn write_count(count: Count) -> CountObject {
    let Count {
        fixed,
        per_oparg,
        low_bit,
    } = count;
    CountObject {
        fixed,
        per_oparg,
        low_bit,
    }
}

fn write_group(group: StencilGroup<'_>) -> [PartObject; 3] {
    group.parts().map(|(_, stencil)| write_part(stencil))
}

fn write_part(stencil: Stencil<'_>) -> PartObject {
    PartObject {
        bytes: hex(stencil.bytes),
        align: stencil.align,
        holes: stencil.holes.iter().map(write_hole).collect(),
    }
}

fn write_hole(hole: &Hole) -> HoleObject {
    HoleObject {
        offset: hole.offset(),
        kind: hole.kind().name().to_owned(),
        value: hole.value().name().to_owned(),
        symbol: (hole.value() == HoleValue::Symbol).then(|| hole.symbol()),
        shift: hole.shift(),
        element: hole.element(),
        addend: hole.addend(),
    }
}

fn write_form(form: &Form) -> FormObject {
    let name = |register: Register| register.name().to_owned();
    let form = match form {
        &Form::Slots {
            registers_in,
            registers_out,
        } => {
            return FormObject::Slots {
                registers_in,
                registers_out,
            };
        }
        Form::Operands(form) => form,
    };
    let input = |input: &Input| match *input {
        Input::Register(register) => InputObject::Register(name(register)),
        Input::Signed32 => InputObject::Signed32,
        Input::Unsigned(bits) => InputObject::Unsigned(bits),
        Input::Pooled => InputObject::Pooled,
    };
    FormObject::Operands {
        inputs: form.inputs.iter().map(input).collect(),
        output: form.output.map(name),
        intact: form.intact,
        renameable: form.renameable.registers().map(name).collect(),
    }
}

fn write_register_hole(hole: &RegisterHole) -> RegisterHoleObject {
    let field = FIELDS.iter().find(|(field, _)| *field == hole.field);
    RegisterHoleObject {
        part: if hole.cold { "cold" } else { "hot" }.to_owned(),
        offset: hole.offset,
        rex: hole.rex,
        field: field.map_or("reg", |(_, name)| name).to_owned(),
        register: hole.register.name().to_owned(),
    }
}

// ---- Reading --------------------------------------------------------------------------------------------------------

/// The contents of the table that a document is of. [`TableContents::to_bytes`] gives its bytes and checks the rest.
///
/// # Errors
/// It is no document that [`to_json`] could have written: the error says where.
pub fn from_json(text: &str) -> Result<TableContents, FormatError> {
    let document: Document = serde_json::from_str(text)?;
    let version = document.version.to_string();
    let registers = document.value_registers.to_string();
    let expected = [
        ("format", &document.format, FORMAT.to_owned()),
        ("version", &version, FORMAT_VERSION.to_string()),
        ("triple", &document.triple, TRIPLE.to_owned()),
        (
            "calling_convention",
            &document.calling_convention,
            CONVENTION.to_owned(),
        ),
        ("value_registers", &registers, VALUE_REGISTERS.to_string()),
    ];
    for (field, found, expected) in expected {
        if *found != expected {
            return Err(invalid(
                field,
                format!("{found:?}, this library reads {expected:?}"),
            ));
        }
    }
    let digest = |field, text: &str| {
        let bytes = bytes(field, text)?;
        let length = bytes.len();
        let problem = |_| invalid(field, format!("{length} bytes, expected 32"));
        <[u8; 32]>::try_from(bytes).map_err(problem)
    };
    Ok(TableContents {
        set: document.set,
        cpu: document.cpu,
        llvm_version: document.llvm_version,
        digest: digest("digest", &document.digest)?,
        sources: digest("sources", &document.sources)?,
        symbols: document.symbols,
        uops: document
            .uops
            .into_iter()
            .map(read_uop)
            .collect::<Result<_, _>>()?,
        variants: document
            .variants
            .into_iter()
            .map(read_variant)
            .collect::<Result<_, _>>()?,
    })
}

fn invalid(place: impl Into<String>, problem: String) -> FormatError {
    FormatError::Invalid {
        place: place.into(),
        problem,
    }
}

fn bytes(place: &str, text: &str) -> Result<Vec<u8>, FormatError> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|&[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8))
        .collect::<Option<Vec<u8>>>();
    match bytes {
        Some(bytes) if rest.is_empty() => Ok(bytes),
        _ => Err(invalid(
            place,
            "expected pairs of hexadecimal digits".to_owned(),
        )),
    }
}

fn read_uop(uop: Uop) -> Result<UopContents, FormatError> {
    let place = format!("uop {}", uop.name);
    let flag = |name: &String| {
        UopFlags::from_name(name)
            .ok_or_else(|| invalid(&place, format!("flag {name:?} is unknown")))
    };
    let flags = uop.flags.iter().map(flag).collect::<Result<Vec<_>, _>>()?;
    Ok(UopContents {
        effect: StackEffect {
            popped: read_count(uop.popped),
            pushed: read_count(uop.pushed),
        },
        leaving_effect: StackEffect {
            popped: read_count(uop.leaving_popped),
            pushed: read_count(uop.leaving_pushed),
        },
        flags: flags.into_iter().collect(),
        oparg_max: uop.oparg_max,
        operand_max: uop.operand_max,
        operand1_max: uop.operand1_max,
        locals: uop.locals,
        group: read_group(&place, [uop.hot, uop.cold, uop.data])?,
        name: uop.name,
    })
}

fn read_variant(variant: VariantObject) -> Result<VariantContents, FormatError> {
    let place = format!("variant of {}", variant.uops.join("+"));
    let operand1_max = match variant.operand1_max.is_empty() {
        true => vec![unlimited(); variant.uops.len()],
        false => variant.operand1_max,
    };
    Ok(VariantContents {
        form: read_form(&place, variant.form)?,
        oparg_max: variant.oparg_max,
        operand_max: variant.operand_max,
        operand1_max,
        group: read_group(&place, [variant.hot, variant.cold, variant.data])?,
        register_holes: variant
            .register_holes
            .iter()
            .map(|hole| read_register_hole(&place, hole))
            .collect::<Result<_, _>>()?,
        uops: variant.uops,
    })
}

fn read_count(count: CountObject) -> Count {
    let CountObject {
        fixed,
        per_oparg,
        low_bit,
    } = count;
    Count {
        fixed,
        per_oparg,
        low_bit,
    }
}

fn read_group(place: &str, parts: [PartObject; 3]) -> Result<StencilGroupBuf, FormatError> {
    let [hot, cold, data] = parts;
    Ok(StencilGroupBuf {
        hot: read_part(place, hot)?,
        cold: read_part(place, cold)?,
        data: read_part(place, data)?,
    })
}

fn read_part(place: &str, part: PartObject) -> Result<StencilBuf, FormatError> {
    Ok(StencilBuf {
        bytes: bytes(place, &part.bytes)?,
        align: part.align,
        holes: part
            .holes
            .iter()
            .map(|hole| read_hole(place, hole))
            .collect::<Result<_, _>>()?,
    })
}

fn read_hole(place: &str, hole: &HoleObject) -> Result<Hole, FormatError> {
    let unknown = |what: &str, name: &str| invalid(place, format!("{what} {name:?} is unknown"));
    let kind = RelocationKind::ALL
        .into_iter()
        .find(|kind| kind.name() == hole.kind)
        .ok_or_else(|| unknown("relocation kind", &hole.kind))?;
    let value = HoleValue::ALL
        .into_iter()
        .find(|value| value.name() == hole.value)
        .ok_or_else(|| unknown("hole value", &hole.value))?;
    Ok(Hole::new(hole.offset, kind, value, hole.addend)
        .with_symbol(hole.symbol.unwrap_or(0))
        .with_shift(hole.shift)
        .with_element(hole.element))
}

fn read_register(place: &str, name: &str) -> Result<Register, FormatError> {
    Register::all()
        .find(|register| register.name() == name)
        .ok_or_else(|| invalid(place, format!("register {name:?} is unknown")))
}

fn read_form(place: &str, form: FormObject) -> Result<Form, FormatError> {
    let (inputs, output, intact, renameable) = match form {
        FormObject::Slots {
            registers_in,
            registers_out,
        } => {
            return Ok(Form::Slots {
                registers_in,
                registers_out,
            });
        }
        FormObject::Operands {
            inputs,
            output,
            intact,
            renameable,
        } => (inputs, output, intact, renameable),
    };
    let input = |input: &InputObject| {
        Ok(match input {
            InputObject::Register(name) => Input::Register(read_register(place, name)?),
            InputObject::Signed32 => Input::Signed32,
            InputObject::Unsigned(bits) => Input::Unsigned(*bits),
            InputObject::Pooled => Input::Pooled,
        })
    };
    let registers = renameable
        .iter()
        .map(|name| read_register(place, name))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Form::Operands(OperandForm {
        inputs: inputs
            .iter()
            .map(input)
            .collect::<Result<_, FormatError>>()?,
        output: output.map(|name| read_register(place, &name)).transpose()?,
        intact,
        renameable: registers
            .into_iter()
            .fold(RegisterSet::default(), RegisterSet::with),
    }))
}

fn read_register_hole(place: &str, hole: &RegisterHoleObject) -> Result<RegisterHole, FormatError> {
    let (field, _) = FIELDS
        .into_iter()
        .find(|(_, name)| *name == hole.field)
        .ok_or_else(|| invalid(place, format!("field {:?} is unknown", hole.field)))?;
    let cold = match hole.part.as_str() {
        "hot" => false,
        "cold" => true,
        other => {
            return Err(invalid(
                place,
                format!("part {other:?} of a register hole, expected hot or cold"),
            ));
        }
    };
    Ok(RegisterHole {
        cold,
        offset: hole.offset,
        rex: hole.rex,
        field,
        register: read_register(place, &hole.register)?,
    })
}
