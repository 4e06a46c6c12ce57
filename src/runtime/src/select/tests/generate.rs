//! Random traces, in which every way to a uop finds the stack as deep.

use super::table::Kind;
use std::fmt;

pub(super) const LOCALS: u32 = 12;

/// Splitmix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.word() % limit
    }

    /// Once in `times`.
    pub(super) fn chance(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    fn constant(&mut self) -> u64 {
        match self.below(4) {
            0 => self.word(),
            1 => self.below(64),
            2 => (self.word() as i32) as i64 as u64,
            _ => self.pick(&[
                0,
                u64::MAX,
                1 << 31,
                (1 << 31) - 1,
                0xffff_ffff_8000_0000,
                1 << 63,
            ]),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub(super) kind: Kind,
    pub(super) oparg: u32,
    pub(super) operand: u64,
    pub(super) jump: Option<usize>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) labels: Vec<Option<usize>>,
    pub(super) entry_depth: u32,
    pub(super) room: u32,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} values at the start, room for {}",
            self.entry_depth, self.room
        )?;
        for (at, op) in self.ops.iter().enumerate() {
            for (label, _) in self
                .labels
                .iter()
                .enumerate()
                .filter(|(_, place)| **place == Some(at))
            {
                writeln!(f, "label {label}:")?;
            }
            write!(f, "{at:4} {}", op.kind.name())?;
            match op.kind {
                kind if kind.is_local() => write!(f, " {}", op.oparg)?,
                Kind::ConstI | Kind::ConstF => write!(f, " {:#x}", op.operand)?,
                _ => {}
            }
            match op.jump {
                Some(label) => writeln!(f, " to {label}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

struct Generator<'r> {
    random: &'r mut Random,
    program: Program,
    depth: usize,
    /// The depth at each label.
    depths: Vec<usize>,
    /// The locals that this program prefers.
    favourites: Vec<u32>,
}

impl Program {
    pub(super) fn random(random: &mut Random) -> Self {
        let entry_depth = if random.chance(3) {
            random.below(6) as u32
        } else {
            0
        };
        let room = random.pick(&[6, 10, 24, 40]);
        let favourites = (0..1 + random.below(8)).map(|_| random.below(LOCALS.into()) as u32);
        let favourites = favourites.collect();
        let length = 5 + random.below(90);
        let mut generator = Generator {
            random,
            program: Self {
                entry_depth,
                room,
                ..Self::default()
            },
            depth: entry_depth as usize,
            depths: Vec::new(),
            favourites,
        };
        for _ in 0..length {
            generator.step();
        }
        generator.end();
        generator.program
    }
}

impl Generator<'_> {
    fn label(&mut self, depth: usize, place: Option<usize>) -> usize {
        self.program.labels.push(place);
        self.depths.push(depth);
        self.depths.len() - 1
    }

    fn push(&mut self, kind: Kind, jump: Option<usize>) {
        let favourite = self.random.chance(3);
        let oparg = match kind.is_local() {
            true if favourite => self.random.below(LOCALS.into()) as u32,
            true => {
                let favourites = std::mem::take(&mut self.favourites);
                let local = self.random.pick(&favourites);
                self.favourites = favourites;
                local
            }
            false => 0,
        };
        // Locals have a class of their own more often than not.
        let kind = match (kind, favourite || oparg % 2 == 0) {
            (Kind::LoadI, false) => Kind::LoadF,
            (Kind::StoreI, false) => Kind::StoreF,
            (Kind::LoadF, true) => Kind::LoadI,
            (Kind::StoreF, true) => Kind::StoreI,
            (kind, _) => kind,
        };
        let operand = self.random.constant();
        self.program.ops.push(Op {
            kind,
            oparg,
            operand,
            jump,
        });
        let (popped, pushed) = kind.effect();
        self.depth = self.depth - popped + pushed;
    }

    /// A label with this depth, behind or ahead.
    fn target(&mut self, depth: usize) -> usize {
        let known: Vec<usize> = (0..self.depths.len())
            .filter(|&label| self.depths[label] == depth)
            .collect();
        if known.is_empty() || self.random.chance(3) {
            return self.label(depth, None);
        }
        self.random.pick(&known)
    }

    fn step(&mut self) {
        let here = self.program.ops.len();
        if self.random.chance(12) {
            self.label(self.depth, Some(here));
        }
        for label in 0..self.depths.len() {
            let open = self.program.labels[label].is_none() && self.depths[label] == self.depth;
            if open && self.random.chance(8) {
                self.program.labels[label] = Some(here);
            }
        }
        let kind = self.random.pick(Kind::ALL);
        let (popped, pushed) = kind.effect();
        let room = self.program.room as usize;
        if popped > self.depth || self.depth - popped + pushed > room {
            return;
        }
        // What ends or gives up registers is rarer.
        if kind.is_terminal() && !self.random.chance(8)
            || kind.is_base_only() && !self.random.chance(3)
        {
            return;
        }
        if kind == Kind::Top && (here == 0 || self.depth != self.depth_at_top()) {
            return;
        }
        let leaving = kind.leaving_depth(self.depth);
        let jump = leaving.map(|depth| self.target(depth));
        self.push(kind, jump);
        if kind.is_terminal() {
            self.start_anew();
        }
    }

    fn depth_at_top(&self) -> usize {
        let first = self.program.ops[0].kind;
        let (popped, pushed) = first.effect();
        if first.is_terminal() {
            return usize::MAX;
        }
        self.program.entry_depth as usize - popped + pushed
    }

    /// Behind a terminal uop: at a label that something jumps to, or in code that nothing gets to.
    fn start_anew(&mut self) {
        let here = self.program.ops.len();
        let open = (0..self.depths.len()).find(|&label| self.program.labels[label].is_none());
        if let Some(label) = open {
            self.program.labels[label] = Some(here);
            self.depth = self.depths[label];
        }
    }

    fn end(&mut self) {
        self.push(Kind::Leave, None);
        for label in 0..self.program.labels.len() {
            if self.program.labels[label].is_none() {
                self.program.labels[label] = Some(self.program.ops.len());
                self.depth = self.depths[label];
                if self.depth > 0 && self.random.chance(3) {
                    self.push(Kind::Sink, None);
                }
                self.push(Kind::Leave, None);
            }
        }
    }
}
