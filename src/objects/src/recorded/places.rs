//! Places: a proof that every uop finds objects where it looks for them. It follows the stack depth and the places that
//! may hold a NULL from the recorded entry through all linked executors, so that machine code, which checks neither,
//! never leaves the frame and never follows a NULL.
//!
//! The facts form a lattice: a place is an object, or may be a NULL. Where ways meet (at uop 1, at an exit, at an
//! executor's start) a place is an object only if it is one on each way. The walk starts with what the entry tells and
//! repeats until nothing changes. CPython's compiler proves the same of the bytecode before it emits `LOAD_FAST`
//! rather than `LOAD_FAST_CHECK`, and every way through the traces is a way through the bytecode: what CPython has
//! recorded passes.
//!
//! An inlined call has a frame of its own. Between the uop that makes it and `_PUSH_FRAME` a pointer to it is on top of
//! the stack, which is no object: nothing else may take it, and no way may leave there.

use super::format::{CodeBody, Document, Executor, Uop, ValueIndex};
use super::uops::{self, Facts, LocalAccess};
use std::collections::BTreeMap;

/// A uop that may read or write a place that is not there, or follow a NULL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("executors[{executor}].uops[{uop}]: {op} {problem}")]
pub struct PlaceError {
    /// The executor.
    pub executor: usize,
    /// Index of the uop in it.
    pub uop: usize,
    /// Name of the uop.
    pub op: String,
    /// What is wrong.
    pub problem: PlaceProblem,
}

/// What is wrong with a uop's use of the frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceProblem {
    /// Nothing is known of the uop.
    #[error("cannot be checked: its effect on the frame is not known")]
    Unknown,
    /// It makes a frame of which it is not known what it is like.
    #[error("makes a frame, and no _PUSH_FRAME behind it says of which function")]
    NotEntered,
    /// There is a frame on the stack that was made for a call, and it is not the uop that enters it.
    #[error("finds the frame of a call on the stack, which only _PUSH_FRAME takes")]
    MadeFrame,
    /// No frame has been made that it could enter.
    #[error("enters a frame that nothing has made")]
    NoMadeFrame,
    /// It leaves a frame that the executor has not entered.
    #[error("leaves the frame that its executor was entered in")]
    OuterFrame,
    /// It goes to the top in the frame of an inlined call.
    #[error("goes to the top from an inlined call")]
    TopOfCall,
    /// It belongs to another code than the frame.
    #[error("belongs to code {found}, but the frame is of code {expected}")]
    Code {
        /// The uop's code.
        found: usize,
        /// The frame's code.
        expected: usize,
    },
    /// It takes more values than there are.
    #[error("takes {needed} values from a stack of {depth}")]
    Underflow {
        /// Values that it takes.
        needed: u64,
        /// Values on the stack.
        depth: usize,
    },
    /// It pushes more values than the stack holds.
    #[error("makes a stack of {depth}, but its code's holds {stacksize}")]
    Overflow {
        /// Values on the stack after it.
        depth: u64,
        /// Slots of the stack.
        stacksize: usize,
    },
    /// It takes a value that may be a NULL.
    #[error("takes the value at depth {depth} of the stack, which may be NULL")]
    Null {
        /// Where, from 0 at the top.
        depth: usize,
    },
    /// It loads a local that may be unbound.
    #[error("loads local {index} ({name}), which may be unbound")]
    Unbound {
        /// The local.
        index: usize,
        /// Its name.
        name: String,
    },
    /// The last locals are not there to become cells, or hold something.
    #[error("makes cells of the last {count} locals, which are not there or are bound already")]
    Cells {
        /// How many.
        count: usize,
    },
    /// Two ways to a uop differ in the depth of the stack.
    #[error(
        "goes to uop {target} of executor {executor} with {found} values on the stack, another way with {expected}"
    )]
    Depth {
        /// The executor that it goes to.
        executor: usize,
        /// The uop that it goes to.
        target: usize,
        /// Depth on this way.
        found: usize,
        /// Depth on the other way.
        expected: usize,
    },
    /// An exit is linked to an executor of another code.
    #[error(
        "goes to executor {executor}, which is of code {found}, with a frame of code {expected}"
    )]
    Link {
        /// The executor that it goes to.
        executor: usize,
        /// That executor's code.
        found: usize,
        /// The frame's code.
        expected: usize,
    },
}

