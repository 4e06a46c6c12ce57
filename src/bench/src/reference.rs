//! What scalar traces mean, written as plainly as possible: one uop after the other over words in memory. Accesses are
//! checked: a trace that gets to its end here may be run by engines that check nothing, on the same inputs.

use crate::native::{Function, native};
use crate::op::Op;
use crate::scalar::{ScalarTrace, ScalarUop};
use crate::state::State;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The position of the exit's uop.
    pub uop: u32,
    /// Its target.
    pub target: u32,
    /// How many uops were run.
    pub steps: u64,
    /// Whether the bits of a NaN came in that the set leaves open: engines may then differ.
    pub ambiguous: bool,
}

/// Why the reference gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    /// It ran for too long.
    #[error("it has not ended after as many uops as it may run")]
    Steps,
    /// It took more from the stack than there is, or named what is not there.
    #[error("uop {uop} takes what is not there")]
    Malformed {
        /// Where.
        uop: usize,
    },
    /// It accessed memory outside the buffers.
    #[error("uop {uop} accesses {address:#x}, outside the buffers")]
    Access {
        /// Where.
        uop: usize,
        /// The address.
        address: u64,
    },
}

/// Runs a trace, for at most so many uops. The state is changed as the trace says.
///
/// # Errors
/// The trace has no defined end.
pub fn run_reference(trace: &ScalarTrace, state: &mut State, limit: u64) -> Result<End, Undefined> {
    let stack = state.values().to_vec();
    let mut run = Run {
        trace,
        state,
        stack,
        at: 0,
        ambiguous: false,
    };
    for steps in 1..=limit {
        if let Some((uop, target)) = run.step()? {
            let stack = std::mem::take(&mut run.stack);
            let ambiguous = run.ambiguous;
            state.set_values(&stack);
            return Ok(End {
                uop,
                target,
                steps,
                ambiguous,
            });
        }
    }
    Err(Undefined::Steps)
}

struct Run<'a> {
    trace: &'a ScalarTrace,
    state: &'a mut State,
    stack: Vec<u64>,
    at: usize,
    ambiguous: bool,
}

/// The NaN that the processor makes where there was none (Intel SDM volume 1, table 4-3).
pub const DEFAULT_NAN: u64 = 0xfff8_0000_0000_0000;

