//! Programs as blocks of instructions for a stack machine, much like CPython's bytecode.

use super::ast::{Binary, Comparison, Expr, Piece, Program, Stmt, Target, Unary, Value};

/// An instruction. Each but those on the stack and on locals is one of CPython's.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Pushes a local; whether it may be unbound.
    Load(usize, bool),
    /// Pops into a local.
    Store(usize),
    /// Unbinds a local.
    Delete(usize),
    /// Pushes a constant.
    Constant(usize),
    /// Pushes a built-in callable and the null below its arguments.
    Callable(usize),
    /// Pushes a built-in callable.
    Builtin(usize),
    /// Drops the top.
    Pop,
    /// Pushes the value so deep, 1 being the top.
    Copy(u32),
    /// Swaps the top with the value so deep.
    Swap(u32),
    /// An operator with one operand.
    Unary(Unary),
    /// Truth, as a bool.
    ToBool,
    /// An operator with two operands; whether in place.
    Binary(Binary, bool),
    /// A comparison.
    Compare(Comparison),
    /// `x[i]`
    Subscript,
    /// `x[low:high]`
    Slice,
    /// Takes the value, the container and the index.
    StoreSubscript,
    /// Takes the value, the container and the bounds.
    StoreSlice,
    /// Takes the container and the index.
    DeleteSubscript,
    /// Makes a slice of three bounds.
    BuildSlice,
    /// Makes a list.
    List(u32),
    /// Makes a tuple.
    Tuple(u32),
    /// Makes a dict of so many keys and values.
    Map(u32),
    /// Joins strings.
    Join(u32),
    /// Pushes the items of a sequence, the first on top.
    Unpack(u32),
    /// `format(x, "")`
    Format,
    /// `str`, `repr` or `ascii`: 1 to 3.
    Convert(u32),
    /// Calls what is below so many arguments.
    Call(u32),
    /// `iter(x)`
    Iterate,
}

/// A block's number.
pub type BlockId = usize;

/// How a block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With another.
    Go(BlockId),
    /// With one of two, for the bool that is popped.
    Branch {
        /// For True.
        then: BlockId,
        /// For False.
        otherwise: BlockId,
    },
    /// With the iterator's next item pushed, or with the exhausted iterator still on the stack.
    Next {
        /// Where there is one.
        body: BlockId,
        /// Where there is none.
        done: BlockId,
    },
    /// With the program's end.
    Return,
}

/// Instructions that run one after the other.
#[derive(Clone, Debug)]
pub struct Block {
    /// The instructions.
    pub ops: Vec<Op>,
    /// What comes after them.
    pub end: End,
    /// How many values are on the stack at its start.
    pub depth: u32,
}

/// A compiled program.
#[derive(Clone, Debug)]
pub struct Code {
    /// The blocks; the first is where it starts.
    pub blocks: Vec<Block>,
    /// The constants.
    pub constants: Vec<Value>,
    /// The names of the built-in callables.
    pub callables: Vec<&'static str>,
    /// How deep the stack gets.
    pub stack: u32,
}

/// Compiles a program.
pub fn compile(program: &Program) -> Code {
    let mut compiler = Compiler {
        code: Code {
            blocks: Vec::new(),
            constants: Vec::new(),
            callables: Vec::new(),
            stack: 0,
        },
        current: 0,
        depth: 0,
        bound: (0..program.names.len())
            .map(|local| local < program.arguments.len())
            .collect(),
        deleted: vec![false; program.names.len()],
        loops: Vec::new(),
    };
    find_deleted(&program.body, &mut compiler.deleted);
    compiler.block(0);
    compiler.body(&program.body);
    compiler.end(End::Return);
    compiler.code
}