/// Proves that no executor that can be reached from the document's entry leaves its frame or follows a NULL.
///
/// # Errors
///
/// The first uop of which that cannot be proven.
pub fn check(document: &Document) -> Result<(), PlaceError> {
    let mut entries: Vec<Option<Places>> = vec![None; document.executors.len()];
    entries[document.entry.executor] = Some(Places::at_entry(document));
    let mut todo = vec![document.entry.executor];
    while let Some(number) = todo.pop() {
        let Some(entry) = entries[number].clone() else {
            continue;
        };
        let walk = Walk::new(document, number);
        for (uop, places) in walk.run(entry)? {
            if let Some(linked) = walk.link(uop)? {
                let changed = match &mut entries[linked] {
                    Some(known) => known.join(&places).map_err(|expected| {
                        let found = places.stack.len();
                        walk.error(
                            uop,
                            PlaceProblem::Depth {
                                executor: linked,
                                target: 0,
                                found,
                                expected,
                            },
                        )
                    })?,
                    unknown => {
                        *unknown = Some(places);
                        true
                    }
                };
                if changed {
                    todo.push(linked);
                }
            }
        }
    }
    Ok(())
}

/// What is known of a frame's places: true where there certainly is an object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Places {
    /// The code of the frame.
    code: usize,
    locals: Vec<bool>,
    stack: Vec<bool>,
}

impl Places {
    fn at_entry(document: &Document) -> Self {
        let bound = |places: &[Option<ValueIndex>]| places.iter().map(Option::is_some).collect();
        Self {
            code: document.state_in.code,
            locals: bound(&document.state_in.locals),
            stack: bound(&document.state_in.stack),
        }
    }

    /// The frame of a call: the arguments are bound, and the stack is empty.
    fn of_call(code: usize, body: &CodeBody) -> Self {
        let parameters = body.argcount + body.kwonly + body.collectors();
        Self {
            code,
            locals: (0..body.nlocalsplus)
                .map(|local| local < parameters)
                .collect(),
            stack: Vec::new(),
        }
    }

    /// Keeps what holds on this way and on the other, and tells whether that is less than before. The error is the
    /// depth on this way, where the other has a different one.
    fn join(&mut self, other: &Self) -> Result<bool, usize> {
        if self.stack.len() != other.stack.len() {
            return Err(self.stack.len());
        }
        let mut changed = false;
        let mine = self.locals.iter_mut().chain(&mut self.stack);
        for (mine, other) in mine.zip(other.locals.iter().chain(&other.stack)) {
            changed |= *mine && !other;
            *mine &= other;
        }
        Ok(changed)
    }
}

/// The exits that a pass has reached, and what is known there.
type Exits = BTreeMap<usize, Places>;

/// A walk through one executor.
struct Walk<'d> {
    document: &'d Document,
    number: usize,
    executor: &'d Executor,
}

impl<'d> Walk<'d> {
    fn new(document: &'d Document, number: usize) -> Self {
        Self {
            document,
            number,
            executor: &document.executors[number],
        }
    }

    fn error(&self, uop: usize, problem: PlaceProblem) -> PlaceError {
        PlaceError {
            executor: self.number,
            uop,
            op: self.executor.uops[uop].op.clone(),
            problem,
        }
    }

    /// The executor that the exit at this uop is linked to.
    fn link(&self, uop: usize) -> Result<Option<usize>, PlaceError> {
        let exit = self.executor.uops[uop].exit.as_ref();
        let Some(linked) = exit.and_then(|exit| exit.executor) else {
            return Ok(None);
        };
        // The exit was reached in the frame of its code.
        let (found, expected) = (
            self.document.executors[linked].code,
            self.executor.uops[uop].code,
        );
        if found == expected {
            return Ok(Some(linked));
        }
        Err(self.error(
            uop,
            PlaceProblem::Link {
                executor: linked,
                found,
                expected,
            },
        ))
    }

