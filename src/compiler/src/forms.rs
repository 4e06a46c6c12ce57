//! Which forms there are of each uop and of each fused sequence.
//!
//! The base forms come first. While they are built it is seen what the templates do: which classes of values they take
//! and leave, and whether they could do without memory. From that follows the list of variants, always in the same
//! order.
//!
//! Operand forms: all inputs in registers, or all but one, which is a constant; the output in a register of its own, or
//! in that of an input of its class. The registers are placeholders, the same in all forms, in the order of the inputs.

use crate::builder::{Facts, InputFacts};
use crate::error::CompileError;
use crate::plumbing;
use crate::template::{Registers, Template, TemplateSet};
use mimeo::form::{Class, Input, MAX_FUSED, MAX_INPUTS, Register, RegisterSet};
use mimeo::stencil::UopFlags;
use mimeo::table::VariantContents;
use std::collections::{BTreeMap, BTreeSet};

/// How a stencil takes its stack values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// All from memory.
    Base,
    /// The top `registers_in` from the first value registers.
    Slots {
        /// 0 to 3.
        registers_in: u8,
        /// How many values are left in registers, where that is not for the template to say.
        registers_out: Option<u8>,
    },
    /// Each from a register of its own or the instruction.
    Operands {
        /// Where the inputs are.
        inputs: Vec<Input>,
        /// Where the value goes that it leaves, if it leaves one.
        output: Option<Register>,
    },
}

/// A stencil to be made.
#[derive(Clone, Debug)]
pub(crate) struct Job<'t> {
    /// What its sections and symbols are called: the uops and the form.
    pub(crate) name: String,
    /// The templates, in the order in which they run.
    pub(crate) templates: Vec<&'t Template>,
    pub(crate) entry: Entry,
}

impl<'t> Job<'t> {
    /// A template's base form.
    pub(crate) fn base(template: &'t Template) -> Self {
        Self {
            name: template.name().to_owned(),
            templates: vec![template],
            entry: Entry::Base,
        }
    }

    fn variant(templates: &[&'t Template], entry: Entry) -> Self {
        let names: Vec<&str> = templates.iter().map(|template| template.name()).collect();
        let form = match &entry {
            Entry::Base => String::new(),
            Entry::Slots {
                registers_in,
                registers_out,
            } => {
                let registers_out = registers_out.map(|out| out.to_string());
                format!(".r{registers_in}{}", registers_out.unwrap_or_default())
            }
            Entry::Operands { inputs, output } => {
                let output = output.map(|register| format!(".to.{register}"));
                let inputs = inputs.iter().map(|&input| input_name(input));
                inputs.chain(output).collect()
            }
        };
        Self {
            name: format!("{}{form}", names.join("+")),
            templates: templates.to_vec(),
            entry,
        }
    }

    /// Whether a stencil that leaves so many values in registers as slots is the base form again.
    pub(crate) fn is_base_again(&self, registers_out: Option<u8>) -> bool {
        let no_register = matches!(
            self.entry,
            Entry::Slots {
                registers_in: 0,
                ..
            }
        );
        no_register && self.templates.len() == 1 && registers_out.unwrap_or_default() == 0
    }

    /// The placeholders in the code.
    pub(crate) fn placeholders(&self) -> RegisterSet {
        let Entry::Operands { inputs, output } = &self.entry else {
            return RegisterSet::default();
        };
        let inputs = inputs.iter().filter_map(|input| match input {
            Input::Register(register) => Some(*register),
            _ => None,
        });
        inputs
            .chain(*output)
            .fold(RegisterSet::default(), RegisterSet::with)
    }
}

fn input_name(input: Input) -> String {
    match input {
        Input::Register(register) => format!(".{register}"),
        Input::Signed32 => ".s32".to_owned(),
        Input::Unsigned(bits) => format!(".u{bits}"),
        Input::Pooled => ".pooled".to_owned(),
    }
}

/// The most values in registers as slots.
const MAX_SLOTS: u8 = 3;

/// The variants of a set, given the templates that the builder makes, and what was seen of their base forms.
///
/// # Errors
/// A sequence that is to be fused names a uop that does not exist, or cannot be fused.
pub(crate) fn variants<'t>(
    set: &TemplateSet,
    templates: &[&'t Template],
    facts: &[Facts],
) -> Result<Vec<Job<'t>>, CompileError> {
    let known: BTreeMap<&str, Uop<'t, '_>> = templates
        .iter()
        .zip(facts)
        .map(|(&template, facts)| (template.name(), Uop { template, facts }))
        .collect();
    let mut jobs = Vec::new();
    let entries = |uops: &[Uop<'_, '_>]| match set.registers {
        Registers::None => Vec::new(),
        Registers::Slots => slots(uops),
        Registers::Operands => operands(uops),
    };
    for uop in known.values() {
        let entries = entries(&[*uop]);
        jobs.extend(
            entries
                .into_iter()
                .map(|entry| Job::variant(&[uop.template], entry)),
        );
    }
    let sequences: BTreeSet<&Vec<String>> = set.supernodes.iter().collect();
    for sequence in sequences {
        let wrong = |problem: String| CompileError::Sequence {
            sequence: sequence.join(" "),
            problem,
        };
        let from_ir = |name: &String| {
            let template = set.templates.iter().find(|known| known.name() == name);
            template.is_some_and(|template| template.ir().is_some())
        };
        if let Some(name) = sequence.iter().find(|name| from_ir(name)) {
            return Err(wrong(format!("{name} comes as IR, which is not fused")));
        }
        let uops = find(sequence, &known).map_err(wrong)?;
        let entries = entries(&uops);
        if entries.is_empty() && set.registers != Registers::None {
            return Err(wrong("it has no form with values in registers".to_owned()));
        }
        let fused: Vec<&Template> = uops.iter().map(|uop| uop.template).collect();
        jobs.extend(entries.into_iter().map(|entry| Job::variant(&fused, entry)));
    }
    Ok(jobs)
}

