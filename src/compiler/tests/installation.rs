//! Where LLVM is looked for and what is said where it is not, on systems that are directories.

use mimeo_compiler::installation::{Installation, Missing, SUPPORTED, Surroundings};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A system of its own, in a directory.
struct System {
    directory: TempDir,
    surroundings: Surroundings,
}

impl System {
    /// With nothing installed.
    fn empty() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().to_owned();
        let surroundings = Surroundings {
            prefixes: Vec::new(),
            search_path: vec![root.join("first"), root.join("usr/bin")],
            root,
        };
        Self {
            directory,
            surroundings,
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// A path, in a directory that is there.
    fn place(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        path
    }

    fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.place(path);
        fs::write(&path, text).expect("a file");
        path
    }

    /// An `llvm-config` that says these things. The program is there already: one that were written here could be open in
    /// whatever another test starts in that moment, and could not be run (`ETXTBSY`).
    fn config(&self, path: &str, version: &str, libraries: &str) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/llvm-config");
        symlink(program, self.place(path)).expect("a link");
        self.file(&format!("{path}.version"), version);
        let libraries = self.path(libraries).display().to_string();
        self.file(&format!("{path}.libdir"), &libraries);
    }

    fn prefix(mut self, major: u32, path: &str) -> Self {
        let path = self.path(path);
        self.surroundings.prefixes.push((major, path));
        self
    }

    fn find(&self, major: u32) -> Result<Installation, Missing> {
        self.surroundings.find(major)
    }

    /// The message, with this system's directory taken for the root.
    fn message(&self, major: u32) -> String {
        let missing = self.find(major).expect_err("there is none");
        let root = self.directory.path().display().to_string();
        missing.to_string().replace(&root, "")
    }

    fn found(&self, major: u32, version: &str, library: &str) {
        let expected = Installation {
            major,
            version: version.to_owned(),
            library: self.path(library),
        };
        assert_eq!(self.find(major), Ok(expected));
    }
}

#[test]
fn a_library_alone_is_enough() {
    for (path, version) in [
        ("usr/lib/llvm-20/lib/libLLVM.so.20.1", "20.1"),
        ("usr/lib/x86_64-linux-gnu/libLLVM-20.so.1", "20"),
        ("usr/lib64/llvm20/lib64/libLLVM.so.20", "20"),
        ("usr/lib64/libLLVM-20.so", "20"),
        ("usr/local/lib/libLLVM.so.20.1", "20.1"),
    ] {
        let system = System::empty();
        system.file(path, "");
        system.found(20, version, path);
    }
}

#[test]
fn a_version_is_that_of_the_file_a_link_leads_to() {
    for (name, version) in [
        ("libLLVM.so.21.1", "21.1"),
        ("libLLVM.so.21.1-rc2", "21.1"),
        ("libLLVM-21.1.0-rc1.so", "21.1.0"),
        ("libLLVM-21.so.1", "21"),
        // No more than the link says.
        ("libLLVM.so", "21"),
        ("libLLVM-git.so", "21"),
        ("LLVM-21.1", "21"),
    ] {
        let system = System::empty();
        let file = system.file(&format!("opt/{name}"), "");
        let link = system.path("usr/lib/libLLVM.so.21.1");
        fs::create_dir_all(system.path("usr/lib")).expect("directories");
        symlink(file, &link).expect("a link");
        system.found(21, version, "usr/lib/libLLVM.so.21.1");
        // And one that leads nowhere is none.
        fs::remove_file(system.path("opt").join(name)).expect("it is there");
        assert!(system.find(21).is_err());
    }
}

#[test]
fn a_config_in_the_search_path_knows_more() {
    let system = System::empty();
    system.file("usr/lib/libLLVM.so.19.1", "");
    system.file("elsewhere/libLLVM.so.19.1", "");
    system.config("usr/bin/llvm-config-19", "19.1.7", "elsewhere");
    system.found(19, "19.1.7", "elsewhere/libLLVM.so.19.1");
}

#[test]
fn configs_of_other_versions_and_broken_ones_are_passed_over() {
    let system = System::empty();
    system.config("first/llvm-config", "18.1.8", "elsewhere");
    // Not executable.
    system.file("first/llvm-config-19", "");
    system.config("usr/bin/llvm-config", "19.1.0git", "elsewhere");
    system.file("elsewhere/libLLVM-19.so", "");
    system.found(19, "19.1.0git", "elsewhere/libLLVM-19.so");
}

#[test]
fn a_config_without_its_library_is_no_obstacle() {
    let system = System::empty();
    system.config("usr/bin/llvm-config-19", "19.1.7", "nowhere");
    assert_eq!(
        system.message(19),
        "the feature llvm19 needs the shared library of LLVM 19, but there is none in /nowhere, where \
         /usr/bin/llvm-config-19 says that libraries are: install the shared library of LLVM 19; an LLVM of your own has to \
         be built with LLVM_BUILD_LLVM_DYLIB=ON"
    );
    system.file("usr/lib/libLLVM.so.19.1", "");
    system.found(19, "19.1", "usr/lib/libLLVM.so.19.1");
}

