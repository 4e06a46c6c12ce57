//! What the commands print, as it is documented in `cases`: `TRYCMD=overwrite` writes the files anew.

#[test]
fn commands() {
    let cases = trycmd::TestCases::new();
    cases.case("tests/cases/*.trycmd");
    if cfg!(feature = "llvm") {
        cases.skip("tests/cases/build_without_llvm.trycmd");
    }
}
