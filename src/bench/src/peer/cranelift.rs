//! Cranelift: scalar traces lowered to one function of its IR and compiled in this process.
//!
//! Locals are variables, and so are the stack's values at labels; in between, values are passed from uop to uop as they
//! are. Guards are branches to the same exits as in the other engines; exits come together in one block, which writes
//! the locals back that the trace changes. The processor is the baseline, as for the stencils.
#![allow(unsafe_code)]

use super::{BenchError, CompileTimes, Compiled, Peer, Run};
use crate::clock::Moment;
use crate::native::{Function, native};
use crate::op::{Jump, Op};
use crate::scalar::{ScalarTrace, ScalarUop};
use crate::state::Left;
use cranelift_codegen::Context;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, InstBuilder, MemFlagsData, Signature, Type, Value, types,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, default_libcall_names};
use mimeo::executor::ThreadState;
use mimeo::form::Class;
use std::fmt;

/// Cranelift with one choice of settings.
pub struct Cranelift {
    name: &'static str,
    isa: OwnedTargetIsa,
}

impl fmt::Debug for Cranelift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cranelift({})", self.name)
    }
}

impl Cranelift {
    /// No optimisation: what Wasmtime and others start with.
    ///
    /// # Errors
    /// Cranelift does not know the processor or a setting.
    pub fn none() -> Result<Self, BenchError> {
        Self::new("cranelift none", "none", "backtracking")
    }

    /// No optimisation, and the register allocator that takes one pass.
    ///
    /// # Errors
    /// As [`none`](Self::none).
    pub fn single_pass() -> Result<Self, BenchError> {
        Self::new("cranelift single-pass", "none", "single_pass")
    }

    /// Optimised for speed.
    ///
    /// # Errors
    /// As [`none`](Self::none).
    pub fn speed() -> Result<Self, BenchError> {
        Self::new("cranelift speed", "speed", "backtracking")
    }

    fn new(name: &'static str, level: &str, allocator: &str) -> Result<Self, BenchError> {
        let mut flags = settings::builder();
        let failed = |error: &dyn fmt::Display| BenchError::engine(name, error);
        for (flag, value) in [
            ("opt_level", level),
            ("regalloc_algorithm", allocator),
            ("use_colocated_libcalls", "false"),
            ("is_pic", "false"),
            // A check of its own work, which a release does without.
            ("enable_verifier", "false"),
        ] {
            flags.set(flag, value).map_err(|error| failed(&error))?;
        }
        let isa = cranelift_codegen::isa::lookup_by_name("x86_64-unknown-linux-gnu")
            .map_err(|error| failed(&error))?
            .finish(settings::Flags::new(flags))
            .map_err(|error| failed(&error))?;
        Ok(Self { name, isa })
    }

    /// The IR of a trace, in a module that has nothing else.
    fn lower(&self, trace: &ScalarTrace) -> Result<Lowered, BenchError> {
        let depths = trace.check()?;
        let builder = JITBuilder::with_isa(self.isa.clone(), default_libcall_names());
        let module = JITModule::new(builder);
        let mut context = module.make_context();
        let pointer = AbiParam::new(types::I64);
        context.func.signature = Signature {
            params: vec![pointer; 4],
            returns: vec![pointer],
            call_conv: CallConv::SystemV,
        };
        let mut reusable = FunctionBuilderContext::new();
        let builder = FunctionBuilder::new(&mut context.func, &mut reusable);
        Lowering::new(trace, &depths, builder).run(&module)?;
        Ok(Lowered { module, context })
    }

    fn finish(&self, lowered: Lowered) -> Result<(JITModule, *const u8, usize), BenchError> {
        let Lowered {
            mut module,
            mut context,
        } = lowered;
        let failed = |error: &dyn fmt::Display| BenchError::engine(self.name, error);
        let function = module
            .declare_function("trace", Linkage::Local, &context.func.signature)
            .map_err(|error| failed(&error))?;
        module
            .define_function(function, &mut context)
            .map_err(|error| failed(&error))?;
        let bytes = context
            .compiled_code()
            .map_or(0, |code| code.code_info().total_size as usize);
        module
            .finalize_definitions()
            .map_err(|error| failed(&error))?;
        let code = module.get_finalized_function(function);
        Ok((module, code, bytes))
    }
}

