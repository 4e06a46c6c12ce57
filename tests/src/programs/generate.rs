//! Programs made at random.
//!
//! Every local has a kind of value that it holds most of the time, and expressions are made for the kind that is wanted,
//! so that most programs run long. Now and then another kind is taken, a divisor may be zero and an index out of range:
//! guards fail, and some programs raise.

use super::ast::{Binary, Comparison, Expr, Piece, Program, Stmt, Target, Unary, Value};
use crate::numbers::Numbers;

/// The kind of value that an expression mostly has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Float,
    Str,
    Bool,
    List,
    Tuple,
    Dict,
    Set,
    Any,
}

use Kind::{Any, Bool, Dict, Float, Int, List, Set, Str, Tuple};

/// The locals: name, kind, and whether it is a parameter. Those that count loops come last.
const LOCALS: [(&str, Kind, bool); 20] = [
    ("i0", Int, true),
    ("x0", Float, true),
    ("s0", Str, true),
    ("l0", List, true),
    ("a0", Any, true),
    ("d0", Dict, true),
    ("u0", Set, true),
    ("u1", Set, true),
    ("i1", Int, false),
    ("i2", Int, false),
    ("x1", Float, false),
    ("s1", Str, false),
    ("b0", Bool, false),
    ("l1", List, false),
    ("t0", Tuple, false),
    ("d1", Dict, false),
    ("a1", Any, false),
    ("k0", Int, false),
    ("k1", Int, false),
    ("k2", Int, false),
];

/// Where the counters start among the locals; there is one for each depth of loops.
const COUNTERS: usize = 17;

/// How deep statements are nested.
const NESTING: usize = 3;

const INTS: [i128; 22] = [
    0,
    1,
    -1,
    2,
    3,
    -5,
    7,
    10,
    64,
    255,
    256,
    -257,
    1 << 29,
    (1 << 30) - 1,
    1 << 30,
    -(1 << 30),
    i32::MAX as i128,
    1 << 62,
    i64::MAX as i128,
    i64::MIN as i128,
    1 << 64,
    -(1 << 100),
];

const FLOATS: [f64; 18] = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.1,
    2.5,
    3.0,
    1e16,
    -1e22,
    1e300,
    5e-324,
    1e-5,
    123456.789,
    9007199254740993.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    0.5,
];

const TEXTS: [&str; 12] = [
    "",
    "a",
    "b",
    "abc",
    "Hello, world",
    "12",
    "-7",
    " 3.5 ",
    "na\u{ef}ve",
    "\u{3b1}\u{3b2}",
    "\u{1f600}!",
    "it's \"\n\\",
];

/// The program of this number.
pub fn generate(seed: u64) -> Program {
    // Neighbouring seeds give xorshift neighbouring numbers at first.
    let mixed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut numbers = Numbers::new(mixed ^ mixed >> 32);
    for _ in 0..8 {
        numbers.number();
    }
    Generator {
        numbers,
        loops: 0,
        work: 1,
    }
    .program()
}

struct Generator {
    numbers: Numbers,
    /// How many loops there are around.
    loops: usize,
    /// How often the statement that is made runs, about.
    work: usize,
}