/// Checks that every sequence could be had in some form: the builder refuses those that its templates do not have.
///
/// # Errors
/// One could not.
pub(crate) fn check_sequences(
    set: &TemplateSet,
    variants: &[VariantContents],
) -> Result<(), CompileError> {
    let made: BTreeSet<&Vec<String>> = variants.iter().map(|variant| &variant.uops).collect();
    let missing = set
        .supernodes
        .iter()
        .find(|&sequence| set.registers != Registers::None && !made.contains(sequence));
    match missing {
        None => Ok(()),
        Some(sequence) => Err(CompileError::Sequence {
            sequence: sequence.join(" "),
            problem: "no form of it can be built".to_owned(),
        }),
    }
}

/// A template and what was seen of its base form.
#[derive(Clone, Copy)]
struct Uop<'t, 'f> {
    template: &'t Template,
    facts: &'f Facts,
}

/// The uops of a sequence that is to be fused.
fn find<'t, 'f>(
    sequence: &[String],
    known: &BTreeMap<&str, Uop<'t, 'f>>,
) -> Result<Vec<Uop<'t, 'f>>, String> {
    if !(2..=MAX_FUSED).contains(&sequence.len()) {
        return Err(format!(
            "it has {} uops, expected 2 to {MAX_FUSED}",
            sequence.len()
        ));
    }
    let uops = sequence
        .iter()
        .map(|name| {
            let uop = known.get(name.as_str()).copied();
            uop.ok_or_else(|| format!("there is no template {name}"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let before_last = &uops[..uops.len() - 1];
    if let Some(uop) = before_last
        .iter()
        .find(|uop| uop.template.flags().contains(UopFlags::TERMINAL))
    {
        return Err(format!(
            "{} does not continue, but others follow it",
            uop.template.name()
        ));
    }
    if let Some(uop) = uops.iter().find(|uop| switches_frame(uop)) {
        return Err(format!("{} goes to another frame", uop.template.name()));
    }
    match uops.iter().filter(|uop| uop.facts.jumps).count() {
        0 | 1 => Ok(uops),
        jumping => Err(format!("{jumping} of its uops jump, at most one may")),
    }
}

/// Whether a uop continues in another frame: the values in registers are those of one frame.
fn switches_frame(uop: &Uop<'_, '_>) -> bool {
    let flags = uop.template.flags();
    flags.intersects(UopFlags::SWITCHES_FRAME)
}

/// Slots: what the builder cannot have in a form it refuses later.
fn slots(uops: &[Uop<'_, '_>]) -> Vec<Entry> {
    let fixed = |uop: &Uop<'_, '_>| {
        let effect = uop.template.effect();
        effect.popped.is_fixed() && effect.pushed.is_fixed() && !switches_frame(uop)
    };
    if !uops.iter().all(fixed) {
        return Vec::new();
    }
    if let [uop] = uops
        && plumbing::spills_slots(uop.template)
    {
        let fewer = |registers_in| (0..registers_in).map(move |out| (registers_in, out));
        return (1..=MAX_SLOTS)
            .flat_map(fewer)
            .map(|(registers_in, registers_out)| Entry::Slots {
                registers_in,
                registers_out: Some(registers_out),
            })
            .collect();
    }
    // With no value in a register at either end it would be the base form again.
    let first = match uops {
        [uop] if uop.template.effect().pushed.fixed == 0 => 1,
        _ => 0,
    };
    (first..=MAX_SLOTS)
        .map(|registers_in| Entry::Slots {
            registers_in,
            registers_out: None,
        })
        .collect()
}

/// The operand forms of a sequence.
fn operands(uops: &[Uop<'_, '_>]) -> Vec<Entry> {
    let fit = uops.iter().all(|uop| has_operand_forms(uop));
    let Some(ends) = fit.then(|| Ends::of(uops)).flatten() else {
        return Vec::new();
    };
    let is_constant = |uop: &Uop<'_, '_>| uop.template.flags().contains(UopFlags::CONSTANT);
    let is_store = |uop: &Uop<'_, '_>| {
        uop.template.flags().contains(UopFlags::STORES_LOCAL) || plumbing::is_plumbing(uop.template)
    };
    let mut entries = match uops {
        [uop] if is_constant(uop) => constant_forms(&ends),
        // What a uop makes of a constant alone is for front ends to see, but constants are stored.
        [uop] if ends.inputs.len() == 1 && !is_store(uop) => ends.forms(false),
        _ => ends.forms(true),
    };
    if let [uop] = uops
        && plumbing::moves(uop.template)
    {
        entries.retain(|entry| !replaces_input(entry));
    }
    entries
}

fn replaces_input(entry: &Entry) -> bool {
    match entry {
        Entry::Operands {
            inputs,
            output: Some(output),
        } => inputs.contains(&Input::Register(*output)),
        _ => false,
    }
}

/// Whether a uop can do with its values in registers alone. Selection does itself what some uops say that they do.
fn has_operand_forms(uop: &Uop<'_, '_>) -> bool {
    let Uop { template, facts } = uop;
    let virtual_only = UopFlags::COPIES | UopFlags::DROPS | UopFlags::SWAPS;
    let effect = template.effect();
    let terminal = template.flags().contains(UopFlags::TERMINAL);
    effect.popped.is_fixed()
        && effect.pushed.is_fixed()
        && usize::from(effect.popped.fixed) <= MAX_INPUTS
        && !template.flags().intersects(virtual_only)
        && (!terminal || plumbing::is_plumbing(template))
        && !facts.needs_memory
        && !facts.calls
}

/// What goes into a sequence and comes out of it.
struct Ends {
    /// The lowest first.
    inputs: Vec<InputFacts>,
    output: Option<Class>,
}

impl Ends {
    /// Runs the sequence over a stack of classes. `None` where it takes or leaves too many values for an operand form.
    fn of(uops: &[Uop<'_, '_>]) -> Option<Self> {
        let mut inputs: Vec<InputFacts> = Vec::new();
        let mut stack: Vec<Option<Class>> = Vec::new();
        for uop in uops {
            let effect = uop.template.effect();
            let popped = usize::from(effect.popped.fixed);
            let mut taken: Vec<InputFacts> = (0..popped)
                .rev()
                .map(|depth| uop.facts.inputs.get(depth).copied().unwrap_or_default())
                .collect();
            let inside = stack.len().min(popped);
            let kept: Vec<Option<Class>> = taken.iter().map(|input| input.class).collect();
            stack.truncate(stack.len() - inside);
            taken.truncate(popped - inside);
            inputs.splice(0..0, taken);
            if let Some(outputs) = &uop.facts.outputs {
                let classes = outputs.iter().enumerate();
                stack
                    .extend(classes.map(|(index, class)| {
                        class.or_else(|| kept.get(index).copied().flatten())
                    }));
            }
        }
        if inputs.len() > MAX_INPUTS {
            return None;
        }
        match *stack.as_slice() {
            [] => Some(Self {
                inputs,
                output: None,
            }),
            [class] => Some(Self {
                inputs,
                output: Some(class.unwrap_or(Class::General)),
            }),
            _ => None,
        }
    }

    /// The forms, also those with a constant where these are wanted.
    fn forms(&self, with_constant: bool) -> Vec<Entry> {
        let registers = self.inputs.iter().map(|_| false).collect();
        let mut entries = self.forms_with(registers);
        for constant in (0..self.inputs.len()).filter(|_| with_constant) {
            let constants = (0..self.inputs.len())
                .map(|index| index == constant)
                .collect();
            entries.extend(self.forms_with(constants));
        }
        entries
    }

    /// The forms in which these inputs are constants.
    fn forms_with(&self, constants: Vec<bool>) -> Vec<Entry> {
        let mut placeholders = Placeholders::default();
        let inputs: Option<Vec<Input>> = self
            .inputs
            .iter()
            .zip(constants)
            .map(|(facts, constant)| match constant {
                true => Some(constant_input(facts)),
                false => placeholders
                    .take(facts.class.unwrap_or(Class::General))
                    .map(Input::Register),
            })
            .collect();
        let Some(inputs) = inputs else {
            return Vec::new();
        };
        let Some(class) = self.output else {
            return vec![Entry::Operands {
                inputs,
                output: None,
            }];
        };
        let replaced = inputs.iter().filter_map(|input| match input {
            Input::Register(register) if register.class() == class => Some(*register),
            _ => None,
        });
        let outputs: Vec<Register> = placeholders
            .take(class)
            .into_iter()
            .chain(replaced)
            .collect();
        outputs
            .into_iter()
            .map(|output| Entry::Operands {
                inputs: inputs.clone(),
                output: Some(output),
            })
            .collect()
    }
}

/// How an input is a constant.
fn constant_input(facts: &InputFacts) -> Input {
    match (facts.class, facts.mask_bits) {
        (Some(Class::Float), _) => Input::Pooled,
        (_, Some(bits)) => Input::Unsigned(bits),
        _ => Input::Signed32,
    }
}

/// A constant itself: as an input in the instruction or among the trace's constants; any integer as the operand.
fn constant_forms(ends: &Ends) -> Vec<Entry> {
    let class = ends.output.unwrap_or(Class::General);
    let output = Placeholders::default().take(class);
    let inputs = match class {
        Class::General => vec![vec![Input::Signed32], Vec::new()],
        Class::Float => vec![vec![Input::Pooled]],
    };
    inputs
        .into_iter()
        .map(|inputs| Entry::Operands { inputs, output })
        .collect()
}

/// The placeholders that are left. General ones are such as instructions name with a REX prefix, in which renaming can
/// set the fourth bit.
#[derive(Default)]
struct Placeholders {
    general: usize,
    float: usize,
}

impl Placeholders {
    /// r8, r9, r11, r15.
    const GENERAL: [u8; 4] = [5, 6, 7, 0];
    /// xmm4 to xmm7.
    const FLOAT: [u8; 4] = [4, 5, 6, 7];

    fn take(&mut self, class: Class) -> Option<Register> {
        let (next, order) = match class {
            Class::General => (&mut self.general, Self::GENERAL),
            Class::Float => (&mut self.float, Self::FLOAT),
        };
        let index = *order.get(*next)?;
        *next += 1;
        Register::of_class(class, index)
    }
}
