//! Promise: C and C++ programs build against what `ffi/install` installs, without warnings, with gcc and clang, and run;
//! under sanitizers and valgrind too.
//!
//! A trial whose compiler or tool is not installed is reported as ignored, with what it needs in its name. With
//! `BALER_TEST_CASES` set, valgrind runs the longer programs too.

#[path = "c/abi.rs"]
mod abi;

use baler_codec::bundle::{Bundle, Contents};
use baler_models::onnx::{Layer, Weights, write};
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use tempfile::TempDir;

/// A program of the examples or tests.
struct Program {
    source: &'static str,
    arguments: &'static [&'static str],
    /// How its output begins, after the version of the library where it says so.
    begins: &'static str,
    ends: &'static str,
}

/// One line for each program.
const PROGRAMS: &[Program] = &[
    Program { source: "examples/roundtrip.c", arguments: &[], begins: "baler ", ends: " of 0.001\n" },
    Program { source: "examples/stream.c", arguments: &["stream.baler"], begins: "294912 bytes, ", ends: " of 0.01\n" },
    Program { source: "examples/table.c", arguments: &[], begins: "20000 rows in 4 batches ", ends: " of 0.01\n" },
    Program { source: "examples/models.c", arguments: &[], begins: "", ends: "\n" },
    Program { source: "tests/c/arguments.c", arguments: &[], begins: "function ", ends: " cases, 0 wrong\n" },
    Program { source: "examples/roundtrip.cpp", arguments: &[], begins: "field: ", ends: "begin with BALR\n" },
    Program { source: "tests/cpp/api.cpp", arguments: &["../broken.bundle"], begins: "", ends: "all is as promised\n" },
];

impl Program {
    fn is_cpp(&self) -> bool {
        self.source.ends_with(".cpp")
    }

    fn name(&self) -> &'static str {
        self.source
    }
}

fn program(source: &str) -> &'static Program {
    PROGRAMS.iter().find(|program| program.source == source).unwrap_or_else(|| panic!("PROGRAMS has no {source}"))
}

/// A way to compile. `needs` are programs in `PATH`, or with a space in them commands that must succeed.
struct Way {
    name: &'static str,
    c: &'static str,
    cpp: &'static str,
    flags: &'static [&'static str],
    needs: &'static [&'static str],
    /// What runs the program.
    under: &'static [&'static str],
}

