//! Whether a file is an LLVM that a program can be linked with.

use object::elf::{EM_X86_64, ET_DYN};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSymbol, ReadCache};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

/// What has to be in it: one function for each thing that is asked of LLVM.
const FUNCTIONS: [&str; 9] = [
    "LLVMGetVersion",
    "LLVMContextCreate",
    "LLVMBuildCall2",
    "LLVMParseIRInContext",
    "LLVMRunPasses",
    "LLVMCreateTargetMachine",
    "LLVMTargetMachineEmitToMemoryBuffer",
    "LLVMInitializeX86Target",
    "LLVMInitializeX86AsmPrinter",
];

/// What is wrong with a library; nothing where it can be linked.
pub(super) fn problems(path: &Path) -> Vec<String> {
    match exported(path) {
        Ok(exported) => {
            let missing: Vec<&str> = FUNCTIONS
                .into_iter()
                .filter(|function| !exported.contains(*function))
                .collect();
            match missing[..] {
                [] => Vec::new(),
                _ => vec![format!("it does not export {}", missing.join(", "))],
            }
        }
        Err(problem) => vec![problem],
    }
}

/// Those of the [`FUNCTIONS`] that a shared library for x86-64 exports.
fn exported(path: &Path) -> Result<BTreeSet<String>, String> {
    let file = File::open(path).map_err(|error| format!("it cannot be read: {error}"))?;
    // Libraries are large, and of this one only the symbols are read.
    let cache = ReadCache::new(file);
    let elf = ElfFile64::<Endianness, _>::parse(&cache)
        .map_err(|error| format!("it is not a 64-bit ELF file: {error}"))?;
    let endian = elf.endian();
    let (machine, kind) = (
        elf.elf_header().e_machine.get(endian),
        elf.elf_header().e_type.get(endian),
    );
    if machine != EM_X86_64 {
        return Err(format!(
            "it is for another machine: ELF calls it {}, expected {}, x86-64",
            machine.0, EM_X86_64.0
        ));
    }
    if kind != ET_DYN {
        return Err(format!(
            "it is no shared library: ELF type {}, expected {}",
            kind.0, ET_DYN.0
        ));
    }
    let symbols = elf
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition());
    let names = symbols.filter_map(|symbol| {
        let name = symbol.name().ok()?;
        FUNCTIONS.contains(&name).then(|| name.to_owned())
    });
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[track_caller]
    fn assert_problem(path: &Path, expected: &str) {
        let problems = problems(path);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(expected), "{problems:?}");
    }

    #[test]
    fn what_is_no_llvm_is_told_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("libLLVM.so");
        assert_problem(&path, "it cannot be read: ");
        assert_problem(directory.path(), "it is not a 64-bit ELF file: ");
        for text in [&b""[..], b"INPUT(libLLVM.so.19.1)", b"\x7fELF\x01\x01\x01"] {
            std::fs::write(&path, text).expect("a file");
            assert_problem(&path, "it is not a 64-bit ELF file: ");
        }
    }

    #[test]
    fn another_machine_and_another_type_are_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("libLLVM.so");
        let this = std::env::current_exe().expect("this program");
        let mut header = std::fs::read(&this).expect("it can be read");
        // Of e_type and e_machine, behind the 16 bytes of e_ident.
        header[18..20].copy_from_slice(&183u16.to_le_bytes());
        std::fs::write(&path, &header).expect("a file");
        assert_problem(
            &path,
            "it is for another machine: ELF calls it 183, expected 62",
        );
        header[18..20].copy_from_slice(&62u16.to_le_bytes());
        header[16..18].copy_from_slice(&1u16.to_le_bytes());
        std::fs::write(&path, &header).expect("a file");
        assert_problem(&path, "it is no shared library: ELF type 1, expected 3");
        header[16..18].copy_from_slice(&3u16.to_le_bytes());
        std::fs::write(&path, &header).expect("a file");
        assert_problem(
            &path,
            "it does not export LLVMGetVersion, LLVMContextCreate, ",
        );
        // Cut short, it is still only a problem.
        for len in [20, 64, 100, 1000, 5000] {
            std::fs::write(&path, &header[..len]).expect("a file");
            assert_eq!(problems(&path).len(), 1, "{len}");
        }
    }

    #[test]
    fn what_this_build_links_is_llvm() {
        let surroundings = mimeo_compiler::installation::Surroundings::of_this_process();
        let Some(major) = super::super::llvm::BUILT_WITH else {
            return;
        };
        // Where it was found when this was built; it may have been moved since.
        let library: Option<PathBuf> = surroundings.find(major).ok().map(|found| found.library);
        if let Some(library) = library {
            assert_eq!(problems(&library), [""; 0], "{}", library.display());
        }
    }
}
