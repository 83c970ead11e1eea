//! What goes wrong is said, has its exit code, and leaves nothing behind.

use crate::support::{Place, field_npy, noise, npy, npz};
use std::time::Duration;

#[test]
fn a_wrong_command_line_is_2() {
    let p = Place::new();
    p.write("in.npy", &field_npy(20));
    for line in [
        "",
        "compress in.npy out.baler",
        "compress in.npy out.baler --abs 1 --rel 1e-3",
        "compress in.npy out.baler --rel 2",
        "compress in.npy out.baler --abs -1",
        "compress in.npy out.baler --abs nan",
        "compress in.npy out.xyz --lossless",
        "compress in.npy out.npy --lossless",
        "compress in.npy out.baler --lossless --latent",
        "compress in.npy out.baler --latent --model none",
        "compress in.npy out.baler --lossless --fill x",
        "compress in.npy out.baler --lossless --threads 0",
        "compress in.npy out.baler --lossless --chunk-mib 0",
        "decompress in.npy out.npz",
        "verify in.npy in.npy",
        "verify in.npy in.npy --columns",
        "convert in.npy out.baler",
        "frobnicate",
    ] {
        p.run(2, line);
    }
    assert_eq!(p.names(), ["in.npy"]);
}

#[test]
fn nothing_is_overwritten_without_force() {
    let p = Place::new();
    p.write("in.npy", &field_npy(20));
    p.write("out.baler", b"precious");
    for line in ["compress in.npy out.baler --lossless", "convert in.npy out.baler", "simulate cylinder -o in.npy"] {
        assert!(p.run(2, line).contains("--force"), "{line}");
    }
    assert_eq!(p.read("out.baler"), b"precious");
    p.run(0, "compress in.npy out.baler --lossless --force");
    p.run(0, "verify in.npy out.baler");
}

#[cfg(unix)]
#[test]
fn devices_are_never_replaced_and_links_stay_links() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let p = Place::new();
    p.write("in.npy", &field_npy(20));
    let made = std::process::Command::new("mkfifo").arg(p.path("pipe.baler")).status().unwrap();
    assert!(made.success());
    symlink("pipe.baler", p.path("to-pipe.baler")).unwrap();
    std::fs::create_dir(p.path("folder.baler")).unwrap();
    for output in ["pipe.baler", "to-pipe.baler", "folder.baler"] {
        assert!(
            p.run(2, &format!("compress in.npy {output} --lossless --force")).contains("is not a file"),
            "{output}"
        );
    }
    assert!(p.path("pipe.baler").symlink_metadata().unwrap().file_type().is_fifo());

    p.write("out.baler", b"old");
    symlink("out.baler", p.path("link.baler")).unwrap();
    p.run(0, "compress in.npy link.baler --lossless --force");
    assert!(p.path("link.baler").symlink_metadata().unwrap().is_symlink());
    p.run(0, "verify in.npy out.baler");
}

#[test]
fn missing_and_unreadable_files_are_1() {
    let p = Place::new();
    for line in
        ["compress no.npy x.baler --lossless", "decompress no.baler x.npy", "info no.h5", "verify no.npy no.baler"]
    {
        assert!(p.run(1, line).contains("cannot open no."), "{line}");
    }
    p.write("text.npy", &npy("<U3", false, "(2,)", &[0; 24]));
    assert!(p.run(1, "compress text.npy x.baler --lossless").contains("astype"));
    p.write("in.npy", &field_npy(20));
    p.run(1, "compress in.npy no/where.baler --lossless");
    assert_eq!(p.names(), ["in.npy", "text.npy"]);
}

#[test]
fn foreign_and_cut_inputs_are_4() {
    let p = Place::new();
    p.write("a", b"");
    p.write("b", b"something else entirely");
    let whole = field_npy(20);
    p.write("c.npy", &whole[..whole.len() - 1]);
    p.write("d.npy", &whole[..40]);
    let mut archive = npz(&[("data", field_npy(20))]);
    let at = archive.len() / 2;
    archive[at] ^= 1;
    p.write("e.npz", &archive);
    for name in ["a", "b", "c.npy", "d.npy", "e.npz"] {
        p.run(4, &format!("compress {name} x.baler --lossless"));
        p.run(4, &format!("info {name}"));
    }
    assert!(!p.names().iter().any(|n| n.contains("x.baler")), "{:?}", p.names());
}

