//! A small Python: functions, and their text.

use std::fmt::{self, Write as _};

/// A value that a program starts with or has a literal for.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`
    None,
    /// `False` and `True`
    Bool(bool),
    /// An int; i128, so that some are beyond a machine word.
    Int(i128),
    /// A float
    Float(f64),
    /// A string
    Str(String),
    /// A list; only among arguments, because a literal makes a new one each time.
    List(Vec<Value>),
    /// A tuple
    Tuple(Vec<Value>),
    /// A dict; only among arguments.
    Dict(Vec<(Value, Value)>),
    /// A set; only among arguments.
    Set(Vec<Value>),
}

/// An operator with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// `-x`
    Negative,
    /// `~x`
    Invert,
    /// `not x`
    Not,
}

/// An operator with two operands, in the order of CPython's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Binary {
    /// `+`
    Add = 0,
    /// `&`
    And = 1,
    /// `//`
    FloorDivide = 2,
    /// `<<`
    LeftShift = 3,
    /// `*`
    Multiply = 5,
    /// `%`
    Remainder = 6,
    /// `|`
    Or = 7,
    /// `**`
    Power = 8,
    /// `>>`
    RightShift = 9,
    /// `-`
    Subtract = 10,
    /// `/`
    TrueDivide = 11,
    /// `^`
    Xor = 12,
}

impl Binary {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::And => "&",
            Self::FloorDivide => "//",
            Self::LeftShift => "<<",
            Self::Multiply => "*",
            Self::Remainder => "%",
            Self::Or => "|",
            Self::Power => "**",
            Self::RightShift => ">>",
            Self::Subtract => "-",
            Self::TrueDivide => "/",
            Self::Xor => "^",
        }
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `in`
    In,
    /// `not in`
    NotIn,
    /// `is`
    Is,
    /// `is not`
    IsNot,
}

impl Comparison {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::NotIn => "not in",
            Self::Is => "is",
            Self::IsNot => "is not",
        }
    }
}

/// A part of an f-string.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text without braces, quotes and backslashes.
    Text(String),
    /// A value, converted first by `!s`, `!r` or `!a` if that is asked for.
    Value(Expr, Option<char>),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A literal.
    Constant(Value),
    /// A local variable.
    Local(usize),
    /// An operator with one operand.
    Unary(Unary, Box<Expr>),
    /// An operator with two operands.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// A comparison.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `x and y`
    And(Box<Expr>, Box<Expr>),
    /// `x or y`
    Or(Box<Expr>, Box<Expr>),
    /// `then if test else otherwise`, in the order of evaluation: test, then, otherwise.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `x[i]`
    Subscript(Box<Expr>, Box<Expr>),
    /// `x[low:high]`
    Slice(Box<Expr>, Option<Box<Expr>>, Option<Box<Expr>>),
    /// `x[low:high:step]`
    SteppedSlice(Box<Expr>, Box<Expr>, Box<Expr>, Box<Expr>),
    /// `[x, y]`
    List(Vec<Expr>),
    /// `(x, y)`
    Tuple(Vec<Expr>),
    /// `{k: v}`
    Dict(Vec<(Expr, Expr)>),
    /// A built-in function or type.
    Builtin(&'static str),
    /// A call of a built-in function or type.
    Call(&'static str, Vec<Expr>),
    /// `f"text{value}"`
    Format(Vec<Piece>),
}

/// What is assigned to.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// `x = `
    Local(usize),
    /// `x[i] = `
    Subscript(Expr, Expr),
    /// `x[low:high] = `
    Slice(Expr, Expr, Expr),
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// `target = value`
    Assign(Target, Expr),
    /// `target op= value`; no slice.
    Augmented(Target, Binary, Expr),
    /// `x, y = value`
    Unpack(Vec<usize>, Expr),
    /// `del x`
    Delete(usize),
    /// `del x[i]`
    DeleteItem(Expr, Expr),
    /// An expression.
    Expression(Expr),
    /// `if test: ... else: ...`
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// `while test: ...`
    While(Expr, Vec<Stmt>),
    /// `for x in iterable: ...`
    For(usize, Expr, Vec<Stmt>),
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `return`
    Return,
}

/// A function and what it is called with.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The names of the locals, the parameters first.
    pub names: Vec<String>,
    /// One for each parameter.
    pub arguments: Vec<Value>,
    /// What it does.
    pub body: Vec<Stmt>,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(value) if *value < 0 => write!(f, "({value})"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) if !value.is_finite() => write!(f, "float('{value}')"),
            Self::Float(value) if value.is_sign_negative() => write!(f, "({value:?})"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Str(value) => write_text(f, value),
            Self::List(items) => {
                f.write_char('[')?;
                write_all(f, items)?;
                f.write_char(']')
            }
            Self::Tuple(items) => write_tuple(f, items),
            Self::Dict(items) => {
                let pairs: Vec<String> = items.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                write!(f, "{{{}}}", pairs.join(", "))
            }
            // Braces are an empty dict.
            Self::Set(items) => {
                f.write_str("set([")?;
                write_all(f, items)?;
                f.write_str("])")
            }
        }
    }
}

/// A string literal in ASCII.
fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            ' '..='~' if !"\"\\".contains(character) => f.write_char(character)?,
            _ => write!(f, "\\U{:08x}", u32::from(character))?,
        }
    }
    f.write_char('"')
}

fn write_all<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

fn write_tuple<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    f.write_char('(')?;
    write_all(f, items)?;
    f.write_str(if items.len() == 1 { ",)" } else { ")" })
}

/// Writes what has names for its locals.
struct Named<'a, T>(&'a [String], &'a T);

