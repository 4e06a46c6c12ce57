//! Parsing: from tokens to the parts of a text.

use super::error::{Problem, Result};
use super::lex::{Token, TokenKind, tokens};
use super::syntax::{
    Argument, At, Binding, CodeField, CodeText, Definition, EntryText, ExecutorText, ExpectText,
    File, FrameText, InstructionText, Origin, Span, StatsText, Tree, UopText,
};
use std::fmt::Display;

/// Values may be written inside of values to this depth; what is deeper needs names.
const MAX_DEPTH: usize = 50;

/// The words that begin a part; each stands at the beginning of a line.
const SECTIONS: &str = "`trace`, `python`, `source`, `code`, `values`, `globals`, `entry`, `executor`, `expect` or `stats`";

/// The parts of a text.
pub(super) fn file(text: &str) -> Result<File> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens, at: 0 };
    parser.file()
}

struct Parser {
    /// The last is the end, and the one before a line's end.
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn token(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn kind(&self) -> &TokenKind {
        &self.token().kind
    }

    fn span(&self) -> Span {
        self.token().span.clone()
    }

    /// From the start of something to the end of the token before this one.
    fn span_from(&self, start: &Span) -> Span {
        let end = self
            .at
            .checked_sub(1)
            .map_or(0, |at| self.tokens[at].span.end);
        start.start..end.max(start.start)
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn expected<T>(&self, expected: impl Display) -> Result<T> {
        Err(Problem::expected(self.span(), expected, self.kind()))
    }

    fn is_mark(&self, mark: &str) -> bool {
        matches!(self.kind(), TokenKind::Mark(found) if *found == mark)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.kind(), TokenKind::Word(found) if found == word)
    }

    fn is_line_end(&self) -> bool {
        matches!(self.kind(), TokenKind::Newline | TokenKind::End)
    }

    fn take_mark(&mut self, mark: &str) -> bool {
        let found = self.is_mark(mark);
        if found {
            self.advance();
        }
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn mark(&mut self, mark: &str) -> Result<()> {
        if self.take_mark(mark) {
            return Ok(());
        }
        self.expected(format_args!("`{mark}`"))
    }

    fn word(&mut self, expected: &str) -> Result<At<String>> {
        let span = self.span();
        let TokenKind::Word(it) = self.kind().clone() else {
            return self.expected(expected);
        };
        self.advance();
        Ok(At { it, span })
    }

    /// A word, or a str for a name that is none.
    fn name(&mut self, expected: &str) -> Result<At<String>> {
        let span = self.span();
        match self.kind().clone() {
            TokenKind::Word(it) | TokenKind::Str(it) => {
                self.advance();
                Ok(At { it, span })
            }
            _ => self.expected(expected),
        }
    }

    fn int(&mut self, expected: &str) -> Result<At<String>> {
        let span = self.span();
        let TokenKind::Int(it) = self.kind().clone() else {
            return self.expected(expected);
        };
        self.advance();
        Ok(At { it, span })
    }

    fn string(&mut self, expected: &str) -> Result<At<String>> {
        let span = self.span();
        let TokenKind::Str(it) = self.kind().clone() else {
            return self.expected(expected);
        };
        self.advance();
        Ok(At { it, span })
    }

    fn line_end(&mut self) -> Result<()> {
        if !self.is_line_end() {
            return self.expected("the end of the line");
        }
        while matches!(self.kind(), TokenKind::Newline) {
            self.advance();
        }
        Ok(())
    }

    /// At least one of something, between commas.
    fn commas<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![read(self)?];
        while self.take_mark(",") {
            items.push(read(self)?);
        }
        Ok(items)
    }

    fn file(&mut self) -> Result<File> {
        let mut file = File::default();
        while matches!(self.kind(), TokenKind::Newline) {
            self.advance();
        }
        while !matches!(self.kind(), TokenKind::End) {
            self.section(&mut file)?;
        }
        file.end = self.span();
        Ok(file)
    }

    fn section(&mut self, file: &mut File) -> Result<()> {
        let start = self.span();
        let TokenKind::Word(keyword) = self.kind().clone() else {
            return self.expected(SECTIONS);
        };
        self.advance();
        match keyword.as_str() {
            "trace" => self.header(&mut file.trace, &start, "the name of the trace in quotes"),
            "python" => self.header(&mut file.python, &start, "the version of Python in quotes"),
            "source" => self.source(file, &start),
            "code" => {
                let code = self.code()?;
                file.codes.push(code);
                Ok(())
            }
            "values" => {
                self.line_end()?;
                self.definitions(&mut file.values)
            }
            "globals" => self.globals(&mut file.globals),
            "entry" => {
                once(&file.entry.span, Span::default(), &start, "entry")?;
                file.entry = self.entry(start)?;
                Ok(())
            }
            "executor" => {
                let executor = self.executor(start)?;
                file.executors.push(executor);
                Ok(())
            }
            "expect" => {
                once(&file.expect.is_some(), false, &start, "expect")?;
                file.expect = Some(self.expect(start)?);
                Ok(())
            }
            "stats" => {
                once(&file.stats.is_some(), false, &start, "stats")?;
                file.stats = Some(self.stats()?);
                Ok(())
            }
            other => Err(Problem::expected(
                start,
                SECTIONS,
                format_args!("`{other}`"),
            )),
        }
    }

    /// `keyword "text"`.
    fn header(&mut self, field: &mut Option<At<String>>, start: &Span, what: &str) -> Result<()> {
        once(&field.is_some(), false, start, "that")?;
        *field = Some(self.string(what)?);
        self.line_end()
    }

    /// The program, as lines behind `|` or as one str.
    fn source(&mut self, file: &mut File, start: &Span) -> Result<()> {
        if matches!(self.kind(), TokenKind::Str(_)) {
            return self.header(&mut file.source, start, "the program");
        }
        once(&file.source.is_some(), false, start, "source")?;
        self.line_end()?;
        let mut text = String::new();
        while let TokenKind::Source(line) = self.kind() {
            text.push_str(line);
            text.push('\n');
            self.advance();
            self.line_end()?;
        }
        if text.is_empty() {
            return self.expected("the lines of the program, each behind a `|`");
        }
        let span = start.clone();
        file.source = Some(At { it: text, span });
        Ok(())
    }

    fn code(&mut self) -> Result<CodeText> {
        let name = self.name("the name of the code")?;
        self.line_end()?;
        let mut code = CodeText {
            name,
            fields: Vec::new(),
            instructions: Vec::new(),
        };
        loop {
            if let TokenKind::Int(_) = self.kind() {
                let instruction = self.instruction()?;
                code.instructions.push(instruction);
                continue;
            }
            let TokenKind::Word(field) = self.kind().clone() else {
                break;
            };
            let Some(read) = code_field(&field) else {
                break;
            };
            let span = self.span();
            self.advance();
            if code.fields.iter().any(|(known, _)| known.it == field) {
                return Err(Problem::new(span, format_args!("`{field}` is given twice")));
            }
            let content = read(self)?;
            code.fields.push((At { it: field, span }, content));
            self.line_end()?;
        }
        Ok(code)
    }

    fn instruction(&mut self) -> Result<At<InstructionText>> {
        let start = self.span();
        let offset = self.int("an offset")?;
        let name = self.name("the name of an instruction")?;
        let oparg = match self.kind() {
            TokenKind::Int(_) => Some(self.int("an oparg")?),
            _ => None,
        };
        let span = self.span_from(&start);
        self.line_end()?;
        let it = InstructionText {
            offset,
            name,
            oparg,
        };
        Ok(At { it, span })
    }

    /// Lines of values, up to the next part.
    fn definitions(&mut self, definitions: &mut Vec<Definition>) -> Result<()> {
        while self.begins_definition() {
            definitions.extend(self.commas(Self::definition)?);
            self.line_end()?;
        }
        Ok(())
    }

    /// Whether a value comes, and not a part or the end.
    fn begins_definition(&self) -> bool {
        match self.kind() {
            TokenKind::Word(word) => {
                let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
                matches!(word.as_str(), "None" | "True" | "False" | "same" | "new")
                    || matches!(next, Some(TokenKind::Mark("(")))
            }
            TokenKind::Newline | TokenKind::End => false,
            _ => true,
        }
    }

    fn definition(&mut self) -> Result<Definition> {
        let mut origin = Origin::Name;
        if self.take_word("same") {
            origin = Origin::Same;
        } else if self.take_word("new") {
            origin = Origin::New;
        }
        let name = match self.kind().clone() {
            TokenKind::Name(it) => {
                let span = self.span();
                self.advance();
                self.mark("=")?;
                Some(At { it, span })
            }
            _ => None,
        };
        let value = self.tree(0)?;
        if self.take_word("is") {
            origin = Origin::Is(self.tree(0)?);
        }
        Ok(Definition {
            name,
            value,
            origin,
        })
    }

    fn globals(&mut self, globals: &mut Vec<Binding>) -> Result<()> {
        if !self.is_line_end() {
            globals.extend(self.commas(Self::binding)?);
            return self.line_end();
        }
        self.line_end()?;
        loop {
            let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
            if !matches!(next, Some(TokenKind::Mark("="))) {
                return Ok(());
            }
            globals.extend(self.commas(Self::binding)?);
            self.line_end()?;
        }
    }

    fn binding(&mut self) -> Result<Binding> {
        let name = match self.kind() {
            TokenKind::Word(_) | TokenKind::Str(_) | TokenKind::Int(_) => self.tree(0)?,
            _ => return self.expected("a name"),
        };
        let value = if self.take_mark("=") {
            Some(self.tree(0)?)
        } else {
            None
        };
        Ok(Binding { name, value })
    }

    fn entry(&mut self, span: Span) -> Result<EntryText> {
        let mut entry = EntryText {
            span,
            ..EntryText::default()
        };
        if self.take_mark("@") {
            entry.offset = Some(self.int("an offset")?);
        }
        self.line_end()?;
        while let TokenKind::Word(field) = self.kind().clone() {
            let span = self.span();
            match field.as_str() {
                // `executor 1` in an entry says which is entered; a part of that name has a line's end or `in` behind its
                // number, and comes later.
                "jump" | "arrival" | "warmup" | "enters" => {
                    self.advance();
                    self.take_mark("@");
                    let number = self.int("a number")?;
                    entry.numbers.push((At { it: field, span }, number));
                    self.line_end()?;
                }
                "function" => {
                    self.advance();
                    once(&entry.function.is_some(), false, &span, "function")?;
                    entry.function = Some(self.tree(0)?);
                    self.line_end()?;
                }
                _ if self.frame_line(&mut entry.frame)? => {}
                _ => break,
            }
        }
        Ok(entry)
    }

    /// A line of `locals` or `stack`, if one comes.
    fn frame_line(&mut self, frame: &mut FrameText) -> Result<bool> {
        if self.take_word("locals") {
            frame.locals.extend(self.commas(Self::binding)?);
        } else if self.take_word("stack") {
            frame.stack.extend(self.commas(|parser| parser.tree(0))?);
        } else {
            return Ok(false);
        }
        self.line_end()?;
        Ok(true)
    }

    fn executor(&mut self, start: Span) -> Result<ExecutorText> {
        let number = match self.kind() {
            TokenKind::Int(_) => Some(self.int("the number of the executor")?),
            _ => None,
        };
        let code = self.code_name()?;
        let span = self.span_from(&start);
        self.line_end()?;
        let mut uops = Vec::new();
        while let Some(uop) = self.uop()? {
            uops.push(uop);
        }
        Ok(ExecutorText {
            span,
            number,
            code,
            uops,
        })
    }

    /// `in code`.
    fn code_name(&mut self) -> Result<Option<At<Tree>>> {
        if !self.take_word("in") {
            return Ok(None);
        }
        match self.kind() {
            TokenKind::Word(_) | TokenKind::Str(_) | TokenKind::Int(_) => Ok(Some(self.tree(0)?)),
            _ => self.expected("the name or the number of a code"),
        }
    }

    /// The label or the index of a uop.
    fn place(&mut self, expected: &str) -> Result<At<Tree>> {
        match self.kind() {
            TokenKind::Word(_) | TokenKind::Int(_) => self.tree(0),
            _ => self.expected(expected),
        }
    }

    /// A line with a uop, if one comes.
    fn uop(&mut self) -> Result<Option<UopText>> {
        let start = self.span();
        let labels = self.labels()?;
        let is_uop = match self.kind() {
            TokenKind::Word(word) => word.starts_with('_'),
            TokenKind::Str(_) => true,
            _ => false,
        };
        if !is_uop {
            let is_over = matches!(self.kind(), TokenKind::Word(_) | TokenKind::End);
            return if !labels.is_empty() {
                self.expected("a uop")
            } else if is_over {
                Ok(None)
            } else {
                self.expected("a uop, a label or a part")
            };
        }
        let op = self.name("a uop")?;
        let mut uop = UopText {
            span: start.clone(),
            labels,
            op,
            positional: None,
            fields: Vec::new(),
            offset: None,
            jump: None,
            link: None,
            error: None,
            code: None,
        };
        while !self.is_line_end() {
            self.uop_part(&mut uop)?;
        }
        uop.span = self.span_from(&start);
        self.line_end()?;
        Ok(Some(uop))
    }

    fn labels(&mut self) -> Result<Vec<At<String>>> {
        let mut labels = Vec::new();
        loop {
            let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
            if !matches!(next, Some(TokenKind::Mark(":"))) {
                return Ok(labels);
            }
            labels.push(self.word("a label")?);
            self.advance();
            while matches!(self.kind(), TokenKind::Newline) {
                self.advance();
            }
        }
    }

    fn uop_part(&mut self, uop: &mut UopText) -> Result<()> {
        let start = self.span();
        let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
        let named = matches!(next, Some(TokenKind::Mark("=")));
        match self.kind().clone() {
            TokenKind::Mark("@") => {
                self.advance();
                set(&mut uop.offset, self.int("an offset")?, &start, "an offset")
            }
            TokenKind::Mark("->") => {
                self.advance();
                let mut executor = false;
                let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
                if self.is_word("executor") && matches!(next, Some(TokenKind::Int(_))) {
                    self.advance();
                    executor = true;
                }
                if executor {
                    let number = self.int("the number of an executor")?;
                    return set(&mut uop.link, number, &start, "a link");
                }
                let place = self.place("a label or the index of a uop")?;
                set(&mut uop.jump, place, &start, "a jump target")
            }
            TokenKind::Mark("!") => {
                self.advance();
                let place = self.place("a label or the index of a uop")?;
                set(&mut uop.error, place, &start, "an error target")
            }
            TokenKind::Word(word) if word == "in" && !named => {
                let Some(code) = self.code_name()? else {
                    return self.expected("`in`");
                };
                set(&mut uop.code, code, &start, "a code")
            }
            TokenKind::Word(_) if named => {
                let field = self.word("a field")?;
                self.mark("=")?;
                let value = self.tree(0)?;
                uop.fields.push((field, Some(value)));
                Ok(())
            }
            TokenKind::Word(word) if is_flag(&word) => {
                let field = self.word("a field")?;
                uop.fields.push((field, None));
                Ok(())
            }
            TokenKind::Mark(_) | TokenKind::Source(_)
                if !self.is_mark("(") && !self.is_mark("[") && !self.is_mark("{") =>
            {
                self.expected("an argument, `@`, `->`, `!` or the end of the line")
            }
            _ => {
                let value = self.tree(0)?;
                set(&mut uop.positional, value, &start, "an argument")
            }
        }
    }

    fn expect(&mut self, span: Span) -> Result<ExpectText> {
        let executor = if self.take_word("executor") {
            Some(self.int("the number of an executor")?)
        } else {
            None
        };
        let uop = self.place("the label or the index of the uop through which control leaves")?;
        let from = if self.take_word("from") {
            Some(self.place("a label or the index of a uop")?)
        } else {
            None
        };
        self.line_end()?;
        let mut expect = ExpectText {
            span,
            executor,
            uop,
            from,
            error: None,
            frame: FrameText::default(),
            values: Vec::new(),
        };
        loop {
            let start = self.span();
            if self.take_word("values") {
                self.line_end()?;
                self.definitions(&mut expect.values)?;
            } else if self.take_word("raises") {
                once(&expect.error.is_some(), false, &start, "raises")?;
                expect.error = Some(self.error()?);
            } else if !self.frame_line(&mut expect.frame)? {
                return Ok(expect);
            }
        }
    }

    /// The class of an exception, and its message if it has one.
    fn error(&mut self) -> Result<(At<String>, Option<At<String>>)> {
        let class = self.name("the name of an exception")?;
        let message = match self.kind() {
            TokenKind::Str(_) => Some(self.string("a message")?),
            _ => None,
        };
        self.line_end()?;
        Ok((class, message))
    }

    fn stats(&mut self) -> Result<StatsText> {
        self.line_end()?;
        let mut stats = StatsText::default();
        while let TokenKind::Word(field) = self.kind().clone() {
            if !matches!(
                field.as_str(),
                "iterations" | "uops" | "entries" | "tops" | "reached"
            ) {
                break;
            }
            let span = self.span();
            self.advance();
            let numbers = self.commas(|parser| parser.int("a number"))?;
            stats.fields.push((At { it: field, span }, numbers));
            self.line_end()?;
        }
        Ok(stats)
    }

    /// A value, or what stands for one.
    fn tree(&mut self, depth: usize) -> Result<At<Tree>> {
        let start = self.span();
        if depth > MAX_DEPTH {
            let message =
                format!("values stand in values more than {MAX_DEPTH} deep: name the inner ones");
            return Err(Problem::new(start, message));
        }
        let kind = self.kind().clone();
        if matches!(
            kind,
            TokenKind::Mark(mark) if !matches!(mark, "(" | "[" | "{")
        ) || matches!(
            kind,
            TokenKind::Newline | TokenKind::End | TokenKind::Source(_)
        ) {
            return self.expected("a value");
        }
        self.advance();
        let it = match kind {
            TokenKind::Word(word) => self.word_tree(word, depth)?,
            TokenKind::Name(name) => Tree::Name(name),
            TokenKind::Int(digits) => Tree::Int(digits),
            TokenKind::Float(value) => Tree::Float(value),
            TokenKind::Str(text) => Tree::Str(text),
            TokenKind::Bytes(bytes) => Tree::Bytes(bytes),
            TokenKind::Mark("[") => Tree::List(self.items("]", depth)?),
            TokenKind::Mark("(") => self.tuple(&start, depth)?,
            _ => self.braces(depth)?,
        };
        let span = self.span_from(&start);
        Ok(At { it, span })
    }

    fn word_tree(&mut self, word: String, depth: usize) -> Result<Tree> {
        Ok(match word.as_str() {
            "None" => Tree::None,
            "True" => Tree::Bool(true),
            "False" => Tree::Bool(false),
            "null" => Tree::Null,
            _ if self.is_mark("(") => {
                self.advance();
                Tree::Make(word, self.arguments(depth)?)
            }
            _ => Tree::Word(word),
        })
    }

    /// Values between commas, up to the closing bracket; a comma may stand behind the last.
    fn items(&mut self, close: &str, depth: usize) -> Result<Vec<At<Tree>>> {
        let mut items = Vec::new();
        while !self.take_mark(close) {
            items.push(self.tree(depth + 1)?);
            self.separator(close)?;
        }
        Ok(items)
    }

    /// A comma, unless the closing bracket comes.
    fn separator(&mut self, close: &str) -> Result<()> {
        if self.is_mark(close) || self.take_mark(",") {
            return Ok(());
        }
        self.expected(format_args!("`,` or `{close}`"))
    }

    fn tuple(&mut self, start: &Span, depth: usize) -> Result<Tree> {
        let items = self.items(")", depth)?;
        let closing = self.at - 1;
        let has_comma = matches!(self.tokens[closing - 1].kind, TokenKind::Mark(","));
        if items.len() == 1 && !has_comma {
            let span = self.span_from(start);
            let message = "a tuple of one has a comma behind its item";
            return Err(Problem::new(span, message));
        }
        Ok(Tree::Tuple(items))
    }

    fn braces(&mut self, depth: usize) -> Result<Tree> {
        let mut pairs = Vec::new();
        let mut items = Vec::new();
        while !self.take_mark("}") {
            let key = self.tree(depth + 1)?;
            if items.is_empty() && (!pairs.is_empty() || self.is_mark(":")) {
                self.mark(":")?;
                pairs.push((key, self.tree(depth + 1)?));
            } else {
                items.push(key);
            }
            self.separator("}")?;
        }
        Ok(if items.is_empty() {
            Tree::Dict(pairs)
        } else {
            Tree::Set(items)
        })
    }

    fn arguments(&mut self, depth: usize) -> Result<Vec<Argument>> {
        let mut arguments = Vec::new();
        while !self.take_mark(")") {
            let next = self.tokens.get(self.at + 1).map(|token| &token.kind);
            let field = match next {
                Some(TokenKind::Mark("=")) => {
                    let field = self.word("the name of a field")?;
                    self.mark("=")?;
                    Some(field)
                }
                _ => None,
            };
            let value = self.tree(depth + 1)?;
            arguments.push(Argument { field, value });
            self.separator(")")?;
        }
        Ok(arguments)
    }
}

type ReadField = fn(&mut Parser) -> Result<CodeField>;

/// What follows the name of a field of a code.
fn code_field(name: &str) -> Option<ReadField> {
    Some(match name {
        "arguments" | "keyword_only" | "stack" | "flags" => {
            |parser| parser.int("a number").map(CodeField::Number)
        }
        "varargs" => |_| Ok(CodeField::Flag),
        "locals" | "names" => |parser| {
            parser
                .commas(|parser| parser.name("a name"))
                .map(CodeField::Names)
        },
        "consts" => |parser| {
            parser
                .commas(|parser| parser.tree(0))
                .map(CodeField::Values)
        },
        _ => return None,
    })
}

/// Fields of a uop that stand alone.
fn is_flag(word: &str) -> bool {
    matches!(
        word,
        "globals_keys_version" | "builtins_keys_version" | "unused"
    )
}

fn once<T: PartialEq>(found: &T, none: T, span: &Span, what: &str) -> Result<()> {
    if *found == none {
        return Ok(());
    }
    Err(Problem::new(
        span.clone(),
        format_args!("`{what}` is given twice"),
    ))
}

fn set<T>(field: &mut Option<T>, value: T, span: &Span, what: &str) -> Result<()> {
    if field.is_some() {
        return Err(Problem::new(
            span.clone(),
            format_args!("{what} is given twice"),
        ));
    }
    *field = Some(value);
    Ok(())
}
