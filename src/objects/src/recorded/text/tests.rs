use crate::recorded::Document;
use crate::recorded::fixtures::{self, Numbers};

/// All recorded traces.
fn recorded() -> Vec<(String, Document)> {
    let read = |(name, text): (String, String)| {
        let document = Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, document)
    };
    fixtures::traces().into_iter().map(read).collect()
}

fn read(name: &str, text: &str) -> Document {
    Document::parse_text(text).unwrap_or_else(|error| panic!("{}", error.render(name, text)))
}

#[test]
fn recorded_traces_become_text_and_come_back() {
    for (name, document) in recorded() {
        let json = Document::parse(&document.to_json_text()).unwrap();
        assert_eq!(json, document, "{name}");
        let text = document.to_text();
        let again = read(&name, &text);
        assert_eq!(again, document, "{name}");
        assert_eq!(again.to_text(), text, "{name}");
    }
}

const MINIMAL: &str = r#"entry
    locals x=41, y

executor 0
    _LOAD_FAST x
    _LOAD_CONST_INLINE 1
    _GUARD_BOTH_INT -> deopt6
    _BINARY_OP_ADD_INT ! error7
    _STORE_FAST y
    exit5: _EXIT_TRACE @12
    deopt6: _DEOPT @4
    error7: _ERROR_POP_N 2 @4

expect exit5
    locals x=41, y=42
"#;

/// Whatever the form can say that the recorded traces do not.
const RARE: &str = r#"trace "rare \"things\""
python "3.14"

source "no line's end\n\n\\"

code kernel
    arguments 1
    keyword_only 1
    varargs
    stack 7
    locals x, ".0", z, z
    names len, "an attribute"
    consts None, %list1, 7
    0   RESUME 0
    2   "POP TOP"

code "<lambda>"
    stack 16

code "<lambda>"
    stack 16
    locals y

code named_only

values
    %anothername = function(kernel, "another name")
    %list1 = [%list1, %int4, None]
    None, 5
    %int4 = 5
    %kernel = function(kernel)
    1.5, -0.0, inf, -inf, nan, 5e-324, 1e300, "\x00\u200e\U000e0001é'\"\\", b"a\xff\"", True
    %set16 = {5, %int4}
    %set17 = set()
    %dict18 = {}
    %dict19 = {5: %list1}
    %range20 = range(1, 2)
    %range21 = range(1, 2, 3)
    %Slotted = class(Slotted, methods={"a b": %anothername}, slots=[a, "b c"])
    %instance23 = instance(%Slotted)
    %list_iterator24 = list_iterator(null, -1)
    %tuple25 = (5,)
    %tuple26 = ()
    %tuple_iterator27 = tuple_iterator(%tuple25)
    %generator28 = unknown("generator")
    %method29 = method(%anothername, %instance23)
    %f = function("<lambda>", f)
    %f31 = function(2, f)
    %math = module(math)

globals
    "a b" = %list1
    len = 5

entry @3
    jump 4
    arrival 2
    warmup 3
    function %kernel
    locals x=%int4, z=5, 3=None
    stack null, 5

executor 0
    _NOP 3
    "strange op" 4 @7
    _NOP operand=quantum @7
    _SET_IP ip=5 target=4
    _SET_IP ip=("<lambda>", 4) target=4 in 2
    _SET_IP @4 in 2
    _CHECK_FUNCTION function_version=%f31 -> exit8
    _GUARD_TYPE_VERSION type_version=%Slotted -> exit8
    exit8: _EXIT_TRACE @7 exit=1
    _EXIT_TRACE @9 exit=0 -> executor 1
    _STRANGE index=3 name="a b"
    _STRANGE globals_keys_version @1
    _STRANGE code="<lambda>"
    _STRANGE framesize=12
    _LOAD_CONST_INLINE %list1 oparg=3
    _COMPARE_OP 3 ! error19
    _COMPARE_OP "bool(==)" ! error19
    _BINARY_OP "//=" ! error19
    _JUMP_TO_TOP
    error19: _ERROR_POP_N 2 offset=3 target=1
    _NOP
    uop21: _STRANGE -> deopt22
    deopt22: _DEOPT @8 in 2

executor 1 in 2
    _START_EXECUTOR -> deopt1
    deopt1: _DEOPT @0

expect deopt22 from uop21
    values
        same 5, 7 is 5
        %list1 = []
        %new_list3 = [%new_list3]
        %new_list4 = [] is %list1
    locals y=%new_list4
    stack null

stats
    iterations 1
    uops 2
    entries 3, 4
    tops 5, 6
    reached 7, 8
"#;

#[test]
fn texts_are_written_in_one_way() {
    for (name, text) in [("minimal", MINIMAL), ("rare", RARE)] {
        let document = read(name, text);
        assert_eq!(document.to_text(), text, "{name}");
    }
}

