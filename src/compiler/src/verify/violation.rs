//! What the checker says: the rules, each as what was found where it is broken, and where that is.

use super::MAX_PART_LEN;
use super::frame::Frame;
use super::instruction::Field;
use mimeo::form::Register;
use mimeo::hole::HoleValue;
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Part, UopFlags};

/// A stencil group breaks a rule: which one, where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{uop}, {part} at {offset:#x}{}: {violation}", in_instruction(.instruction))]
pub struct VerifyError {
    /// The uop's name.
    pub uop: String,
    /// The part of its stencil group.
    pub part: Part,
    /// Bytes from the start of the part: of the instruction where there is one, otherwise of the hole or byte.
    pub offset: u32,
    /// The instruction in Intel syntax.
    pub instruction: Option<String>,
    /// The rule and what was found instead.
    pub violation: Violation,
}

impl VerifyError {
    /// Whether a call is reached with a misaligned stack: the compiler builds such a stencil again with an even frame.
    pub fn is_misaligned_call(&self) -> bool {
        matches!(self.violation, Violation::MisalignedCall { .. })
    }
}

/// The rules, each as what was found where it is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A part is too large to look at.
    #[error("the part has {len} bytes, expected at most {MAX_PART_LEN}")]
    PartTooLarge {
        /// Its size in bytes.
        len: usize,
    },
    /// The alignment is not a power of two, or code asks for one.
    #[error("the alignment is {found}, expected {expected}")]
    Alignment {
        /// The part's alignment.
        found: u32,
        /// What it may be.
        expected: &'static str,
    },
    /// A field of a hole means nothing.
    #[error("the hole is not valid: {0}")]
    BadHole(String),
    /// Holes overlap or do not ascend.
    #[error("the hole begins before {previous_end:#x}, where the one before it ends")]
    HoleOrder {
        /// The end of the previous hole.
        previous_end: u32,
    },
    /// A hole does not end inside its part.
    #[error("the hole ends at {end:#x}, beyond the part's {len:#x} bytes")]
    HoleOutside {
        /// The first byte behind the hole.
        end: u32,
        /// The size of the part in bytes.
        len: usize,
    },
    /// There is something under a hole.
    #[error("the bytes under the hole are {found:02x?}, expected zeros")]
    BytesUnderHole {
        /// The bytes.
        found: Vec<u8>,
    },
    /// A hole in data is not one that data can have.
    #[error(
        "data has the hole {hole}, expected R_X86_64_64 at a multiple of 8, to no code of a trace"
    )]
    DataHole {
        /// The hole.
        hole: String,
    },

    /// Control reaches bytes that are no instruction.
    #[error("these bytes are no 64-bit instruction: {found:02x?}")]
    InvalidInstruction {
        /// The bytes, up to the longest that an instruction may be.
        found: Vec<u8>,
    },
    /// Two instructions that control reaches share bytes.
    #[error("control reaches an instruction here and one at {other:#x}, which share bytes")]
    Overlap {
        /// The offset of the other.
        other: u32,
    },
    /// Control does not reach these bytes.
    #[error("control does not reach this byte, and it is no padding (nop or int3)")]
    Unreached,
    /// An instruction that no stencil may hold.
    #[error("a stencil may not hold {0}")]
    Forbidden(&'static str),

    /// A branch has a destination that is no place in the code.
    #[error("the destination is {destination} bytes into the {part}, expected less than its {len}")]
    BranchOutside {
        /// The part that is branched to.
        part: Part,
        /// Offset in it.
        destination: i64,
        /// Its size in bytes.
        len: usize,
    },
    /// A branch goes to what is no code of its kind.
    #[error("the destination is {value}, expected {expected}")]
    BranchValue {
        /// The hole's value.
        value: HoleValue,
        /// What may be branched to.
        expected: &'static str,
    },
    /// A call goes to a place in the stencil.
    #[error("the call has no hole, expected one for a symbol")]
    CallWithoutHole,
    /// A jump goes through something else than the exit record.
    #[error("an indirect jump goes through something else than [rip + EXIT]")]
    IndirectJump,
    /// A call goes through something that is not known to be a function.
    #[error(
        "an indirect call, expected a register that a movabs with a hole for OPERAND, OPERAND1 or a symbol has set in \
         the same basic block"
    )]
    IndirectCall,
    /// Cold code's end is reached.
    #[error("control runs off the end of cold code")]
    RunsOffCold,
    /// A terminal uop goes on.
    #[error("control continues with the next uop, but the uop is declared TERMINAL")]
    TerminalContinues,
    /// A uop that is not terminal never goes on.
    #[error("control never continues with the next uop, but the uop is not declared TERMINAL")]
    NeverContinues,

    /// A hole does not fill a field of an instruction.
    #[error("the hole {hole} is not exactly a displacement or an immediate of an instruction")]
    HoleOffField {
        /// The hole.
        hole: String,
    },
    /// A relocation kind does not do what the instruction does with the field.
    #[error("{kind} on {field}, expected {}", names(field.kinds(), RelocationKind::name))]
    KindMismatch {
        /// The hole's relocation kind.
        kind: RelocationKind,
        /// The field.
        field: Field,
    },
    /// A value is no use in the field.
    #[error("{value} on {field}, expected {}", field.values())]
    ValueMismatch {
        /// The hole's value.
        value: HoleValue,
        /// The field.
        field: Field,
    },
    /// The addend does not make up for the distance to the end of the instruction.
    #[error("the addend is {found}, expected {expected}")]
    Addend {
        /// The hole's addend.
        found: i32,
        /// The addend for exactly the hole's value.
        expected: i64,
    },
    /// The instruction counts from its own address without a hole.
    #[error("a rip-relative address without a hole")]
    RipRelativeWithoutHole,
    /// Memory in the data part is out of its bounds.
    #[error(
        "uses {size} bytes from {destination} bytes into the data, expected all within its {len}"
    )]
    DataOutside {
        /// Offset in the data.
        destination: i64,
        /// Bytes from there.
        size: i64,
        /// The size of the data in bytes.
        len: usize,
    },
    /// Memory in the data part is less aligned than the instruction needs.
    #[error(
        "uses {destination} bytes into data aligned to {align}, expected a multiple of {expected} in both"
    )]
    DataMisaligned {
        /// Offset in the data.
        destination: i64,
        /// The data's alignment.
        align: u32,
        /// What the instruction needs.
        expected: i64,
    },
    /// The data part is written to.
    #[error("the instruction writes to data, which is read only")]
    DataWritten,
    /// It cannot be told which bytes of the stack or of data an instruction touches.
    #[error("which bytes of the stack or of data this touches cannot be told from the instruction")]
    UnknownAccess,

    /// rsp is changed in another way than by a constant.
    #[error("rsp is written, expected only push, pop, and add, sub or lea with a constant")]
    StackPointerWritten,
    /// rsp would be above its value on entry.
    #[error("rsp is {above} bytes above its value on entry, expected never above")]
    AboveEntry {
        /// How far above.
        above: i64,
    },
    /// Memory around rsp that is not the stencil's.
    #[error(
        "uses {size} bytes at [rsp {displacement:+}], expected all within the {depth} bytes of the stencil's own frame"
    )]
    OutsideFrame {
        /// Bytes above rsp.
        displacement: i64,
        /// Bytes from there.
        size: i64,
        /// The depth at the instruction, which is the size of the stencil's own frame.
        depth: i64,
    },
    /// Memory in the frame is less aligned than the instruction needs.
    #[error(
        "uses [rsp {displacement:+}] at depth {depth}, expected an address that is a multiple of {expected}"
    )]
    FrameMisaligned {
        /// Bytes above rsp.
        displacement: i64,
        /// The depth at the instruction.
        depth: i64,
        /// What the instruction needs.
        expected: i64,
    },
    /// The stack differs between two ways to the same instruction.
    #[error("reached with {found}, and another way with {other}")]
    Join {
        /// On this way.
        found: Frame,
        /// On the way seen first.
        other: Frame,
    },
    /// Control leaves while something is on the stack.
    #[error("control leaves at depth {depth}, expected 0")]
    NotLevel {
        /// The depth.
        depth: i64,
    },
    /// A call on a misaligned stack; see [`VerifyError::is_misaligned_call`].
    #[error("a call at depth {depth}, expected a multiple of 16")]
    MisalignedCall {
        /// The depth.
        depth: i64,
    },
    /// rbp, which `preserve_none` keeps for the caller, is lost.
    #[error("{0}, expected that rbp is left alone, or pushed once and popped from there")]
    BasePointer(&'static str),

    /// The uop is declared to do one thing for selection to do in its own way, and does not do that, or more.
    #[error("the uop is declared {}, and {found}", flag_names(role))]
    Role {
        /// The declaration.
        role: UopFlags,
        /// What it does.
        found: &'static str,
    },

    /// A register is used that holds nothing of the stencil's.
    #[error("uses {register}, which nothing was put into")]
    UndefinedRegister {
        /// The register.
        register: String,
    },
    /// A register does not hold what it held on entry.
    #[error("{register} is not known to hold what it held on entry, on the way to {value}")]
    NotKept {
        /// The register.
        register: String,
        /// Where control goes.
        value: HoleValue,
    },
    /// The uop is declared to continue in another frame and does not.
    #[error("r12 is the same frame, but the uop is declared to go to another")]
    SameFrame,
    /// The uop continues in another frame, which is not known.
    #[error("{register} is to be another frame's, but nothing was put into it")]
    UndefinedFrame {
        /// The register.
        register: String,
    },
    /// A register that hands a value to the next uop holds none.
    #[error("{register} is to hold a value for the next uop, but nothing was put into it")]
    UndefinedOutput {
        /// The register.
        register: Register,
    },
    /// r13 is not where the stack effects say.
    #[error(
        "the stack pointer moves by {found} bytes on the way to {value}, expected {expected} by the stack effects"
    )]
    StackPointerValue {
        /// Where control goes.
        value: HoleValue,
        /// Bytes.
        found: i64,
        /// Bytes.
        expected: i64,
    },
    /// An operand form leaves in a way that it cannot.
    #[error("an operand form leaves to {value}, expected only CONTINUE and JUMP_TARGET")]
    OperandsLeave {
        /// Where control goes.
        value: HoleValue,
    },
    /// A way out of the trace is taken without an exit record.
    #[error(
        "control leaves the trace, but r15 is not known to hold the address of the exit record"
    )]
    LeaveWithoutExit,
    /// There is no such form of the uops.
    #[error("the form {0}")]
    Form(&'static str),
    /// A hole is for a constant that is no input of the form, or of another kind.
    #[error("a hole for {value}, but input {element} is not a constant of that kind")]
    NoInput {
        /// The hole's value.
        value: HoleValue,
        /// The hole's element.
        element: u8,
    },
    /// A field that cannot hold every value of an input.
    #[error(
        "an input that may be {low:#x} to {high:#x} fills {kind}, which does not hold them all"
    )]
    NarrowInput {
        /// The relocation kind.
        kind: RelocationKind,
        /// The smallest value.
        low: i64,
        /// The largest value.
        high: i64,
    },
    /// A pooled constant is not read as what it is.
    #[error(
        "a pooled constant is used in another way than by reading up to 8 bytes from its start"
    )]
    PooledAccess,
    /// A hole is for a uop that there is not.
    #[error("a hole is for uop {element} of {count}")]
    NoElement {
        /// The hole's element.
        element: u8,
        /// How many uops there are.
        count: usize,
    },

    /// Register holes do not ascend.
    #[error("the register hole is not behind the one before it")]
    RegisterHoleOrder,
    /// A register hole names a register that is no placeholder of the form.
    #[error("a register hole for {register}, which is no placeholder of the form")]
    NoPlaceholder {
        /// The register.
        register: Register,
    },
    /// A register hole lies outside the instructions, or its REX prefix is another one's.
    #[error("a register hole for {register} is not within one instruction")]
    RegisterHoleOffField {
        /// The register.
        register: Register,
    },
    /// Renaming a placeholder by its register holes gives another instruction than it should.
    #[error("renaming {placeholder} to {to} does not give the instruction with that register")]
    NotRenamed {
        /// The placeholder.
        placeholder: Register,
        /// What it was renamed to.
        to: Register,
    },
    /// A register that placeholders may become is used otherwise.
    #[error("uses {register}, to which placeholders may be renamed")]
    RenameableIsUsed {
        /// The register.
        register: Register,
    },

    /// A hole has a value that the uop does not declare.
    #[error(
        "a hole for {value}, but the uop is not declared {}",
        flag_names(flags)
    )]
    Undeclared {
        /// The hole's value.
        value: HoleValue,
        /// The flags of which one was expected.
        flags: UopFlags,
    },
    /// The uop declares what its code never does.
    #[error(
        "the uop is declared {}, but no hole is for {}",
        flag_names(flags),
        names(values, HoleValue::name)
    )]
    NeverUsed {
        /// The declared flags.
        flags: UopFlags,
        /// The values of which one was expected.
        values: &'static [HoleValue],
    },
    /// A handler refers to something outside itself.
    #[error("the hole {hole} leads out of the handler, whose code nobody patches")]
    HandlerHole {
        /// What the hole is filled with.
        hole: String,
    },
    /// A handler's code ends without a way out.
    #[error("control runs off the end of the handler's code")]
    HandlerRunsOff,
    /// Code that C patches refers to something far away directly.
    #[error("the hole {hole} is the distance to what may be anywhere")]
    FarAway {
        /// What the hole is filled with.
        hole: String,
    },
    /// A stencil that C patches leaves with something else in a register than whoever goes on there expects.
    #[error("{register} is not what {} at a way out", .expected)]
    HandedOver {
        /// Its name.
        register: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// The part of an error's text that says which instruction it is.
fn in_instruction(instruction: &Option<String>) -> String {
    let text = instruction.as_ref().map(|text| format!(" in `{text}`"));
    text.unwrap_or_default()
}

/// What is expected as one of several, as text.
fn names<T: Copy>(expected: &[T], name: impl Fn(T) -> &'static str) -> String {
    let names: Vec<_> = expected.iter().map(|&one| name(one)).collect();
    match names.is_empty() {
        true => "no hole".to_owned(),
        false => names.join(" or "),
    }
}

/// The flags of which one is meant, as text.
fn flag_names(flags: &UopFlags) -> String {
    let names: Vec<_> = flags.iter_names().map(|(name, _)| name).collect();
    names.join(" or ")
}
