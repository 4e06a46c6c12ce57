//! The branches of a stencil, improved. LLVM takes the continuation for a function somewhere else; here it is the next
//! stencil, which stands where this one ends.
//!
//! The code is taken apart into instructions, with the branches' destinations as labels, and put together again with
//! the shortest branches that reach:
//! - a jump to the continuation becomes one to the end of the code, without a hole, and none at all at the end itself;
//! - a branch over a jump becomes the opposite branch to where the jump goes;
//! - a branch elsewhere before a jump inside the code becomes the opposite branch inside and a jump elsewhere, where
//!   that is shorter;
//! - a branch to a jump becomes one to where the jump goes, where that makes the code no longer;
//! - `mov rax, [rip + EXIT]; jmp rax` becomes `jmp [rip + EXIT]`, which LLVM does not do for a load of a symbol;
//! - what nothing leads to is dropped.
//!
//! None of these makes the code longer. Code with an instruction that is not understood stays as it is.

use iced_x86::{ConstantOffsets, Decoder, DecoderOptions, FlowControl, Instruction};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::StencilBuf;
use std::collections::HashMap;

/// Improves the branches of `code`, of which `falls_through` says whether the continuation stands at its end: so it
/// does behind hot code.
pub(super) fn improve(code: StencilBuf, falls_through: bool) -> StencilBuf {
    match Code::take_apart(&code, falls_through) {
        Some(mut improved) => {
            improved.fold_exit_jumps();
            while improved.step() {}
            improved.put_together()
        }
        None => code,
    }
}

/// Where a branch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The step with this index. The one behind the last is the end of the code.
    Step(usize),
    /// What fills the hole, whose offset means nothing.
    Hole(Hole),
}

/// One instruction.
#[derive(Clone, Debug)]
enum Step {
    /// Not a branch: bytes, holes by their offset in them, and whether control never goes on behind it.
    Plain(Vec<u8>, Vec<Hole>, bool),
    /// `jmp`, or `jcc` with the low four bits of its opcode.
    Branch(Option<u8>, Target),
}

impl Step {
    fn goes_on(&self) -> bool {
        !matches!(self, Self::Plain(_, _, true) | Self::Branch(None, _))
    }

    fn target(&self) -> Option<Target> {
        match self {
            Self::Branch(_, target) => Some(*target),
            Self::Plain(..) => None,
        }
    }

    /// How many bytes it takes; `short` is whether a branch inside the code reaches with 8 bits.
    fn length(&self, short: bool) -> usize {
        match self {
            Self::Plain(bytes, ..) => bytes.len(),
            Self::Branch(_, Target::Step(_)) if short => 2,
            Self::Branch(None, _) => 5,
            Self::Branch(Some(_), _) => 6,
        }
    }
}

struct Code {
    steps: Vec<Step>,
    /// What the code was aligned to.
    align: u32,
}

impl Code {
    /// `None` where something is not understood.
    fn take_apart(code: &StencilBuf, falls_through: bool) -> Option<Self> {
        let decoded = decode(&code.bytes);
        let starts = decoded.iter().map(|(instruction, _)| instruction.ip());
        let mut labels: HashMap<u64, usize> = starts.zip(0..).collect();
        if falls_through {
            labels.insert(code.bytes.len() as u64, decoded.len());
        }
        let mut steps = Vec::with_capacity(decoded.len());
        let mut holes = code.holes.iter().copied().peekable();
        for (instruction, offsets) in &decoded {
            let (start, end) = (instruction.ip() as u32, instruction.next_ip() as u32);
            let inside: Vec<Hole> = std::iter::from_fn(|| {
                let hole = holes.next_if(|hole| hole.offset() >= start && hole.end() <= end)?;
                Some(hole.at(hole.offset() - start))
            })
            .collect();
            let bytes = code.bytes.get(start as usize..end as usize)?;
            let has_moving_field = inside
                .iter()
                .any(|hole| hole.offset() as usize == offsets.displacement_offset());
            if instruction.is_ip_rel_memory_operand() && !has_moving_field {
                return None;
            }
            steps.push(read_step(instruction, bytes, inside, &labels)?);
        }
        let ends = steps.last().is_none_or(|last| !last.goes_on());
        if holes.next().is_some() || !(falls_through || ends) {
            return None;
        }
        if falls_through {
            let end = Target::Step(steps.len());
            for step in &mut steps {
                if let Step::Branch(_, target) = step
                    && is_continuation(*target)
                {
                    *target = end;
                }
            }
        }
        Some(Self {
            steps,
            align: code.align,
        })
    }