/// Which locals are deleted anywhere.
fn find_deleted(body: &[Stmt], deleted: &mut [bool]) {
    for statement in body {
        match statement {
            Stmt::Delete(local) => deleted[*local] = true,
            Stmt::If(_, then, otherwise) => {
                find_deleted(then, deleted);
                find_deleted(otherwise, deleted);
            }
            Stmt::While(_, body) | Stmt::For(_, _, body) => find_deleted(body, deleted),
            _ => {}
        }
    }
}

/// A loop around what is compiled.
struct Loop {
    again: BlockId,
    /// Behind the loop.
    leave: BlockId,
    /// Whether its iterator is on the stack.
    iterates: bool,
}

struct Compiler {
    code: Code,
    current: BlockId,
    depth: u32,
    /// Which locals are certainly bound here, but for those that are deleted somewhere.
    bound: Vec<bool>,
    deleted: Vec<bool>,
    loops: Vec<Loop>,
}

impl Compiler {
    /// A new block that starts with so many values.
    fn block(&mut self, depth: u32) -> BlockId {
        self.code.blocks.push(Block {
            ops: Vec::new(),
            end: End::Return,
            depth,
        });
        self.code.blocks.len() - 1
    }

    fn start(&mut self, block: BlockId) {
        self.current = block;
        self.depth = self.code.blocks[block].depth;
    }

    fn end(&mut self, end: End) {
        self.code.blocks[self.current].end = end;
    }

    /// Appends an instruction that changes the depth of the stack by this much.
    fn op(&mut self, op: Op, change: i64) {
        self.code.blocks[self.current].ops.push(op);
        self.depth = u32::try_from(i64::from(self.depth) + change).expect("no underflow");
        self.code.stack = self.code.stack.max(self.depth + 1);
    }

    fn store(&mut self, local: usize) {
        self.op(Op::Store(local), -1);
        self.bound[local] = true;
    }

    fn body(&mut self, body: &[Stmt]) {
        for statement in body {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Assign(target, value) => {
                self.expr(value);
                self.assign(target);
            }
            Stmt::Augmented(target, operator, value) => self.augmented(target, *operator, value),
            Stmt::Unpack(to, value) => {
                self.expr(value);
                let count = to.len() as u32;
                self.op(Op::Unpack(count), i64::from(count) - 1);
                for &local in to {
                    self.store(local);
                }
            }
            Stmt::Delete(local) => self.op(Op::Delete(*local), 0),
            Stmt::DeleteItem(container, index) => {
                self.expr(container);
                self.expr(index);
                self.op(Op::DeleteSubscript, -2);
            }
            Stmt::Expression(value) => {
                self.expr(value);
                self.op(Op::Pop, -1);
            }
            Stmt::If(test, then, otherwise) => self.branch(test, then, otherwise),
            Stmt::While(test, body) => self.while_loop(test, body),
            Stmt::For(local, iterable, body) => self.for_loop(*local, iterable, body),
            Stmt::Break => self.leave_loop(true),
            Stmt::Continue => self.leave_loop(false),
            Stmt::Return => {
                self.end(End::Return);
                self.start_unreached();
            }
        }
    }

    /// Starts a block for statements that control never gets to.
    fn start_unreached(&mut self) {
        let block = self.block(self.depth);
        self.start(block);
    }

    fn leave_loop(&mut self, breaks: bool) {
        let Some(around) = self.loops.last() else {
            return;
        };
        let (again, leave, iterates) = (around.again, around.leave, around.iterates);
        let depth = self.depth;
        if breaks && iterates {
            self.op(Op::Pop, -1);
        }
        self.end(End::Go(if breaks { leave } else { again }));
        self.depth = depth;
        self.start_unreached();
    }

    fn assign(&mut self, target: &Target) {
        match target {
            Target::Local(local) => self.store(*local),
            Target::Subscript(container, index) => {
                self.expr(container);
                self.expr(index);
                self.op(Op::StoreSubscript, -3);
            }
            Target::Slice(container, low, high) => {
                self.expr(container);
                self.expr(low);
                self.expr(high);
                self.op(Op::StoreSlice, -4);
            }
        }
    }

