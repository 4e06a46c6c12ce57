//! Lists of uop sequences that are fused into one stencil each: supernodes.
//!
//! A list is a text file that people review: a sequence on each line, the uops separated by spaces; `#` starts a
//! comment. `mimeo mine` proposes sequences from a corpus of traces.

/// The sequences of the standard Python set.
pub const PYTHON: &str = include_str!("../supernodes/python.txt");

/// The sequences of the scalar set.
pub const SCALAR: &str = include_str!("../supernodes/scalar.txt");

/// A line of a list that is no sequence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ListError {
    /// The line's number, from 1 on.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// The sequences of a list, in its order.
///
/// # Errors
/// A line has fewer than two uops or more than can be fused, or a sequence is there twice.
pub fn parse(list: &str) -> Result<Vec<Vec<String>>, ListError> {
    let limit = mimeo::form::MAX_FUSED;
    let mut sequences: Vec<Vec<String>> = Vec::new();
    for (index, line) in list.lines().enumerate() {
        let code = line.split('#').next().unwrap_or_default();
        let sequence: Vec<String> = code.split_whitespace().map(str::to_owned).collect();
        let error = |problem| ListError {
            line: index + 1,
            problem,
        };
        match sequence.len() {
            0 => continue,
            1 => return Err(error(format!("one uop, {}, is no sequence", sequence[0]))),
            found if found > limit => {
                return Err(error(format!("{found} uops, at most {limit} can be fused")));
            }
            _ => {}
        }
        if sequences.contains(&sequence) {
            return Err(error(format!("{} is there already", sequence.join(" "))));
        }
        sequences.push(sequence);
    }
    Ok(sequences)
}

/// The sequences of a list that is checked in.
///
/// # Panics
/// It is no list; a test sees to that.
#[cfg(feature = "llvm")]
pub(crate) fn of(list: &str) -> Vec<Vec<String>> {
    parse(list).expect("the lists that are checked in are lists")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_comments_and_empty_lines() {
        let list = "# why\n\nA B # often\n C  D\tE\n";
        let sequences = parse(list).unwrap();
        assert_eq!(sequences, [vec!["A", "B"], vec!["C", "D", "E"]]);
    }

    #[test]
    fn wrong_lines_are_named() {
        let problem = |list: &str| parse(list).unwrap_err().to_string();
        assert_eq!(problem("A B\nC\n"), "line 2: one uop, C, is no sequence");
        assert_eq!(
            problem("A B C D E F G"),
            "line 1: 7 uops, at most 6 can be fused"
        );
        assert_eq!(problem("A B\nB A\nA B"), "line 3: A B is there already");
    }

    #[test]
    fn the_standard_lists_are_lists() {
        assert!(!parse(PYTHON).unwrap().is_empty());
        assert!(!parse(SCALAR).unwrap().is_empty());
    }
}