impl Peer for Cranelift {
    fn name(&self) -> &str {
        self.name
    }

    fn cost(&self) -> f64 {
        1500.0
    }

    fn compile(&self, trace: &ScalarTrace) -> Result<Compiled, BenchError> {
        let (module, code, code_bytes) = self.finish(self.lower(trace)?)?;
        // SAFETY: it is the function that `lower` built, which has this signature.
        let entry = unsafe { std::mem::transmute::<*const u8, Entry>(code) };
        let code = Code {
            module: Some(module),
            entry,
            targets: trace.uops.iter().map(|uop| uop.target).collect(),
        };
        Ok(Compiled {
            code_bytes: Some(code_bytes),
            run: Box::new(code),
        })
    }

    fn compile_all(&self, traces: &[ScalarTrace]) -> Result<CompileTimes, BenchError> {
        let mut times = CompileTimes::default();
        for trace in traces {
            let start = Moment::now();
            let lowered = self.lower(trace)?;
            let middle = Moment::now();
            let (module, ..) = self.finish(lowered)?;
            times.add(middle - start, middle.elapsed());
            // SAFETY: nothing runs the code.
            unsafe { module.free_memory() };
        }
        Ok(times)
    }
}

/// Frame, stack pointer, thread state, where the stack pointer goes at the exit; the position of the exit's uop.
type Entry = unsafe extern "C" fn(*mut u8, *mut u64, *mut ThreadState, *mut *mut u64) -> u64;

struct Code {
    /// Always there but while it is dropped.
    module: Option<JITModule>,
    entry: Entry,
    targets: Vec<u32>,
}

impl Run for Code {
    unsafe fn run(&self, frame: *mut u8, stack: *mut u64, thread: *mut ThreadState) -> Left {
        let mut stack_pointer = stack;
        // SAFETY: the caller promises the frame, stack and memory that the trace was compiled for.
        let uop = unsafe { (self.entry)(frame, stack, thread, &raw mut stack_pointer) } as u32;
        Left {
            uop,
            target: self.targets.get(uop as usize).copied().unwrap_or_default(),
            stack_pointer,
        }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: whoever runs the code borrows `self`.
            unsafe { module.free_memory() };
        }
    }
}

struct Lowered {
    module: JITModule,
    context: Context,
}

/// One trace while it is lowered.
struct Lowering<'a> {
    trace: &'a ScalarTrace,
    depths: &'a [Option<u32>],
    builder: FunctionBuilder<'a>,
    /// The block of each uop that something jumps to.
    blocks: Vec<Option<Block>>,
    locals: Vec<Option<(Variable, Type)>>,
    /// Locals that the trace changes.
    changed: Vec<bool>,
    /// The stack's slots at labels, as words.
    slots: Vec<Variable>,
    /// The stack's values here, each of the type it was made as.
    stack: Vec<Value>,
    frame: Value,
    /// The lowest slot of the stack.
    memory: Value,
    out: Value,
    leave: Block,
}

impl<'a> Lowering<'a> {
    fn new(
        trace: &'a ScalarTrace,
        depths: &'a [Option<u32>],
        mut builder: FunctionBuilder<'a>,
    ) -> Self {
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        let parameters = builder.block_params(entry).to_vec();
        let below = i64::from(trace.entry_depth) * -8;
        let memory = builder.ins().iadd_imm_s(parameters[1], below);
        let leave = builder.create_block();
        builder.set_cold_block(leave);
        builder.append_block_param(leave, types::I64);
        builder.append_block_param(leave, types::I64);
        Self {
            trace,
            depths,
            blocks: vec![None; trace.uops.len()],
            locals: vec![None; trace.locals as usize],
            changed: vec![false; trace.locals as usize],
            slots: Vec::new(),
            stack: Vec::new(),
            frame: parameters[0],
            memory,
            out: parameters[3],
            leave,
            builder,
        }
    }

