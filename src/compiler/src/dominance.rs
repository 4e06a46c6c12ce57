//! Which blocks of a function lie on every way to others.

use inkwell::basic_block::BasicBlock;
use inkwell::values::FunctionValue;
use std::collections::HashMap;

/// The blocks of a function that control can reach, each after those that dominate it.
pub(crate) struct Dominance<'ctx> {
    blocks: Vec<BasicBlock<'ctx>>,
    indices: HashMap<BasicBlock<'ctx>, usize>,
    /// For each block, whether each other one lies on every way to it.
    dominators: Vec<Vec<bool>>,
}

impl<'ctx> Dominance<'ctx> {
    pub(crate) fn of(function: FunctionValue<'ctx>) -> Self {
        let blocks = reverse_postorder(function);
        let indices: HashMap<_, _> = blocks.iter().copied().zip(0..).collect();
        let mut predecessors = vec![Vec::new(); blocks.len()];
        for (index, block) in blocks.iter().enumerate() {
            for next in successors(*block) {
                predecessors[indices[&next]].push(index);
            }
        }
        let mut dominators = vec![vec![true; blocks.len()]; blocks.len()];
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for index in 0..blocks.len() {
                let mut own = vec![!predecessors[index].is_empty() && index > 0; blocks.len()];
                for &predecessor in &predecessors[index] {
                    for (own, other) in own.iter_mut().zip(&dominators[predecessor]) {
                        *own &= *other;
                    }
                }
                own[index] = true;
                changed |= own != dominators[index];
                dominators[index] = own;
            }
        }
        Self {
            blocks,
            indices,
            dominators,
        }
    }

    /// The blocks, in an order in which what dominates comes first.
    pub(crate) fn blocks(&self) -> &[BasicBlock<'ctx>] {
        &self.blocks
    }

    /// Whether every way to `block` leads through `other`.
    pub(crate) fn dominates(&self, other: BasicBlock<'ctx>, block: BasicBlock<'ctx>) -> bool {
        match (self.indices.get(&other), self.indices.get(&block)) {
            (Some(&other), Some(&block)) => self.dominators[block][other],
            _ => false,
        }
    }
}

fn successors(block: BasicBlock<'_>) -> Vec<BasicBlock<'_>> {
    let Some(end) = block.get_terminator() else {
        return Vec::new();
    };
    end.get_operands()
        .flatten()
        .filter_map(|operand| operand.block())
        .collect()
}

fn reverse_postorder(function: FunctionValue<'_>) -> Vec<BasicBlock<'_>> {
    let Some(entry) = function.get_first_basic_block() else {
        return Vec::new();
    };
    let mut seen = HashMap::from([(entry, ())]);
    let mut order = Vec::new();
    let mut pending = vec![(entry, successors(entry))];
    while let Some((block, rest)) = pending.last_mut() {
        match rest.pop() {
            Some(next) => {
                if seen.insert(next, ()).is_none() {
                    pending.push((next, successors(next)));
                }
            }
            None => {
                order.push(*block);
                pending.pop();
            }
        }
    }
    order.reverse();
    order
}