impl Generator {
    fn below(&mut self, limit: usize) -> usize {
        self.numbers.below(limit)
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn program(mut self) -> Program {
        let mut body = Vec::new();
        let parameters = LOCALS.iter().filter(|local| local.2).count();
        for (local, &(_, kind, _)) in LOCALS.iter().enumerate().take(COUNTERS).skip(parameters) {
            if !self.once_in(200) {
                let value = self.value(kind);
                body.push(Stmt::Assign(Target::Local(local), literal(&value)));
            }
        }
        for counter in COUNTERS..LOCALS.len() {
            let zero = Expr::Constant(Value::Int(0));
            body.push(Stmt::Assign(Target::Local(counter), zero));
        }
        let count = 3 + self.below(8);
        body.extend(self.block(count, NESTING));
        let arguments = LOCALS[..parameters]
            .iter()
            .map(|&(_, kind, _)| self.value(kind))
            .collect();
        Program {
            names: LOCALS.iter().map(|local| local.0.to_owned()).collect(),
            arguments,
            body,
        }
    }

    /// An argument; a loop that starts with another kind than it meets later has guards that fail.
    fn value(&mut self, kind: Kind) -> Value {
        let kind = match self.once_in(40) {
            true => self.any_kind(),
            false => kind,
        };
        match kind {
            List => {
                let inner = self.any_item();
                Value::List((0..3 + self.below(5)).map(|_| self.value(inner)).collect())
            }
            Tuple => Value::Tuple((0..2 + self.below(3)).map(|_| self.value(Int)).collect()),
            Dict => Value::Dict((0..self.below(5)).map(|_| self.pair()).collect()),
            Set => Value::Set((0..self.below(6)).map(|_| self.key()).collect()),
            Any => {
                let kind = self.any_kind();
                match self.once_in(5) {
                    true => Value::None,
                    false => self.value(kind),
                }
            }
            _ => self.constant(kind),
        }
    }

    /// A key of dicts, an item of sets; equal ones of different types among them.
    fn key(&mut self) -> Value {
        let kind = match self.once_in(4) {
            true => self.pick(&[Str, Bool, Float, Int]),
            false => return Value::Int(self.below(8) as i128),
        };
        self.constant(kind)
    }

    fn pair(&mut self) -> (Value, Value) {
        let kind = self.any_item();
        (self.key(), self.value(kind))
    }

    fn any_kind(&mut self) -> Kind {
        self.pick(&[Int, Float, Str, Bool, List, Tuple])
    }

    /// What lists hold: mostly ints.
    fn any_item(&mut self) -> Kind {
        match self.once_in(16) {
            true => self.pick(&[Float, Str, Bool]),
            false => Int,
        }
    }

    fn constant(&mut self, kind: Kind) -> Value {
        match kind {
            Int if self.once_in(3) => Value::Int(self.pick(&INTS)),
            Int => Value::Int(self.below(20) as i128 - 4),
            Float if self.once_in(3) => Value::Float(self.pick(&FLOATS)),
            Float => Value::Float(self.below(64) as f64 / 4.0 - 4.0),
            Str => Value::Str(self.pick(&TEXTS).to_owned()),
            Bool => Value::Bool(self.once_in(2)),
            _ => Value::None,
        }
    }

    fn block(&mut self, count: usize, nesting: usize) -> Vec<Stmt> {
        let mut statements = Vec::new();
        for _ in 0..count {
            self.statement(nesting, &mut statements);
        }
        statements
    }

    /// A local that is not counting a loop.
    fn local(&mut self) -> (usize, Kind) {
        let local = self.below(COUNTERS);
        (local, LOCALS[local].1)
    }

    /// A local of this kind; counters among them if it is to be read.
    fn local_of(&mut self, kind: Kind) -> usize {
        let fits = |local: &usize| kind == Any || LOCALS[*local].1 == kind;
        let choice: Vec<usize> = (0..COUNTERS).filter(fits).collect();
        self.pick(&choice)
    }

    fn statement(&mut self, nesting: usize, into: &mut Vec<Stmt>) {
        match self.below(100) {
            0..38 => {
                let (local, kind) = self.local();
                let value = self.bounded(kind);
                into.push(Stmt::Assign(Target::Local(local), value));
            }
            38..54 => {
                let statement = self.augmented();
                into.push(statement);
            }
            54..60 => {
                let statement = self.store();
                into.push(statement);
            }
            60..62 => {
                let statement = self.store_in_dict();
                into.push(statement);
            }
            62..67 => {
                let statement = self.unpack();
                into.push(statement);
            }
            67..80 if nesting > 0 => {
                let test = self.expr(Bool, 2);
                let (then, otherwise) = (1 + self.below(3), self.below(3));
                let then = self.block(then, nesting - 1);
                let otherwise = self.block(otherwise, nesting - 1);
                into.push(Stmt::If(test, then, otherwise));
            }
            80..94 if nesting > 0 && self.work < 1500 => self.repeat(nesting, into),
            94 if self.once_in(12) => into.push(Stmt::Delete(self.local().0)),
            95 => {
                let value = self.expr(Any, 2);
                into.push(Stmt::Expression(value));
            }
            96..98 if self.loops > 0 => {
                let leave = match self.once_in(2) {
                    true => Stmt::Break,
                    false => Stmt::Continue,
                };
                let test = self.expr(Bool, 2);
                into.push(Stmt::If(test, vec![leave], vec![]));
            }
            98 if self.once_in(3) => {
                let test = self.expr(Bool, 2);
                into.push(Stmt::If(test, vec![Stmt::Return], vec![]));
            }
            _ => {
                let local = self.local_of(Int);
                let value = self.bounded(Int);
                into.push(Stmt::Assign(Target::Local(local), value));
            }
        }
    }

    /// An expression whose value does not grow without end when a loop computes it again and again.
    fn bounded(&mut self, kind: Kind) -> Expr {
        let value = self.expr(kind, 3);
        let grows = self.loops > 0 && !self.once_in(8);
        match kind {
            Int if grows => {
                let limit = self.pick(&[97, 1000, (1 << 30) + 3, (1 << 62) + 1, 1 << 70]);
                let operator = self.pick(&[Binary::Remainder, Binary::And]);
                binary(operator, value, Expr::Constant(Value::Int(limit)))
            }
            Str | List | Tuple if grows => {
                let limit = Expr::Constant(Value::Int(3 + self.below(12) as i128));
                Expr::Slice(Box::new(value), None, Some(Box::new(limit)))
            }
            _ => value,
        }
    }

    fn augmented(&mut self) -> Stmt {
        let kind = self.pick(&[
            Int, Int, Int, Int, Float, Float, Str, List, Tuple, Bool, Dict, Set,
        ]);
        let local = self.local_of(kind);
        let (operator, value) = match kind {
            Float => {
                let operator = self.float_operator();
                (operator, self.expr(Float, 2))
            }
            Str | List | Tuple => (Binary::Add, self.small(kind)),
            Dict => (Binary::Or, self.expr(Dict, 1)),
            Set => {
                let operator = self.pick(&[Binary::Or, Binary::And, Binary::Subtract, Binary::Xor]);
                (operator, self.expr(Set, 1))
            }
            _ => {
                let operator = self.pick(&[
                    Binary::Add,
                    Binary::Add,
                    Binary::Subtract,
                    Binary::Xor,
                    Binary::Or,
                    Binary::And,
                ]);
                (operator, self.expr(Int, 2))
            }
        };
        if kind == List && self.once_in(3) {
            let target = Target::Subscript(Expr::Local(local), self.index(local));
            return Stmt::Augmented(target, Binary::Add, self.expr(Int, 1));
        }
        Stmt::Augmented(Target::Local(local), operator, value)
    }

    /// A short sequence.
    fn small(&mut self, kind: Kind) -> Expr {
        match kind {
            Str => Expr::Constant(self.constant(Str)),
            List => Expr::List((0..self.below(3)).map(|_| self.expr(Int, 1)).collect()),
            _ => Expr::Tuple((0..self.below(3)).map(|_| self.expr(Int, 1)).collect()),
        }
    }

    fn store(&mut self) -> Stmt {
        let list = self.local_of(List);
        let place = Expr::Local(list);
        match self.below(8) {
            0 => Stmt::DeleteItem(place, self.index(list)),
            1 => {
                let (low, high) = (self.place(), self.place());
                Stmt::Assign(Target::Slice(place, low, high), self.small(List))
            }
            _ => {
                let kind = self.any_item();
                let index = self.index(list);
                Stmt::Assign(Target::Subscript(place, index), self.expr(kind, 2))
            }
        }
    }

    /// A key of the dict in a local, or something else to look for.
    fn sought(&mut self) -> Expr {
        match self.below(4) {
            0 => literal(&self.key()),
            1 => self.expr(Any, 1),
            _ => {
                let limit = Expr::Constant(Value::Int(8));
                binary(Binary::Remainder, self.expr(Int, 1), limit)
            }
        }
    }

    fn store_in_dict(&mut self) -> Stmt {
        let dict = Expr::Local(self.local_of(Dict));
        let key = match self.once_in(30) {
            true => self.expr(Any, 1),
            false => {
                let limit = Expr::Constant(Value::Int(8));
                binary(Binary::Remainder, self.expr(Int, 1), limit)
            }
        };
        let is_there = compare(Comparison::In, key.clone(), dict.clone());
        match self.below(8) {
            0 => {
                let delete = Stmt::DeleteItem(dict, key);
                match self.once_in(10) {
                    true => delete,
                    false => Stmt::If(is_there, vec![delete], vec![]),
                }
            }
            1 | 2 => {
                let target = Target::Subscript(dict.clone(), key.clone());
                let value = self.expr(Int, 1);
                let add = Stmt::Augmented(target.clone(), Binary::Add, value);
                let one = Expr::Constant(Value::Int(1));
                Stmt::If(is_there, vec![add], vec![Stmt::Assign(target, one)])
            }
            _ => {
                let kind = self.any_item();
                Stmt::Assign(Target::Subscript(dict, key), self.expr(kind, 2))
            }
        }
    }

    fn unpack(&mut self) -> Stmt {
        let count = 2 + usize::from(self.once_in(3));
        let mut to = Vec::new();
        let mut items = Vec::new();
        for _ in 0..count {
            let (local, kind) = self.local();
            to.push(local);
            items.push(self.expr(kind, 1));
        }
        let value = match self.below(12) {
            0 => Expr::List(items),
            1 if self.once_in(8) => {
                let kind = self.pick(&[Tuple, List, Str]);
                Expr::Local(self.local_of(kind))
            }
            2 if self.once_in(2) => Expr::Slice(
                Box::new(Expr::Local(self.local_of(List))),
                None,
                Some(Box::new(Expr::Constant(Value::Int(count as i128)))),
            ),
            _ => Expr::Tuple(items),
        };
        Stmt::Unpack(to, value)
    }

    fn repeat(&mut self, nesting: usize, into: &mut Vec<Stmt>) {
        let counter = COUNTERS + self.loops;
        let limit = 2 + self.below(40);
        let count = 1 + self.below(4);
        let before = self.work;
        self.loops += 1;
        self.work *= limit;
        if self.once_in(3) {
            let mut test = Expr::Compare(
                Comparison::Less,
                Box::new(Expr::Local(counter)),
                Box::new(Expr::Constant(Value::Int(limit as i128))),
            );
            if self.once_in(2) {
                test = Expr::And(Box::new(test), Box::new(self.expr(Bool, 2)));
            }
            let mut body = vec![Stmt::Augmented(
                Target::Local(counter),
                Binary::Add,
                Expr::Constant(Value::Int(1)),
            )];
            body.extend(self.block(count, nesting - 1));
            into.push(Stmt::Assign(
                Target::Local(counter),
                Expr::Constant(Value::Int(0)),
            ));
            into.push(Stmt::While(test, body));
        } else {
            let (over, kind) = self.iterable(limit);
            let local = match self.once_in(40) {
                true => self.local().0,
                false => self.local_of(kind),
            };
            let body = self.block(count, nesting - 1);
            into.push(Stmt::For(local, over, body));
        }
        self.loops -= 1;
        self.work = before;
    }

    fn iterable(&mut self, limit: usize) -> (Expr, Kind) {
        let int = |value: i128| Expr::Constant(Value::Int(value));
        let limit = limit as i128;
        match self.below(10) {
            0..4 => (Expr::Call("range", vec![int(limit)]), Int),
            4 => (Expr::Call("range", vec![int(limit), int(-3), int(-2)]), Int),
            5 => {
                let start = self.pick(&INTS);
                (
                    Expr::Call("range", vec![int(start), int(start + limit)]),
                    Int,
                )
            }
            6 | 7 => {
                let list = Expr::Local(self.local_of(List));
                match self.once_in(4) {
                    true => (list, Int),
                    false => (Expr::Slice(Box::new(list), None, None), Int),
                }
            }
            8 => {
                let kind = self.pick(&[Tuple, Dict]);
                (Expr::Local(self.local_of(kind)), Int)
            }
            _ => (Expr::Local(self.local_of(Str)), Str),
        }
    }

    fn expr(&mut self, kind: Kind, depth: usize) -> Expr {
        if self.once_in(1500) {
            let other = self.any_kind();
            return self.expr_of(other, depth);
        }
        self.expr_of(kind, depth)
    }

    fn expr_of(&mut self, kind: Kind, depth: usize) -> Expr {
        if kind == Any {
            let kind = self.any_kind();
            return match self.below(6) {
                0 => Expr::Constant(Value::None),
                1 => Expr::Local(self.local_of(Any)),
                _ => self.expr_of(kind, depth),
            };
        }
        if depth == 0 || self.once_in(5) {
            return self.leaf(kind);
        }
        if self.once_in(12) {
            return self.choice(kind, depth);
        }
        match kind {
            Int => self.int(depth),
            Float => self.float(depth),
            Str => self.text(depth),
            Bool => self.truth(depth),
            Dict => self.dict(depth),
            Set => self.set(depth),
            List | Tuple | Any => self.sequence(kind, depth),
        }
    }

    fn leaf(&mut self, kind: Kind) -> Expr {
        if self.loops > 0 && kind == Int && self.once_in(4) {
            return Expr::Local(COUNTERS + self.below(self.loops));
        }
        match kind {
            _ if kind == Set || !self.once_in(3) => Expr::Local(self.local_of(kind)),
            Dict => {
                let pairs: Vec<(Value, Value)> = (0..self.below(4)).map(|_| self.pair()).collect();
                literal(&Value::Dict(pairs))
            }
            List => Expr::List((0..1 + self.below(4)).map(|_| self.leaf(Int)).collect()),
            Tuple => Expr::Tuple((0..2 + self.below(2)).map(|_| self.leaf(Int)).collect()),
            _ => literal(&self.constant(kind)),
        }
    }

    /// Expressions with branches.
    fn choice(&mut self, kind: Kind, depth: usize) -> Expr {
        let left = Box::new(self.expr(kind, depth - 1));
        let right = Box::new(self.expr(kind, depth - 1));
        match self.below(3) {
            0 => Expr::And(left, right),
            1 => Expr::Or(left, right),
            _ => Expr::If(Box::new(self.expr(Bool, depth - 1)), left, right),
        }
    }

    fn int(&mut self, depth: usize) -> Expr {
        let depth = depth - 1;
        match self.below(24) {
            0..9 => {
                let operator = self.pick(&[
                    Binary::Add,
                    Binary::Add,
                    Binary::Subtract,
                    Binary::Subtract,
                    Binary::Multiply,
                    Binary::And,
                    Binary::Or,
                    Binary::Xor,
                ]);
                binary(operator, self.expr(Int, depth), self.expr(Int, depth))
            }
            9..12 => {
                let operator = self.pick(&[Binary::FloorDivide, Binary::Remainder]);
                let left = self.expr(Int, depth);
                binary(operator, left, self.divisor(depth))
            }
            12 => {
                let operator = self.pick(&[Binary::LeftShift, Binary::RightShift]);
                let left = self.expr(Int, depth);
                let by = match self.once_in(30) {
                    true => self.expr(Int, 0),
                    false => Expr::Constant(Value::Int(self.below(70) as i128)),
                };
                binary(operator, left, by)
            }
            13 => {
                let left = self.expr(Int, depth);
                let power = Expr::Constant(Value::Int(self.below(5) as i128));
                binary(Binary::Power, left, power)
            }
            14 => {
                let operator = self.pick(&[Unary::Negative, Unary::Invert]);
                Expr::Unary(operator, Box::new(self.expr(Int, depth)))
            }
            15 => call("abs", [self.expr(Int, depth)]),
            16 => {
                let kind = self.pick(&[List, Str, Tuple]);
                call("len", [self.expr(kind, depth)])
            }
            17 => {
                let name = self.pick(&["min", "max"]);
                call(name, [self.expr(Int, depth), self.expr(Int, depth)])
            }
            18 => {
                let name = self.pick(&["sum", "max", "min"]);
                call(name, [self.expr(List, depth)])
            }
            19 | 20 => {
                let list = self.local_of(List);
                let index = self.index(list);
                Expr::Subscript(Box::new(Expr::Local(list)), Box::new(index))
            }
            21 => {
                let tuple = Expr::Local(self.local_of(Tuple));
                let index = Expr::Constant(Value::Int(self.below(3) as i128 - 1));
                Expr::Subscript(Box::new(tuple), Box::new(index))
            }
            22 => {
                let name = self.pick(&["int", "round"]);
                // What is not finite is no int.
                let limit = Expr::Constant(Value::Float(1e9));
                call(name, [call("min", [self.expr(Float, depth), limit])])
            }
            _ => self.rare_int(depth),
        }
    }

    fn rare_int(&mut self, depth: usize) -> Expr {
        match self.below(8) {
            4 | 5 => {
                let (dict, key) = (Expr::Local(self.local_of(Dict)), self.sought());
                let item = Expr::Subscript(Box::new(dict.clone()), Box::new(key.clone()));
                match self.once_in(12) {
                    true => item,
                    false => {
                        let is_there = compare(Comparison::In, key, dict);
                        let other = Box::new(self.expr(Int, depth));
                        Expr::If(Box::new(is_there), Box::new(item), other)
                    }
                }
            }
            6 => {
                let kind = self.pick(&[Dict, Set]);
                call("len", [self.expr(kind, depth)])
            }
            0 => {
                let text = Expr::Subscript(
                    Box::new(Expr::Constant(Value::Str("mimeo".to_owned()))),
                    Box::new(Expr::Constant(Value::Int(self.below(5) as i128))),
                );
                call("ord", [text])
            }
            1 => call("int", [call("str", [self.expr(Int, depth)])]),
            2 => call("int", [self.expr(Bool, depth)]),
            _ => binary(Binary::Add, self.expr(Bool, depth), self.expr(Int, depth)),
        }
    }

    /// What is divided by: rarely zero.
    fn divisor(&mut self, depth: usize) -> Expr {
        match self.below(24) {
            0 => self.expr(Int, depth),
            1..12 => {
                let one = Expr::Constant(Value::Int(1));
                binary(Binary::Or, self.expr(Int, depth), one)
            }
            _ => Expr::Constant(Value::Int(self.pick(&[1, 2, 3, 7, -3, -10, 1 << 33]))),
        }
    }

    /// An index into a local that holds a sequence, rarely out of range.
    fn index(&mut self, local: usize) -> Expr {
        match self.below(16) {
            0 => self.expr(Int, 1),
            1..4 => Expr::Constant(Value::Int(self.below(4) as i128 - 2)),
            _ => {
                let length = call("len", [Expr::Local(local)]);
                binary(Binary::Remainder, self.expr(Int, 1), length)
            }
        }
    }

    /// A bound of a slice: anything goes.
    fn place(&mut self) -> Expr {
        match self.once_in(4) {
            true => self.expr(Int, 1),
            false => Expr::Constant(Value::Int(self.below(9) as i128 - 3)),
        }
    }

    fn float_operator(&mut self) -> Binary {
        self.pick(&[
            Binary::Add,
            Binary::Subtract,
            Binary::Multiply,
            Binary::Add,
            Binary::Subtract,
            Binary::Multiply,
            Binary::TrueDivide,
        ])
    }

    fn float(&mut self, depth: usize) -> Expr {
        let depth = depth - 1;
        match self.below(16) {
            0..8 => {
                let operator = self.pick(&[Binary::Add, Binary::Subtract, Binary::Multiply]);
                binary(operator, self.expr(Float, depth), self.expr(Float, depth))
            }
            8 | 9 => {
                let operator = self.pick(&[Binary::Add, Binary::Multiply, Binary::Subtract]);
                match self.once_in(2) {
                    true => binary(operator, self.expr(Int, 0), self.expr(Float, depth)),
                    false => binary(operator, self.expr(Float, depth), self.expr(Int, 0)),
                }
            }
            10 | 11 => {
                let operator =
                    self.pick(&[Binary::TrueDivide, Binary::FloorDivide, Binary::Remainder]);
                let left = self.expr(Float, depth);
                let right = match self.once_in(20) {
                    true => self.expr(Float, depth),
                    false => Expr::Constant(Value::Float(self.pick(&[0.5, -3.0, 7.25, 1e10]))),
                };
                binary(operator, left, right)
            }
            12 => binary(Binary::TrueDivide, self.expr(Int, 0), self.divisor(0)),
            13 => Expr::Unary(Unary::Negative, Box::new(self.expr(Float, depth))),
            14 => call("abs", [self.expr(Float, depth)]),
            _ => match self.below(4) {
                0 => {
                    let power = self.pick(&[0.5, 2.0, -1.0, 3.0]);
                    let base = call("abs", [self.expr(Float, depth)]);
                    binary(Binary::Power, base, Expr::Constant(Value::Float(power)))
                }
                1 => call("float", [self.expr(Int, 0)]),
                2 => call("max", [self.expr(Float, depth), self.expr(Float, depth)]),
                _ => {
                    let digits = Expr::Constant(Value::Int(self.below(4) as i128));
                    call("round", [self.expr(Float, depth), digits])
                }
            },
        }
    }

    fn text(&mut self, depth: usize) -> Expr {
        let depth = depth - 1;
        match self.below(14) {
            0..4 => binary(Binary::Add, self.expr(Str, depth), self.expr(Str, depth)),
            4 => {
                let times = Expr::Constant(Value::Int(self.below(4) as i128 - 1));
                binary(Binary::Multiply, self.expr(Str, depth), times)
            }
            5 => {
                let kind = self.any_kind();
                let name = self.pick(&["str", "str", "repr"]);
                call(name, [self.expr(kind, depth)])
            }
            6 => {
                let code = binary(
                    Binary::Remainder,
                    self.expr(Int, depth),
                    Expr::Constant(Value::Int(self.pick(&[128, 300, 55000]))),
                );
                call("chr", [code])
            }
            7 | 8 => {
                let text = self.expr(Str, depth);
                let whole = binary(Binary::Add, text, Expr::Constant(Value::Str("xyz".into())));
                let index = Expr::Constant(Value::Int(self.below(6) as i128 - 3));
                Expr::Subscript(Box::new(whole), Box::new(index))
            }
            9 | 10 => self.slice(Str, depth),
            _ => {
                let mut pieces = vec![Piece::Text("n = ".to_owned())];
                for _ in 0..1 + self.below(2) {
                    let kind = self.pick(&[Int, Float, Str, Bool, List]);
                    let conversion = self.pick(&[None, None, Some('r'), Some('s'), Some('a')]);
                    // A string inside would end the one it is in; locals only.
                    let value = Expr::Local(self.local_of(kind));
                    pieces.push(Piece::Value(value, conversion));
                    pieces.push(Piece::Text(", ".to_owned()));
                }
                Expr::Format(pieces)
            }
        }
    }

    fn slice(&mut self, kind: Kind, depth: usize) -> Expr {
        let whole = Box::new(self.expr(kind, depth));
        match self.below(5) {
            0 => {
                let step = Expr::Constant(Value::Int(self.pick(&[1, 2, -1, -2, 5])));
                let (low, high) = (Box::new(self.place()), Box::new(self.place()));
                Expr::SteppedSlice(whole, low, high, Box::new(step))
            }
            1 => Expr::Slice(whole, None, Some(Box::new(self.place()))),
            2 => Expr::Slice(whole, Some(Box::new(self.place())), None),
            _ => {
                let (low, high) = (Box::new(self.place()), Box::new(self.place()));
                Expr::Slice(whole, Some(low), Some(high))
            }
        }
    }

    fn truth(&mut self, depth: usize) -> Expr {
        use Comparison::{
            Equal, Greater, GreaterEqual, In, Is, IsNot, Less, LessEqual, NotEqual, NotIn,
        };
        let depth = depth - 1;
        let ordered = [Less, LessEqual, Equal, NotEqual, Greater, GreaterEqual];
        match self.below(16) {
            0..9 => {
                let kind = self.pick(&[Int, Int, Int, Int, Float, Float, Str, List, Tuple]);
                let comparison = self.pick(&ordered);
                compare(comparison, self.expr(kind, depth), self.expr(kind, depth))
            }
            9 => {
                let comparison = self.pick(&ordered);
                compare(comparison, self.expr(Int, depth), self.expr(Float, depth))
            }
            10 => {
                let comparison = self.pick(&[Equal, NotEqual]);
                compare(comparison, self.expr(Any, depth), self.expr(Any, depth))
            }
            11 => {
                let comparison = self.pick(&[In, NotIn]);
                let (item, kind) = self.pick(&[(Int, List), (Int, Tuple), (Str, Str)]);
                compare(comparison, self.expr(item, depth), self.expr(kind, depth))
            }
            12 => {
                let comparison = self.pick(&[Is, IsNot]);
                let value = Expr::Local(self.local_of(Any));
                compare(comparison, value, Expr::Constant(Value::None))
            }
            13 if self.once_in(2) => {
                let kind = self.pick(&[Dict, Set]);
                let comparison = match kind {
                    Dict => self.pick(&[Equal, NotEqual]),
                    _ => self.pick(&ordered),
                };
                match self.once_in(3) {
                    true => compare(comparison, self.expr(kind, depth), self.expr(kind, depth)),
                    false => {
                        let comparison = self.pick(&[In, NotIn]);
                        compare(comparison, self.sought(), self.expr(kind, depth))
                    }
                }
            }
            13 => Expr::Unary(Unary::Not, Box::new(self.expr(Any, depth))),
            14 => {
                let value = self.expr(Any, depth);
                let name = self.pick(&["int", "float", "str", "list", "bool", "tuple"]);
                call("isinstance", [value, Expr::Builtin(name)])
            }
            _ => call("bool", [self.expr(Any, depth)]),
        }
    }

    fn dict(&mut self, depth: usize) -> Expr {
        let depth = depth - 1;
        match self.below(4) {
            0 => binary(Binary::Or, self.expr(Dict, depth), self.expr(Dict, depth)),
            _ => {
                let count = self.below(4);
                let pair = |generator: &mut Self| {
                    let kind = generator.any_item();
                    let key = literal(&generator.key());
                    (key, generator.expr(kind, depth.min(1)))
                };
                Expr::Dict((0..count).map(|_| pair(self)).collect())
            }
        }
    }

    fn set(&mut self, depth: usize) -> Expr {
        let operator = self.pick(&[Binary::Or, Binary::And, Binary::Subtract, Binary::Xor]);
        binary(
            operator,
            self.expr(Set, depth - 1),
            self.expr(Set, depth - 1),
        )
    }

    fn sequence(&mut self, kind: Kind, depth: usize) -> Expr {
        let depth = depth - 1;
        match self.below(10) {
            0..2 => binary(Binary::Add, self.expr(kind, depth), self.expr(kind, depth)),
            2 => {
                let times = Expr::Constant(Value::Int(self.below(4) as i128 - 1));
                binary(Binary::Multiply, self.expr(kind, depth), times)
            }
            3 | 4 => self.slice(kind, depth),
            5 => {
                let other = self.pick(&[List, Tuple, Str, Dict]);
                let name = if kind == List { "list" } else { "tuple" };
                call(name, [self.expr(other, depth)])
            }
            6 if kind == List => call("sorted", [self.expr(List, depth)]),
            _ => {
                let item = self.any_item();
                let count = 2 + self.below(3);
                let items = (0..count).map(|_| self.expr(item, depth.min(1))).collect();
                match kind {
                    List => Expr::List(items),
                    _ => Expr::Tuple(items),
                }
            }
        }
    }
}

/// An expression that makes a value. NaN has no literal, and which one it is matters to dicts and lists: a new one is
/// computed each time.
fn literal(value: &Value) -> Expr {
    let infinity = || Expr::Constant(Value::Float(f64::INFINITY));
    match value {
        Value::Float(value) if value.is_nan() => binary(Binary::Subtract, infinity(), infinity()),
        Value::List(items) => Expr::List(items.iter().map(literal).collect()),
        Value::Tuple(items) => Expr::Tuple(items.iter().map(literal).collect()),
        Value::Dict(items) => {
            let pairs = items.iter();
            Expr::Dict(
                pairs
                    .map(|(key, value)| (literal(key), literal(value)))
                    .collect(),
            )
        }
        _ => Expr::Constant(value.clone()),
    }
}

fn binary(operator: Binary, left: Expr, right: Expr) -> Expr {
    Expr::Binary(operator, Box::new(left), Box::new(right))
}

fn compare(comparison: Comparison, left: Expr, right: Expr) -> Expr {
    Expr::Compare(comparison, Box::new(left), Box::new(right))
}

fn call<const N: usize>(name: &'static str, arguments: [Expr; N]) -> Expr {
    Expr::Call(name, arguments.into())
}
