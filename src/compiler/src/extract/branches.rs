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
//! - in code that C patches, words of stack are pushed and popped, what is added to the stack pointer is added before it is
//!   used, and numbers of 64 bits that have only 32 are moved as such;
//! - `mov rax, [rip + EXIT]; jmp rax` becomes `jmp [rip + EXIT]`, and so does a load through a register: tail calls through
//!   memory LLVM does not make;
//! - what nothing leads to is dropped.
//!
//! None of these makes the code longer. Then hot code is made to end in its fall-through: LLVM lays rare blocks behind
//! the block that continues, which needs a jump over them. Blocks that are rare by their shape, see `dead_ends` and
//! `detours`, move to the cold code. Branches across the parts have holes and are 3 or 4 bytes longer, so a block only
//! moves where that makes the hot code shorter and the whole not much longer.
//!
//! Code with an instruction that is not understood stays as it is.

use iced_x86::{ConstantOffsets, Decoder, DecoderOptions, FlowControl, Instruction};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::StencilBuf;
use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

/// The symbol of holes for cold code that mean the blocks which moved there, where others have a function's number.
pub(super) const MOVED: u32 = u32::MAX;

/// How much longer, in bytes, the whole may become when a block moves to the cold code: two branches that grow from 2
/// bytes to 6 do. A guard's exit that is shared by many branches is better left where they reach it.
const MAX_GROWTH: usize = 8;

/// Code with improved branches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Improved {
    /// What stays.
    pub(super) code: StencilBuf,
    /// What belongs at the start of the cold code. Its holes for `CODE` count from the start of what stays.
    pub(super) moved: StencilBuf,
}

/// Improves the branches of hot code, behind whose end the continuation stands.
pub(super) fn improve_hot(code: StencilBuf) -> Improved {
    match Code::take_apart(&code, true) {
        Some(mut improved) => {
            improved.fold_exit_jumps();
            while improved.step() {}
            while improved.move_rare_block() {}
            improved.put_together()
        }
        None => Improved {
            code,
            moved: StencilBuf::default(),
        },
    }
}

/// Improves the branches of code behind whose end the continuation stands, and of which nothing may move elsewhere. Numbers
/// of 64 bits become such of 32, where `range` says that they are.
pub(super) fn improve_whole(
    code: StencilBuf,
    range: impl Fn(&Hole) -> Option<RangeInclusive<i64>>,
) -> StencilBuf {
    match Code::take_apart(&code, true) {
        Some(mut improved) => {
            for step in &mut improved.steps {
                step.shorten(&range);
            }
            improved.move_stack_first();
            improved.push_frames();
            while improved.step() {}
            while improved.move_last() {}
            improved.share_jumps();
            improved.put_together().code
        }
        None => code,
    }
}

/// Improves the branches of a cold function.
pub(super) fn improve_cold(code: StencilBuf) -> StencilBuf {
    match Code::take_apart(&code, false) {
        Some(mut improved) => {
            improved.fold_exit_jumps();
            while improved.step() {}
            improved.put_together().code
        }
        None => code,
    }
}

/// Where a branch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The step with this index.
    Step(usize),
    /// The end of the code, where the continuation stands.
    End,
    /// What fills the hole, whose offset means nothing.
    Hole(Hole),
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// `movabs r64, HOLE` becomes a move of 32 bits, extended with zeros or with the sign, where the number is one of those.
    fn shorten(&mut self, range: &impl Fn(&Hole) -> Option<RangeInclusive<i64>>) {
        let Self::Plain(bytes, holes, _) = self else {
            return;
        };
        let (&[rex @ 0x48..=0x49, opcode @ 0xb8..=0xbf, ..], [hole]) = (&bytes[..], &holes[..])
        else {
            return;
        };
        let Some(range) = range(hole).filter(|_| hole.kind() == RelocationKind::Abs64) else {
            return;
        };
        let addend = i64::from(hole.addend());
        let fits = |kind: RelocationKind| {
            let holds = kind.range();
            [range.start(), range.end()].iter().all(|end| {
                end.checked_add(addend)
                    .is_some_and(|end| holds.contains(&end))
            })
        };
        let extended = rex & 1;
        let (kind, opcodes) = if fits(RelocationKind::Abs32) {
            // The prefix is for r8 to r15 alone.
            let prefix = (extended == 1).then_some(0x41);
            (
                RelocationKind::Abs32,
                prefix.into_iter().chain([opcode]).collect(),
            )
        } else if fits(RelocationKind::Abs32S) {
            (RelocationKind::Abs32S, vec![rex, 0xc7, 0xc0 | (opcode & 7)])
        } else {
            return;
        };
        let place = opcodes.len() as u32;
        let short = Hole::new(place, kind, hole.value(), hole.addend())
            .with_shift(hole.shift())
            .with_element(hole.element())
            .with_symbol(hole.symbol());
        *bytes = opcodes;
        bytes.extend([0; 4]);
        *holes = vec![short];
    }

    fn target(&self) -> Option<Target> {
        match self {
            Self::Branch(_, target) => Some(*target),
            Self::Plain(..) => None,
        }
    }

    /// How many bytes it takes; `short` is whether it is a branch that reaches with 8 bits.
    fn length(&self, short: bool) -> usize {
        match self {
            Self::Plain(bytes, ..) => bytes.len(),
            Self::Branch(..) if short => 2,
            Self::Branch(None, _) => 5,
            Self::Branch(Some(_), _) => 6,
        }
    }
}