impl Run<'_> {
    fn malformed<T>(&self) -> Result<T, Undefined> {
        Err(Undefined::Malformed { uop: self.at })
    }

    /// The value so far below the top.
    fn peek(&self, depth: usize) -> Result<u64, Undefined> {
        let index = self.stack.len().checked_sub(depth + 1);
        match index.and_then(|index| self.stack.get(index)) {
            Some(&value) => Ok(value),
            None => self.malformed(),
        }
    }

    fn pop(&mut self) -> Result<u64, Undefined> {
        match self.stack.pop() {
            Some(value) => Ok(value),
            None => self.malformed(),
        }
    }

    fn pop_float(&mut self) -> Result<f64, Undefined> {
        Ok(f64::from_bits(self.pop()?))
    }

    fn push(&mut self, value: u64) {
        self.stack.push(value);
    }

    /// One uop; the exit and its target where it is one.
    fn step(&mut self) -> Result<Option<(u32, u32)>, Undefined> {
        let Some(&uop) = self.trace.uops.get(self.at) else {
            return self.malformed();
        };
        if uop.op == Op::Exit {
            return Ok(Some((self.at as u32, uop.target)));
        }
        let jumps = self.execute(uop)?;
        if jumps {
            match self.trace.destination(&uop) {
                Some(to) => self.at = to,
                None => return self.malformed(),
            }
        } else {
            self.at += 1;
        }
        Ok(None)
    }

    /// What a uop does; whether it jumps.
    fn execute(&mut self, uop: ScalarUop) -> Result<bool, Undefined> {
        use Op::*;
        match uop.op {
            ConstI64 | ConstF64 => self.push(uop.operand),
            LoadI64 | LoadF64 => match self.state.locals().get(uop.oparg as usize) {
                Some(&value) => self.push(value),
                None => return self.malformed(),
            },
            StoreI64 | StoreF64 => {
                let value = self.pop()?;
                match self.state.locals_mut().get_mut(uop.oparg as usize) {
                    Some(local) => *local = value,
                    None => return self.malformed(),
                }
            }
            DupI64 | DupF64 => {
                let value = self.peek(0)?;
                self.push(value);
            }
            DropI64 | DropF64 => {
                self.pop()?;
            }
            SwapI64 | SwapF64 => {
                let (top, below) = (self.pop()?, self.pop()?);
                self.push(top);
                self.push(below);
            }
            Neg | Not | Abs | Clz | Ctz | Popcnt | Bswap | ExtendS8 | ExtendS16 | ExtendS32
            | ExtendU8 | ExtendU16 | ExtendU32 | BoolNot | I64ToF64 | F64Bits | F64FromBits
            | NegF | AbsF => {
                let value = self.pop()?;
                self.push(of_one(uop.op, value));
            }
            SqrtF => {
                let value = self.pop_float()?;
                let root = self.float(&[value], value.sqrt());
                self.push(root);
            }
            AddF | SubF | MulF | DivF => {
                let right = self.pop_float()?;
                let left = self.pop_float()?;
                let result = match uop.op {
                    AddF => left + right,
                    SubF => left - right,
                    MulF => left * right,
                    _ => left / right,
                };
                let result = self.float(&[left, right], result);
                self.push(result);
            }
            MinF | MaxF | EqF | NeF | LtF | LeF | GtF | GeF => {
                let right = self.pop_float()?;
                let left = self.pop_float()?;
                self.push(of_two_floats(uop.op, left, right));
            }
            SelectI64 | SelectF64 => {
                let condition = self.pop()?;
                let otherwise = self.pop()?;
                let then = self.pop()?;
                self.push(if condition != 0 { then } else { otherwise });
            }
            AddChecked | SubChecked | MulChecked | Div | Rem | DivU | RemU => {
                let (left, right) = (self.peek(1)?, self.peek(0)?);
                let Some(value) = partial(uop.op, left, right) else {
                    return Ok(true);
                };
                self.stack.truncate(self.stack.len() - 2);
                self.push(value);
            }
            F64ToI64 => {
                const LIMIT: f64 = 9_223_372_036_854_775_808.0;
                let value = f64::from_bits(self.peek(0)?);
                if !(value > -LIMIT && value < LIMIT) {
                    return Ok(true);
                }
                self.pop()?;
                self.push(value as i64 as u64);
            }
            GuardIndex => {
                if self.peek(1)? >= self.peek(0)? {
                    return Ok(true);
                }
                self.pop()?;
            }
            LoadAtS8 | LoadAtU8 | LoadAtS16 | LoadAtU16 | LoadAtS32 | LoadAtU32 | LoadAtI64
            | LoadAtF64 => {
                let (size, extend): (u64, fn(u64) -> u64) = match uop.op {
                    LoadAtS8 => (1, |value| value as i8 as u64),
                    LoadAtS16 => (2, |value| value as i16 as u64),
                    LoadAtS32 => (4, |value| value as i32 as u64),
                    LoadAtU8 => (1, |value| value),
                    LoadAtU16 => (2, |value| value),
                    LoadAtU32 => (4, |value| value),
                    _ => (8, |value| value),
                };
                let address = self.pop_element(size)?;
                match self.state.read(address, size as usize) {
                    Some(value) => self.push(extend(value)),
                    None => return self.outside(address),
                }
            }
            StoreAt8 | StoreAt16 | StoreAt32 | StoreAtI64 | StoreAtF64 => {
                let size: u64 = match uop.op {
                    StoreAt8 => 1,
                    StoreAt16 => 2,
                    StoreAt32 => 4,
                    _ => 8,
                };
                let address = self.pop_element(size)?;
                let value = self.pop()?;
                if self.state.write(address, size as usize, value).is_none() {
                    return self.outside(address);
                }
            }
            Jump => return Ok(true),
            JumpIfTrue | GuardFalse => return Ok(self.pop()? != 0),
            JumpIfFalse | GuardTrue => return Ok(self.pop()? == 0),
            Call0 | Call1 | Call2 | Call3 | Call4 | Call5 | Call6 | CallF1 | CallF2 => {
                self.call(uop)?;
            }
            // Leaves before it gets here.
            Exit => {}
            Add | Sub | Mul | And | Or | Xor | Shl | Shr | Sar | Rotl | Rotr | Min | Max | MinU
            | MaxU | Eq | Ne | Lt | Le | Gt | Ge | LtU | LeU | GtU | GeU => {
                let right = self.pop()?;
                let left = self.pop()?;
                self.push(of_two(uop.op, left, right));
            }
        }
        Ok(false)
    }

    /// The bits of a float operation's result. Which NaN comes of one that went in is left open, because compilers
    /// fold signs away; all go on with the one that the processor makes by itself.
    fn float(&mut self, inputs: &[f64], result: f64) -> u64 {
        let odd = |input: &f64| input.is_nan() && input.to_bits() != DEFAULT_NAN;
        self.ambiguous |= inputs.iter().any(odd);
        if result.is_nan() {
            DEFAULT_NAN
        } else {
            result.to_bits()
        }
    }

    fn pop_element(&mut self, size: u64) -> Result<u64, Undefined> {
        let index = self.pop()?;
        let pointer = self.pop()?;
        Ok(pointer.wrapping_add(index.wrapping_mul(size)))
    }

    fn outside<T>(&self, address: u64) -> Result<T, Undefined> {
        Err(Undefined::Access {
            uop: self.at,
            address,
        })
    }

    fn call(&mut self, uop: ScalarUop) -> Result<(), Undefined> {
        let mut arguments = [0; 6];
        let count = uop.op.inputs().len();
        for argument in arguments[..count].iter_mut().rev() {
            *argument = self.pop()?;
        }
        let [a, b, c, d, e, f] = arguments.map(|argument| argument as i64);
        let (x, y) = (f64::from_bits(arguments[0]), f64::from_bits(arguments[1]));
        let result = match native(uop.op, uop.operand) {
            Some(Function::Int0(function)) => function() as u64,
            Some(Function::Int1(function)) => function(a) as u64,
            Some(Function::Int2(function)) => function(a, b) as u64,
            Some(Function::Int3(function)) => function(a, b, c) as u64,
            Some(Function::Int4(function)) => function(a, b, c, d) as u64,
            Some(Function::Int5(function)) => function(a, b, c, d, e) as u64,
            Some(Function::Int6(function)) => function(a, b, c, d, e, f) as u64,
            Some(Function::Float1(function)) => function(x).to_bits(),
            Some(Function::Float2(function)) => function(x, y).to_bits(),
            None => return self.malformed(),
        };
        self.push(result);
        Ok(())
    }
}