    fn jumps_to_top(&self, uop: usize) -> bool {
        self.executor.uops[uop].op == "_JUMP_TO_TOP"
    }

    /// Walks until what is known at uop 1 no longer changes.
    fn run(&self, entry: Places) -> Result<Exits, PlaceError> {
        let mut first = Pass::new(self, entry);
        if !first.step(0)? && !self.jumps_to_top(0) {
            return Ok(first.exits);
        }
        let mut top = first.places;
        loop {
            let mut pass = Pass {
                exits: first.exits.clone(),
                ..Pass::new(self, top.clone())
            };
            let mut uop = 1;
            while pass.step(uop)? {
                uop += 1;
            }
            if !self.jumps_to_top(uop) {
                return Ok(pass.exits);
            }
            let changed = top.join(&pass.places).map_err(|expected| {
                let (executor, found) = (self.number, pass.places.stack.len());
                self.error(
                    uop,
                    PlaceProblem::Depth {
                        executor,
                        target: 1,
                        found,
                        expected,
                    },
                )
            })?;
            if !changed {
                return Ok(pass.exits);
            }
        }
    }
}

/// One pass in line, from where it starts to a uop that does not fall through.
struct Pass<'w> {
    walk: &'w Walk<'w>,
    /// Of the frame that runs.
    places: Places,
    /// Of the frames of its callers that the executor has entered calls from.
    callers: Vec<Places>,
    /// The code of the frame that has been made and is on top of the stack.
    made: Option<usize>,
    exits: Exits,
}

impl<'w> Pass<'w> {
    fn new(walk: &'w Walk<'w>, places: Places) -> Self {
        Self {
            walk,
            places,
            callers: Vec::new(),
            made: None,
            exits: Exits::new(),
        }
    }