    /// One improvement; whether there was any left to make.
    fn step(&mut self) -> bool {
        for index in 0..self.steps.len() {
            if self.pass_jump(index) || self.invert(index) || self.swap(index) {
                return true;
            }
            if self.steps[index].target() == Some(Target::Step(index + 1)) {
                self.remove(index);
                return true;
            }
        }
        match self.reached().iter().position(|reached| !reached) {
            Some(index) => {
                self.remove(index);
                true
            }
            None => false,
        }
    }

    /// A branch to a jump goes where the jump goes.
    fn pass_jump(&mut self, index: usize) -> bool {
        let Step::Branch(condition, Target::Step(jump)) = self.steps[index] else {
            return false;
        };
        let Some(&Step::Branch(None, target)) = self.steps.get(jump) else {
            return false;
        };
        if self.is_circle(jump) {
            return false;
        }
        let direct = Step::Branch(condition, target);
        // A jump that nothing else needs goes away, and makes up for a longer branch.
        let goes_away = self.references(jump) == 1 && !self.is_reached_from_above(jump);
        let before = self.length();
        let indirect = std::mem::replace(&mut self.steps[index], direct);
        if goes_away || self.length() <= before {
            return true;
        }
        self.steps[index] = indirect;
        false
    }

    /// Whether a jump leads to jumps for ever.
    fn is_circle(&self, jump: usize) -> bool {
        let mut place = jump;
        for _ in 0..=self.steps.len() {
            match self.steps.get(place) {
                Some(&Step::Branch(None, Target::Step(next))) => place = next,
                _ => return false,
            }
        }
        true
    }

    fn length(&self) -> usize {
        self.place().1.last().copied().unwrap_or_default()
    }

    /// `jcc over; jmp elsewhere; over:` is `jncc elsewhere`.
    fn invert(&mut self, index: usize) -> bool {
        let (Some(&Step::Branch(Some(condition), over)), Some(&Step::Branch(None, elsewhere))) =
            (self.steps.get(index), self.steps.get(index + 1))
        else {
            return false;
        };
        if over != Target::Step(index + 2) || self.references(index + 1) > 0 {
            return false;
        }
        // The lowest bit is the sense of the condition.
        self.steps[index] = Step::Branch(Some(condition ^ 1), elsewhere);
        self.remove(index + 1);
        true
    }

    /// `jcc HOLE; jmp inside` is `jncc inside; jmp HOLE`, where that makes the code shorter.
    fn swap(&mut self, index: usize) -> bool {
        let (
            Some(&Step::Branch(Some(condition), hole @ Target::Hole(_))),
            Some(&Step::Branch(None, inside @ Target::Step(_))),
        ) = (self.steps.get(index), self.steps.get(index + 1))
        else {
            return false;
        };
        if self.references(index + 1) > 0 {
            return false;
        }
        let before = self.length();
        let old = [self.steps[index].clone(), self.steps[index + 1].clone()];
        self.steps[index] = Step::Branch(Some(condition ^ 1), inside);
        self.steps[index + 1] = Step::Branch(None, hole);
        if self.length() < before {
            return true;
        }
        self.steps[index..index + 2].clone_from_slice(&old);
        false
    }

    /// `mov rax, [rip + EXIT]; jmp rax` where no other way leads to the jump. No stencil expects anything in rax.
    fn fold_exit_jumps(&mut self) {
        for index in 1..self.steps.len() {
            let (Step::Plain(load, holes, _), Step::Plain(jump, ..)) =
                (&self.steps[index - 1], &self.steps[index])
            else {
                continue;
            };
            let [hole] = holes[..] else { continue };
            let folds = load.starts_with(&[0x48, 0x8b, 0x05])
                && jump[..] == [0xff, 0xe0]
                && hole.value() == HoleValue::Exit
                && self.references(index) == 0;
            if folds {
                let bytes = vec![0xff, 0x25, 0, 0, 0, 0];
                self.steps[index] = Step::Plain(bytes, vec![hole.at(2)], true);
                self.remove(index - 1);
                return;
            }
        }
    }

    fn references(&self, index: usize) -> usize {
        let targets = self.steps.iter().filter_map(Step::target);
        targets
            .filter(|&target| target == Target::Step(index))
            .count()
    }

    fn is_reached_from_above(&self, index: usize) -> bool {
        index == 0 || self.steps[index - 1].goes_on()
    }

