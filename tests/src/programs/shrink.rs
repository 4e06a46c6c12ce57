//! A failing program made small: statements are taken away or replaced by what is in them, expressions by their parts or
//! by plain constants, as long as it still fails.

use super::ast::{Expr, Piece, Program, Stmt, Target, Value};

/// The smallest program that is found to fail, this one to start with.
pub fn shrink(program: &Program, mut fails: impl FnMut(&Program) -> bool) -> Program {
    let mut smallest = program.clone();
    loop {
        let statements = shrink_by(&mut smallest, edit_statement, &mut fails);
        let expressions = shrink_by(&mut smallest, edit_expr, &mut fails);
        let arguments = shrink_by(&mut smallest, edit_argument, &mut fails);
        if !(statements || expressions || arguments) {
            return smallest;
        }
    }
}

/// Changes a program at the place of this number, in the way of this number. Returns whether there is such a place, and
/// whether there is such a way.
type Edit = fn(&mut Program, place: usize, way: usize) -> (bool, bool);

/// Tries every edit; returns whether one was of use.
fn shrink_by(smallest: &mut Program, edit: Edit, fails: &mut impl FnMut(&Program) -> bool) -> bool {
    let mut any = false;
    let (mut place, mut way) = (0, 0);
    loop {
        let mut smaller = smallest.clone();
        match edit(&mut smaller, place, way) {
            (false, _) => return any,
            (true, false) => (place, way) = (place + 1, 0),
            (true, true) if smaller != *smallest && fails(&smaller) => {
                *smallest = smaller;
                any = true;
                way = 0;
            }
            (true, true) => way += 1,
        }
    }
}

fn edit_statement(program: &mut Program, place: usize, way: usize) -> (bool, bool) {
    let mut left = place;
    let mut done = (false, false);
    with_statement(&mut program.body, &mut left, &mut |body, index| {
        done = (true, true);
        match (&mut body[index], way) {
            (_, 0) => {
                body.remove(index);
            }
            (Stmt::If(_, inner, _), 1)
            | (Stmt::If(_, _, inner), 2)
            | (Stmt::While(_, inner) | Stmt::For(_, _, inner), 1) => {
                let inner = std::mem::take(inner);
                body.splice(index..=index, inner);
            }
            _ => done.1 = false,
        }
    });
    done
}

/// Acts on the statement of this number, in the order of the text.
fn with_statement(
    body: &mut Vec<Stmt>,
    left: &mut usize,
    act: &mut dyn FnMut(&mut Vec<Stmt>, usize),
) -> bool {
    for index in 0..body.len() {
        if *left == 0 {
            act(body, index);
            return true;
        }
        *left -= 1;
        let found = match &mut body[index] {
            Stmt::If(_, then, otherwise) => {
                with_statement(then, left, act) || with_statement(otherwise, left, act)
            }
            Stmt::While(_, body) | Stmt::For(_, _, body) => with_statement(body, left, act),
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
}

fn edit_expr(program: &mut Program, place: usize, way: usize) -> (bool, bool) {
    let mut left = place;
    let mut done = (false, false);
    with_expr_in(&mut program.body, &mut left, &mut |expr| {
        done.0 = true;
        if matches!(expr, Expr::Builtin(_)) {
            return;
        }
        let plain = [
            Value::Int(1),
            Value::Int(0),
            Value::None,
            Value::Str("a".to_owned()),
            Value::Float(0.5),
        ];
        let parts = children(expr).len();
        if way < parts {
            *expr = children(expr).swap_remove(way).clone();
            done.1 = true;
        } else if let (false, Some(value)) =
            (matches!(expr, Expr::Constant(_)), plain.get(way - parts))
        {
            *expr = Expr::Constant(value.clone());
            done.1 = true;
        }
    });
    done
}

/// Acts on the expression of this number, in the order of the text.
fn with_expr_in(body: &mut [Stmt], left: &mut usize, act: &mut dyn FnMut(&mut Expr)) -> bool {
    for statement in body {
        let (exprs, bodies) = parts(statement);
        for expr in exprs {
            if with_expr(expr, left, act) {
                return true;
            }
        }
        for body in bodies {
            if with_expr_in(body, left, act) {
                return true;
            }
        }
    }
    false
}

fn with_expr(expr: &mut Expr, left: &mut usize, act: &mut dyn FnMut(&mut Expr)) -> bool {
    if *left == 0 {
        act(expr);
        return true;
    }
    *left -= 1;
    children(expr)
        .into_iter()
        .any(|child| with_expr(child, left, act))
}

/// The expressions and the blocks of a statement.
fn parts(statement: &mut Stmt) -> (Vec<&mut Expr>, Vec<&mut Vec<Stmt>>) {
    match statement {
        Stmt::Assign(target, value) | Stmt::Augmented(target, _, value) => {
            let mut exprs = match target {
                Target::Local(_) => vec![],
                Target::Subscript(container, index) => vec![container, index],
                Target::Slice(container, low, high) => vec![container, low, high],
            };
            exprs.push(value);
            (exprs, vec![])
        }
        Stmt::Unpack(_, value) | Stmt::Expression(value) => (vec![value], vec![]),
        Stmt::DeleteItem(container, index) => (vec![container, index], vec![]),
        Stmt::If(test, then, otherwise) => (vec![test], vec![then, otherwise]),
        Stmt::While(value, body) | Stmt::For(_, value, body) => (vec![value], vec![body]),
        Stmt::Delete(_) | Stmt::Break | Stmt::Continue | Stmt::Return => (vec![], vec![]),
    }
}

fn children(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Constant(_) | Expr::Local(_) | Expr::Builtin(_) => vec![],
        Expr::Unary(_, operand) => vec![operand],
        Expr::Binary(_, left, right)
        | Expr::Compare(_, left, right)
        | Expr::And(left, right)
        | Expr::Or(left, right)
        | Expr::Subscript(left, right) => vec![left, right],
        Expr::If(test, then, otherwise) => vec![test, then, otherwise],
        Expr::Slice(container, low, high) => {
            let mut parts: Vec<&mut Expr> = vec![container];
            parts.extend(low.as_deref_mut());
            parts.extend(high.as_deref_mut());
            parts
        }
        Expr::SteppedSlice(container, low, high, step) => vec![container, low, high, step],
        Expr::Dict(items) => items
            .iter_mut()
            .flat_map(|(key, value)| [key, value])
            .collect(),
        Expr::List(items) | Expr::Tuple(items) | Expr::Call(_, items) => items.iter_mut().collect(),
        Expr::Format(pieces) => pieces.iter_mut().filter_map(value_of).collect(),
    }
}

fn value_of(piece: &mut Piece) -> Option<&mut Expr> {
    match piece {
        Piece::Value(value, _) => Some(value),
        Piece::Text(_) => None,
    }
}

fn edit_argument(program: &mut Program, place: usize, way: usize) -> (bool, bool) {
    let Some(argument) = program.arguments.get_mut(place) else {
        return (false, false);
    };
    let smaller = match (&argument, way) {
        (Value::Int(0), _) => None,
        (_, 0) => Some(Value::Int(0)),
        (Value::Dict(items), way) if way <= items.len() => {
            let mut items = items.clone();
            items.remove(way - 1);
            Some(Value::Dict(items))
        }
        (Value::List(items), way) if way <= items.len() => {
            let mut items = items.clone();
            items.remove(way - 1);
            Some(Value::List(items))
        }
        _ => None,
    };
    let found = smaller.is_some();
    if let Some(smaller) = smaller {
        *argument = smaller;
    }
    (true, found)
}
