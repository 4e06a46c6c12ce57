use mimeo::hole::HoleValue;
use mimeo_compiler::contract::*;
use mimeo_compiler::ir::*;
use mimeo_compiler::symbol::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let src = IrSource::from_file(std::path::Path::new(&a[1])).unwrap();
    let ops = std::fs::read_to_string(&a[2]).unwrap();
    let fns: Vec<IrFunction> = ops
        .split_whitespace()
        .map(|o| IrFunction {
            function: format!("stencil_{o}"),
            stencil: o.to_owned(),
        })
        .collect();
    let h = SymbolMeanings::default()
        .hole("_JIT_OPARG", HoleSymbol::number(HoleValue::Oparg, 16))
        .hole("_JIT_OPERAND", HoleSymbol::number(HoleValue::Operand, 64))
        .hole("_JIT_TARGET", HoleSymbol::number(HoleValue::Target, 32))
        .hole(
            "_JIT_EXIT_INDEX",
            HoleSymbol::number(HoleValue::ExitIndex, 16),
        )
        .hole("_JIT_EXECUTOR", HoleSymbol::address(HoleValue::Executor))
        .hole("_JIT_CONTINUE", HoleSymbol::address(HoleValue::Continue))
        .hole(
            "_JIT_JUMP_TARGET",
            HoleSymbol::address(HoleValue::JumpTarget),
        )
        .hole(
            "_JIT_ERROR_TARGET",
            HoleSymbol::address(HoleValue::ErrorTarget),
        )
        .hole("_JIT_TOP", HoleSymbol::address(HoleValue::Top));
    let t = std::time::Instant::now();
    let r = compile_stencils(&src, &fns, &h, std::num::NonZeroUsize::new(2).unwrap());
    eprintln!("{:?}", t.elapsed());
    match r {
        Err(e) => eprintln!("{e}"),
        Ok(s) => {
            for s in s {
                println!("{} {} {}", s.name, s.code.bytes.len(), s.data.bytes.len());
                if a.len() > 3 && a[3..].contains(&s.name) {
                    let st = mimeo::stencil::Stencil {
                        bytes: &s.code.bytes,
                        holes: &[],
                        align: 1,
                    };
                    for l in
                        mimeo_compiler::disassemble::disassemble(st, mimeo::stencil::Part::Hot, &[])
                    {
                        println!("   {:4x} {}", l.offset, l.text);
                        for p in &s.code.patches {
                            if (p.offset as usize) >= l.offset
                                && (p.offset as usize) < l.offset + l.bytes.len()
                            {
                                println!(
                                    "            {:?} {:?} {} {}",
                                    p.kind, p.filling, p.addend, p.relaxable
                                );
                            }
                        }
                    }
                    for p in &s.data.patches {
                        println!("     data {:x} {:?} {}", p.offset, p.filling, p.addend);
                    }
                }
            }
        }
    }
}
