//! What a build script does about its table, and what it says, with LLVM and without. The scripts are processes, with an
//! environment like cargo's: this program, which then runs but [`script`].

use mimeo::hole::Hole;
use mimeo::stencil::{StackEffect, StencilBuf, StencilGroupBuf, UopFlags};
use mimeo::table::{TableContents, UopContents};
use mimeo_compiler::build_script::{Table, Templates};
use mimeo_compiler::sources::Sources;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

mimeo_compiler::if_llvm! {
    mod templates {
        use mimeo_compiler::template::{FrameLayout, Template, TemplateSet};

        pub(crate) fn set(names: &'static [&'static str]) -> TemplateSet {
            let nothing = |name: &&'static str| Template::new(*name, |b| b.continue_());
            TemplateSet::new("numbers", FrameLayout::default()).with(names.iter().map(nothing))
        }

        pub(crate) fn wrong() -> TemplateSet {
            let pops = Template::new("POPS", |mut b| {
                b.pop_i64()?;
                b.continue_()
            });
            TemplateSet::new("numbers", FrameLayout::default()).with([pops])
        }
    }
}

/// The variable that says which script is run.
const SCRIPT: &str = "MIMEO_TEST_SCRIPT";

/// Why the scripts that give no templates have none compiled.
const WHY: &str = if cfg!(llvm) {
    "the build script gives no templates"
} else {
    "mimeo-compiler has no feature for LLVM"
};

/// What to do where there is no table.
const REMEDY: &str = "make it on a machine with LLVM, by MIMEO_TABLES=update and a feature of mimeo-compiler from llvm19 to \
                      llvm23";

/// The build scripts.
#[test]
fn script() {
    let Ok(script) = env::var(SCRIPT) else {
        // Here the other tests run.
        return;
    };
    let table = Table::checked_in("tables/numbers.mimeo");
    let one = || mimeo_compiler::templates!(templates::set(&["NOTHING"]));
    match script.as_str() {
        "no templates" => table.source("templates").build(Templates::none()),
        "one template" => table.source("templates").build(one()),
        "two templates" => {
            table
                .source("templates")
                .build(mimeo_compiler::templates!(templates::set(&[
                    "NOTHING", "NAUGHT"
                ])))
        }
        "a wrong template" => table
            .source("templates")
            .build(mimeo_compiler::templates!(templates::wrong())),
        "no source" => table.build(one()),
        "a missing source" => table.source("template").build(one()),
        "no file" => Table::checked_in("..").source("templates").build(one()),
        "Rust source" => table.source("templates").rust_source().build(one()),
        _ => panic!("there is no script called {script}"),
    }
}

/// A package with sources and a place for tables.
struct Package(TempDir);

/// What became of a build script.
#[derive(Debug)]
struct Outcome {
    succeeded: bool,
    /// What it tells cargo, in order, without `cargo::`.
    directives: Vec<String>,
}

impl Package {
    fn new() -> Self {
        let package = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(package.path("templates/more")).unwrap();
        fs::create_dir(package.path("out")).unwrap();
        package.write("templates/one.rs", b"fn one() {}");
        package.write("templates/more/two.rs", b"fn two() {}");
        package
    }

    /// A package whose table is what its sources give, for all that can be known without LLVM.
    fn with_table() -> Self {
        let package = Self::new();
        fs::create_dir(package.path("tables")).unwrap();
        package.write_table(|_| ());
        package
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, contents: &[u8]) {
        fs::write(self.path(name), contents).unwrap();
    }

    fn checked_in(&self) -> Vec<u8> {
        fs::read(self.path("tables/numbers.mimeo")).unwrap()
    }

    fn built(&self) -> Vec<u8> {
        fs::read(self.path("out/numbers.mimeo")).unwrap()
    }

    fn write_table(&self, change: impl FnOnce(&mut TableContents)) {
        let sources = Sources::default().with_files(self.0.path(), "templates");
        let mut contents = contents(sources.unwrap().digest());
        change(&mut contents);
        self.write("tables/numbers.mimeo", &contents.to_bytes().unwrap());
    }

