//! The kinds of objects as a text writes them, `kind(argument, field=argument)`: one table for reading and for writing.

/// What a field of an object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// An object.
    Value,
    /// An object or `null`.
    Nullable,
    /// Objects.
    Values,
    /// Keys and values, which are objects.
    Pairs,
    /// Names and objects.
    Attributes,
    /// Names.
    Names,
    /// A name.
    Name,
    /// An int of any size.
    Decimal,
    /// An int of a machine word.
    Integer,
    /// A code object.
    Code,
}

/// A kind of objects.
#[derive(Debug)]
pub(super) struct Kind {
    /// How a text calls it.
    pub(super) word: &'static str,
    /// How the JSON form calls it, `t`.
    pub(super) tag: &'static str,
    /// Its fields in the order in which they may be given without their names.
    pub(super) fields: &'static [(&'static str, Field)],
    /// The fields that may be left out: empty, or what [`default_of`] says.
    pub(super) optional: &'static [&'static str],
}

const fn kind(
    word: &'static str,
    fields: &'static [(&'static str, Field)],
    optional: &'static [&'static str],
) -> Kind {
    Kind {
        word,
        tag: word,
        fields,
        optional,
    }
}

const SEQUENCE_ITERATOR: &[(&str, Field)] = &[("seq", Field::Nullable), ("index", Field::Integer)];
const NAME: &[(&str, Field)] = &[("name", Field::Name)];

/// All kinds but the scalars.
pub(super) const KINDS: &[Kind] = &[
    kind("list", &[("items", Field::Values)], &["items"]),
    kind("tuple", &[("items", Field::Values)], &["items"]),
    kind("set", &[("items", Field::Values)], &["items"]),
    kind("dict", &[("items", Field::Pairs)], &["items"]),
    kind(
        "range",
        &[
            ("start", Field::Decimal),
            ("stop", Field::Decimal),
            ("step", Field::Decimal),
        ],
        &["step"],
    ),
    kind(
        "range_iterator",
        &[
            ("start", Field::Decimal),
            ("step", Field::Decimal),
            ("len", Field::Decimal),
        ],
        &[],
    ),
    kind("list_iterator", SEQUENCE_ITERATOR, &["index"]),
    kind("tuple_iterator", SEQUENCE_ITERATOR, &["index"]),
    kind("str_ascii_iterator", SEQUENCE_ITERATOR, &["index"]),
    kind(
        "function",
        &[
            ("code", Field::Code),
            ("name", Field::Name),
            ("defaults", Field::Value),
            ("kwdefaults", Field::Value),
            ("closure", Field::Value),
        ],
        &["name", "defaults", "kwdefaults", "closure"],
    ),
    kind("frozenset", &[("items", Field::Values)], &["items"]),
    kind("cell", &[("contents", Field::Nullable)], &[]),
    kind("type", NAME, &[]),
    Kind {
        word: "class",
        tag: "type",
        fields: &[
            ("name", Field::Name),
            ("inline_keys", Field::Names),
            ("methods", Field::Attributes),
            ("slots", Field::Names),
        ],
        optional: &["inline_keys", "methods", "slots"],
    },
    kind(
        "instance",
        &[("type", Field::Value), ("attrs", Field::Attributes)],
        &["attrs"],
    ),
    kind("builtin", NAME, &[]),
    kind("method_descriptor", NAME, &[]),
    kind("module", NAME, &[]),
    kind("module_function", NAME, &[]),
    kind(
        "method",
        &[("func", Field::Value), ("self", Field::Value)],
        &[],
    ),
];

/// The kind of this name in texts.
pub(super) fn by_word(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == word)
}

/// The kind of an object of the JSON form.
pub(super) fn by_tag(tag: &str, is_class: bool) -> Option<&'static Kind> {
    let word = if is_class && tag == "type" {
        "class"
    } else {
        tag
    };
    by_word(word)
}

/// The operators of `_BINARY_OP` by oparg.
const BINARY_OPERATORS: [&str; 26] = [
    "+", "&", "//", "<<", "@", "*", "%", "|", "**", ">>", "-", "/", "^", "+=", "&=", "//=", "<<=",
    "@=", "*=", "%=", "|=", "**=", ">>=", "-=", "/=", "^=",
];

/// The operators of `_COMPARE_OP` with the opargs that CPython gives them: the operator above five bits, of which the lower
/// four say which outcomes make it true.
const COMPARISONS: [(&str, u16); 6] = [
    ("<", 2),
    ("<=", 1 << 5 | 10),
    ("==", 2 << 5 | 8),
    ("!=", 3 << 5 | 7),
    (">", 4 << 5 | 4),
    (">=", 5 << 5 | 12),
];

/// Set in the oparg of a comparison whose result is made a bool.
const TO_BOOL: u16 = 16;

fn is_comparison(op: &str) -> bool {
    matches!(
        op,
        "_COMPARE_OP" | "_COMPARE_OP_INT" | "_COMPARE_OP_FLOAT" | "_COMPARE_OP_STR"
    )
}

/// The oparg that an operator stands for, written as the `dis` module does.
pub(super) fn oparg_of_operator(op: &str, operator: &str) -> Option<u16> {
    if op == "_BINARY_OP" {
        let oparg = BINARY_OPERATORS
            .iter()
            .position(|&found| found == operator)?;
        return u16::try_from(oparg).ok();
    }
    if !is_comparison(op) {
        return None;
    }
    let truth = operator
        .strip_prefix("bool(")
        .and_then(|rest| rest.strip_suffix(')'));
    let (name, extra) = match truth {
        Some(name) => (name, TO_BOOL),
        None => (operator, 0),
    };
    let &(_, oparg) = COMPARISONS.iter().find(|(found, _)| *found == name)?;
    Some(oparg | extra)
}

/// The operator that an oparg is written as.
pub(super) fn operator_of_oparg(op: &str, oparg: u16) -> Option<String> {
    if op == "_BINARY_OP" {
        let operator = BINARY_OPERATORS.get(usize::from(oparg))?;
        return Some((*operator).to_owned());
    }
    if !is_comparison(op) {
        return None;
    }
    let &(name, _) = COMPARISONS
        .iter()
        .find(|(_, plain)| *plain == oparg & !TO_BOOL)?;
    Some(if oparg & TO_BOOL == 0 {
        name.to_owned()
    } else {
        format!("bool({name})")
    })
}
