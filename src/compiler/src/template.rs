//! Templates: what a uop is called, what it does to the stack, where it may leave to, and the function that builds
//! its code. A [`TemplateSet`] is a whole uop set with the layouts it assumes.

use crate::builder::{Done, TemplateBuilder};
use crate::error::TemplateError;
use crate::ir::IrTemplates;
use crate::symbol::is_identifier;
use mimeo::stencil::{Count, StackEffect, UopFlags};
use std::fmt;
use std::sync::Arc;

/// The function that builds a template's code. It must end every path in a way out, whose proof is [`Done`].
pub type Build =
    dyn for<'t, 'ctx> Fn(TemplateBuilder<'t, 'ctx>) -> Result<Done, TemplateError> + Send + Sync;

/// One uop, written once.
#[derive(Clone)]
pub struct Template {
    name: String,
    effect: StackEffect,
    leaving: Option<StackEffect>,
    flags: UopFlags,
    locals: u32,
    body: Body,
}

/// Where a template's code comes from.
#[derive(Clone)]
enum Body {
    Builder(Arc<Build>),
    Ir(IrTemplates, Arc<str>),
}

impl Template {
    /// A template that takes nothing from the stack, pushes nothing, and always continues.
    ///
    /// The name is the uop's: letters, digits and `_`, no digit first.
    pub fn new<F>(name: impl Into<String>, build: F) -> Self
    where
        F: for<'t, 'ctx> Fn(TemplateBuilder<'t, 'ctx>) -> Result<Done, TemplateError>
            + Send
            + Sync
            + 'static,
    {
        Self::with_body(name.into(), Body::Builder(Arc::new(build)))
    }

    /// A template whose code is a function of a module of IR: see [`ir`](crate::ir). It takes nothing from the stack, pushes
    /// nothing, and always continues, unless more is declared, as with [`new`](Self::new). What the declarations say of
    /// the builder's methods holds for the holes: a template that jumps to the error target declares
    /// [`may_error`](Self::may_error), and so on.
    ///
    /// Such a template has its base form only, in sets with [`Registers::None`] or [`Registers::Slots`]. It cannot be fused
    /// with others, and there are neither handlers of interpreters nor whole traces as one function with it: whoever asks
    /// for these gets an error that names it.
    pub fn from_ir(
        name: impl Into<String>,
        templates: &IrTemplates,
        function: impl Into<String>,
    ) -> Self {
        let function: String = function.into();
        Self::with_body(name.into(), Body::Ir(templates.clone(), function.into()))
    }

    fn with_body(name: String, body: Body) -> Self {
        Self {
            name,
            effect: StackEffect::default(),
            leaving: None,
            flags: UopFlags::empty(),
            locals: 0,
            body,
        }
    }

    /// Declares the stack effect on the way to the next uop: `popped` values replaced by `pushed`.
    #[must_use]
    pub fn stack(self, popped: u8, pushed: u8) -> Self {
        self.stack_counts(Count::fixed(popped), Count::fixed(pushed))
    }

    /// Declares a stack effect that depends on the oparg.
    #[must_use]
    pub fn stack_counts(mut self, popped: Count, pushed: Count) -> Self {
        self.effect = StackEffect { popped, pushed };
        self
    }

    /// Declares the stack effect on the way to the jump target or out of the trace: of the values that the template takes,
    /// `pushed` stand there instead.
    ///
    /// The builder sees that by itself, and refuses another declaration. A template from IR that does not declare it
    /// leaves with the stack as at entry.
    #[must_use]
    pub fn leaving_stack(self, popped: u8, pushed: u8) -> Self {
        self.leaving_stack_counts(Count::fixed(popped), Count::fixed(pushed))
    }

    /// [`leaving_stack`](Self::leaving_stack), where it depends on the oparg.
    #[must_use]
    pub fn leaving_stack_counts(mut self, popped: Count, pushed: Count) -> Self {
        self.leaving = Some(StackEffect { popped, pushed });
        self
    }

    /// Declares that the template may raise an error: it may use [`TemplateBuilder::error`].
    #[must_use]
    pub fn may_error(self) -> Self {
        self.with(UopFlags::ERROR)
    }

    /// Declares that the values that the template pops are gone when its error target goes on, places and all; otherwise
    /// their places are still there.
    #[must_use]
    pub fn pops_before_error(self) -> Self {
        self.with(UopFlags::POPS_BEFORE_ERROR)
    }

    /// Declares that the template may give up the trace's assumptions: it may use [`TemplateBuilder::jump`].
    #[must_use]
    pub fn may_deopt(self) -> Self {
        self.with(UopFlags::DEOPT)
    }

    /// Declares that the template may leave the trace's path: it may use [`TemplateBuilder::jump`].
    #[must_use]
    pub fn may_exit(self) -> Self {
        self.with(UopFlags::EXIT)
    }

    /// Declares that the template jumps as part of its work: it may use [`TemplateBuilder::jump`].
    #[must_use]
    pub fn jumps(self) -> Self {
        self.with(UopFlags::JUMP)
    }