    fn run(&self, script: &str, wish: &str) -> Outcome {
        self.run_in(script, &[("MIMEO_TABLES", wish)])
    }

    fn run_in(&self, script: &str, environment: &[(&str, &str)]) -> Outcome {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "script", "--nocapture"])
            .env(SCRIPT, script)
            .env("CARGO_MANIFEST_DIR", self.0.path())
            .env("OUT_DIR", self.path("out"))
            .env("NUM_JOBS", "1")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let place = format!("{}/", self.0.path().display());
        let text = String::from_utf8(output.stdout).unwrap();
        let directives = text
            .lines()
            .filter_map(|line| line.split_once("cargo::"))
            .map(|(_, directive)| directive.replace(&place, "PACKAGE/"));
        Outcome {
            succeeded: output.status.success(),
            directives: directives.collect(),
        }
    }
}

impl Outcome {
    /// The one thing that a script says which succeeds.
    fn warning(self) -> String {
        assert!(self.succeeded, "{self:?}");
        self.said("warning=tables/numbers.mimeo: ")
    }

    /// The one thing that a script says which fails.
    fn error(self) -> String {
        assert!(!self.succeeded, "{self:?}");
        self.said("error=")
    }

    fn said(self, how: &str) -> String {
        let said = |directive: &&String| !directive.starts_with("rerun-if-");
        let [said] = *self.directives.iter().filter(said).collect::<Vec<_>>() else {
            panic!("expected one message: {self:?}");
        };
        said.strip_prefix(how).expect(said).to_owned()
    }
}

/// A table of one uop that does nothing.
fn contents(sources: [u8; 32]) -> TableContents {
    TableContents {
        set: "numbers".to_owned(),
        cpu: "x86-64".to_owned(),
        llvm_version: (19, 1, 7),
        digest: [1; 32],
        sources,
        symbols: Vec::new(),
        uops: vec![UopContents {
            name: "NOTHING".to_owned(),
            effect: StackEffect::default(),
            leaving_effect: StackEffect::default(),
            flags: UopFlags::empty(),
            oparg_max: 0,
            operand_max: 0,
            operand1_max: 0,
            locals: 0,
            group: group(&[0x90], Vec::new()),
        }],
        variants: Vec::new(),
    }
}

fn group(code: &[u8], holes: Vec<Hole>) -> StencilGroupBuf {
    StencilGroupBuf {
        hot: StencilBuf {
            bytes: code.to_vec(),
            holes,
            align: 1,
        },
        ..StencilGroupBuf::default()
    }
}

#[test]
fn cargo_learns_what_the_table_depends_on() {
    let outcome = Package::with_table().run("no templates", "");
    assert_eq!(
        outcome.directives[..3],
        [
            "rerun-if-env-changed=MIMEO_TABLES",
            "rerun-if-changed=templates",
            "rerun-if-changed=tables/numbers.mimeo",
        ]
    );
}

#[test]
fn without_llvm_the_checked_in_table_is_used() {
    let package = Package::with_table();
    let scripts: &[&str] = match cfg!(llvm) {
        true => &["no templates"],
        false => &["no templates", "one template", "a wrong template"],
    };
    for script in scripts {
        let expected = format!("the checked-in table, by LLVM 19.1.7, because {WHY}");
        assert_eq!(package.run(script, "").warning(), expected);
        assert_eq!(package.built(), package.checked_in());
        fs::remove_file(package.path("out/numbers.mimeo")).unwrap();
    }
}

