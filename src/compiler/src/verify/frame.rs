//! The stack, by abstract interpretation of rsp and rbp over the control-flow graph. Ways that meet must agree, but that
//! rbp may have been written on some; so an instruction is interpreted twice at most.
//!
//! Depths are bytes between rsp and its value on entry, which is 0 mod 16, or, where C enters stencils, 8 mod 16. A depth of
//! 8 is one word pushed.

use super::graph::{Filled, Graph, Node, Place, Target};
use super::instruction::{Access, Field, memory_access, writes};
use super::violation::{VerifyError, Violation};
use super::{Checker, Kind};
use iced_x86::{Code, FlowControl, Instruction, Mnemonic, OpKind, Register};
use std::collections::BTreeMap;
use std::fmt;

/// What the stack is aligned to on entry and at calls (System V ABI, section 3.2.2), in bytes.
const STACK_ALIGN: i64 = 16;

/// The size of what push and pop move, in bytes.
const WORD: i64 = 8;

/// The stack between two instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Bytes between rsp and its value on entry, never negative.
    pub depth: i64,
    /// What is known of rbp.
    pub base_pointer: BasePointer,
}

/// Where the value is that rbp had on entry. A slot is named by the depth at which it is on top of the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BasePointer {
    /// In rbp alone.
    #[default]
    Kept,
    /// In rbp and in this slot.
    Saved(i64),
    /// In this slot alone.
    Replaced(i64),
}

impl Frame {
    /// What holds where two ways meet, if they agree.
    fn join(self, other: Self) -> Option<Self> {
        use BasePointer::*;
        match (self.base_pointer, other.base_pointer) {
            _ if self == other => Some(self),
            _ if self.depth != other.depth => None,
            (Saved(slot), Replaced(saved)) | (Replaced(slot), Saved(saved)) if slot == saved => {
                Some(Self {
                    base_pointer: Replaced(slot),
                    ..self
                })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "depth {} and rbp ", self.depth)?;
        match self.base_pointer {
            BasePointer::Kept => f.write_str("kept"),
            BasePointer::Saved(slot) => write!(f, "saved at depth {slot}"),
            BasePointer::Replaced(slot) => write!(f, "replaced and saved at depth {slot}"),
        }
    }
}

/// The stack everywhere.
pub(super) struct Frames {
    /// In front of each instruction.
    pub(super) before: BTreeMap<Place, Frame>,
    /// The greatest depth behind any, in bytes.
    pub(super) deepest: u64,
}

impl Checker<'_> {
    /// On every way through the code, rsp is known, never above its value on entry, 0 mod 16 at calls, and back where
    /// it was at every way out, and so is rbp; memory around rsp is the stencil's own.
    pub(super) fn stack_is_level(&self, graph: &Graph<'_>) -> Result<Frames, VerifyError> {
        let mut frames = BTreeMap::new();
        let mut pending = vec![(graph.entry, Frame::default())];
        let mut deepest = 0;
        while let Some((target, frame)) = pending.pop() {
            let Target::Inside(place) = target else {
                continue;
            };
            let Some(node) = graph.get(place) else {
                continue;
            };
            let error = |violation| self.error_at(node, violation);
            let frame = match frames.get(&place) {
                None => frame,
                Some(&other) => match frame.join(other) {
                    Some(joined) if joined == other => continue,
                    Some(joined) => joined,
                    None => {
                        let found = frame;
                        return Err(error(Violation::Join { found, other }));
                    }
                },
            };
            frames.insert(place, frame);
            let after = step(node, frame, self.kind).map_err(error)?;
            deepest = deepest.max(after.depth);
            // The stencils that an entry calls come back.
            let leaves = !node.is_call()
                && node
                    .targets()
                    .any(|target| !matches!(target, Target::Inside(_)));
            if leaves && after.depth != 0 {
                let depth = after.depth;
                return Err(error(Violation::NotLevel { depth }));
            }
            pending.extend(node.targets().map(|target| (target, after)));
        }
        Ok(Frames {
            before: frames,
            deepest: deepest.unsigned_abs(),
        })
    }
}

/// The stack behind an instruction that finds it as `frame`, if the instruction may do what it does.
fn step(node: &Node<'_>, frame: Frame, kind: Kind) -> Result<Frame, Violation> {
    if node.is_call() {
        // C has called an entry itself; and stencils find a return address where others find none.
        let calls_stencil = node.branch.is_some();
        let depth = match kind == Kind::CEntry && !calls_stencil {
            true => frame.depth + WORD,
            false => frame.depth,
        };
        return match depth % STACK_ALIGN {
            0 => Ok(frame),
            _ => Err(Violation::MisalignedCall { depth }),
        };
    }
    if node.instruction.flow_control() == FlowControl::Return {
        // It takes what the way out finds at the top of a level stack.
        return Ok(frame);
    }
    let change = stack_change(node)?;
    if let Some((displacement, access)) = own_access(node, change)? {
        frame_holds(frame, displacement, access)?;
    }
    let depth = frame.depth + change.deepens();
    if depth < 0 {
        return Err(Violation::AboveEntry { above: -depth });
    }
    // In stencils of this kind rbp is nobody's.
    let base_pointer = match kind {
        Kind::C => BasePointer::Kept,
        _ => step_base_pointer(&node.instruction, frame, change, depth)?,
    };
    Ok(Frame {
        depth,
        base_pointer,
    })
}

/// How an instruction changes rsp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StackChange {
    None,
    Push,
    Pop,
    /// The depth grows by this.
    Deepen(i64),
}