    /// Declares that the template never continues with the next uop.
    #[must_use]
    pub fn terminal(self) -> Self {
        self.with(UopFlags::TERMINAL)
    }

    /// Declares that the template leaves through an exit record of its own: it may use [`TemplateBuilder::side_exit`].
    #[must_use]
    pub fn side_exits(self) -> Self {
        self.with(UopFlags::EXIT_RECORD)
    }

    /// Declares that the template may go to the trace's second uop: it may use [`TemplateBuilder::top`].
    #[must_use]
    pub fn restarts(self) -> Self {
        self.with(UopFlags::TOP)
    }

    /// Declares that the oparg is the index of a local, which the runtime checks against the frame.
    #[must_use]
    pub fn local_oparg(self) -> Self {
        self.with(UopFlags::LOCAL)
    }

    /// Declares that the template uses local `index`, whatever the oparg: it may use [`TemplateBuilder::local_at`] up to
    /// there, and the runtime checks that the frame has it.
    #[must_use]
    pub fn uses_local(mut self, index: u32) -> Self {
        self.locals = self.locals.max(index.saturating_add(1));
        self
    }

    /// Declares that the template enters another frame, in which the next uop runs: it uses
    /// [`TemplateBuilder::switch_frame`]. What the declared effect pops is popped in the frame that it starts in, what it
    /// pushes is pushed in the other.
    #[must_use]
    pub fn enters_frame(self) -> Self {
        self.with(UopFlags::ENTERS_FRAME)
    }

    /// Declares that the template goes back to the frame from which its own was entered; as
    /// [`enters_frame`](Self::enters_frame) otherwise.
    #[must_use]
    pub fn leaves_frame(self) -> Self {
        self.with(UopFlags::LEAVES_FRAME)
    }

    /// Declares that the template does nothing but push the local that its oparg names; that is proven when it is compiled.
    #[must_use]
    pub fn loads_local(self) -> Self {
        self.local_oparg().with(UopFlags::LOADS_LOCAL)
    }

    /// Declares that the template does nothing but pop a value into the local that its oparg names; that is proven when it is compiled.
    #[must_use]
    pub fn stores_local(self) -> Self {
        self.local_oparg().with(UopFlags::STORES_LOCAL)
    }

    /// Declares that the template does nothing but push its operand; that is proven when it is compiled.
    #[must_use]
    pub fn constant(self) -> Self {
        self.with(UopFlags::CONSTANT)
    }

    /// Declares that the template does nothing but push the top value again; that is proven when it is compiled.
    #[must_use]
    pub fn copies(self) -> Self {
        self.with(UopFlags::COPIES)
    }

    /// Declares that the template does nothing but drop the top value; that is proven when it is compiled.
    #[must_use]
    pub fn drops(self) -> Self {
        self.with(UopFlags::DROPS)
    }

    /// Declares that the template does nothing but exchange the top two values; that is proven when it is compiled.
    #[must_use]
    pub fn swaps(self) -> Self {
        self.with(UopFlags::SWAPS)
    }

    /// Says that a variant reads the oparg, though the base form does not.
    #[must_use]
    pub(crate) fn reads_oparg(self) -> Self {
        self.with(UopFlags::OPARG)
    }

    fn with(mut self, flag: UopFlags) -> Self {
        self.flags |= flag;
        self
    }

    /// The uop's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The declared stack effect.
    pub fn effect(&self) -> StackEffect {
        self.effect
    }

    /// The declared flags.
    pub fn flags(&self) -> UopFlags {
        self.flags
    }

    /// How many locals the frame must have at least.
    pub fn locals(&self) -> u32 {
        self.locals
    }

    /// The declared stack effect on the way to the jump target or out of the trace.
    pub(crate) fn leaving(&self) -> Option<StackEffect> {
        self.leaving
    }

    /// The module and the function that the template's code is, if it comes as IR.
    pub(crate) fn ir(&self) -> Option<(&IrTemplates, &str)> {
        match &self.body {
            Body::Builder(_) => None,
            Body::Ir(templates, function) => Some((templates, function)),
        }
    }

    pub(crate) fn build(&self, builder: TemplateBuilder<'_, '_>) -> Result<Done, TemplateError> {
        match &self.body {
            Body::Builder(build) => build(builder),
            Body::Ir(templates, function) => Err(TemplateError::Misuse(format!(
                "is the function {function} of {}: of templates from IR there are stencils only, neither handlers of an \
                 interpreter nor traces as one function",
                templates.source().name()
            ))),
        }
    }

