//! Keeps the plugin mapped once loaded.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // HDF5 unloads its plugins when the library shuts down, but threads and thread-local destructors of ours may
    // outlive that: code that is still to run must not be unmapped.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