/// `os.fsdecode(b"\xff")` has one.
#[test]
fn lone_surrogates_are_read_and_written() {
    let text = MINIMAL.replace("x=41", r#"x="a\udcffb", z="\ud83d\U0010ffff\ud800""#);
    let document = read("surrogates", &text);
    let values: Vec<_> = document
        .values
        .iter()
        .filter(|value| value.kind() == "str")
        .collect();
    assert_eq!(values.len(), 2);
    // As Python's `json.dumps` writes it.
    let json = document.to_json_text();
    assert!(json.contains(r#""a\udcffb""#), "{json}");
    assert!(json.contains("\"\\ud83d\u{10ffff}\\ud800\""), "{json}");
    assert_eq!(Document::parse(&json).unwrap(), document);
    // And with all escaped.
    let ascii = json.replace('\u{10ffff}', r"\udbff\udfff");
    assert_eq!(Document::parse(&ascii).unwrap(), document);
    let again = document.to_text();
    assert!(again.contains(r#""a\udcffb""#), "{again}");
    assert_eq!(read("again", &again), document);
}

#[test]
fn changed_texts_are_read_or_refused() {
    let mut texts: Vec<String> = recorded()
        .into_iter()
        .map(|(_, document)| document.to_text())
        .filter(|text| text.len() < 8000)
        .collect();
    texts.extend([MINIMAL.to_owned(), RARE.to_owned()]);
    let words: Vec<&str> = RARE.split_whitespace().collect();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut read, mut refused) = (0, 0);
    for round in 0..2000 {
        let mut text = texts[round % texts.len()].clone();
        for _ in 0..=numbers.below(3) {
            text = changed(&text, &words, &mut numbers);
        }
        match Document::parse_text(&text) {
            Ok(document) => {
                let again = document.to_text();
                let same = Document::parse_text(&again).unwrap_or_else(|error| {
                    panic!("{text}\n{}", error.render("again", &again));
                });
                assert_eq!(same.to_json(), document.to_json(), "{text}\n{again}");
                read += 1;
            }
            Err(error) => {
                let lines = text.split('\n').count();
                assert!((1..=lines).contains(&error.line), "{error}");
                assert!(error.render("text", &text).contains("--> text:"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(
        read > 100 && refused > 100,
        "{read} read, {refused} refused"
    );
}

/// A text with something taken out, doubled, or put in.
fn changed(text: &str, words: &[&str], numbers: &mut Numbers) -> String {
    let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
    let start = places[numbers.below(places.len())];
    let length = numbers.below(12);
    let end = places
        .iter()
        .copied()
        .find(|&place| place >= start + length);
    let end = end.unwrap_or(text.len());
    let (before, middle, after) = (&text[..start], &text[start..end], &text[end..]);
    match numbers.below(6) {
        0 => format!("{before}{after}"),
        1 => format!("{before}{middle}{middle}{after}"),
        2 => format!("{before}{}{after}", words[numbers.below(words.len())]),
        3 => {
            let mark = "\n\"'\\%@#|-0x=(){}[]:,! \u{e9}\0".chars();
            let mark = mark.clone().nth(numbers.below(mark.count()));
            format!("{before}{}{middle}{after}", mark.unwrap_or_default())
        }
        4 => {
            let mut lines: Vec<&str> = text.lines().collect();
            let line = lines.remove(numbers.below(lines.len()));
            lines.insert(numbers.below(lines.len() + 1), line);
            lines.join("\n")
        }
        _ => {
            text.split_inclusive('\n')
                .filter(|_| numbers.below(40) != 0)
                .collect::<String>()
                + "\n"
        }
    }
}

/// The text of [`MINIMAL`] with a change, and what is said of it.
#[test]
fn errors_show_their_place() {
    let rows = [
        (
            "x=41",
            "x=",
            "error: expected a value, found `,`
 --> case.uops:2:14
  |
2 |     locals x=, y
  |              ^",
        ),
        (
            "_LOAD_FAST x",
            "_LOAD_FAST z",
            "error: `kernel` has no such local, but x, y
 --> case.uops:5:16
  |
5 |     _LOAD_FAST z
  |                ^",
        ),
        (
            "-> deopt6",
            "-> nowhere",
            "error: there is no such uop in this executor
 --> case.uops:7:24
  |
7 |     _GUARD_BOTH_INT -> nowhere
  |                        ^^^^^^^",
        ),
        (
            "-> deopt6",
            "-> error7",
            "error: jump_target: expected an _EXIT_TRACE or a _DEOPT, found 7 (_ERROR_POP_N)
 --> case.uops:7:24
  |
7 |     _GUARD_BOTH_INT -> error7
  |                        ^^^^^^",
        ),
        (
            " -> deopt6",
            "",
            "error: expected jump_target, where _GUARD_BOTH_INT leaves
 --> case.uops:7:5
  |
7 |     _GUARD_BOTH_INT
  |     ^^^^^^^^^^^^^^^",
        ),
        (
            "y=42",
            "y=%answer",
            "error: there is no value `%answer`
  --> case.uops:15:20
   |
15 |     locals x=41, y=%answer
   |                    ^^^^^^^",
        ),
        (
            "y=42",
            "y=\"\\d\"",
            "error: unknown escape `\\\\d`
  --> case.uops:15:21
   |
15 |     locals x=41, y=\"\\d\"
   |                     ^^",
        ),
        (
            "expect exit5",
            "expect",
            "error: expected the label or the index of the uop through which control leaves, found the end of the line
  --> case.uops:14:7
   |
14 | expect
   |       ^",
        ),
        (
            "entry",
            "enrty",
            "error: expected `trace`, `python`, `source`, `code`, `values`, `globals`, `entry`, `executor`, `expect` or `stats`, found `enrty`
 --> case.uops:1:1
  |
1 | enrty
  | ^^^^^",
        ),
    ];
    for (from, to, expected) in rows {
        let text = MINIMAL.replacen(from, to, 1);
        assert_ne!(text, MINIMAL);
        let error = Document::parse_text(&text).unwrap_err();
        assert_eq!(error.render("case.uops", &text), expected, "{error}");
    }
}