    fn body(&self) -> Option<&'w CodeBody> {
        self.walk.document.codes[self.places.code].body.as_ref()
    }

    /// Goes over one uop and tells whether control goes on to the next.
    fn step(&mut self, number: usize) -> Result<bool, PlaceError> {
        let walk = self.walk;
        let uop = &walk.executor.uops[number];
        let facts = self
            .facts(uop)
            .map_err(|problem| walk.error(number, problem))?;
        let before = facts.jumps.then(|| self.places.clone());
        self.apply(number, uop, facts)
            .map_err(|problem| walk.error(number, problem))?;
        let at_exit = if facts.pops_before_jump {
            Some(self.places.clone())
        } else {
            before
        };
        if let (Some(target), Some(places)) = (uop.jump_target, at_exit) {
            self.leave(number, target, places)?;
        }
        if uop.op == "_EXIT_TRACE" {
            self.leave(number, number, self.places.clone())?;
        }
        Ok(!uops::is_terminal(&uop.op))
    }

    /// What is known of a uop, unless it cannot be checked.
    fn facts(&self, uop: &Uop) -> Result<Facts, PlaceProblem> {
        let expected = self.places.code;
        if uop.code != expected {
            let found = uop.code;
            return Err(PlaceProblem::Code { found, expected });
        }
        if self.made.is_some() && !uops::leaves_made_frame(&uop.op) {
            return Err(PlaceProblem::MadeFrame);
        }
        uops::facts(&uop.op).ok_or(PlaceProblem::Unknown)
    }

    /// Records that a uop may go to the exit at `target`.
    fn leave(&mut self, uop: usize, target: usize, places: Places) -> Result<(), PlaceError> {
        let found = self.walk.executor.uops[target].code;
        if found != places.code {
            let expected = places.code;
            return Err(self
                .walk
                .error(target, PlaceProblem::Code { found, expected }));
        }
        let Some(known) = self.exits.get_mut(&target) else {
            self.exits.insert(target, places);
            return Ok(());
        };
        let joined = known.join(&places);
        joined.map(drop).map_err(|expected| {
            let (executor, found) = (self.walk.number, places.stack.len());
            self.walk.error(
                uop,
                PlaceProblem::Depth {
                    executor,
                    target,
                    found,
                    expected,
                },
            )
        })
    }

    /// The effect of a uop on the way to the next.
    fn apply(&mut self, number: usize, uop: &Uop, facts: Facts) -> Result<(), PlaceProblem> {
        let oparg = u32::from(uops::counted_oparg(uop));
        let (popped, pushed) = (facts.effect.popped.of(oparg), facts.effect.pushed.of(oparg));
        let popped = self.room(popped, pushed)?;
        if let Some(access) = uops::local_access(&uop.op) {
            return self.access(access, usize::from(uop.oparg));
        }
        let oparg = usize::from(uop.oparg);
        match uops::without_number(&uop.op) {
            "_INIT_CALL_PY_EXACT_ARGS" | "_PY_FRAME_GENERAL" => {
                self.call(popped, pushed)?;
                let entered = uops::entered_code(self.walk.executor, self.walk.document, number);
                self.made = Some(entered.ok_or(PlaceProblem::NotEntered)?);
            }
            "_PUSH_FRAME" => self.enter()?,
            "_POP_FRAME" => self.leave_call()?,
            "_JUMP_TO_TOP" if !self.callers.is_empty() => return Err(PlaceProblem::TopOfCall),
            // Its places are those of cells, which the frame has to have.
            "_COPY_FREE_VARS" => self.bind_cells(oparg)?,
            "_MAKE_CELL" => self.places.locals[oparg] = true,
            "_LOAD_DEREF" | "_STORE_DEREF" | "_DELETE_DEREF" | "_LOAD_FROM_DICT_OR_DEREF" => {
                self.bound(oparg)?;
                self.take(popped)?;
                self.push(pushed);
            }
            "_INIT_CALL_BOUND_METHOD_EXACT_ARGS" | "_EXPAND_METHOD" => {
                self.call(popped, pushed)?;
                let first = self.at(oparg);
                self.places.stack[first] = true;
            }
            "_LOAD_CONST" => {
                let known = self.body().and_then(|body| *body.consts.get(oparg)?);
                self.places.stack.push(known.is_some());
            }
            "_PUSH_NULL" => self.places.stack.push(false),
            "_LOAD_CONST_INLINE_WITH_NULL" | "_LOAD_CONST_INLINE_BORROW_WITH_NULL" => {
                self.places.stack.extend([true, false]);
            }
            "_COPY" => {
                self.object(oparg - 1)?;
                self.places.stack.push(true);
            }
            "_SWAP" => {
                let (top, other) = (self.at(0), self.at(oparg - 1));
                self.places.stack.swap(top, other);
            }
            // Between the container and what goes into it there may be anything.
            "_LIST_APPEND" | "_LIST_EXTEND" | "_SET_ADD" | "_SET_UPDATE" | "_DICT_UPDATE" => {
                self.take(1)?;
                self.object(oparg - 1)?;
            }
            "_DICT_MERGE" => {
                self.take(1)?;
                self.object(oparg - 1)?;
                self.object(oparg + 2)?;
            }
            "_MAP_ADD" => {
                self.take(2)?;
                self.object(oparg - 1)?;
            }
            op if op.starts_with("_LOAD_GLOBAL") || op.starts_with("_LOAD_ATTR") => {
                self.take(popped)?;
                self.places.stack.push(true);
                // The second is a NULL, or the first argument of a call; calls take either.
                if pushed == 2 {
                    self.places.stack.push(false);
                }
            }
            op if is_call(op) => self.call(popped, pushed)?,
            _ => {
                self.take(popped)?;
                self.push(pushed);
            }
        }
        Ok(())
    }

    /// Fails unless the stack has `popped` values, and room for `pushed` in their place. The number fits the stack.
    fn room(&self, popped: u64, pushed: u64) -> Result<usize, PlaceProblem> {
        let depth = self.places.stack.len();
        let Some(popped) = usize::try_from(popped)
            .ok()
            .filter(|&popped| popped <= depth)
        else {
            return Err(PlaceProblem::Underflow {
                needed: popped,
                depth,
            });
        };
        let after = (depth - popped) as u64 + pushed;
        let stacksize = self.body().map_or(0, |body| body.stacksize);
        if after > stacksize as u64 {
            return Err(PlaceProblem::Overflow {
                depth: after,
                stacksize,
            });
        }
        Ok(popped)
    }

    /// Index of the value at a depth that `room` has found to be there.
    fn at(&self, depth: usize) -> usize {
        self.places.stack.len() - 1 - depth
    }

    /// Fails unless there is an object at this depth.
    fn object(&self, depth: usize) -> Result<(), PlaceProblem> {
        if self.places.stack[self.at(depth)] {
            return Ok(());
        }
        Err(PlaceProblem::Null { depth })
    }

    /// Takes objects from the stack.
    fn take(&mut self, count: usize) -> Result<(), PlaceProblem> {
        (0..count).try_for_each(|depth| self.object(depth))?;
        self.places.stack.truncate(self.places.stack.len() - count);
        Ok(())
    }

    fn push(&mut self, count: u64) {
        // `room` has compared the depth with the size of the stack.
        self.places.stack.extend((0..count).map(|_| true));
    }

    /// Fails unless there is an object in this local.
    fn bound(&self, index: usize) -> Result<(), PlaceProblem> {
        if self.places.locals[index] {
            return Ok(());
        }
        let names = self.body().map(|body| &body.varnames);
        let name = names
            .and_then(|names| names.get(index))
            .cloned()
            .unwrap_or_default();
        Err(PlaceProblem::Unbound { index, name })
    }

    fn access(&mut self, access: LocalAccess, index: usize) -> Result<(), PlaceProblem> {
        if access == LocalAccess::Load {
            self.bound(index)?;
        }
        let Places { locals, stack, .. } = &mut self.places;
        match access {
            LocalAccess::Load => stack.push(true),
            LocalAccess::LoadChecked => {
                locals[index] = true;
                stack.push(true);
            }
            LocalAccess::LoadAndClear => stack.push(std::mem::take(&mut locals[index])),
            LocalAccess::Store => locals[index] = stack.pop().unwrap_or_default(),
            LocalAccess::Delete => locals[index] = false,
        }
        Ok(())
    }

    /// The frame that was made becomes the one that runs.
    fn enter(&mut self) -> Result<(), PlaceProblem> {
        let code = self.made.take().ok_or(PlaceProblem::NoMadeFrame)?;
        let body = self.walk.document.codes[code].body.as_ref();
        let body = body.ok_or(PlaceProblem::NotEntered)?;
        self.places.stack.pop();
        let caller = std::mem::replace(&mut self.places, Places::of_call(code, body));
        self.callers.push(caller);
        Ok(())
    }

    /// Goes back to the caller with the result on its stack. The call's own stack holds nothing else.
    fn leave_call(&mut self) -> Result<(), PlaceProblem> {
        self.take(1)?;
        let caller = self.callers.pop().ok_or(PlaceProblem::OuterFrame)?;
        self.places = caller;
        self.room(0, 1)?;
        self.push(1);
        Ok(())
    }

    /// The last locals become cells. Nothing that they held is given back.
    fn bind_cells(&mut self, count: usize) -> Result<(), PlaceProblem> {
        let locals = &mut self.places.locals;
        let first = locals.len().checked_sub(count);
        let Some(first) = first.filter(|&first| locals[first..].iter().all(|bound| !bound)) else {
            return Err(PlaceProblem::Cells { count });
        };
        locals[first..].fill(true);
        Ok(())
    }

    /// A call, or a check of its operands: a callable, an object or NULL, and the arguments.
    fn call(&mut self, popped: usize, pushed: u64) -> Result<(), PlaceProblem> {
        let arguments = popped - 2;
        (0..arguments).try_for_each(|depth| self.object(depth))?;
        self.object(popped - 1)?;
        if pushed == 1 {
            self.places.stack.truncate(self.places.stack.len() - popped);
            self.places.stack.push(true);
        }
        Ok(())
    }
}