    /// Whether the declaration makes sense by itself.
    pub(crate) fn check(
        &self,
        frame: FrameLayout,
        registers: Registers,
    ) -> Result<(), TemplateError> {
        let misuse = |message| Err(TemplateError::Misuse(message));
        if !is_identifier(&self.name) {
            return misuse(format!(
                "the name {:?} may hold only letters, digits and _, and no digit first",
                self.name
            ));
        }
        if self.flags.contains(UopFlags::TERMINAL) && self.effect.pushed != Count::default() {
            return misuse(format!(
                "a terminal template pushes nothing, this one declares {}",
                self.effect
            ));
        }
        let switches = self.flags & UopFlags::SWITCHES_FRAME;
        if !switches.is_empty() && self.flags.contains(UopFlags::TERMINAL) {
            return misuse(
                "a terminal template has no next uop to go to another frame for".to_owned(),
            );
        }
        if !switches.is_empty() && registers == Registers::Operands {
            return misuse(
                "goes to another frame, but locals of this set may be in registers".to_owned(),
            );
        }
        if self.ir().is_some() && registers == Registers::Operands {
            return misuse(
                "comes as IR, but in this set every uop must keep locals in registers, of which IR knows nothing"
                    .to_owned(),
            );
        }
        if switches == UopFlags::SWITCHES_FRAME {
            return misuse("declares both to enter a frame and to leave one".to_owned());
        }
        let frame_size = u64::from(frame.locals) + SLOT_SIZE * u64::from(self.locals);
        if frame_size > i32::MAX as u64 {
            return misuse(format!(
                "declares {} locals, which end {frame_size:#x} bytes into the frame, the limit is {:#x}",
                self.locals,
                i32::MAX
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Template({} {} {:?})",
            self.name, self.effect, self.flags
        )
    }
}

/// Bytes of a local and of a value on the stack.
pub(crate) const SLOT_SIZE: u64 = 8;

/// The layouts that a uop set's templates assume of the frame they run in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameLayout {
    /// Bytes from the start of the frame to local 0; locals are 8 bytes each.
    pub locals: u32,
}

/// Which register variants a set's templates are compiled to; see [`mimeo::form`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registers {
    /// None: every uop has its base form only.
    #[default]
    None,
    /// Slots: `_rIO` for 0 to 3 values in the first value registers.
    Slots,
    /// Operands: values in any registers, locals pinned to registers.
    Operands,
}

/// A uop set: templates and what they assume.
#[derive(Clone, Debug)]
pub struct TemplateSet {
    /// The name that the table carries.
    pub name: String,
    /// The frame that the templates run in.
    pub frame: FrameLayout,
    /// The templates, in any order; the table sorts them by name.
    pub templates: Vec<Template>,
    /// Which register variants there are.
    pub registers: Registers,
    /// Sequences of uops that are fused into one stencil, by name.
    pub supernodes: Vec<Vec<String>>,
    /// Anything else the code depends on, such as the layout of the objects it touches: it goes into the table's
    /// digest of the inputs, so that a table and a library that disagree are told apart.
    pub environment: Vec<u8>,
    /// BLAKE3 of the source of the templates, as [`Sources`](crate::sources::Sources) computes it, for the table to carry; zeros
    /// for none.
    pub sources: [u8; 32],
}

impl TemplateSet {
    /// An empty set for frames of this layout.
    pub fn new(name: impl Into<String>, frame: FrameLayout) -> Self {
        Self {
            name: name.into(),
            frame,
            templates: Vec::new(),
            registers: Registers::None,
            supernodes: Vec::new(),
            environment: Vec::new(),
            sources: [0; 32],
        }
    }

    /// Compiles register variants.
    #[must_use]
    pub fn with_registers(mut self, registers: Registers) -> Self {
        self.registers = registers;
        self
    }

    /// Adds sequences of uops to be fused.
    #[must_use]
    pub fn with_supernodes(mut self, sequences: impl IntoIterator<Item = Vec<String>>) -> Self {
        self.supernodes.extend(sequences);
        self
    }

    /// Says what the source of the templates is: a table that is older than it can be told without LLVM.
    #[must_use]
    pub fn with_sources(mut self, sources: [u8; 32]) -> Self {
        self.sources = sources;
        self
    }

    /// Adds templates.
    #[must_use]
    pub fn with(mut self, templates: impl IntoIterator<Item = Template>) -> Self {
        self.templates.extend(templates);
        self
    }
}

/// The type of a value that templates load, store, and hand to helpers. The stack keeps all but [`I32`](Type::I32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A pointer.
    Pointer,
    /// A 64-bit integer.
    I64,
    /// A 32-bit integer.
    I32,
    /// A 64-bit float.
    F64,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pointer => "pointer",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::F64 => "f64",
        })
    }
}

/// A C function that templates may call; the runtime finds its address by name.
///
/// The name is a C identifier. All templates of a set that call the function agree on its types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Helper {
    /// The symbol's name.
    pub name: &'static str,
    /// The types of the arguments.
    pub arguments: &'static [Type],
    /// The type of the result.
    pub result: Option<Type>,
}

impl Helper {
    /// A helper with a result.
    pub const fn new(name: &'static str, arguments: &'static [Type], result: Type) -> Self {
        Self {
            name,
            arguments,
            result: Some(result),
        }
    }

    /// A helper without a result.
    pub const fn without_result(name: &'static str, arguments: &'static [Type]) -> Self {
        Self {
            name,
            arguments,
            result: None,
        }
    }
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.arguments.iter().map(Type::to_string).collect();
        write!(f, "{}({})", self.name, arguments.join(", "))?;
        match self.result {
            Some(result) => write!(f, " -> {result}"),
            None => Ok(()),
        }
    }
}
