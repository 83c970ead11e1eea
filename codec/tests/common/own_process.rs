//! Tests that start themselves again in a process of their own, with another environment.

use std::ffi::OsStr;
use std::process::Command;

/// Names the test that a process was started for.
const CHILD: &str = "BALER_TEST_CHILD";

/// Whether this is the process that [`start`] has made for the test of this name.
pub fn is_child(test: &str) -> bool {
    std::env::var_os(CHILD).is_some_and(|name| name == test)
}

/// Runs the test of this name in a process with this variable set, where it has to pass. `BALER_TEST_RUNNER` names what runs
/// programs of another processor.
pub fn start(test: &str, variable: &str, value: &OsStr) {
    let runner = std::env::var("BALER_TEST_RUNNER").unwrap_or_default();
    let this = std::env::current_exe().unwrap();
    let mut words = runner.split_whitespace().map(OsStr::new).chain([this.as_os_str()]);
    let output = Command::new(words.next().unwrap())
        .args(words)
        .args(["--exact", test, "--nocapture"])
        .env(variable, value)
        .env(CHILD, test)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