    fn run(mut self, module: &JITModule) -> Result<(), BenchError> {
        self.enter();
        self.make_blocks();
        // Whether control comes here from the uop before.
        let mut open = true;
        for (index, uop) in self.trace.uops.iter().enumerate() {
            let Some(depth) = self.depths[index] else {
                open = false;
                continue;
            };
            if let Some(block) = self.blocks[index] {
                if open {
                    self.spill();
                    self.builder.ins().jump(block, &[]);
                }
                self.builder.switch_to_block(block);
                self.reload(depth);
            } else if !open {
                continue;
            }
            self.uop(index, uop)?;
            open = !uop.op.is_terminal();
        }
        self.leave();
        self.builder.seal_all_blocks();
        self.builder.finalize(module.target_config());
        Ok(())
    }

    /// Makes the variables and fills them.
    fn enter(&mut self) {
        let mut classes = vec![[false; 2]; self.trace.locals as usize];
        for uop in &self.trace.uops {
            let local = uop.oparg as usize;
            match uop.op {
                Op::LoadI64 => classes[local][0] = true,
                Op::LoadF64 => classes[local][1] = true,
                Op::StoreI64 => (classes[local][0], self.changed[local]) = (true, true),
                Op::StoreF64 => (classes[local][1], self.changed[local]) = (true, true),
                _ => {}
            }
        }
        for (index, [general, float]) in classes.into_iter().enumerate() {
            let kind = match (general, float) {
                (false, false) => continue,
                (false, true) => types::F64,
                // A local that is both is a word.
                (true, _) => types::I64,
            };
            let variable = self.builder.declare_var(kind);
            let value = self.builder.ins().load(
                kind,
                MemFlagsData::trusted(),
                self.frame,
                index as i32 * 8,
            );
            self.builder.def_var(variable, value);
            self.locals[index] = Some((variable, kind));
        }
        for _ in 0..self.trace.stack {
            let variable = self.builder.declare_var(types::I64);
            self.slots.push(variable);
        }
        for index in 0..self.trace.entry_depth {
            let offset = index as i32 * 8;
            let value =
                self.builder
                    .ins()
                    .load(types::I64, MemFlagsData::trusted(), self.memory, offset);
            self.stack.push(value);
        }
    }

    fn make_blocks(&mut self) {
        for uop in &self.trace.uops {
            let Some(to) = self.trace.destination(uop) else {
                continue;
            };
            if uop.op.jump() != Jump::Never && self.blocks[to].is_none() {
                let block = self.builder.create_block();
                if self.trace.uops[to].op == Op::Exit {
                    self.builder.set_cold_block(block);
                }
                self.blocks[to] = Some(block);
            }
        }
    }

    /// Puts the stack's values into the variables.
    fn spill(&mut self) {
        for index in 0..self.stack.len() {
            let word = self.word(self.stack[index]);
            self.builder.def_var(self.slots[index], word);
        }
    }

    /// Takes the stack's values out of the variables.
    fn reload(&mut self, depth: u32) {
        self.stack = (0..depth as usize)
            .map(|index| self.builder.use_var(self.slots[index]))
            .collect();
    }

    fn type_of(&self, value: Value) -> Type {
        self.builder.func.dfg.value_type(value)
    }

    fn cast(&mut self, value: Value, kind: Type) -> Value {
        match self.type_of(value) == kind {
            true => value,
            false => self.builder.ins().bitcast(kind, MemFlagsData::new(), value),
        }
    }

    fn word(&mut self, value: Value) -> Value {
        self.cast(value, types::I64)
    }

    fn pop(&mut self, class: Class) -> Result<Value, BenchError> {
        let value = self.stack.pop().ok_or(BenchError::StackUnderflow)?;
        Ok(self.cast(
            value,
            match class {
                Class::General => types::I64,
                Class::Float => types::F64,
            },
        ))
    }