    fn augmented(&mut self, target: &Target, operator: Binary, value: &Expr) {
        match target {
            Target::Local(local) => {
                self.expr(&Expr::Local(*local));
                self.expr(value);
                self.op(Op::Binary(operator, true), -1);
                self.store(*local);
            }
            Target::Subscript(container, index) => {
                self.expr(container);
                self.expr(index);
                self.op(Op::Copy(2), 1);
                self.op(Op::Copy(2), 1);
                self.op(Op::Subscript, -1);
                self.expr(value);
                self.op(Op::Binary(operator, true), -1);
                self.op(Op::Swap(3), 0);
                self.op(Op::Swap(2), 0);
                self.op(Op::StoreSubscript, -3);
            }
            Target::Slice(..) => unreachable!("no augmented assignment to a slice"),
        }
    }

    /// Pushes the truth of an expression and branches; starts no block.
    fn test(&mut self, test: &Expr) -> (BlockId, BlockId) {
        self.expr(test);
        if !is_bool(test) {
            self.op(Op::ToBool, 0);
        }
        self.branch_off()
    }

    fn branch_off(&mut self) -> (BlockId, BlockId) {
        self.depth -= 1;
        let (then, otherwise) = (self.block(self.depth), self.block(self.depth));
        self.end(End::Branch { then, otherwise });
        (then, otherwise)
    }

    fn branch(&mut self, test: &Expr, then: &[Stmt], otherwise: &[Stmt]) {
        let (yes, no) = self.test(test);
        let after = self.block(self.depth);
        let before = self.bound.clone();
        self.start(yes);
        self.body(then);
        self.end(End::Go(after));
        let bound = std::mem::replace(&mut self.bound, before);
        self.start(no);
        self.body(otherwise);
        self.end(End::Go(after));
        for (here, there) in self.bound.iter_mut().zip(bound) {
            *here &= there;
        }
        self.start(after);
    }

    fn while_loop(&mut self, test: &Expr, body: &[Stmt]) {
        let head = self.block(self.depth);
        self.end(End::Go(head));
        self.start(head);
        let (yes, no) = self.test(test);
        let before = self.bound.clone();
        self.loops.push(Loop {
            again: head,
            leave: no,
            iterates: false,
        });
        self.start(yes);
        self.body(body);
        self.end(End::Go(head));
        self.loops.pop();
        self.bound = before;
        self.start(no);
    }

    fn for_loop(&mut self, local: usize, iterable: &Expr, body: &[Stmt]) {
        self.expr(iterable);
        self.op(Op::Iterate, 0);
        let head = self.block(self.depth);
        let (item, done) = (self.block(self.depth + 1), self.block(self.depth));
        let after = self.block(self.depth - 1);
        self.end(End::Go(head));
        self.start(head);
        self.end(End::Next { body: item, done });
        let before = self.bound.clone();
        self.loops.push(Loop {
            again: head,
            leave: after,
            iterates: true,
        });
        self.code.stack = self.code.stack.max(self.depth + 2);
        self.start(item);
        self.store(local);
        self.body(body);
        self.end(End::Go(head));
        self.loops.pop();
        self.bound = before;
        self.start(done);
        self.op(Op::Pop, -1);
        self.end(End::Go(after));
        self.start(after);
    }

