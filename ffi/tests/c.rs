//! Promise: a C program builds against the header and either library, without warnings, and runs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder where cargo has put the library beside this test.
fn library_folder(file: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap();
    let folders = [deps, deps.parent().unwrap()];
    let found = folders.into_iter().find(|folder| folder.join(file).is_file());
    found.unwrap_or_else(|| panic!("{file} is neither in {} nor above it", deps.display())).to_path_buf()
}

fn has_gcc() -> bool {
    Command::new("gcc").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Compiles the example with `link` at the end of the command, and runs it.
fn build_and_run(name: &str, link: &[String]) {
    if !has_gcc() {
        eprintln!("skipped: {name}: there is no gcc");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("roundtrip");
    let compiled = Command::new("gcc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-O1"])
        .arg("-I")
        .arg(root.join("include"))
        .arg(root.join("examples/roundtrip.c"))
        .arg("-o")
        .arg(&program)
        .args(link)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    // Cargo sets the variable for tests, and it goes before the program's own path: an older library of the build
    // folder would be taken.
    let ran = Command::new(&program).env_remove("LD_LIBRARY_PATH").output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    print!("{text}");
    assert!(text.starts_with(&format!("baler {}: 49152 bytes became ", env!("CARGO_PKG_VERSION"))), "{text}");
}

#[test]
#[cfg(unix)]
fn roundtrip_with_the_shared_library() {
    let folder = library_folder("libbaler.so");
    let folder = folder.display();
    build_and_run(
        "roundtrip_with_the_shared_library",
        &[format!("-L{folder}"), format!("-Wl,-rpath,{folder}"), "-l:libbaler.so".into(), "-lm".into()],
    );
}

#[test]
#[cfg(unix)]
fn roundtrip_with_the_static_library() {
    let library = library_folder("libbaler.a").join("libbaler.a");
    let system = ["-lm", "-lpthread", "-ldl"].map(String::from);
    let mut link = vec![library.display().to_string()];
    link.extend(system);
    build_and_run("roundtrip_with_the_static_library", &link);
}
