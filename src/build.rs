//! Compiles `src/closed_output.c` into the program: it runs before Rust's runtime does.

fn main() {
    const SOURCE: &str = "src/closed_output.c";
    println!("cargo:rerun-if-changed={SOURCE}");
    let mut build = cc::Build::new();
    build
        .file(SOURCE)
        .warnings_into_errors(true)
        .cargo_metadata(false);
    // An archive member that nothing calls would be left out: the object itself is linked.
    for object in build.compile_intermediates() {
        println!("cargo:rustc-link-arg-bins={}", object.display());
    }
}