    fn all(&mut self, items: &[Expr]) -> u32 {
        for item in items {
            self.expr(item);
        }
        items.len() as u32
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Constant(value) => self.constant(value.clone()),
            Expr::Builtin(name) => {
                let index = self.callable(name);
                self.op(Op::Builtin(index), 1);
            }
            Expr::Local(local) => {
                let unbound = !self.bound[*local] || self.deleted[*local];
                self.op(Op::Load(*local, unbound), 1);
            }
            Expr::Unary(operator, operand) => {
                self.expr(operand);
                if *operator == Unary::Not && !is_bool(operand) {
                    self.op(Op::ToBool, 0);
                }
                self.op(Op::Unary(*operator), 0);
            }
            Expr::Binary(operator, left, right) => {
                self.expr(left);
                self.expr(right);
                self.op(Op::Binary(*operator, false), -1);
            }
            Expr::Compare(comparison, left, right) => {
                self.expr(left);
                self.expr(right);
                self.op(Op::Compare(*comparison), -1);
            }
            Expr::And(left, right) => self.short_circuit(left, right, true),
            Expr::Or(left, right) => self.short_circuit(left, right, false),
            Expr::If(test, then, otherwise) => {
                let (yes, no) = self.test(test);
                let after = self.block(self.depth + 1);
                for (block, value) in [(yes, then), (no, otherwise)] {
                    self.start(block);
                    self.expr(value);
                    self.end(End::Go(after));
                }
                self.start(after);
            }
            Expr::Subscript(container, index) => {
                self.expr(container);
                self.expr(index);
                self.op(Op::Subscript, -1);
            }
            Expr::Slice(container, low, high) => {
                self.expr(container);
                for bound in [low, high] {
                    match bound {
                        Some(bound) => self.expr(bound),
                        None => self.constant(Value::None),
                    }
                }
                self.op(Op::Slice, -2);
            }
            Expr::SteppedSlice(container, low, high, step) => {
                for part in [container, low, high, step] {
                    self.expr(part);
                }
                self.op(Op::BuildSlice, -2);
                self.op(Op::Subscript, -1);
            }
            Expr::List(items) => {
                let count = self.all(items);
                self.op(Op::List(count), 1 - i64::from(count));
            }
            Expr::Tuple(items) => {
                let count = self.all(items);
                self.op(Op::Tuple(count), 1 - i64::from(count));
            }
            Expr::Dict(items) => {
                for (key, value) in items {
                    self.expr(key);
                    self.expr(value);
                }
                let count = items.len() as u32;
                self.op(Op::Map(count), 1 - 2 * i64::from(count));
            }
            Expr::Call(name, arguments) => {
                let index = self.callable(name);
                self.op(Op::Callable(index), 2);
                let count = self.all(arguments);
                self.op(Op::Call(count), -1 - i64::from(count));
            }
            Expr::Format(pieces) => self.format(pieces),
        }
    }

    fn format(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.constant(Value::Str(text.clone())),
                Piece::Value(value, conversion) => {
                    self.expr(value);
                    if let Some(conversion) = conversion {
                        let number = match conversion {
                            's' => 1,
                            'r' => 2,
                            _ => 3,
                        };
                        self.op(Op::Convert(number), 0);
                    }
                    self.op(Op::Format, 0);
                }
            }
        }
        let count = pieces.len() as u32;
        self.op(Op::Join(count), 1 - i64::from(count));
    }

    /// The value of `left and right`, or of `left or right`.
    fn short_circuit(&mut self, left: &Expr, right: &Expr, and: bool) {
        self.expr(left);
        self.op(Op::Copy(1), 1);
        self.op(Op::ToBool, 0);
        let (yes, no) = self.branch_off();
        let (goes_on, ends) = if and { (yes, no) } else { (no, yes) };
        self.start(goes_on);
        self.op(Op::Pop, -1);
        self.expr(right);
        self.end(End::Go(ends));
        self.start(ends);
    }

    fn constant(&mut self, value: Value) {
        self.code.constants.push(value);
        self.op(Op::Constant(self.code.constants.len() - 1), 1);
    }

    fn callable(&mut self, name: &'static str) -> usize {
        let callables = &mut self.code.callables;
        let place = callables.iter().position(|&callable| callable == name);
        place.unwrap_or_else(|| {
            callables.push(name);
            callables.len() - 1
        })
    }
}

/// Whether an expression's value is certainly a bool.
fn is_bool(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Compare(..) | Expr::Unary(Unary::Not, _) | Expr::Constant(Value::Bool(_))
    )
}