#[test]
fn every_damaged_or_cut_baler_file_is_4() {
    let p = Place::new();
    p.write("in.npy", &field_npy(60));
    p.run(0, "compress in.npy x.baler --rel 1e-3 --chunk-mib 0.004");
    let whole = p.read("x.baler");
    let mut n_cases = 0;
    for i in 0..60 {
        let at = i * (whole.len() - 1) / 59;
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (i % 8);
        for bytes in [&damaged[..], &whole[..at]] {
            p.write("bad.baler", bytes);
            let output = p.command("decompress bad.baler back.npy").output().unwrap();
            // A flip in the version byte makes a file of the future, one in the magic a file of another kind.
            let expected = if at == 8 && bytes.len() == whole.len() { 1 } else { 4 };
            assert_eq!(output.status.code(), Some(expected), "byte {at}: {}", String::from_utf8_lossy(&output.stderr));
            n_cases += 1;
        }
    }
    p.write("bad.baler", &[&whole[..], b"!"].concat());
    p.run(4, "decompress bad.baler back.npy");
    eprintln!("{n_cases} damaged files, {n_cases} errors");
    assert_eq!(p.names(), ["bad.baler", "in.npy", "x.baler"], "no output may be left");
}

#[test]
fn a_file_of_the_future_says_so() {
    let p = Place::new();
    p.write("in.npy", &field_npy(20));
    p.run(0, "compress in.npy x.baler --rel 1e-3");
    let mut bytes = p.read("x.baler");
    bytes[8] = 2;
    p.write("x.baler", &bytes);
    assert!(p.run(1, "info x.baler").contains("update Baler"));
}

#[test]
fn a_shape_that_does_not_match_is_told() {
    let p = Place::new();
    p.write("in.npy", &field_npy(20));
    p.write("other.npy", &field_npy(21));
    assert!(p.run(4, "verify in.npy other.npy --abs 1").contains("21 x 64"));
    p.write("a.npz", &npz(&[("a", field_npy(20)), ("b", field_npy(20))]));
    p.write("b.npz", &npz(&[("a", field_npy(20))]));
    assert!(p.run(4, "verify a.npz b.npz --lossless").contains("missing"));
}

#[test]
fn errors_are_json_too() {
    let p = Place::new();
    let error = &p.json(1, "info no.baler")["error"];
    assert_eq!((error["code"].as_i64(), error["kind"].as_str()), (Some(1), Some("runtime")));
    p.write("bad.baler", b"\x8aBALER\r\n");
    assert_eq!(p.json(4, "info bad.baler")["error"]["kind"], "damaged");
    assert_eq!(p.json(5, "models show nothing")["error"]["kind"], "model");
}

#[test]
fn a_killed_run_leaves_no_output() {
    let p = Place::new();
    p.write("in.npy", &npy("<f4", false, "(16777216,)", &noise(64 << 20)));
    let mut run =
        p.command("compress in.npy x.baler --lossless --effort max --threads 1 --chunk-mib 1").spawn().unwrap();
    // Until it has begun to write.
    for _ in 0..600 {
        if p.names().iter().any(|n| n.ends_with(".unfinished")) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(run.try_wait().unwrap().is_none(), "it was done before it could be killed");
    run.kill().unwrap();
    run.wait().unwrap();
    let names = p.names();
    assert!(names.iter().any(|n| n.ends_with(".unfinished")), "{names:?}");
    assert!(!names.contains(&"x.baler".to_owned()), "{names:?}");
}

#[test]
fn help_teaches_by_example() {
    let p = Place::new();
    let help = p.run(0, "--help");
    assert!(help.contains("baler verify field.npy field.baler") && help.contains("Exit codes"), "{help}");
    for command in ["compress", "decompress", "verify", "info", "convert", "models", "simulate", "train"] {
        assert!(p.run(0, &format!("{command} --help")).contains("baler "), "{command}");
    }
}

#[cfg(not(feature = "train"))]
#[test]
fn training_says_how_to_get_it() {
    let p = Place::new();
    p.write("in.npy", &field_npy(20));
    assert!(p.run(1, "train in.npy -o x.bundle").contains("--features train"));
}