const SANITIZE: &[&str] = &["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
/// What is definitely lost is an error; the rest is what Rust's runtime keeps of each thread.
const VALGRIND: &[&str] = &[
    "valgrind",
    "--quiet",
    "--error-exitcode=99",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite",
    "--show-leak-kinds=definite",
];

/// One line for each way.
const WAYS: &[Way] = &[
    Way {
        name: "gcc-c99-cpp17",
        c: "gcc -std=c99",
        cpp: "g++ -std=c++17",
        flags: &[],
        needs: &["gcc", "g++"],
        under: &[],
    },
    Way {
        name: "gcc-c11-cpp20",
        c: "gcc -std=c11",
        cpp: "g++ -std=c++20",
        flags: &[],
        needs: &["gcc", "g++"],
        under: &[],
    },
    Way {
        name: "clang-c99-cpp17",
        c: "clang -std=c99",
        cpp: "clang++ -std=c++17",
        flags: &[],
        needs: &["clang"],
        under: &[],
    },
    Way {
        name: "clang-c11-cpp20",
        c: "clang -std=c11",
        cpp: "clang++ -std=c++20",
        flags: &[],
        needs: &["clang"],
        under: &[],
    },
    // std::mdspan.
    Way {
        name: "clang19-c17-cpp23",
        c: "clang-19 -std=c17",
        cpp: "clang++-19 -std=c++23 -stdlib=libc++",
        flags: &[],
        needs: &["clang-19", "clang++-19 -std=c++23 -stdlib=libc++ -x c++"],
        under: &[],
    },
    Way {
        name: "gcc-sanitizers",
        c: "gcc -std=c11",
        cpp: "g++ -std=c++17",
        flags: SANITIZE,
        needs: &["gcc", "g++", "gcc -fsanitize=address,undefined"],
        under: &[],
    },
    Way {
        name: "clang-sanitizers",
        c: "clang -std=c11",
        cpp: "clang++ -std=c++20",
        flags: SANITIZE,
        needs: &["clang", "clang -fsanitize=address,undefined"],
        under: &[],
    },
    Way {
        name: "valgrind",
        c: "gcc -std=c11",
        cpp: "g++ -std=c++17",
        flags: &["-g"],
        needs: &["gcc", "g++", "valgrind"],
        under: VALGRIND,
    },
];

/// The prefix that everything was installed to, and the checkout's folder `ffi`.
struct Bench {
    ffi: PathBuf,
    folder: TempDir,
}

type Outcome = Result<(), String>;

impl Bench {
    fn new() -> Result<Self, String> {
        let ffi = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        // Cargo puts the library beside the tests of its own package.
        let built = std::env::current_exe().map_err(|e| e.to_string())?;
        let built = built.parent().ok_or("the test lies nowhere")?;
        let bench = Self { ffi, folder };
        let mut install = Command::new(bench.ffi.join("install"));
        install.arg("--prefix").arg(bench.prefix()).arg("--from").arg(built);
        run(&mut install)?;
        let broken = bench.folder.path().join("broken.bundle");
        std::fs::write(broken, broken_bundle()?).map_err(|e| e.to_string())?;
        Ok(bench)
    }

    fn prefix(&self) -> PathBuf {
        self.folder.path().join("prefix")
    }

    /// A command without the variables by which cargo, or the user, would make it find other libraries or models.
    fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env_remove("LD_LIBRARY_PATH").env_remove("BALER_MODEL_PATH");
        command.env("HOME", folder).env("XDG_DATA_HOME", folder);
        command.env("PKG_CONFIG_PATH", self.prefix().join("lib/pkgconfig"));
        command
    }

    /// Compiles a program and gives its path.
    fn compile(&self, program: &Program, way: &Way, folder: &Path, link: &[String]) -> Result<PathBuf, String> {
        let mut compiler = if program.is_cpp() { way.cpp } else { way.c }.split(' ');
        let target = folder.join("program");
        let mut command = self.command(compiler.next().unwrap_or_default(), folder);
        command
            .args(compiler)
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-O1"])
            .args(way.flags)
            .arg(format!("-DBALER_TEST_VERSION=\"{}\"", env!("CARGO_PKG_VERSION")))
            .arg(self.ffi.join(program.source))
            .arg("-o")
            .arg(&target)
            .args(link);
        run(&mut command)?;
        Ok(target)
    }

    /// Runs a program of [`PROGRAMS`], and prints what it says.
    fn run(&self, program: &Program, binary: &Path, under: &[&str], folder: &Path) -> Outcome {
        let binary = binary.display().to_string();
        let words: Vec<&str> = under.iter().copied().chain([binary.as_str()]).collect();
        let text = run(self.command(words[0], folder).args(&words[1..]).args(program.arguments))?;
        print!("{text}");
        if text.starts_with(program.begins) && text.ends_with(program.ends) {
            return Ok(());
        }
        Err(format!("expected {:?} ... {:?}, found:\n{text}", program.begins, program.ends))
    }

    /// The flags pkg-config gives, and where the loader finds the library.
    fn pkg_config(&self, folder: &Path) -> Result<Vec<String>, String> {
        let flags = run(self.command("pkg-config", folder).args(["--cflags", "--libs", "baler"]))?;
        let path = format!("-Wl,-rpath,{}", self.prefix().join("lib").display());
        Ok(flags.split_whitespace().map(str::to_owned).chain([path, "-lm".into(), "-pthread".into()]).collect())
    }
}