    fn pops<const N: usize>(&mut self, op: Op) -> Result<[Value; N], BenchError> {
        let mut values = [Value::from_u32(0); N];
        for (value, class) in values.iter_mut().zip(op.inputs()).rev() {
            *value = self.pop(*class)?;
        }
        Ok(values)
    }

    /// Where `condition` is not zero, goes to the uop's label with the stack as it is.
    fn jump_if(&mut self, uop: &ScalarUop, condition: Value) -> Result<(), BenchError> {
        let to = self.destination(uop)?;
        self.spill();
        let next = self.builder.create_block();
        self.builder.ins().brif(condition, to, &[], next, &[]);
        self.builder.switch_to_block(next);
        Ok(())
    }

    fn destination(&self, uop: &ScalarUop) -> Result<Block, BenchError> {
        self.trace
            .destination(uop)
            .and_then(|to| self.blocks[to])
            .ok_or(BenchError::StackUnderflow)
    }

    /// As [`jump_if`](Self::jump_if) with these values still on the stack, which are gone otherwise.
    fn jump_with(
        &mut self,
        uop: &ScalarUop,
        condition: Value,
        kept: &[Value],
    ) -> Result<(), BenchError> {
        let depth = self.stack.len();
        self.stack.extend_from_slice(kept);
        self.jump_if(uop, condition)?;
        self.stack.truncate(depth);
        Ok(())
    }

    /// Where all exits come together.
    fn leave(&mut self) {
        self.builder.switch_to_block(self.leave);
        let parameters = self.builder.block_params(self.leave).to_vec();
        for index in 0..self.locals.len() {
            if let Some((variable, _)) = self.locals[index].filter(|_| self.changed[index]) {
                let value = self.builder.use_var(variable);
                let offset = index as i32 * 8;
                self.builder
                    .ins()
                    .store(MemFlagsData::trusted(), value, self.frame, offset);
            }
        }
        self.builder
            .ins()
            .store(MemFlagsData::trusted(), parameters[1], self.out, 0);
        self.builder.ins().return_(&[parameters[0]]);
    }

    fn exit(&mut self, index: usize) {
        for depth in 0..self.stack.len() {
            let value = self.stack[depth];
            self.builder.ins().store(
                MemFlagsData::trusted(),
                value,
                self.memory,
                depth as i32 * 8,
            );
        }
        let uop = self.builder.ins().iconst(types::I64, index as i64);
        let bytes = self.stack.len() as i64 * 8;
        let stack = self.builder.ins().iadd_imm_s(self.memory, bytes);
        self.builder
            .ins()
            .jump(self.leave, &[BlockArg::Value(uop), BlockArg::Value(stack)]);
    }

    fn call(&mut self, uop: &ScalarUop) -> Result<(), BenchError> {
        let kind = |class: &Class| match class {
            Class::General => AbiParam::new(types::I64),
            Class::Float => AbiParam::new(types::F64),
        };
        let signature = Signature {
            params: uop.op.inputs().iter().map(kind).collect(),
            returns: uop.op.outputs().iter().map(kind).collect(),
            call_conv: CallConv::SystemV,
        };
        let mut arguments = Vec::new();
        for class in uop.op.inputs().iter().rev() {
            arguments.push(self.pop(*class)?);
        }
        arguments.reverse();
        let signature = self.builder.import_signature(signature);
        let address = native(uop.op, uop.operand).map_or(0, Function::address);
        let address = self.builder.ins().iconst(types::I64, address as i64);
        let call = self
            .builder
            .ins()
            .call_indirect(signature, address, &arguments);
        let results = self.builder.inst_results(call).to_vec();
        self.stack.extend(results);
        Ok(())
    }

    fn compare(&mut self, op: Op, condition: IntCC) -> Result<(), BenchError> {
        let [left, right] = self.pops(op)?;
        let flag = self.builder.ins().icmp(condition, left, right);
        let word = self.builder.ins().uextend(types::I64, flag);
        self.stack.push(word);
        Ok(())
    }