impl StackChange {
    const fn deepens(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Push => WORD,
            Self::Pop => -WORD,
            Self::Deepen(bytes) => bytes,
        }
    }
}

/// By how many bytes an instruction deepens the stack, if it may.
pub(super) fn deepens(node: &Node<'_>) -> Option<i64> {
    stack_change(node).ok().map(StackChange::deepens)
}

/// The change, where the instruction makes none or one by a constant.
fn stack_change(node: &Node<'_>) -> Result<StackChange, Violation> {
    let instruction = &node.instruction;
    let operand = register_operand(instruction);
    // A hole in the constant would make it unknown.
    let on_rsp = operand == Some(Register::RSP) && node.filled.is_empty();
    let immediate = || instruction.immediate(1) as i64;
    let displacement = || instruction.memory_displacement64() as i64;
    Ok(match instruction.code() {
        Code::Push_r64 | Code::Pushq_imm8 | Code::Pushq_imm32 | Code::Push_rm64 => {
            StackChange::Push
        }
        Code::Pop_r64 | Code::Pop_rm64 if !matches!(operand, None | Some(Register::RSP)) => {
            StackChange::Pop
        }
        Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 if on_rsp => StackChange::Deepen(immediate()),
        Code::Add_rm64_imm8 | Code::Add_rm64_imm32 if on_rsp => StackChange::Deepen(-immediate()),
        Code::Lea_r64_m if on_rsp && is_rsp_and_displacement(instruction) => {
            StackChange::Deepen(-displacement())
        }
        _ if writes(instruction, Register::RSP) => return Err(Violation::StackPointerWritten),
        _ => StackChange::None,
    })
}

/// The register that the first operand is.
fn register_operand(instruction: &Instruction) -> Option<Register> {
    (instruction.op0_kind() == OpKind::Register).then(|| instruction.op0_register())
}

fn is_rsp_and_displacement(instruction: &Instruction) -> bool {
    instruction.memory_base() == Register::RSP && instruction.memory_index() == Register::None
}

/// The access to memory around rsp that is in the instruction's operands, with its distance from rsp.
///
/// A copy of rsp counts as taking the address of the top of the stack.
fn own_access(node: &Node<'_>, change: StackChange) -> Result<Option<(i64, Access)>, Violation> {
    let instruction = &node.instruction;
    let copies_rsp = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op1_kind() == OpKind::Register
        && instruction.op1_register() == Register::RSP;
    if copies_rsp {
        return Ok(Some((0, Access::ADDRESS)));
    }
    let adjusts = matches!(change, StackChange::Deepen(_));
    let based_on_rsp = instruction.memory_base().full_register() == Register::RSP;
    if !based_on_rsp || adjusts || instruction.mnemonic() == Mnemonic::Nop {
        return Ok(None);
    }
    let has_hole = |filled: &Filled<'_>| matches!(filled.field, Field::Displacement(_));
    let is_known = is_rsp_and_displacement(instruction) && !node.filled.iter().any(has_hole);
    let access = memory_access(instruction).filter(|_| is_known);
    let displacement = instruction.memory_displacement64() as i64;
    Ok(Some((
        displacement,
        access.ok_or(Violation::UnknownAccess)?,
    )))
}

/// The access lies between rsp and its value on entry: neither in the caller's frame nor below rsp, where only leaf
/// functions in the C convention may write. It is aligned, and leaves the saved rbp alone.
fn frame_holds(frame: Frame, displacement: i64, access: Access) -> Result<(), Violation> {
    let (depth, size, expected) = (frame.depth, access.size, access.align);
    if displacement < 0 || displacement + size > depth {
        return Err(Violation::OutsideFrame {
            displacement,
            size,
            depth,
        });
    }
    let from_entry = displacement - depth;
    if expected > STACK_ALIGN || from_entry % expected != 0 {
        return Err(Violation::FrameMisaligned {
            displacement,
            depth,
            expected,
        });
    }
    match frame.base_pointer {
        BasePointer::Saved(slot) | BasePointer::Replaced(slot)
            if access.writes && from_entry < -slot + WORD && -slot < from_entry + size =>
        {
            Err(Violation::BasePointer("the saved rbp is overwritten"))
        }
        _ => Ok(()),
    }
}

/// What is known of rbp behind an instruction that leaves the stack at `depth`.
fn step_base_pointer(
    instruction: &Instruction,
    frame: Frame,
    change: StackChange,
    depth: i64,
) -> Result<BasePointer, Violation> {
    use BasePointer::*;
    let of_rbp = register_operand(instruction) == Some(Register::RBP);
    let writes_rbp = writes(instruction, Register::RBP);
    let lost = |how| Err(Violation::BasePointer(how));
    match (change, frame.base_pointer) {
        (StackChange::Push, Kept) if of_rbp => Ok(Saved(depth)),
        (StackChange::Pop, Saved(slot) | Replaced(slot)) if of_rbp && slot == frame.depth => {
            Ok(Kept)
        }
        (StackChange::Pop, _) if of_rbp => lost("rbp is popped from where it was not pushed"),
        (_, Replaced(slot)) if depth < slot => lost("the saved rbp is dropped from the stack"),
        (_, Saved(slot)) if depth < slot => Ok(Kept),
        (_, Kept) if writes_rbp => lost("rbp is written without having been pushed"),
        (_, Saved(slot)) if writes_rbp => Ok(Replaced(slot)),
        (_, known) => Ok(known),
    }
}
