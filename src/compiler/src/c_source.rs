//! Stencil groups as C source: functions that copy the bytes of a group and patch its holes.
//!
//! This is the writer alone. What a group's parts are called, where they are copied and which functions patch them is the
//! contract of the program that the source is for. A function has the form of those in CPython's `jit_stencils.h`: for each
//! part comments and bytes, then the parts' copies, the last part first, each followed by its patches.
//!
//! Names and expressions are written as they are given: they must be C.

use std::fmt::Write;

/// How many bytes stand on a line.
const ROW: usize = 8;

/// A part of a stencil group as C: its bytes, what is said about them in comments, and how its holes are patched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CPart {
    /// What the part is called: its bytes are `NAME_body`.
    pub name: &'static str,
    /// The lines of comment before the bytes.
    pub comments: Vec<String>,
    /// The bytes; where there are none, nothing is declared and nothing copied.
    pub bytes: Vec<u8>,
    /// The C expression of where they are copied to, a pointer to `unsigned char`; often the name.
    pub place: String,
    /// How the holes are filled, in any order.
    pub patches: Vec<CPatch>,
}

/// A patch of a part: `FUNCTION(PLACE + 0xOFFSET, VALUE);`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CPatch {
    /// The name of the function that patches.
    pub function: String,
    /// The hole's offset in the part.
    pub offset: u32,
    /// The C expression of what is written, or several with commas between them.
    pub value: String,
}

/// A function that copies and patches one stencil group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CFunction {
    /// What stands before the name: `void`, `static int`.
    pub result: &'static str,
    /// The name.
    pub name: String,
    /// The lines of the parameters, commas included; `void` where there are none.
    pub parameters: Vec<String>,
    /// Lines at the start of the body.
    pub statements_before: Vec<String>,
    /// The parts, in the order in which they are declared. They are written in the reverse of this order, so that a part
    /// may be patched with what is in a part behind it.
    pub parts: Vec<CPart>,
    /// Lines at the end of the body.
    pub statements_after: Vec<String>,
}

impl CFunction {
    /// Appends the function's definition and an empty line.
    pub fn write(&self, out: &mut String) {
        out.push_str(self.result);
        out.push('\n');
        out.push_str(&self.name);
        out.push_str("(\n");
        let parameters = match self.parameters.is_empty() {
            true => "    void".to_owned(),
            false => indented(&self.parameters),
        };
        out.push_str(&parameters);
        out.push_str(")\n{\n");
        lines(&self.statements_before, out);
        for part in &self.parts {
            part.declare(out);
        }
        for part in self.parts.iter().rev() {
            part.copy(out);
        }
        lines(&self.statements_after, out);
        out.push_str("}\n\n");
    }
}

impl CPart {
    /// The comments and the bytes.
    fn declare(&self, out: &mut String) {
        for comment in &self.comments {
            line(format_args!("{}", comment_line(comment)), out);
        }
        if self.bytes.is_empty() {
            return;
        }
        let (name, length) = (self.name, self.bytes.len());
        line(
            format_args!("    const unsigned char {name}_body[{length}] = {{"),
            out,
        );
        for row in self.bytes.chunks(ROW) {
            let row: Vec<String> = row.iter().map(|byte| format!("{byte:#04x},")).collect();
            line(format_args!("        {}", row.join(" ")), out);
        }
        line(format_args!("    }};"), out);
    }

    /// The copy of the bytes and the patches, ascending by offset.
    fn copy(&self, out: &mut String) {
        if self.bytes.is_empty() {
            return;
        }
        let (name, place) = (self.name, &self.place);
        line(
            format_args!("    memcpy({place}, {name}_body, sizeof({name}_body));"),
            out,
        );
        let mut patches: Vec<&CPatch> = self.patches.iter().collect();
        patches.sort_by_key(|patch| patch.offset);
        for CPatch {
            function,
            offset,
            value,
        } in patches
        {
            line(
                format_args!("    {function}({place} + {offset:#x}, {value});"),
                out,
            );
        }
    }
}