#[test]
fn without_llvm_a_stale_table_is_an_error_unless_it_is_allowed() {
    let package = Package::with_table();
    package.write("templates/more/two.rs", b"fn second() {}");
    let error = package.run("no templates", "").error();
    let expected = format!(
        "PACKAGE/tables/numbers.mimeo: the checked-in table is stale: it was made when templates read otherwise, and it \
         cannot be compiled, because {WHY}: {REMEDY}; MIMEO_TABLES=allow-stale uses it as it is"
    );
    assert_eq!(error, expected);
    assert!(!package.path("out/numbers.mimeo").exists());

    let warning = package.run("no templates", "allow-stale").warning();
    let allowed = "it is stale, and MIMEO_TABLES=allow-stale lets it be used";
    assert!(warning.ends_with(allowed), "{warning}");
    assert_eq!(package.built(), package.checked_in());

    package.write("templates/more/two.rs", b"fn two() {}");
    let warning = package.run("no templates", "allow-stale").warning();
    assert!(!warning.contains("stale"), "{warning}");
}

#[test]
fn without_llvm_a_table_that_does_not_name_its_sources_is_as_good_as_stale() {
    let package = Package::with_table();
    package.write_table(|contents| contents.sources = [0; 32]);
    let error = package.run("no templates", "").error();
    let expected = "the checked-in table is stale: it does not carry the digest of its sources";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn without_llvm_there_must_be_a_table() {
    let error = Package::new().run("no templates", "").error();
    let expected = format!(
        "PACKAGE/tables/numbers.mimeo: there is no checked-in table, and none can be compiled, because {WHY}: {REMEDY}"
    );
    assert_eq!(error, expected);
}

#[test]
fn without_llvm_the_table_must_be_intact_and_keep_the_rules() {
    let package = Package::with_table();
    let unusable = |problem: &str| {
        let error = package.run("no templates", "allow-stale").error();
        let start =
            format!("PACKAGE/tables/numbers.mimeo: the checked-in table cannot be used: {problem}");
        let end = format!("; none can be compiled, because {WHY}: restore it, or {REMEDY}");
        assert!(
            error.starts_with(&start) && error.ends_with(&end),
            "{error}"
        );
    };
    let mut bytes = package.checked_in();
    *bytes.last_mut().unwrap() ^= 1;
    package.write("tables/numbers.mimeo", &bytes);
    unusable("the checksum is ");
    package.write("tables/numbers.mimeo", b"");
    unusable("");
    // A `ret`, which stencils must not do.
    package.write_table(|contents| contents.uops[0].group = group(&[0xc3], Vec::new()));
    unusable("NOTHING");
}

#[test]
fn without_llvm_tables_are_neither_updated_nor_compared() {
    let package = Package::with_table();
    for wish in ["update", "check"] {
        let expected =
            format!("MIMEO_TABLES={wish} needs LLVM to compile the templates, but {WHY}");
        assert_eq!(package.run("no templates", wish).error(), expected);
    }
    // Nobody asked that of other people's packages.
    for name in [".cargo-checksum.json", ".cargo-ok"] {
        let package = Package::with_table();
        package.write(name, b"");
        package.run("no templates", "update").warning();
    }
}

#[test]
fn what_is_wrong_with_the_script_or_its_environment_is_said() {
    let package = Package::with_table();
    for (script, wish, expected) in [
        (
            "no source",
            "",
            "tables/numbers.mimeo: the build script names no source, so that nobody could tell a stale table: expected a \
             `source` at least",
        ),
        (
            "a missing source",
            "",
            "the templates' source: PACKAGE/template: No such file or directory (os error 2)",
        ),
        ("no file", "", "..: expected the path of a checked-in table"),
        (
            "one template",
            "1",
            "MIMEO_TABLES=1: expected update, check or allow-stale",
        ),
    ] {
        assert_eq!(package.run(script, wish).error(), expected);
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "script", "--nocapture"])
        .env(SCRIPT, "no templates")
        .env_remove("OUT_DIR")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = "cargo::error=the environment variable OUT_DIR is not set: this is for build scripts that cargo runs";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn the_table_comes_as_rust_source_too() {
    let package = Package::with_table();
    package.run("Rust source", "").warning();
    let text = fs::read_to_string(package.path("out/numbers.rs")).unwrap();
    assert!(text.contains("pub const NOTHING: &str = \"NOTHING\";"));
}

/// The start of what is said with LLVM.
#[cfg(llvm)]
fn compiled() -> String {
    let (major, minor, patch) = mimeo_compiler::target::linked_version();
    format!("compiled by LLVM {major}.{minor}.{patch}")
}

#[cfg(llvm)]
#[test]
fn with_llvm_the_templates_are_compiled_and_the_table_is_updated_when_asked() {
    let (package, compiled) = (Package::new(), compiled());
    let hint = "(MIMEO_TABLES=update writes it anew)";

    let warning = package.run("one template", "").warning();
    let expected = format!("{compiled}; there is no checked-in table {hint}");
    assert_eq!(warning, expected);
    assert!(!package.path("tables").exists());
    let first = package.built();

    let updated = format!("{compiled}; the checked-in table was written anew");
    assert_eq!(package.run("one template", "update").warning(), updated);
    assert_eq!(package.checked_in(), first);
    let same = format!("{compiled}, with the checked-in table as result");
    for wish in ["", "update", "check", "allow-stale"] {
        assert_eq!(package.run("one template", wish).warning(), same);
    }
    // Without LLVM it is not stale.
    package.run("no templates", "").warning();

    package.write("templates/one.rs", b"fn first() {}");
    let warning = package.run("one template", "").warning();
    let expected =
        format!("{compiled}; the checked-in table is stale, made from other sources {hint}");
    assert_eq!(warning, expected);
    assert_eq!(package.checked_in(), first);
    assert_ne!(package.built(), first);
    assert_eq!(package.run("one template", "update").warning(), updated);
    assert_eq!(package.checked_in(), package.built());
}

#[cfg(llvm)]
#[test]
fn with_llvm_the_reason_of_a_difference_is_said() {
    let (package, compiled) = (Package::new(), compiled());
    package.run("one template", "update").warning();
    let hint = "(MIMEO_TABLES=update writes it anew)";
    let is_different = |script: &str, reason: &str| {
        let checked_in = package.checked_in();
        let warning = package.run(script, "").warning();
        assert_eq!(warning, format!("{compiled}; {reason} {hint}"));
        let error = package.run(script, "check").error();
        let path = "PACKAGE/tables/numbers.mimeo";
        let expected = format!("{path}: not what the templates give, {compiled}: {reason} {hint}");
        assert_eq!(error, expected);
        assert_eq!(package.checked_in(), checked_in);
    };
    is_different(
        "two templates",
        "the checked-in table differs, though made by the same LLVM from the same sources: by another version of \
         mimeo-compiler, or from something that is not named as a source",
    );
    package.write_table(|contents| contents.llvm_version = (18, 1, 8));
    is_different(
        "one template",
        "the checked-in table differs, as may be expected, because it is by LLVM 18.1.8",
    );
    package.write("tables/numbers.mimeo", b"MIMEO");
    let problem = mimeo::table::StencilTable::from_bytes(b"MIMEO".to_vec()).unwrap_err();
    is_different(
        "one template",
        &format!("the checked-in table cannot be used: {problem}"),
    );
}

#[cfg(llvm)]
#[test]
fn with_llvm_wrong_templates_are_an_error() {
    let package = Package::with_table();
    let error = package.run("a wrong template", "").error();
    assert!(error.starts_with("template POPS: "), "{error}");
    assert!(!package.path("out/numbers.mimeo").exists());
}

#[cfg(llvm)]
#[test]
fn other_peoples_packages_are_left_as_they_are() {
    for name in [".cargo-checksum.json", ".cargo-ok"] {
        let package = Package::with_table();
        package.write(name, b"");
        let before = package.checked_in();
        for wish in ["update", "check"] {
            let warning = package.run("two templates", wish).warning();
            assert!(warning.starts_with(&compiled()), "{warning}");
            assert_eq!(package.checked_in(), before);
        }
    }
}