    /// For every step, whether control may get there.
    fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.steps.len()];
        let mut places = vec![0];
        while let Some(place) = places.pop() {
            let Some(step) = self.steps.get(place) else {
                continue;
            };
            if std::mem::replace(&mut reached[place], true) {
                continue;
            }
            if step.goes_on() {
                places.push(place + 1);
            }
            if let Some(Target::Step(target)) = step.target() {
                places.push(target);
            }
        }
        reached
    }

    /// Removes a step; who went there goes to the one behind it.
    fn remove(&mut self, index: usize) {
        self.steps.remove(index);
        for step in &mut self.steps {
            if let Step::Branch(_, Target::Step(target)) = step
                && *target > index
            {
                *target -= 1;
            }
        }
    }

    fn put_together(&self) -> StencilBuf {
        let (short, starts) = self.place();
        let mut code = StencilBuf {
            align: self.align,
            ..StencilBuf::default()
        };
        for (index, step) in self.steps.iter().enumerate() {
            match step {
                Step::Plain(bytes, holes, _) => {
                    let start = code.bytes.len() as u32;
                    code.bytes.extend(bytes);
                    code.holes
                        .extend(holes.iter().map(|hole| hole.at(start + hole.offset())));
                }
                Step::Branch(condition, Target::Hole(hole)) => {
                    write_opcode(&mut code.bytes, *condition, false);
                    code.holes.push(hole.at(code.bytes.len() as u32));
                    code.bytes.extend([0; 4]);
                }
                Step::Branch(condition, Target::Step(target)) => {
                    let distance = starts[*target] as i64 - starts[index + 1] as i64;
                    write_opcode(&mut code.bytes, *condition, short[index]);
                    match short[index] {
                        true => code.bytes.push(distance as u8),
                        false => code.bytes.extend((distance as i32).to_le_bytes()),
                    }
                }
            }
        }
        code
    }

    /// Which branches reach with 8 bits, and where the steps start, the end included. Branches only grow, so this ends.
    fn place(&self) -> (Vec<bool>, Vec<usize>) {
        let mut short = vec![true; self.steps.len()];
        loop {
            let mut starts = vec![0];
            let mut start = 0;
            for (step, &short) in self.steps.iter().zip(&short) {
                start += step.length(short);
                starts.push(start);
            }
            let reaches = |index: usize| match self.steps[index].target() {
                Some(Target::Step(target)) => {
                    let distance = starts[target] as i64 - starts[index + 1] as i64;
                    i8::try_from(distance).is_ok()
                }
                _ => true,
            };
            let too_short = (0..short.len()).filter(|&index| short[index] && !reaches(index));
            let too_short: Vec<usize> = too_short.collect();
            if too_short.is_empty() {
                return (short, starts);
            }
            for index in too_short {
                short[index] = false;
            }
        }
    }
}

fn write_opcode(bytes: &mut Vec<u8>, condition: Option<u8>, short: bool) {
    match (condition, short) {
        (None, true) => bytes.push(0xeb),
        (None, false) => bytes.push(0xe9),
        (Some(condition), true) => bytes.push(0x70 | condition),
        (Some(condition), false) => bytes.extend([0x0f, 0x80 | condition]),
    }
}

fn is_continuation(target: Target) -> bool {
    matches!(target, Target::Hole(hole)
        if hole.value() == HoleValue::Continue && hole.addend() == -4)
}

/// The instructions, an invalid one included, with where their fields are.
fn decode(bytes: &[u8]) -> Vec<(Instruction, ConstantOffsets)> {
    let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
    let mut decoded = Vec::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        decoded.push((instruction, decoder.get_constant_offsets(&instruction)));
    }
    decoded
}

fn read_step(
    instruction: &Instruction,
    bytes: &[u8],
    holes: Vec<Hole>,
    labels: &HashMap<u64, usize>,
) -> Option<Step> {
    let plain = |holes, ends| Some(Step::Plain(bytes.to_vec(), holes, ends));
    match instruction.flow_control() {
        _ if instruction.is_invalid() => None,
        FlowControl::Next | FlowControl::IndirectCall => plain(holes, false),
        // A call inside the code would have to be a step with a target.
        FlowControl::Call if !holes.is_empty() => plain(holes, false),
        FlowControl::Return | FlowControl::IndirectBranch => plain(holes, true),
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            let (condition, field) = match *bytes {
                [0xeb, _] | [0xe9, _, _, _, _] => (None, 1),
                [opcode @ 0x70..=0x7f, _] => (Some(opcode & 0xf), 1),
                [0x0f, opcode @ 0x80..=0x8f, _, _, _, _] => (Some(opcode & 0xf), 2),
                _ => return None,
            };
            let target = match holes[..] {
                [] => Target::Step(*labels.get(&instruction.near_branch_target())?),
                [hole] if hole.offset() == field && hole.kind() == RelocationKind::Pc32 => {
                    Target::Hole(hole)
                }
                _ => return None,
            };
            Some(Step::Branch(condition, target))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