/// Appends lines of the body.
fn lines(statements: &[String], out: &mut String) {
    if !statements.is_empty() {
        line(format_args!("{}", indented(statements)), out);
    }
}

fn indented(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

fn line(text: std::fmt::Arguments<'_>, out: &mut String) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}

/// A comment that is one line whatever the text is: neither a line's end nor a backslash continues it.
fn comment_line(text: &str) -> String {
    let text = text.replace(
        |character: char| character.is_control() || character == '\\',
        "?",
    );
    format!("    // {text}").trim_end().to_owned()
}

/// A text as a C string literal, with what C cannot hold in one escaped.
pub fn string_literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => literal.extend(['\\', char::from(byte)]),
            // Two question marks may begin a trigraph.
            b' '..=b'~' if byte != b'?' => literal.push(char::from(byte)),
            // Three digits end an octal escape, whatever follows.
            _ => literal += &format!("\\{byte:03o}"),
        }
    }
    literal + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    fn patch(function: &str, offset: u32, value: &str) -> CPatch {
        CPatch {
            function: function.to_owned(),
            offset,
            value: value.to_owned(),
        }
    }

    fn function(parts: Vec<CPart>) -> CFunction {
        CFunction {
            result: "void",
            name: "emit_INCREMENT".to_owned(),
            parameters: owned(&["unsigned char *code, unsigned char *data,", "long step"]),
            statements_before: Vec::new(),
            parts,
            statements_after: Vec::new(),
        }
    }

    fn part(name: &'static str, comments: &[&str], bytes: &[u8], patches: Vec<CPatch>) -> CPart {
        CPart {
            name,
            comments: owned(comments),
            bytes: bytes.to_vec(),
            place: name.to_owned(),
            patches,
        }
    }

    fn text(function: &CFunction) -> String {
        let mut out = String::new();
        function.write(&mut out);
        out
    }

    #[test]
    fn parts_are_declared_in_order_and_written_from_the_last_to_the_first() {
        let code = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0];
        let patches = vec![patch("patch_b", 8, "-0x4"), patch("patch_a", 3, "data")];
        let function = function(vec![
            part("code", &["", "0: what it is", "c:"], &code, patches),
            part(
                "data",
                &["0: STEP"],
                &[0; 8],
                vec![patch("patch_64", 0, "step")],
            ),
        ]);
        let expected = "\
void
emit_INCREMENT(
    unsigned char *code, unsigned char *data,
    long step)
{
    //
    // 0: what it is
    // c:
    const unsigned char code_body[12] = {
        0x48, 0x8b, 0x05, 0x00, 0x00, 0x00, 0x00, 0xe9,
        0x00, 0x00, 0x00, 0x00,
    };
    // 0: STEP
    const unsigned char data_body[8] = {
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    };
    memcpy(data, data_body, sizeof(data_body));
    patch_64(data + 0x0, step);
    memcpy(code, code_body, sizeof(code_body));
    patch_a(code + 0x3, data);
    patch_b(code + 0x8, -0x4);
}

";
        assert_eq!(text(&function), expected);
    }

    #[test]
    fn a_part_without_bytes_is_only_commented_on() {
        let mut function = function(vec![
            part("code", &["0:", "a name with \\\n and more \\"], &[], vec![]),
            part("data", &[], &[], vec![]),
        ]);
        function.result = "static int";
        function.parameters = Vec::new();
        function.statements_before = owned(&["if (refused)", "    return 0;"]);
        function.statements_after = owned(&["return 1;"]);
        let expected = "\
static int
emit_INCREMENT(
    void)
{
    if (refused)
        return 0;
    // 0:
    // a name with ?? and more ?
    return 1;
}

";
        assert_eq!(text(&function), expected);
    }

    #[test]
    fn literals_hold_any_text() {
        let rows = [
            ("_LOAD_FAST", r#""_LOAD_FAST""#),
            ("a \"b\" \\", r#""a \"b\" \\""#),
            ("??/\n9", r#""\077\077/\0129""#),
            ("é", r#""\303\251""#),
        ];
        for (text, expected) in rows {
            assert_eq!(string_literal(text), expected);
        }
    }
}