    fn compare_floats(&mut self, op: Op, condition: FloatCC) -> Result<(), BenchError> {
        let [left, right] = self.pops(op)?;
        let flag = self.builder.ins().fcmp(condition, left, right);
        let word = self.builder.ins().uextend(types::I64, flag);
        self.stack.push(word);
        Ok(())
    }

    /// The address of element `index`, of 2^`shift` bytes.
    fn element(&mut self, pointer: Value, index: Value, shift: i64) -> Value {
        let offset = match shift {
            0 => index,
            _ => self.builder.ins().ishl_imm_s(index, shift),
        };
        self.builder.ins().iadd(pointer, offset)
    }

    fn load_at(&mut self, op: Op) -> Result<(), BenchError> {
        let [pointer, index] = self.pops(op)?;
        let shift = match op {
            Op::LoadAtS8 | Op::LoadAtU8 => 0,
            Op::LoadAtS16 | Op::LoadAtU16 => 1,
            Op::LoadAtS32 | Op::LoadAtU32 => 2,
            _ => 3,
        };
        let address = self.element(pointer, index, shift);
        let flags = MemFlagsData::new().with_notrap();
        let ins = self.builder.ins();
        let value = match op {
            Op::LoadAtS8 => ins.sload8(types::I64, flags, address, 0),
            Op::LoadAtU8 => ins.uload8(types::I64, flags, address, 0),
            Op::LoadAtS16 => ins.sload16(types::I64, flags, address, 0),
            Op::LoadAtU16 => ins.uload16(types::I64, flags, address, 0),
            Op::LoadAtS32 => ins.sload32(flags, address, 0),
            Op::LoadAtU32 => ins.uload32(flags, address, 0),
            Op::LoadAtF64 => ins.load(types::F64, flags, address, 0),
            _ => ins.load(types::I64, flags, address, 0),
        };
        self.stack.push(value);
        Ok(())
    }

    fn store_at(&mut self, op: Op) -> Result<(), BenchError> {
        let [value, pointer, index] = self.pops(op)?;
        let shift = match op {
            Op::StoreAt8 => 0,
            Op::StoreAt16 => 1,
            Op::StoreAt32 => 2,
            _ => 3,
        };
        let address = self.element(pointer, index, shift);
        let flags = MemFlagsData::new().with_notrap();
        let ins = self.builder.ins();
        match op {
            Op::StoreAt8 => ins.istore8(flags, value, address, 0),
            Op::StoreAt16 => ins.istore16(flags, value, address, 0),
            Op::StoreAt32 => ins.istore32(flags, value, address, 0),
            _ => ins.store(flags, value, address, 0),
        };
        Ok(())
    }

    /// The low bits of a word, extended.
    fn extend(&mut self, op: Op, kind: Type, signed: bool) -> Result<(), BenchError> {
        let [value] = self.pops(op)?;
        let low = self.builder.ins().ireduce(kind, value);
        let value = match signed {
            true => self.builder.ins().sextend(types::I64, low),
            false => self.builder.ins().uextend(types::I64, low),
        };
        self.stack.push(value);
        Ok(())
    }

    fn divide(&mut self, uop: &ScalarUop) -> Result<(), BenchError> {
        let op = uop.op;
        let [left, right] = self.pops(op)?;
        let mut wrong = self.builder.ins().icmp_imm_s(IntCC::Equal, right, 0);
        if matches!(op, Op::Div | Op::Rem) {
            let least = self.builder.ins().icmp_imm_s(IntCC::Equal, left, i64::MIN);
            let minus_one = self.builder.ins().icmp_imm_s(IntCC::Equal, right, -1);
            let overflow = self.builder.ins().band(least, minus_one);
            wrong = self.builder.ins().bor(wrong, overflow);
        }
        self.jump_with(uop, wrong, &[left, right])?;
        let ins = self.builder.ins();
        let value = match op {
            Op::Div => ins.sdiv(left, right),
            Op::Rem => ins.srem(left, right),
            Op::DivU => ins.udiv(left, right),
            _ => ins.urem(left, right),
        };
        self.stack.push(value);
        Ok(())
    }