#[test]
fn what_is_not_installed_is_said_with_what_is() {
    let system = System::empty();
    let start = "the feature llvm20 needs LLVM 20, which is not installed: install the shared library of LLVM 20; or set \
                 LLVM_SYS_201_PREFIX to where it is";
    assert_eq!(system.message(20), start);
    system.file("usr/lib/libLLVM.so.19.1", "");
    assert_eq!(
        system.message(20),
        format!("{start}. LLVM 19 is installed: the feature llvm19 uses it")
    );
    system.config("usr/bin/llvm-config-22", "22.1.0", "elsewhere");
    system.file("elsewhere/libLLVM.so.22.1", "");
    assert_eq!(
        system.message(20),
        format!("{start}. LLVM 19 and 22 are installed: the features llvm19 and llvm22 use them")
    );
    system.file("usr/lib64/libLLVM.so.23.1", "");
    assert_eq!(
        system.message(20),
        format!(
            "{start}. LLVM 19, 22 and 23 are installed: the features llvm19, llvm22 and llvm23 use them"
        )
    );
}

#[test]
fn a_prefix_is_where_llvm_is_and_nowhere_else() {
    let system = System::empty().prefix(22, "opt/llvm");
    system.file("usr/lib/libLLVM.so.22.1", "");
    assert_eq!(
        system.message(22),
        "the feature llvm22 needs LLVM 22, but LLVM_SYS_221_PREFIX is /opt/llvm, which has neither bin/llvm-config nor \
         lib/libLLVM.so.22.1: set it to where LLVM 22 is installed, or unset it"
    );
    system.file("opt/llvm/lib/libLLVM.so.22.1", "");
    system.found(22, "22.1", "opt/llvm/lib/libLLVM.so.22.1");
    system.config("opt/llvm/bin/llvm-config", "22.1.8", "opt/llvm/lib");
    system.found(22, "22.1.8", "opt/llvm/lib/libLLVM.so.22.1");
}

#[test]
fn a_prefix_with_another_version_is_refused() {
    let system = System::empty().prefix(22, "opt/llvm");
    let start =
        "the feature llvm22 needs LLVM 22, but LLVM_SYS_221_PREFIX is /opt/llvm, which has LLVM";
    let library = system.file("opt/llvm/lib/libLLVM.so.21.1", "");
    assert_eq!(
        system.message(22),
        format!("{start} 21.1: set it to where LLVM 22 is installed, or use the feature llvm21")
    );
    fs::remove_file(library).expect("it is there");
    system.config("opt/llvm/bin/llvm-config", "18.1.8", "opt/llvm/lib");
    assert_eq!(
        system.message(22),
        format!("{start} 18.1.8: set it to where LLVM 22 is installed")
    );
    // The variable of one version says nothing of another.
    system.file("usr/lib/libLLVM.so.21.1", "");
    system.found(21, "21.1", "usr/lib/libLLVM.so.21.1");
}

#[test]
fn a_config_that_gives_no_version_is_none() {
    for version in ["git", "\"\"", "99999999999999999999.1", "119.1.0", "-19"] {
        let system = System::empty();
        system.config("usr/bin/llvm-config-19", version, "elsewhere");
        system.file("elsewhere/libLLVM.so.19.1", "");
        let missing = system.find(19).expect_err(version);
        assert!(matches!(missing, Missing::NotInstalled { .. }), "{missing}");
    }
}

#[test]
fn advice_is_for_the_distribution() {
    for (release, expected) in [
        ("NAME=x\nID=debian\n", "`apt-get install libllvm21`"),
        (
            "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
            "`apt-get install libllvm21`",
        ),
        ("ID=fedora\n", "`dnf install llvm21-libs`"),
        (
            "ID='rocky'\nID_LIKE='rhel centos fedora'\n",
            "`dnf install llvm21-libs`",
        ),
        ("ID=arch", "`pacman -S llvm21-libs`"),
        (
            "VERSION_ID=debian\n",
            "install the shared library of LLVM 21",
        ),
        ("", "install the shared library of LLVM 21"),
    ] {
        let system = System::empty();
        system.file("etc/os-release", release);
        let advice = system.surroundings.advice(21);
        assert!(advice.contains(expected), "{release}: {advice}");
    }
}

#[test]
fn this_process_has_surroundings() {
    let surroundings = Surroundings::of_this_process();
    assert_eq!(surroundings.root, Path::new("/"));
    for major in SUPPORTED {
        // Whatever is installed here: an answer, or a message that names the version.
        match surroundings.find(major) {
            Ok(found) => assert!(found.library.is_file(), "{found:?}"),
            Err(missing) => assert!(missing.to_string().contains(&format!("LLVM {major}"))),
        }
    }
}