impl fmt::Display for Named<'_, Expr> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(names, expr) = *self;
        let of = |expr: &'_ Expr| Named(names, expr).to_string();
        let all = |items: &[Expr]| items.iter().map(of).collect::<Vec<String>>();
        match expr {
            Expr::Constant(value) => write!(f, "{value}"),
            Expr::Local(local) => f.write_str(&names[*local]),
            Expr::Unary(operator, operand) => {
                let symbol = match operator {
                    Unary::Negative => "-",
                    Unary::Invert => "~",
                    Unary::Not => "not ",
                };
                write!(f, "({symbol}{})", of(operand))
            }
            Expr::Binary(operator, left, right) => {
                write!(f, "({} {} {})", of(left), operator.symbol(), of(right))
            }
            Expr::Compare(comparison, left, right) => {
                write!(f, "({} {} {})", of(left), comparison.symbol(), of(right))
            }
            Expr::And(left, right) => write!(f, "({} and {})", of(left), of(right)),
            Expr::Or(left, right) => write!(f, "({} or {})", of(left), of(right)),
            Expr::If(test, then, otherwise) => {
                write!(f, "({} if {} else {})", of(then), of(test), of(otherwise))
            }
            Expr::Subscript(container, index) => write!(f, "{}[{}]", of(container), of(index)),
            Expr::Slice(container, low, high) => {
                let bound = |bound: &Option<Box<Expr>>| bound.as_deref().map_or(String::new(), of);
                write!(f, "{}[{}:{}]", of(container), bound(low), bound(high))
            }
            Expr::SteppedSlice(container, low, high, step) => {
                let (low, high, step) = (of(low), of(high), of(step));
                write!(f, "{}[{low}:{high}:{step}]", of(container))
            }
            Expr::List(items) => write!(f, "[{}]", all(items).join(", ")),
            Expr::Tuple(items) => write_tuple(f, &all(items)),
            Expr::Dict(items) => {
                let pair = |(key, value): &(Expr, Expr)| format!("{}: {}", of(key), of(value));
                let pairs: Vec<String> = items.iter().map(pair).collect();
                write!(f, "{{{}}}", pairs.join(", "))
            }
            Expr::Builtin(name) => f.write_str(name),
            Expr::Call(name, arguments) => write!(f, "{name}({})", all(arguments).join(", ")),
            Expr::Format(pieces) => {
                f.write_str("f'")?;
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => f.write_str(text)?,
                        Piece::Value(value, conversion) => {
                            let conversion =
                                conversion.map_or(String::new(), |to| format!("!{to}"));
                            write!(f, "{{{}{conversion}}}", of(value))?;
                        }
                    }
                }
                f.write_char('\'')
            }
        }
    }
}

impl fmt::Display for Named<'_, Target> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(names, target) = *self;
        let of = |expr| Named(names, expr);
        match target {
            Target::Local(local) => f.write_str(&names[*local]),
            Target::Subscript(container, index) => write!(f, "{}[{}]", of(container), of(index)),
            Target::Slice(container, low, high) => {
                write!(f, "{}[{}:{}]", of(container), of(low), of(high))
            }
        }
    }
}

impl Program {
    fn write_body(&self, f: &mut fmt::Formatter<'_>, body: &[Stmt], indent: usize) -> fmt::Result {
        let of = |expr| Named(&self.names, expr);
        let target = |target| Named::<Target>(&self.names, target);
        let indented = format!("{:1$}", "", indent * 4);
        if body.is_empty() {
            return writeln!(f, "{indented}pass");
        }
        for statement in body {
            f.write_str(&indented)?;
            match statement {
                Stmt::Assign(to, value) => writeln!(f, "{} = {}", target(to), of(value))?,
                Stmt::Augmented(to, operator, value) => {
                    writeln!(f, "{} {}= {}", target(to), operator.symbol(), of(value))?;
                }
                Stmt::Unpack(to, value) => {
                    let names: Vec<&str> = to.iter().map(|&to| self.names[to].as_str()).collect();
                    writeln!(f, "{}, = {}", names.join(", "), of(value))?;
                }
                Stmt::Delete(local) => writeln!(f, "del {}", self.names[*local])?,
                Stmt::DeleteItem(container, index) => {
                    writeln!(f, "del {}[{}]", of(container), of(index))?;
                }
                Stmt::Expression(value) => writeln!(f, "{}", of(value))?,
                Stmt::If(test, then, otherwise) => {
                    writeln!(f, "if {}:", of(test))?;
                    self.write_body(f, then, indent + 1)?;
                    if !otherwise.is_empty() {
                        writeln!(f, "{indented}else:")?;
                        self.write_body(f, otherwise, indent + 1)?;
                    }
                }
                Stmt::While(test, body) => {
                    writeln!(f, "while {}:", of(test))?;
                    self.write_body(f, body, indent + 1)?;
                }
                Stmt::For(local, iterable, body) => {
                    writeln!(f, "for {} in {}:", self.names[*local], of(iterable))?;
                    self.write_body(f, body, indent + 1)?;
                }
                Stmt::Break => writeln!(f, "break")?,
                Stmt::Continue => writeln!(f, "continue")?,
                Stmt::Return => writeln!(f, "return locals()")?,
            }
        }
        Ok(())
    }
}

/// The function `f`, which gives its locals, and its `arguments`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = &self.names[..self.arguments.len()];
        writeln!(f, "def f({}):", parameters.join(", "))?;
        self.write_body(f, &self.body, 1)?;
        writeln!(f, "    return locals()")?;
        // Never run: it makes locals of names that are only read.
        writeln!(f, "    {} = None", self.names.join(" = "))?;
        f.write_str("arguments = ")?;
        write_tuple(f, &self.arguments)?;
        writeln!(f)
    }
}
