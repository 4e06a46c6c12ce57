//! What can go wrong between a template and its stencils. A wrong template and a fault of our own are different errors:
//! the text says which, and always names the uop.

use crate::extract::ExtractError;
use crate::verify::VerifyError;
use mimeo::interpreter::ImageError;
use mimeo::table::TableError;

/// A template that cannot be built, seen from inside its function; the compiler adds the name.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The template uses the builder against its own declaration.
    #[error("{0}")]
    Misuse(String),
    /// inkwell refused to build an instruction.
    #[cfg(llvm)]
    #[error("cannot build an instruction: {0}")]
    Builder(#[from] inkwell::builder::BuilderError),
}

/// Compiling a set of templates failed.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A template is wrong.
    #[error("template {template}: {source}")]
    Template {
        /// The template's name.
        template: String,
        /// What is wrong with it.
        source: TemplateError,
    },
    /// Two templates share a name.
    #[error("template {0} is defined twice")]
    Duplicate(String),
    /// A sequence of uops cannot be fused.
    #[error("the sequence {sequence} cannot be fused: {problem}")]
    Sequence {
        /// The uops' names.
        sequence: String,
        /// Why not.
        problem: String,
    },
    /// The IR that the templates built is not valid.
    #[error("the IR of {templates} is not valid: {message}")]
    InvalidIr {
        /// The templates of the module, the wrong one alone where it could be told.
        templates: String,
        /// What LLVM's verifier says.
        message: String,
    },
    /// A module of IR is not what it should be.
    #[cfg(llvm)]
    #[error("{source_name}{}: {problem}", .stencil.as_ref().map(|name| format!(", template {name}")).unwrap_or_default())]
    Ir {
        /// The module.
        source_name: String,
        /// The template, where one is to blame.
        stencil: Option<String>,
        /// What is wrong.
        problem: Box<IrProblem>,
    },
    /// LLVM failed at a stage that does not depend on the templates.
    #[error("LLVM failed to {stage}: {message}")]
    Llvm {
        /// What was asked of it.
        stage: &'static str,
        /// What it says.
        message: String,
    },
    /// The LLVM library is not the one that this build was made for.
    #[error(
        "this build of mimeo is for LLVM {expected}, but the library it is linked with is LLVM {found}; \
         install LLVM {expected} or build with the feature of the LLVM that is there"
    )]
    LlvmVersion {
        /// The major version of the cargo feature.
        expected: u32,
        /// The library's version.
        found: String,
    },
    /// An object file holds something that a stencil cannot.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// The checker found that a stencil does not keep the rules.
    #[error(transparent)]
    Check(#[from] VerifyError),
    /// The stencils do not fit the table's format.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The handlers do not fit the interpreter image's format.
    #[error(transparent)]
    Image(#[from] ImageError),
}

#[cfg(llvm)]
impl CompileError {
    pub(crate) fn ir(source: &str, stencil: Option<&str>, problem: IrProblem) -> Self {
        Self::Ir {
            source_name: source.to_owned(),
            stencil: stencil.map(str::to_owned),
            problem: Box::new(problem),
        }
    }

    /// Whether it may be about a template, but names none.
    pub(crate) fn names_none(&self) -> bool {
        match self {
            Self::Extract(error) => error.is_of_object(),
            Self::Ir {
                stencil: None,
                problem,
                ..
            } => matches!(**problem, IrProblem::Llvm { .. } | IrProblem::NotInlined(_)),
            _ => false,
        }
    }

    /// The same error, which is about this template.
    pub(crate) fn of_template(mut self, name: &str) -> Self {
        match &mut self {
            Self::Extract(error) => error.uop = name.to_owned(),
            Self::Ir { stencil, .. } => *stencil = Some(name.to_owned()),
            _ => {}
        }
        self
    }
}

/// What is wrong with a module of IR; see [`CompileError::Ir`].
#[cfg(llvm)]
#[derive(Debug, thiserror::Error)]
pub enum IrProblem {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(std::io::Error),
    /// LLVM does not take it.
    #[error("neither IR nor bitcode that this LLVM takes: {0}")]
    Invalid(String),
    /// A template's function is not there.
    #[error("function {0} is not defined")]
    NoFunction(String),
    /// The functions differ in their signatures, which tail calls between them do not allow.
    #[error("its function is {found}, but the first template's is {expected}")]
    Signature {
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A template of a table is not entered with what stencils are.
    #[error(
        "its function is {found}, expected three pointers (frame, stack pointer, thread state), and nothing or a pointer \
         as result"
    )]
    TableSignature {
        /// What it is.
        found: String,
    },
    /// A way out goes to an address of which nothing is known.
    #[error(
        "a tail call goes to an address that is not, right in front of it, loaded from the exit record (a front end must \
         optimise for that): {0}"
    )]
    Elsewhere(String),
    /// A function of the module is still called after optimisation.
    #[error(
        "its function {0} is called, but could not be inlined (a front end must not mark it as noinline)"
    )]
    NotInlined(String),
    /// The module is for another machine.
    #[error("the module is for {found}, expected {expected}")]
    Machine {
        /// Its target triple.
        found: String,
        /// That of tables.
        expected: &'static str,
    },
    /// The parameters cannot be handed over in the order that was asked for.
    #[error(
        "its function is {found}, expected {count} parameters of which those that change places are of one type"
    )]
    Parameters {
        /// What it is.
        found: String,
        /// How many there should be.
        count: usize,
    },
    /// The function that enters stencils does not do so in one place.
    #[error("it calls the continuation in {calls} places, expected 1")]
    Entry {
        /// How many calls there are.
        calls: usize,
    },
    /// A symbol with the prefix of a hole that nobody declared.
    #[error("symbol {symbol} is not a hole; there are {}", .known.join(", "))]
    UnknownHole {
        /// Its name.
        symbol: String,
        /// The names of those that there are.
        known: Vec<String>,
    },
    /// A front end has optimised with what it believes of an address, where the hole is a number.
    #[error(
        "the hole {symbol} is a number, but its symbol is {reason}, and a front end has optimised the code: it takes an address \
         that is not weak for one that is never 0, and one that is aligned for a multiple, so that code for other numbers may be \
         gone; declare it as weak, of one byte (in C: `extern char {symbol}[] __attribute__((weak));`), or have the front end not \
         optimise (clang: `-O1 -Xclang -disable-llvm-passes`)"
    )]
    Decided {
        /// Its name.
        symbol: String,
        /// What is believed of it.
        reason: &'static str,
    },
    /// What a `switch` chooses stands in a table of addresses, which a stencil's data cannot hold.
    #[error(
        "a front end has made a table of addresses of a switch, expected the switch; have it not do so (clang: `-fno-jump-tables`)"
    )]
    AddressTable,
    /// LLVM cannot make code of it.
    #[error("LLVM cannot {stage}: {message}")]
    Llvm {
        /// What was asked of it.
        stage: &'static str,
        /// What it says.
        message: String,
    },
    /// LLVM has no instructions for an intrinsic, or none that any x86-64 has.
    #[error(
        "it calls {0}, for which {cpu} has no instructions; call a function of the program instead (a front end must not \
         instrument the code, nor compile it for another CPU)",
        cpu = crate::target::CPU
    )]
    Intrinsic(String),
    /// Assembly that names an operand that it does not have.
    #[error(
        "the assembly {text:?} names an operand that is not there: it has {operands}; `$0` or `${{0:k}}` is the first, and a dollar \
         is written `$$`"
    )]
    Assembly {
        /// Its text.
        text: String,
        /// How many it has.
        operands: usize,
    },
    /// A function is of a kind of which there is no stencil.
    #[error("its function {found}, which a stencil's cannot: {reason}")]
    Unfit {
        /// What it does.
        found: String,
        /// Why not.
        reason: &'static str,
    },
    /// A hole that is used as none can be.
    #[error("the hole {symbol}: {reason}")]
    Hole {
        /// Its name.
        symbol: String,
        /// What is wrong.
        reason: String,
    },
}