fn of_one(op: Op, value: u64) -> u64 {
    let signed = value as i64;
    match op {
        Op::Neg => signed.wrapping_neg() as u64,
        Op::Not => !value,
        Op::Abs => signed.wrapping_abs() as u64,
        Op::Clz => value.leading_zeros().into(),
        Op::Ctz => value.trailing_zeros().into(),
        Op::Popcnt => value.count_ones().into(),
        Op::Bswap => value.swap_bytes(),
        Op::ExtendS8 => value as i8 as u64,
        Op::ExtendS16 => value as i16 as u64,
        Op::ExtendS32 => value as i32 as u64,
        Op::ExtendU8 => value as u8 as u64,
        Op::ExtendU16 => value as u16 as u64,
        Op::ExtendU32 => value as u32 as u64,
        Op::BoolNot => u64::from(value == 0),
        Op::I64ToF64 => (signed as f64).to_bits(),
        Op::NegF => value ^ 1 << 63,
        Op::AbsF => value & !(1 << 63),
        // The bits stay.
        _ => value,
    }
}

fn of_two(op: Op, left: u64, right: u64) -> u64 {
    let (a, b) = (left as i64, right as i64);
    let count = (right % 64) as u32;
    let truth = |holds: bool| u64::from(holds);
    match op {
        Op::Add => left.wrapping_add(right),
        Op::Sub => left.wrapping_sub(right),
        Op::Mul => left.wrapping_mul(right),
        Op::And => left & right,
        Op::Or => left | right,
        Op::Xor => left ^ right,
        Op::Shl => left << count,
        Op::Shr => left >> count,
        Op::Sar => (a >> count) as u64,
        Op::Rotl => left.rotate_left(count),
        Op::Rotr => left.rotate_right(count),
        Op::Min => a.min(b) as u64,
        Op::Max => a.max(b) as u64,
        Op::MinU => left.min(right),
        Op::MaxU => left.max(right),
        Op::Eq => truth(left == right),
        Op::Ne => truth(left != right),
        Op::Lt => truth(a < b),
        Op::Le => truth(a <= b),
        Op::Gt => truth(a > b),
        Op::Ge => truth(a >= b),
        Op::LtU => truth(left < right),
        Op::LeU => truth(left <= right),
        Op::GtU => truth(left > right),
        Op::GeU => truth(left >= right),
        _ => unreachable!("{op} is no such operation"),
    }
}

fn of_two_floats(op: Op, left: f64, right: f64) -> u64 {
    let truth = |holds: bool| u64::from(holds);
    match op {
        Op::MinF => if left < right { left } else { right }.to_bits(),
        Op::MaxF => if left > right { left } else { right }.to_bits(),
        Op::EqF => truth(left == right),
        Op::NeF => truth(left != right),
        Op::LtF => truth(left < right),
        Op::LeF => truth(left <= right),
        Op::GtF => truth(left > right),
        Op::GeF => truth(left >= right),
        _ => unreachable!("{op} is no such operation"),
    }
}

/// `None` where the uop jumps.
fn partial(op: Op, left: u64, right: u64) -> Option<u64> {
    let (a, b) = (left as i64, right as i64);
    match op {
        Op::AddChecked => a.checked_add(b).map(|value| value as u64),
        Op::SubChecked => a.checked_sub(b).map(|value| value as u64),
        Op::MulChecked => a.checked_mul(b).map(|value| value as u64),
        Op::Div => a.checked_div(b).map(|value| value as u64),
        Op::Rem => a.checked_rem(b).map(|value| value as u64),
        Op::DivU => left.checked_div(right),
        Op::RemU => left.checked_rem(right),
        _ => unreachable!("{op} is no such operation"),
    }
}
