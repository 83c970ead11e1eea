//! No network at run time: what is built asks the system for no socket, and what runs opens none.

use crate::bench::{Bench, Need, Outcome, PLUGIN, success};
use baler_codec::Bound;
use baler_hdf5::cd_values::Request;
use libtest_mimic::Trial;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Every trial.
pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let traced = [Need::Program("strace"), Need::Program("h5repack"), Need::H5py, Need::Baler];
    vec![
        bench.trial("network::nothing_imports_a_socket", &[Need::Program("nm"), Need::Baler], imports),
        bench.trial("network::nothing_opens_a_socket", &traced, traces),
    ]
}

/// Functions that open a connection, or ask for a name; a pair of sockets within a process is none.
const FORBIDDEN: [&str; 7] = ["socket", "connect", "getaddrinfo", "gethostbyname", "listen", "accept", "sendto"];

/// The plugin and the C library import none of them. What they load later (an ONNX Runtime or a device's driver that a user
/// names) is not looked at here. The command line does: `baler stream` takes rows from a Unix socket that it is given.
fn imports(bench: &Bench, folder: &Path) -> Outcome {
    let mut notes = Vec::new();
    for path in [bench.plugin_dir.join(PLUGIN), bench.baler().with_file_name("libbaler.so")] {
        let text = success(bench.command(folder, "nm").args(["-D", "--undefined-only"]).arg(&path))?;
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.split_whitespace().next_back()?.split('@').next()).collect();
        if !names.contains(&"memcpy") {
            return Err(format!("{}: no list of imports:\n{text}", path.display()));
        }
        if let Some(name) = names.iter().find(|name| FORBIDDEN.contains(name)) {
            return Err(format!("{} imports {name}", path.display()));
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        notes.push(format!("{file}: {} imports, none of {}", names.len(), FORBIDDEN.join(", ")));
    }
    Ok(notes)
}

/// The system calls about networks that a command makes, and those of the processes it starts.
fn network_calls(bench: &Bench, folder: &Path, command: &Command) -> Result<Vec<String>, String> {
    let log = folder.join("calls");
    let mut traced = bench.command(folder, "strace");
    traced.args(["-f", "-qq", "-e", "trace=%network", "-e", "signal=none", "-o"]).arg(&log);
    traced.arg(command.get_program()).args(command.get_args());
    success(&mut traced)?;
    let text = std::fs::read_to_string(&log).map_err(|e| e.to_string())?;
    Ok(text.lines().filter(|line| !line.contains("socketpair(")).map(str::to_owned).collect())
}

/// Writing, reading, describing and repacking, with models found by themselves.
fn traces(bench: &Bench, folder: &Path) -> Outcome {
    let mut control = bench.python(folder);
    control.args(["-c", "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"]);
    if !network_calls(bench, folder, &control)?.iter().any(|call| call.contains("connect(")) {
        return Err("strace does not show a connection that is made".into());
    }
    let mut write = bench.python(folder);
    write.args(["-c", "import numpy as np, h5py; a = np.sin(np.arange(40000.).reshape(200, 200) / 90); np.save('in.npy', a); h5py.File('in.h5', 'w').create_dataset('d', data=a, chunks=(100, 100))"]);
    success(&mut write)?;
    let baler = |arguments: &[&str]| {
        let mut command = Command::new(bench.baler());
        command.args(arguments);
        command
    };
    let argument = Request::new(Bound::Rel(1e-3)).ud_argument(true).map_err(|e| e.to_string())?;
    let mut repack = Command::new("h5repack");
    repack.args(["-f", &argument, "in.h5", "out.h5"]);
    let mut read = bench.python(folder);
    read.args(["-c", "import h5py; h5py.File('out.h5')['d'][()]"]);
    let commands = [
        baler(&["compress", "in.npy", "out.baler", "--rel", "1e-3"]),
        baler(&["verify", "in.npy", "out.baler"]),
        baler(&["decompress", "out.baler", "back.npy"]),
        baler(&["info", "-v", "out.baler"]),
        baler(&["models", "list"]),
        repack,
        read,
    ];
    for command in &commands {
        let calls = network_calls(bench, folder, command)?;
        if !calls.is_empty() {
            return Err(format!("{command:?} asks for a network:\n{}", calls.join("\n")));
        }
    }
    Ok(vec![format!("{} commands, no call of a network", commands.len())])
}