/// A model whose encoder is no program.
fn broken_bundle() -> Result<Vec<u8>, String> {
    const MANIFEST: &str = r#"
format = 3
name = "broken"
family = "autoencoder"
description = "Rows of (a, b, a, b), by an encoder that fails."
license = "CC0-1.0"
[input]
tile = [4]
normalisation = { kind = "fixed", offset = 0.0, scale = 1.0 }
[latents]
count = 2
step = [0.015625, 0.015625]
[encoder]
arithmetic = "fixed"
"#;
    let weight = Weights::F32(vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    let decoder = write("decoder", &[2], &[4], &[Layer::Dense { inputs: 2, outputs: 4, weight, bias: None }]);
    let decoder = decoder.map_err(|e| e.to_string())?;
    let bundle = Bundle::with_fixed_encoder(MANIFEST, b"no program".to_vec(), None, decoder, None);
    Ok(bundle.map_err(|e| e.to_string())?.to_bytes(Contents::Full))
}

/// The output of a command that must succeed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{command:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// What a trial needs and this machine has not.
fn missing(needs: &[&str]) -> Vec<String> {
    let has = |need: &&&str| match need.split_once(' ') {
        None => Command::new(need).arg("--version").output().is_ok_and(|o| o.status.success()),
        // A compiler with flags: it must link a program.
        Some((compiler, flags)) => tempfile::tempdir().is_ok_and(|folder| {
            let source = folder.path().join("empty.c");
            let written = std::fs::write(&source, "int main(void) { return 0; }\n").is_ok();
            let target = folder.path().join("empty");
            let linked = Command::new(compiler).args(flags.split(' ')).arg(source).arg("-o").arg(target).output();
            written && linked.is_ok_and(|o| o.status.success())
        }),
    };
    needs.iter().filter(|need| !has(need)).map(|need| (*need).to_owned()).collect()
}

fn trial(
    bench: &Arc<Bench>,
    name: String,
    missing: &[String],
    body: impl FnOnce(&Bench, &Path) -> Outcome + Send + 'static,
) -> Trial {
    if !missing.is_empty() {
        let name = format!("{name} [needs {}]", missing.join(", "));
        return Trial::test(name, || Ok(())).with_ignored_flag(true);
    }
    let bench = bench.clone();
    Trial::test(name, move || {
        let folder = tempfile::tempdir_in(bench.folder.path())?;
        body(&bench, folder.path()).map_err(Failed::from)
    })
}

fn matrix(bench: &Arc<Bench>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for way in WAYS {
        let missing = missing(&[way.needs, &["pkg-config"]].concat());
        for program in PROGRAMS {
            // Thirty times slower: the shorter programs are enough for every run.
            let is_long = program.is_cpp() || program.source.ends_with("stream.c");
            if way.name == "valgrind" && is_long && std::env::var_os("BALER_TEST_CASES").is_none() {
                continue;
            }
            trials.push(trial(bench, format!("{}/{}", way.name, program.name()), &missing, |bench, folder| {
                let binary = bench.compile(program, way, folder, &bench.pkg_config(folder)?)?;
                bench.run(program, &binary, way.under, folder)
            }));
        }
    }
    trials
}

fn static_library(bench: &Bench, folder: &Path) -> Outcome {
    let prefix = bench.prefix();
    let system = ["-lm", "-lpthread", "-ldl"].map(String::from);
    let mut link = vec![format!("-I{}", prefix.join("include").display())];
    link.push(prefix.join("lib/libbaler.a").display().to_string());
    link.extend(system);
    let binary = bench.compile(program("examples/roundtrip.c"), &WAYS[0], folder, &link)?;
    let needed = run(bench.command("ldd", folder).arg(&binary))?;
    if needed.contains("libbaler") {
        return Err(format!("the program is linked with the shared library:\n{needed}"));
    }
    bench.run(program("examples/roundtrip.c"), &binary, &[], folder)
}

/// What is installed is what `cargo cinstall` of cargo-c makes of `[package.metadata.capi]` for Linux, and the CMake package.
fn layout(bench: &Bench, folder: &Path) -> Outcome {
    let destination = folder.join("package");
    let mut install = Command::new(bench.ffi.join("install"));
    install.args(["--prefix", "/usr", "--libdir", "lib/x86_64-linux-gnu", "--from"]).arg(bench.prefix().join("lib"));
    run(install.env("DESTDIR", &destination))?;
    let tree = run(bench.command("find", &destination).args([".", "!", "-type", "d", "-printf", "%P %l\n"]))?;
    let mut found: Vec<&str> = tree.lines().map(str::trim).collect();
    found.sort_unstable();
    let version = env!("CARGO_PKG_VERSION");
    let mut expected = vec![
        "usr/include/baler.h".to_owned(),
        "usr/include/baler.hpp".into(),
        "usr/lib/x86_64-linux-gnu/cmake/Baler/BalerConfig.cmake".into(),
        "usr/lib/x86_64-linux-gnu/cmake/Baler/BalerConfigVersion.cmake".into(),
        "usr/lib/x86_64-linux-gnu/libbaler.a".into(),
        "usr/lib/x86_64-linux-gnu/libbaler.so libbaler.so.0".into(),
        format!("usr/lib/x86_64-linux-gnu/libbaler.so.0 libbaler.so.{version}"),
        format!("usr/lib/x86_64-linux-gnu/libbaler.so.{version}"),
        "usr/lib/x86_64-linux-gnu/pkgconfig/baler.pc".into(),
    ];
    expected.sort_unstable();
    if found != expected {
        return Err(format!("expected {expected:#?}, found {found:#?}"));
    }
    let config = destination.join("usr/lib/x86_64-linux-gnu/pkgconfig");
    let asked = ["--modversion", "--variable=libdir", "--define-variable=prefix=/usr", "baler"];
    let said = run(bench.command("pkg-config", folder).args(asked).env("PKG_CONFIG_PATH", config))?;
    if said.split_whitespace().next() == Some(version) { Ok(()) } else { Err(said) }
}

/// `find_package(Baler)` and both imported targets, from a prefix that was moved after it was installed.
fn cmake(bench: &Bench, folder: &Path) -> Outcome {
    let moved = folder.join("moved");
    run(Command::new("cp").arg("-a").arg(bench.prefix()).arg(&moved))?;
    let project = "cmake_minimum_required(VERSION 3.13)
project(users C CXX)
find_package(Baler 0.1 REQUIRED)
add_executable(shared roundtrip.c)
target_link_libraries(shared PRIVATE Baler::baler m)
add_executable(static roundtrip.c)
target_link_libraries(static PRIVATE Baler::static)
add_executable(cpp roundtrip.cpp)
target_compile_features(cpp PRIVATE cxx_std_17)
target_link_libraries(cpp PRIVATE Baler::baler)
";
    std::fs::write(folder.join("CMakeLists.txt"), project).map_err(|e| e.to_string())?;
    for source in ["roundtrip.c", "roundtrip.cpp"] {
        std::fs::copy(bench.ffi.join("examples").join(source), folder.join(source)).map_err(|e| e.to_string())?;
    }
    let configure = format!("-DCMAKE_PREFIX_PATH={}", moved.display());
    run(bench.command("cmake", folder).args(["-S", ".", "-B", "build", &configure]))?;
    run(bench.command("cmake", folder).args(["--build", "build"]))?;
    for (target, program) in [
        ("shared", program("examples/roundtrip.c")),
        ("static", program("examples/roundtrip.c")),
        ("cpp", program("examples/roundtrip.cpp")),
    ] {
        bench.run(program, &folder.join("build").join(target), &[], folder)?;
    }
    let later = project.replace("Baler 0.1", "Baler 99");
    std::fs::write(folder.join("CMakeLists.txt"), later).map_err(|e| e.to_string())?;
    match run(bench.command("cmake", folder).args(["-S", ".", "-B", "later", &configure])) {
        Ok(_) => Err("a version that is not there was found".into()),
        Err(_) => Ok(()),
    }
}

/// `docs/abi-arguments.txt` is what `tests/c/arguments.c` prints, and has lines for every function of the library. With
/// `BALER_WRITE_HEADER` set, it is written.
fn the_table_is_fresh(bench: &Bench, folder: &Path) -> Outcome {
    let binary = bench.compile(program("tests/c/arguments.c"), &WAYS[0], folder, &bench.pkg_config(folder)?)?;
    let table = run(&mut bench.command(&binary.display().to_string(), folder))?;
    let committed = bench.ffi.join("../docs/abi-arguments.txt");
    if std::env::var_os("BALER_WRITE_HEADER").is_some() {
        std::fs::write(&committed, &table).map_err(|e| e.to_string())?;
    }
    if std::fs::read_to_string(&committed).ok().as_ref() != Some(&table) {
        let command = "BALER_WRITE_HEADER=1 cargo test -p baler-ffi --test c table";
        return Err(format!("{} is not what the program prints: run `{command}`", committed.display()));
    }
    let record = std::fs::read_to_string(bench.ffi.join("abi/0.c")).map_err(|e| e.to_string())?;
    let has = |function: &String| table.lines().any(|line| line.split(' ').next() == Some(function));
    match abi::recorded_functions(&record).iter().find(|function| !has(function)) {
        None => Ok(()),
        Some(function) => Err(format!("{function} is not in the table")),
    }
}

/// `baler_arrow_*` between Python's Arrow library and ours. Needs `BALER_PYTHON` or a Python in `.venv`, with pyarrow.
fn python(bench: &Bench, folder: &Path) -> Outcome {
    let library = bench.prefix().join("lib/libbaler.so");
    let script = bench.ffi.join("tests/python/arrow.py");
    let text = run(bench.command(&interpreter(bench), folder).arg(script).arg(library))?;
    print!("{text}");
    if text.starts_with("20000 rows") { Ok(()) } else { Err(text) }
}

fn interpreter(bench: &Bench) -> String {
    let own = bench.ffi.join("../.venv/bin/python").display().to_string();
    std::env::var("BALER_PYTHON").unwrap_or(own)
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if !cfg!(target_os = "linux") {
        return libtest_mimic::run(&arguments, Vec::new()).exit_code();
    }
    let bench = match Bench::new() {
        Ok(bench) => Arc::new(bench),
        Err(message) => {
            eprintln!("c: {message}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = matrix(&bench);
    trials.extend(abi::trials(&bench));
    trials.push(trial(&bench, "static library".into(), &missing(&["gcc"]), static_library));
    trials.push(trial(&bench, "layout".into(), &missing(&["pkg-config"]), layout));
    trials.push(trial(&bench, "cmake".into(), &missing(&["gcc", "g++", "cmake"]), cmake));
    let has_pyarrow = run(Command::new(interpreter(&bench)).args(["-c", "import numpy, pyarrow"])).is_ok();
    let needs = if has_pyarrow { Vec::new() } else { vec!["a Python with numpy and pyarrow".to_owned()] };
    trials.push(trial(&bench, "python".into(), &needs, python));
    let needs = missing(&["gcc", "pkg-config"]);
    trials.push(trial(&bench, "table of arguments".into(), &needs, the_table_is_fresh));
    libtest_mimic::run(&arguments, trials).exit_code()
}
