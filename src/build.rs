//! Compiles `src/closed_output.c` into the program: it runs before Rust's runtime does.

fn main() {
    const SOURCE: &str = "src/closed_output.c";
    println!("cargo:rerun-if-changed={SOURCE}");
    // The library alone needs no compiler of C.
    #[cfg(feature = "cli")]
    for object in objects(SOURCE) {
        println!("cargo:rustc-link-arg-bins={}", object.display());
    }
}

#[cfg(feature = "cli")]
fn objects(source: &str) -> Vec<std::path::PathBuf> {
    // An archive member that nothing calls would be left out: the object itself is linked.
    let mut build = cc::Build::new();
    build
        .file(source)
        .warnings_into_errors(true)
        .cargo_metadata(false);
    build.compile_intermediates()
}