/// Whether the operands of a uop are those of a call. A check leaves them as they are.
fn is_call(op: &str) -> bool {
    (op.starts_with("_CALL_") && !op.starts_with("_CALL_INTRINSIC_"))
        || matches!(
            op,
            "_CHECK_FUNCTION_VERSION"
                | "_CHECK_FUNCTION_EXACT_ARGS"
                | "_CHECK_METHOD_VERSION"
                | "_CHECK_CALL_BOUND_METHOD_EXACT_ARGS"
                | "_CHECK_IS_NOT_PY_CALLABLE"
                | "_CHECK_STACK_SPACE"
                | "_EXPAND_METHOD"
                | "_INIT_CALL_BOUND_METHOD_EXACT_ARGS"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::fixtures::{document, edited, traces};
    use serde_json::json;

    #[test]
    fn recorded_traces_pass() {
        for (name, text) in traces() {
            let found = check(&Document::parse(&text).unwrap());
            assert_eq!(found, Ok(()), "{name}");
        }
    }

    /// The index of the first uop of this name in the first executor.
    fn first(document: &Document, op: &str) -> usize {
        let uops = &document.executors[0].uops;
        uops.iter().position(|uop| uop.op == op).unwrap()
    }

    /// It is the code of what is behind it, be that a way out or not.
    #[test]
    fn a_frame_may_be_entered_without_saying_of_which_function() {
        let document = document("spectral_a");
        let push = first(&document, "_PUSH_FRAME");
        let path = format!("/executors/0/uops/{push}");
        let entered = [(path.as_str(), Some(uop("_PUSH_FRAME", 0)))];
        let document = Document::parse(&edited("spectral_a", &entered)).unwrap();
        assert_eq!(check(&document), Ok(()));
        let made = uops::entered_code(&document.executors[0], &document, push - 1);
        assert_eq!(made, Some(document.executors[0].uops[push + 1].code));
        // The rest of the trace has the frame's code.
        let other = format!("/executors/0/uops/{}/code", push + 1);
        let wrong = message(
            "spectral_a",
            &[(&path, uop("_PUSH_FRAME", 0)), (&other, json!(0))],
        );
        assert!(wrong.contains("belongs to code"), "{wrong}");
    }

    #[test]
    fn nothing_but_a_call_takes_its_frame() {
        let document = document("spectral_a");
        let push = first(&document, "_PUSH_FRAME");
        let pop = first(&document, "_POP_FRAME");
        let path = |index: usize| format!("/executors/0/uops/{index}");
        for (index, uop, expected) in [
            (
                push,
                uop("_POP_TOP", 0),
                "makes a frame, and no _PUSH_FRAME behind it says of which function",
            ),
            (
                push - 1,
                uop("_PUSH_NULL", 0),
                "makes a frame, and no _PUSH_FRAME behind it says of which function",
            ),
            (
                pop,
                uop("_POP_TOP", 0),
                "belongs to code 0, but the frame is of code",
            ),
            (
                push + 1,
                json!({"op": "_POP_FRAME", "oparg": 0, "code": document.executors[0].uops[push + 1].code}),
                "takes 1 values from a stack of 0",
            ),
            (
                1,
                uop("_PUSH_FRAME", 0),
                "enters a frame that nothing has made",
            ),
            (
                1,
                uop("_POP_FRAME", 0),
                "leaves the frame that its executor was entered in",
            ),
        ] {
            let found = message("spectral_a", &[(&path(index), uop)]);
            assert!(found.contains(expected), "{index}: {found}");
        }
    }

    fn message(name: &str, changes: &[(&str, serde_json::Value)]) -> String {
        let edits: Vec<_> = changes
            .iter()
            .map(|(pointer, value)| (*pointer, Some(value.clone())))
            .collect();
        let document = Document::parse(&edited(name, &edits))
            .unwrap_or_else(|error| panic!("{changes:?}: {error}"));
        match check(&document) {
            Ok(()) => panic!("{changes:?} passes"),
            Err(error) => error.to_string(),
        }
    }

    fn uop(op: &str, oparg: u16) -> serde_json::Value {
        json!({"op": op, "oparg": oparg})
    }

    #[test]
    fn wrong_uses_of_places() {
        for (changes, expected) in [
            (
                vec![("/executors/0/uops/6", uop("_MAGIC", 0))],
                "executors[0].uops[6]: _MAGIC cannot be checked: its effect on the frame is not known",
            ),
            (
                vec![("/state_in/locals/1", json!(null))],
                "executors[0].uops[6]: _LOAD_FAST_1 loads local 1 (total), which may be unbound",
            ),
            (
                vec![("/executors/0/uops/5", uop("_POP_TOP", 0))],
                "executors[0].uops[7]: _LOAD_FAST_2 loads local 2 (i), which may be unbound",
            ),
            // Unbound only when the loop comes round.
            (
                vec![
                    ("/executors/0/uops/6", uop("_LOAD_FAST_AND_CLEAR", 1)),
                    ("/executors/0/uops/12", uop("_STORE_FAST_0", 0)),
                ],
                "executors[0].uops[10]: _GUARD_NOS_INT takes the value at depth 1 of the stack, which may be NULL",
            ),
            (
                vec![("/state_in/stack/0", json!(null))],
                "executors[0].uops[2]: _ITER_CHECK_RANGE takes the value at depth 0 of the stack, which may be NULL",
            ),
            (
                vec![("/executors/0/uops/8", uop("_PUSH_NULL", 0))],
                "executors[0].uops[9]: _BINARY_OP_MULTIPLY_INT takes the value at depth 0 of the stack, which may be NULL",
            ),
            (
                vec![("/state_in/stack", json!([]))],
                "executors[0].uops[2]: _ITER_CHECK_RANGE takes 1 values from a stack of 0",
            ),
            (
                vec![("/executors/0/uops/8", uop("_COPY", 60000))],
                "executors[0].uops[8]: _COPY takes 60000 values from a stack of 3",
            ),
            (
                vec![
                    ("/executors/0/uops/7", uop("_PUSH_NULL", 0)),
                    ("/executors/0/uops/8", uop("_COPY", 1)),
                ],
                "executors[0].uops[8]: _COPY takes the value at depth 0 of the stack, which may be NULL",
            ),
            (
                vec![("/codes/0/stacksize", json!(3))],
                "executors[0].uops[8]: _LOAD_FAST_2 makes a stack of 4, but its code's holds 3",
            ),
            (
                vec![
                    ("/executors/0/uops/0", uop("_JUMP_TO_TOP", 0)),
                    ("/executors/0/uops/1", uop("_SWAP", 2)),
                ],
                "executors[0].uops[1]: _SWAP takes 2 values from a stack of 1",
            ),
            (
                vec![("/executors/0/uops/12", uop("_NOP", 0))],
                "executors[0].uops[13]: _JUMP_TO_TOP goes to uop 1 of executor 0 with 2 values on the stack, another way with 1",
            ),
        ] {
            assert_eq!(message("sum_squares", &changes), expected);
        }
    }

    #[test]
    fn exits_are_followed() {
        let linked = document("gcd");
        let (from, exit) = linked
            .executors
            .iter()
            .flat_map(|executor| {
                executor
                    .uops
                    .iter()
                    .enumerate()
                    .map(move |(number, uop)| (executor.id, number, uop))
            })
            .find_map(|(id, number, uop)| Some(((id, number), uop.exit.as_ref()?.executor?)))
            .unwrap();
        let first = format!("/executors/{exit}/uops/1");
        let found = message("gcd", &[(&first, uop("_COPY", 9))]);
        assert!(
            found.starts_with(&format!("executors[{exit}].uops[1]: _COPY takes 9 values")),
            "{found}"
        );
        // The same exit, linked to an executor of another code.
        let body = json!({"name": "other", "argcount": 0, "kwonly": 0, "varargs": false, "nlocalsplus": 0, "stacksize": 0,
            "varnames": [], "names": [], "consts": [], "instructions": []});
        let other = json!({"id": linked.executors.len(), "code": linked.codes.len(), "uops": [{"op": "_DEOPT", "oparg": 0, "target": 0}]});
        let link = format!("/executors/{}/uops/{}/exit/executor", from.0, from.1);
        let found = message(
            "gcd",
            &[
                ("/codes/-", body),
                ("/executors/-", other),
                (&link, json!(linked.executors.len())),
                ("/stats/executor_entries/-", json!(0)),
                ("/stats/jump_to_top/-", json!(0)),
                ("/stats/uops_reached/-", json!(0)),
            ],
        );
        assert!(found.contains("with a frame of code 0"), "{found}");
    }
}