#[derive(Clone)]
struct Code {
    steps: Vec<Step>,
    /// How many of the steps stay; those behind have moved.
    staying: usize,
    /// What the code was aligned to.
    align: u32,
}

/// Where everything is: see [`Code::place`].
struct Layout {
    /// Which branches reach with 8 bits.
    short: Vec<bool>,
    /// Where the steps start in what stays, or in what has moved.
    starts: Vec<usize>,
    /// The length of what stays, and of what has moved.
    lengths: [usize; 2],
}

impl Layout {
    fn total(&self) -> usize {
        self.lengths[0] + self.lengths[1]
    }
}

impl Code {
    /// `None` where something is not understood.
    fn take_apart(code: &StencilBuf, falls_through: bool) -> Option<Self> {
        let decoded = decode(&code.bytes);
        let starts = decoded.iter().map(|(instruction, _)| instruction.ip());
        let mut labels: HashMap<u64, Target> = starts.zip((0..).map(Target::Step)).collect();
        if falls_through {
            labels.insert(code.bytes.len() as u64, Target::End);
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
            for step in &mut steps {
                if let Step::Branch(_, target) = step
                    && is_continuation(*target)
                {
                    *target = Target::End;
                }
            }
        }
        Some(Self {
            staying: steps.len(),
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
            if self.steps[index].target() == Some(self.behind(index)) {
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

    /// Where control is behind a step.
    fn behind(&self, index: usize) -> Target {
        match index + 1 == self.staying {
            true => Target::End,
            false => Target::Step(index + 1),
        }
    }

    /// The step behind another, in the same part.
    fn following(&self, index: usize) -> Option<&Step> {
        match self.behind(index) {
            Target::Step(next) => self.steps.get(next),
            Target::End | Target::Hole(_) => None,
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
        self.place().total()
    }

    /// `jcc over; jmp elsewhere; over:` is `jncc elsewhere`.
    fn invert(&mut self, index: usize) -> bool {
        let (Some(&Step::Branch(Some(condition), over)), Some(&Step::Branch(None, elsewhere))) =
            (self.steps.get(index), self.following(index))
        else {
            return false;
        };
        if over != self.behind(index + 1) || self.references(index + 1) > 0 {
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
            Some(&Step::Branch(None, inside @ (Target::Step(_) | Target::End))),
        ) = (self.steps.get(index), self.following(index))
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
            let of_exit = |hole: &Hole| hole.value() == HoleValue::Exit;
            if jump[..] != [0xff, 0xe0] || !holes.iter().all(of_exit) || self.references(index) > 0
            {
                continue;
            }
            if let Some(jump) = jump_through(load, holes) {
                self.steps[index] = jump;
                self.remove(index - 1);
                return;
            }
        }
    }

    /// `mov rax, [r14 - 8]; add r14, -8` becomes `add r14, -8; mov rax, [r14]`, which is a byte shorter.
    fn move_stack_first(&mut self) {
        for index in 1..self.steps.len() {
            let (Step::Plain(access, holes, false), Step::Plain(add, none, false)) =
                (&self.steps[index - 1], &self.steps[index])
            else {
                continue;
            };
            let (
                &[rex @ 0x48..=0x4f, opcode @ (0x89 | 0x8b), modrm, distance],
                &[0x49, 0x83, 0xc6, added],
            ) = (&access[..], &add[..])
            else {
                continue;
            };
            let register = (modrm >> 3 & 7) | (rex << 1 & 8);
            // The base is r14, with a displacement of 8 bits.
            let fits = rex & 1 == 1 && modrm & 0xc7 == 0x46 && distance == added && register != 14;
            let is_alone = holes.is_empty() && none.is_empty() && self.references(index) == 0;
            if fits && is_alone {
                let access = Step::Plain(vec![rex, opcode, modrm & 0x3f], Vec::new(), false);
                self.steps[index - 1] = std::mem::replace(&mut self.steps[index], access);
            }
        }
    }

    /// A few words of stack are made by pushes, and left by pops where no register but those of the contract matters:
    /// behind a call, which clobbers rcx, and where control leaves the code. Each takes a byte, arithmetic on rsp four.
    fn push_frames(&mut self) {
        const MAKE: [u8; 3] = [0x48, 0x83, 0xec];
        const LEAVE: [u8; 3] = [0x48, 0x83, 0xc4];
        const PUSH_RAX: u8 = 0x50;
        const POP_RCX: u8 = 0x59;
        for index in 0..self.steps.len() {
            let Step::Plain(bytes, holes, _) = &self.steps[index] else {
                continue;
            };
            let (&[a, b, c, size @ (8 | 16 | 24)], true) = (&bytes[..], holes.is_empty()) else {
                continue;
            };
            let word = match [a, b, c] {
                MAKE if size < 24 => PUSH_RAX,
                LEAVE if self.is_behind_call(index) || self.only_leaves(index) => POP_RCX,
                _ => continue,
            };
            let words = usize::from(size / 8);
            self.steps[index] = Step::Plain(vec![word; words], Vec::new(), false);
        }
    }

    /// Whether a step is reached by coming back from a call alone.
    fn is_behind_call(&self, index: usize) -> bool {
        let is_call = |step: &Step| match step {
            Step::Plain(bytes, ..) => matches!(bytes[..], [0xff, 0x15, ..] | [0xe8, ..]),
            Step::Branch(..) => false,
        };
        self.references(index) == 0 && index > 0 && is_call(&self.steps[index - 1])
    }

    /// Whether behind a step nothing happens but that registers are restored and control leaves.
    fn only_leaves(&self, mut index: usize) -> bool {
        loop {
            match self.following(index) {
                None | Some(Step::Branch(None, Target::Hole(_) | Target::End)) => return true,
                Some(Step::Plain(bytes, ..)) if bytes[..] == [0xc3] => return true,
                // What is popped is one of the registers that C functions preserve.
                Some(Step::Plain(bytes, ..))
                    if matches!(bytes[..], [0x5b | 0x5d] | [0x41, 0x5c..=0x5f]) =>
                {
                    index += 1;
                }
                Some(_) => return false,
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
        index == 0 || (index != self.staying && self.steps[index - 1].goes_on())
    }

    /// For every step, whether control may get there.
    fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.steps.len()];
        let mut places: Vec<usize> = (0..self.steps.len().min(1)).collect();
        while let Some(place) = places.pop() {
            if std::mem::replace(&mut reached[place], true) {
                continue;
            }
            for target in self.ways(place) {
                if let Target::Step(target) = target {
                    places.push(target);
                }
            }
        }
        reached
    }

    /// Where control may go from a step.
    fn ways(&self, index: usize) -> impl Iterator<Item = Target> {
        let step = &self.steps[index];
        let on = step.goes_on().then(|| self.behind(index));
        on.into_iter().chain(step.target())
    }

    /// Removes a step; who went there goes to the one behind it.
    fn remove(&mut self, index: usize) {
        let behind = self.behind(index);
        self.steps.remove(index);
        self.staying -= usize::from(index < self.staying);
        for step in &mut self.steps {
            let Step::Branch(_, target) = step else {
                continue;
            };
            if *target == Target::Step(index) {
                *target = behind;
            }
            if let Target::Step(target) = target
                && *target > index
            {
                *target -= 1;
            }
        }
    }

    /// Moves one rare block to the cold code, where that is worth while; whether there was any left.
    fn move_rare_block(&mut self) -> bool {
        let before = self.place();
        let blocks = self.dead_ends().into_iter().chain(self.detours());
        for block in blocks {
            let Some(mut candidate) = self.without(block) else {
                continue;
            };
            while candidate.step() {}
            let after = candidate.place();
            if after.lengths[0] < before.lengths[0] && after.total() <= before.total() + MAX_GROWTH
            {
                *self = candidate;
                return true;
            }
        }
        false
    }

    /// The runs of steps that never get to the continuation but by cold code: guards' exits and calls of cold
    /// functions. All of the code is none.
    fn dead_ends(&self) -> Vec<Range<usize>> {
        let mut continues = vec![false; self.steps.len()];
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for index in (0..self.steps.len()).rev() {
                let gets_there = self.ways(index).any(|way| match way {
                    Target::End => true,
                    Target::Step(target) => continues[target],
                    Target::Hole(hole) => hole.value() == HoleValue::Continue,
                });
                changed |= gets_there && !std::mem::replace(&mut continues[index], true);
            }
        }
        let mut runs = Vec::new();
        let mut index = 0;
        for run in continues[..self.staying].chunk_by(|one, other| one == other) {
            if !run[0] && index > 0 {
                runs.push(index..index + run.len());
            }
            index += run.len();
        }
        runs
    }

    /// The blocks that are entered by branches forward and end in a jump back to behind all of these: not loops, but
    /// ways around that LLVM held for rare, or it would have left them in their place.
    fn detours(&self) -> Vec<Range<usize>> {
        let mut blocks = Vec::new();
        let mut start = 0;
        for end in 1..=self.staying {
            if self.steps[end - 1].goes_on() {
                continue;
            }
            let block = std::mem::replace(&mut start, end)..end;
            let Some(Target::Step(back)) = self.steps[end - 1].target() else {
                continue;
            };
            let is_detour = self
                .steps
                .iter()
                .enumerate()
                .all(|(index, step)| match step {
                    Step::Branch(condition, Target::Step(target)) => {
                        let (from, to) = (block.contains(&index), block.contains(target));
                        match (from, to) {
                            (true, true) => *target > index,
                            (true, false) => index == end - 1,
                            (false, true) => condition.is_some() && index < back,
                            (false, false) => true,
                        }
                    }
                    Step::Branch(_, Target::End) => !block.contains(&index),
                    _ => true,
                });
            if is_detour && back < block.start && block.start > 0 {
                blocks.push(block);
            }
        }
        blocks
    }

    /// Lets conditional branches elsewhere go through one jump that is near, where that makes the code shorter and no way
    /// through it longer than by a branch that is not taken.
    fn share_jumps(&mut self) {
        let mut targets: Vec<Target> = Vec::new();
        for step in &self.steps {
            if let Step::Branch(Some(_), target @ Target::Hole(_)) = step
                && !targets.contains(target)
            {
                targets.push(*target);
            }
        }
        for target in targets {
            let present = (0..self.steps.len())
                .filter(|&index| self.steps[index] == Step::Branch(None, target));
            let gaps = (1..=self.steps.len()).filter(|&index| !self.steps[index - 1].goes_on());
            let candidates: Vec<Self> = present
                .map(|jump| self.through(target, jump))
                .chain(gaps.map(|gap| self.with_jump(gap, target).through(target, gap)))
                .collect();
            let before = self.length();
            let shortest = candidates
                .into_iter()
                .map(|code| (code.length(), code))
                .min_by_key(|(length, _)| *length)
                .filter(|(length, _)| *length < before);
            let shared = shortest.or_else(|| self.around(target));
            if let Some((_, code)) = shared {
                *self = code;
            }
        }
    }

    /// The code with one jump to the target, around which a branch leads that is taken: where no other place is for it, and
    /// a twentieth of the code is worth that.
    fn around(&self, target: Target) -> Option<(usize, Self)> {
        let last = (0..self.steps.len()).rev().find(
            |&index| matches!(self.steps[index], Step::Branch(Some(_), found) if found == target),
        )?;
        let Step::Branch(Some(condition), _) = self.steps[last] else {
            return None;
        };
        let mut code = self.with_jump(last + 1, target);
        // Behind the jump now, where it was behind the branch.
        let behind = code.behind(last + 1);
        code.steps[last] = Step::Branch(Some(condition ^ 1), behind);
        let code = code.through(target, last + 1);
        let (before, after) = (self.length(), code.length());
        let saved = before.checked_sub(after)?;
        (20 * saved >= before).then_some((after, code))
    }

    /// The code with conditional branches to the target through a jump there, if the jump is near.
    fn through(&self, target: Target, jump: usize) -> Self {
        let mut code = self.clone();
        for index in 0..code.steps.len() {
            let Step::Branch(Some(condition), found) = code.steps[index] else {
                continue;
            };
            if found != target {
                continue;
            }
            code.steps[index] = Step::Branch(Some(condition), Target::Step(jump));
            if !code.place().short[index] {
                code.steps[index] = Step::Branch(Some(condition), found);
            }
        }
        code
    }

    /// The code with one more jump, where nothing runs into it.
    fn with_jump(&self, gap: usize, target: Target) -> Self {
        let mut code = self.clone();
        code.steps.insert(gap, Step::Branch(None, target));
        code.staying += 1;
        for (index, step) in code.steps.iter_mut().enumerate() {
            if let Step::Branch(_, Target::Step(to)) = step
                && index != gap
                && *to >= gap
            {
                *to += 1;
            }
        }
        code
    }

    /// Moves a block that jumps to the end there, where it need not jump; whether that made the code shorter.
    fn move_last(&mut self) -> bool {
        // What runs to the end as it is would run into the block.
        if self.steps.last().is_none_or(Step::goes_on) {
            return false;
        }
        let before = self.length();
        let jumps_to_end =
            |end: &usize| matches!(self.steps[end - 1], Step::Branch(None, Target::End));
        let ends: Vec<usize> = (1..self.staying).filter(jumps_to_end).collect();
        let shortest = ends
            .into_iter()
            .flat_map(|end| (1..end).map(move |start| start..end))
            .filter_map(|block| {
                let mut code = self.without(block)?;
                // It stands behind the rest already, and is no part of its own.
                code.staying = code.steps.len();
                while code.step() {}
                Some((code.length(), code))
            })
            .min_by_key(|(length, _)| *length)
            .filter(|(length, _)| *length < before);
        match shortest {
            Some((_, code)) => {
                *self = code;
                true
            }
            None => false,
        }
    }

    /// The code with a block moved behind the rest, if nothing but a branch over it leads into it from above.
    fn without(&self, block: Range<usize>) -> Option<Self> {
        let mut code = self.clone();
        let last = code.steps.len();
        if self.is_reached_from_above(block.start) {
            let Step::Branch(Some(condition), over) = self.steps[block.start - 1] else {
                return None;
            };
            if over != self.behind(block.end - 1) {
                return None;
            }
            code.steps[block.start - 1] =
                Step::Branch(Some(condition ^ 1), Target::Step(block.start));
        }
        if self.steps[block.end - 1].goes_on() {
            return None;
        }
        // What is behind the block comes down, and the block goes behind that.
        code.steps[block.start..].rotate_left(block.len());
        for step in &mut code.steps {
            if let Step::Branch(_, Target::Step(target)) = step
                && *target >= block.start
            {
                *target = match *target < block.end {
                    true => *target + last - block.end,
                    false => *target - block.len(),
                };
            }
        }
        code.staying -= block.len();
        Some(code)
    }

    fn put_together(&self) -> Improved {
        let layout = self.place();
        let part = || StencilBuf {
            align: self.align,
            ..StencilBuf::default()
        };
        let mut improved = Improved {
            code: part(),
            moved: part(),
        };
        for (index, step) in self.steps.iter().enumerate() {
            let code = match index < self.staying {
                true => &mut improved.code,
                false => &mut improved.moved,
            };
            let start = code.bytes.len();
            match step {
                Step::Plain(bytes, holes, _) => {
                    let holes = holes.iter();
                    code.holes
                        .extend(holes.map(|hole| hole.at(start as u32 + hole.offset())));
                    code.bytes.extend(bytes);
                }
                Step::Branch(condition, target) => {
                    let short = layout.short[index];
                    write_opcode(&mut code.bytes, *condition, short);
                    match self.reference(index, *target, &layout) {
                        Reference::Hole(hole) => {
                            code.holes.push(hole.at(code.bytes.len() as u32));
                            code.bytes.extend([0; 4]);
                        }
                        Reference::Distance(distance) if short => code.bytes.push(distance as u8),
                        Reference::Distance(distance) => {
                            code.bytes.extend((distance as i32).to_le_bytes());
                        }
                    }
                }
            }
        }
        improved
    }

    /// How a branch refers to its target.
    fn reference(&self, index: usize, target: Target, layout: &Layout) -> Reference {
        let stays = index < self.staying;
        let hole = |value, start: usize| {
            // The field ends the instruction, 4 bytes behind its start.
            Hole::new(0, RelocationKind::Pc32, value, start as i32 - 4)
        };
        let end = layout.starts[index] + self.steps[index].length(layout.short[index]);
        let distance = |start: usize| Reference::Distance(start as i64 - end as i64);
        match target {
            Target::Hole(hole) => Reference::Hole(hole),
            Target::End if stays => distance(layout.lengths[0]),
            Target::End => Reference::Hole(hole(HoleValue::Continue, 0)),
            Target::Step(target) => {
                let start = layout.starts[target];
                match (stays, target < self.staying) {
                    (true, false) => {
                        Reference::Hole(hole(HoleValue::Cold, start).with_symbol(MOVED))
                    }
                    (false, true) => Reference::Hole(hole(HoleValue::Code, start)),
                    _ => distance(start),
                }
            }
        }
    }

    /// Which branches reach with 8 bits, and where everything is. Branches only grow, so this ends.
    fn place(&self) -> Layout {
        let mut layout = Layout {
            short: vec![true; self.steps.len()],
            starts: vec![0; self.steps.len()],
            lengths: [0; 2],
        };
        loop {
            layout.lengths = [0; 2];
            for (index, step) in self.steps.iter().enumerate() {
                let length = &mut layout.lengths[usize::from(index >= self.staying)];
                layout.starts[index] = *length;
                *length += step.length(layout.short[index]);
            }
            let reaches = |index: usize| match self.steps[index].target() {
                Some(target) => match self.reference(index, target, &layout) {
                    Reference::Distance(distance) => i8::try_from(distance).is_ok(),
                    Reference::Hole(_) => false,
                },
                None => true,
            };
            let too_short: Vec<usize> = (0..self.steps.len())
                .filter(|&index| layout.short[index] && !reaches(index))
                .collect();
            if too_short.is_empty() {
                return layout;
            }
            for index in too_short {
                layout.short[index] = false;
            }
        }
    }
}

/// How a branch refers to where it goes.
enum Reference {
    /// By so many bytes from its own end.
    Distance(i64),
    /// By a hole, whose offset means nothing.
    Hole(Hole),
}

fn write_opcode(bytes: &mut Vec<u8>, condition: Option<u8>, short: bool) {
    match (condition, short) {
        (None, true) => bytes.push(0xeb),
        (None, false) => bytes.push(0xe9),
        (Some(condition), true) => bytes.push(0x70 | condition),
        (Some(condition), false) => bytes.extend([0x0f, 0x80 | condition]),
    }
}

/// `jmp [x]` for the bytes of `mov rax, [x]`.
fn jump_through(load: &[u8], holes: &[Hole]) -> Option<Step> {
    let [rex @ 0x48..=0x4b, 0x8b, modrm, rest @ ..] = load else {
        return None;
    };
    let (mode, register) = (modrm >> 6, modrm >> 3 & 7);
    if mode == 3 || register != 0 {
        return None;
    }
    // The operand has 64 bits without REX.W; what is left of the prefix extends the address.
    let prefix = Some(rex & !8).filter(|&prefix| prefix != 0x40);
    let bytes: Vec<u8> = prefix
        .into_iter()
        .chain([0xff, modrm | 4 << 3])
        .chain(rest.iter().copied())
        .collect();
    let shorter = (load.len() - bytes.len()) as u32;
    let holes = holes.iter().map(|hole| hole.at(hole.offset() - shorter));
    Some(Step::Plain(bytes, holes.collect(), true))
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
    labels: &HashMap<u64, Target>,
) -> Option<Step> {
    let plain = |holes, ends| Some(Step::Plain(bytes.to_vec(), holes, ends));
    match instruction.flow_control() {
        _ if instruction.is_invalid() => None,
        FlowControl::Next | FlowControl::IndirectCall => plain(holes, false),
        // A call inside the code would have to be a step with a target.
        FlowControl::Call if !holes.is_empty() => plain(holes, false),
        FlowControl::Return | FlowControl::IndirectBranch | FlowControl::Exception => {
            plain(holes, true)
        }
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            let (condition, field) = match *bytes {
                [0xeb, _] | [0xe9, _, _, _, _] => (None, 1),
                [opcode @ 0x70..=0x7f, _] => (Some(opcode & 0xf), 1),
                [0x0f, opcode @ 0x80..=0x8f, _, _, _, _] => (Some(opcode & 0xf), 2),
                _ => return None,
            };
            let target = match holes[..] {
                [] => *labels.get(&instruction.near_branch_target())?,
                [hole] if hole.offset() == field && hole.kind() == RelocationKind::Pc32 => {
                    Target::Hole(hole.at(0))
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