    fn checked(&mut self, uop: &ScalarUop) -> Result<(), BenchError> {
        let [left, right] = self.pops(uop.op)?;
        let ins = self.builder.ins();
        let (value, overflow) = match uop.op {
            Op::AddChecked => ins.sadd_overflow(left, right),
            Op::SubChecked => ins.ssub_overflow(left, right),
            _ => ins.smul_overflow(left, right),
        };
        self.jump_with(uop, overflow, &[left, right])?;
        self.stack.push(value);
        Ok(())
    }

    fn truncate(&mut self, uop: &ScalarUop) -> Result<(), BenchError> {
        let [value] = self.pops(uop.op)?;
        let limit = 9_223_372_036_854_775_808.0;
        let high = self.builder.ins().f64const(limit);
        let low = self.builder.ins().f64const(-limit);
        // Unordered comparisons: with NaN they hold.
        let above = self
            .builder
            .ins()
            .fcmp(FloatCC::UnorderedOrGreaterThanOrEqual, value, high);
        let below = self
            .builder
            .ins()
            .fcmp(FloatCC::UnorderedOrLessThanOrEqual, value, low);
        let outside = self.builder.ins().bor(above, below);
        self.jump_with(uop, outside, &[value])?;
        let int = self.builder.ins().fcvt_to_sint(types::I64, value);
        self.stack.push(int);
        Ok(())
    }

    fn select(&mut self, op: Op) -> Result<(), BenchError> {
        let [first, second, condition] = self.pops(op)?;
        let value = self.builder.ins().select(condition, first, second);
        self.stack.push(value);
        Ok(())
    }

    /// The smaller or the larger of two values: the first where the comparison holds.
    fn choose(&mut self, op: Op, condition: IntCC) -> Result<(), BenchError> {
        let [left, right] = self.pops(op)?;
        let flag = self.builder.ins().icmp(condition, left, right);
        let value = self.builder.ins().select(flag, left, right);
        self.stack.push(value);
        Ok(())
    }

    fn choose_float(&mut self, op: Op, condition: FloatCC) -> Result<(), BenchError> {
        let [left, right] = self.pops(op)?;
        let flag = self.builder.ins().fcmp(condition, left, right);
        let value = self.builder.ins().select(flag, left, right);
        self.stack.push(value);
        Ok(())
    }

    fn unary(
        &mut self,
        op: Op,
        build: impl FnOnce(&mut FunctionBuilder<'_>, Value) -> Value,
    ) -> Result<(), BenchError> {
        let [value] = self.pops(op)?;
        let result = build(&mut self.builder, value);
        self.stack.push(result);
        Ok(())
    }

    fn binary(
        &mut self,
        op: Op,
        build: impl FnOnce(&mut FunctionBuilder<'_>, Value, Value) -> Value,
    ) -> Result<(), BenchError> {
        let [left, right] = self.pops(op)?;
        let result = build(&mut self.builder, left, right);
        self.stack.push(result);
        Ok(())
    }

    fn load_local(&mut self, uop: &ScalarUop, kind: Type) {
        if let Some((variable, _)) = self.locals[uop.oparg as usize] {
            let value = self.builder.use_var(variable);
            let value = self.cast(value, kind);
            self.stack.push(value);
        }
    }

    fn store_local(&mut self, uop: &ScalarUop) -> Result<(), BenchError> {
        let [value] = self.pops(uop.op)?;
        if let Some((variable, kind)) = self.locals[uop.oparg as usize] {
            let value = self.cast(value, kind);
            self.builder.def_var(variable, value);
        }
        Ok(())
    }

    fn uop(&mut self, index: usize, uop: &ScalarUop) -> Result<(), BenchError> {
        let op = uop.op;
        match op {
            Op::ConstI64 => {
                let value = self.builder.ins().iconst(types::I64, uop.operand as i64);
                self.stack.push(value);
                Ok(())
            }
            Op::ConstF64 => {
                let value = self.builder.ins().f64const(f64::from_bits(uop.operand));
                self.stack.push(value);
                Ok(())
            }
            Op::LoadI64 => {
                self.load_local(uop, types::I64);
                Ok(())
            }
            Op::LoadF64 => {
                self.load_local(uop, types::F64);
                Ok(())
            }
            Op::StoreI64 | Op::StoreF64 => self.store_local(uop),
            Op::DupI64 | Op::DupF64 => {
                let [value] = self.pops(op)?;
                self.stack.extend([value, value]);
                Ok(())
            }
            Op::DropI64 | Op::DropF64 => self.pops::<1>(op).map(|_| ()),
            Op::SwapI64 | Op::SwapF64 => {
                let [left, right] = self.pops(op)?;
                self.stack.extend([right, left]);
                Ok(())
            }
            Op::Add => self.binary(op, |b, x, y| b.ins().iadd(x, y)),
            Op::Sub => self.binary(op, |b, x, y| b.ins().isub(x, y)),
            Op::Mul => self.binary(op, |b, x, y| b.ins().imul(x, y)),
            Op::And => self.binary(op, |b, x, y| b.ins().band(x, y)),
            Op::Or => self.binary(op, |b, x, y| b.ins().bor(x, y)),
            Op::Xor => self.binary(op, |b, x, y| b.ins().bxor(x, y)),
            // Cranelift takes the count modulo the width, too.
            Op::Shl => self.binary(op, |b, x, y| b.ins().ishl(x, y)),
            Op::Shr => self.binary(op, |b, x, y| b.ins().ushr(x, y)),
            Op::Sar => self.binary(op, |b, x, y| b.ins().sshr(x, y)),
            Op::Rotl => self.binary(op, |b, x, y| b.ins().rotl(x, y)),
            Op::Rotr => self.binary(op, |b, x, y| b.ins().rotr(x, y)),
            Op::Min => self.choose(op, IntCC::SignedLessThan),
            Op::Max => self.choose(op, IntCC::SignedGreaterThan),
            Op::MinU => self.choose(op, IntCC::UnsignedLessThan),
            Op::MaxU => self.choose(op, IntCC::UnsignedGreaterThan),
            Op::AddChecked | Op::SubChecked | Op::MulChecked => self.checked(uop),
            Op::Div | Op::Rem | Op::DivU | Op::RemU => self.divide(uop),
            Op::Neg => self.unary(op, |b, x| b.ins().ineg(x)),
            Op::Not => self.unary(op, |b, x| b.ins().bnot(x)),
            Op::Abs => self.unary(op, |b, x| b.ins().iabs(x)),
            Op::Clz => self.unary(op, |b, x| b.ins().clz(x)),
            Op::Ctz => self.unary(op, |b, x| b.ins().ctz(x)),
            Op::Popcnt => self.unary(op, |b, x| b.ins().popcnt(x)),
            Op::Bswap => self.unary(op, |b, x| b.ins().bswap(x)),
            Op::ExtendS8 => self.extend(op, types::I8, true),
            Op::ExtendS16 => self.extend(op, types::I16, true),
            Op::ExtendS32 => self.extend(op, types::I32, true),
            Op::ExtendU8 => self.extend(op, types::I8, false),
            Op::ExtendU16 => self.extend(op, types::I16, false),
            Op::ExtendU32 => self.extend(op, types::I32, false),
            Op::BoolNot => self.unary(op, |b, x| {
                let flag = b.ins().icmp_imm_s(IntCC::Equal, x, 0);
                b.ins().uextend(types::I64, flag)
            }),
            Op::Eq => self.compare(op, IntCC::Equal),
            Op::Ne => self.compare(op, IntCC::NotEqual),
            Op::Lt => self.compare(op, IntCC::SignedLessThan),
            Op::Le => self.compare(op, IntCC::SignedLessThanOrEqual),
            Op::Gt => self.compare(op, IntCC::SignedGreaterThan),
            Op::Ge => self.compare(op, IntCC::SignedGreaterThanOrEqual),
            Op::LtU => self.compare(op, IntCC::UnsignedLessThan),
            Op::LeU => self.compare(op, IntCC::UnsignedLessThanOrEqual),
            Op::GtU => self.compare(op, IntCC::UnsignedGreaterThan),
            Op::GeU => self.compare(op, IntCC::UnsignedGreaterThanOrEqual),
            Op::EqF => self.compare_floats(op, FloatCC::Equal),
            Op::NeF => self.compare_floats(op, FloatCC::NotEqual),
            Op::LtF => self.compare_floats(op, FloatCC::LessThan),
            Op::LeF => self.compare_floats(op, FloatCC::LessThanOrEqual),
            Op::GtF => self.compare_floats(op, FloatCC::GreaterThan),
            Op::GeF => self.compare_floats(op, FloatCC::GreaterThanOrEqual),
            Op::SelectI64 | Op::SelectF64 => self.select(op),
            Op::AddF => self.binary(op, |b, x, y| b.ins().fadd(x, y)),
            Op::SubF => self.binary(op, |b, x, y| b.ins().fsub(x, y)),
            Op::MulF => self.binary(op, |b, x, y| b.ins().fmul(x, y)),
            Op::DivF => self.binary(op, |b, x, y| b.ins().fdiv(x, y)),
            Op::MinF => self.choose_float(op, FloatCC::LessThan),
            Op::MaxF => self.choose_float(op, FloatCC::GreaterThan),
            Op::NegF => self.unary(op, |b, x| b.ins().fneg(x)),
            Op::AbsF => self.unary(op, |b, x| b.ins().fabs(x)),
            Op::SqrtF => self.unary(op, |b, x| b.ins().sqrt(x)),
            Op::I64ToF64 => self.unary(op, |b, x| b.ins().fcvt_from_sint(types::F64, x)),
            Op::F64ToI64 => self.truncate(uop),
            Op::F64Bits => self.unary(op, |b, x| {
                b.ins().bitcast(types::I64, MemFlagsData::new(), x)
            }),
            Op::F64FromBits => self.unary(op, |b, x| {
                b.ins().bitcast(types::F64, MemFlagsData::new(), x)
            }),
            Op::GuardIndex => {
                let [index, length] = self.pops(op)?;
                let condition = IntCC::UnsignedGreaterThanOrEqual;
                let outside = self.builder.ins().icmp(condition, index, length);
                self.jump_with(uop, outside, &[index, length])?;
                self.stack.push(index);
                Ok(())
            }
            Op::LoadAtS8
            | Op::LoadAtU8
            | Op::LoadAtS16
            | Op::LoadAtU16
            | Op::LoadAtS32
            | Op::LoadAtU32
            | Op::LoadAtI64
            | Op::LoadAtF64 => self.load_at(op),
            Op::StoreAt8 | Op::StoreAt16 | Op::StoreAt32 | Op::StoreAtI64 | Op::StoreAtF64 => {
                self.store_at(op)
            }
            Op::Jump => {
                let to = self.destination(uop)?;
                self.spill();
                self.builder.ins().jump(to, &[]);
                Ok(())
            }
            Op::JumpIfTrue | Op::GuardFalse => {
                let [condition] = self.pops(op)?;
                self.jump_if(uop, condition)
            }
            Op::JumpIfFalse | Op::GuardTrue => {
                let [condition] = self.pops(op)?;
                let condition = self.builder.ins().icmp_imm_s(IntCC::Equal, condition, 0);
                self.jump_if(uop, condition)
            }
            Op::Exit => {
                self.exit(index);
                Ok(())
            }
            Op::Call0
            | Op::Call1
            | Op::Call2
            | Op::Call3
            | Op::Call4
            | Op::Call5
            | Op::Call6
            | Op::CallF1
            | Op::CallF2 => self.call(uop),
        }
    }
}
