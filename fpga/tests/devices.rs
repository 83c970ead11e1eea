//! Promises of devices: the queue never blocks and never waits longer than it is told; whatever a device does wrong, the
//! integers are the program's, the fault is counted, and nothing hangs.

mod common;

use baler_codec::inference::FixedEngine;
use baler_fpga::device::{Batch, Device, FaultKind, Refused, Settings, driver};
use baler_fpga::ir::Program;
use baler_fpga::offload::{Choice, Offload, Offloaded};
use common::Random;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

fn tiny() -> Arc<Program> {
    Arc::new(common::tiny(&mut Random(5)))
}

fn rows(program: &Program, n: usize, seed: u64) -> Vec<i32> {
    let mut random = Random(seed);
    (0..n).flat_map(|_| random.row(program)).map(|raw| raw as i32).collect()
}

fn expected(program: &Program, input: &[i32]) -> Vec<i32> {
    let row = |x: &[i32]| program.reference(&x.iter().map(|&x| x.into()).collect::<Vec<i64>>()).unwrap();
    input.chunks(program.input_len()).flat_map(row).map(|raw| raw as i32).collect()
}

fn open(text: &str, program: &Arc<Program>) -> Device {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let mut device = Device::open(driver(name).unwrap(), &Settings::parse(settings), SOON).unwrap();
    device.load(program, SOON).unwrap();
    device
}

fn batch(program: &Program, input: &[i32]) -> Batch {
    let rows = input.len() / program.input_len();
    Batch { rows, input: input.to_vec(), output: vec![0; rows * program.output_len()] }
}

#[test]
fn tickets_are_collected_in_any_order() {
    let program = tiny();
    let mut device = open("emulator", &program);
    assert_eq!(device.capabilities().program, Some(program.digest()));
    let inputs: Vec<Vec<i32>> = (0..2).map(|i| rows(&program, 10 + i, i as u64)).collect();
    let tickets: Vec<_> = inputs.iter().map(|input| device.submit(batch(&program, input)).unwrap()).collect();
    for i in [1, 0] {
        let done = device.collect(tickets[i], SOON).unwrap();
        assert_eq!((done.rows, done.output), (10 + i, expected(&program, &inputs[i])));
    }
    assert_eq!(device.collect(tickets[0], Duration::from_millis(1)).unwrap_err().kind, FaultKind::Late);
    device.health(SOON).unwrap();
    let allocated = device.alloc(&program, 7, SOON).unwrap();
    assert_eq!((allocated.rows, allocated.input.len(), allocated.output.len()), (7, 7 * 24, 7 * 8));
}

#[test]
fn a_full_queue_says_so_at_once_and_a_late_batch_can_still_come() {
    let program = tiny();
    let mut device = open("mock:late,delay=2000", &program);
    let input = rows(&program, 2, 1);
    let began = Instant::now();
    let mut tickets = Vec::new();
    let refused = loop {
        match device.submit(batch(&program, &input)) {
            Ok(ticket) => tickets.push(ticket),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, Refused::Busy(ref back) if back.input == input), "{refused:?}");
    assert!((2..=4).contains(&tickets.len()));
    assert_eq!(device.collect(tickets[0], Duration::from_millis(20)).unwrap_err().kind, FaultKind::Late);
    assert!(began.elapsed() < Duration::from_millis(1800));
    assert_eq!(device.collect(tickets[0], SOON).unwrap().output, expected(&program, &input));
    // A reset does not wait for what is on its way, and nothing is loaded after it.
    let began = Instant::now();
    device.reset(SOON).unwrap();
    assert!(began.elapsed() < Duration::from_millis(1800));
    let ticket = device.submit(batch(&program, &input)).unwrap();
    assert_eq!(device.collect(ticket, SOON).unwrap_err().kind, FaultKind::Dead);
}

#[test]
fn faults_have_their_kind() {
    let program = tiny();
    let input = rows(&program, 50, 3);
    for (text, kind) in [("dead", FaultKind::Dead), ("oom", FaultKind::OutOfMemory)] {
        let mut device = open(&format!("mock:{text}"), &program);
        let fault = match device.alloc(&program, 50, SOON).and_then(|_| {
            let ticket = device.submit(batch(&program, &input)).map_err(|_| unreachable!()).unwrap();
            device.collect(ticket, SOON)
        }) {
            Err(fault) => fault,
            Ok(_) => panic!("mock:{text} worked"),
        };
        assert_eq!(fault.kind, kind, "{text}");
    }
    let mut partial = open("mock:partial", &program);
    let ticket = partial.submit(batch(&program, &input)).unwrap();
    assert!(partial.collect(ticket, SOON).unwrap().rows < 50);
    let mut wrong = open("mock:wrong", &program);
    let ticket = wrong.submit(batch(&program, &input)).unwrap();
    let (found, expected) = (wrong.collect(ticket, SOON).unwrap().output, expected(&program, &input));
    assert_eq!(found.iter().zip(&expected).filter(|(a, b)| a != b).count(), 1);
}

fn offload(text: &str) -> Offload {
    Offload::new(text.parse().unwrap(), |_| ())
}

fn run(encoder: &Offloaded, input: &[i32]) -> Vec<i32> {
    let mut output = vec![0; input.len() / encoder.program().input_len() * encoder.program().output_len()];
    encoder.run(input, &mut output).unwrap();
    output
}

#[test]
fn every_fault_is_counted_and_changes_nothing() {
    let program = tiny();
    let input = rows(&program, 1000, 9);
    let expected = expected(&program, &input);
    for (fault, kind) in [
        ("late=0.4,delay=60,timeout=20", FaultKind::Late),
        ("wrong=0.4", FaultKind::Wrong),
        ("dead=0.4", FaultKind::Dead),
        ("partial=0.4", FaultKind::Partial),
        ("oom=0.4", FaultKind::OutOfMemory),
    ] {
        let offload = offload(&format!("mock:{fault},rows=50,faults=3"));
        let encoder = offload.load((*program).clone());
        for _ in 0..3 {
            assert_eq!(run(&encoder, &input), expected, "{fault}");
        }
        let counters = offload.counters();
        assert!(counters.faults.get(&kind).is_some_and(|&n| n > 0), "{fault}: {counters}");
        assert!(counters.faults.keys().all(|k| *k == kind), "{fault}: {counters}");
        assert_eq!(counters.device_rows + counters.software_rows, 3000, "{fault}: {counters}");
        assert_eq!(counters.quarantined, 1, "{fault}: {counters}");
    }
}

#[test]
fn a_device_that_fails_its_self_test_is_never_used() {
    let program = tiny();
    let input = rows(&program, 100, 2);
    let offload = offload("mock:load_wrong");
    let encoder = offload.load((*program).clone());
    assert_eq!(run(&encoder, &input), expected(&program, &input));
    let counters = offload.counters();
    assert_eq!((counters.device_rows, counters.quarantined, counters.faults[&FaultKind::Wrong]), (0, 1, 1));
}

#[test]
fn a_sample_is_compared_where_that_is_asked_for() {
    let program = tiny();
    let input = rows(&program, 1000, 2);
    let offload = offload("mock:check=64,rows=100");
    let encoder = offload.load((*program).clone());
    assert_eq!(run(&encoder, &input), expected(&program, &input));
    let counters = offload.counters();
    assert_eq!((counters.device_rows, counters.checked_rows), (1000, 1000usize.div_ceil(64) as u64));
}

/// 100 runs, or `BALER_TEST_CASES`; each with a device of its own that may do anything.
#[test]
fn runs_with_any_faults_give_the_same() {
    let runs = std::env::var("BALER_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let program = tiny();
    let input = rows(&program, 300, 7);
    let expected = expected(&program, &input);
    let mut faults = std::collections::BTreeMap::new();
    for seed in 0..runs {
        let text =
            "late=0.03,delay=10,timeout=5,wrong=0.05,dead=0.05,partial=0.05,oom=0.02,load_wrong=0.02,rows=20,faults=5";
        let offload = offload(&format!("mock:{text},seed={seed}"));
        assert_eq!(run(&offload.load((*program).clone()), &input), expected, "seed {seed}");
        for (kind, n) in offload.counters().faults {
            *faults.entry(kind).or_insert(0) += n;
        }
    }
    println!("{runs} runs: {faults:?}");
    assert_eq!(faults.len(), 5, "{faults:?}");
}

#[test]
fn many_threads_share_a_device() {
    let program = tiny();
    let offload = offload("mock:rows=16,wrong=0.01");
    let encoder = offload.load((*program).clone());
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (encoder, program) = (&encoder, &program);
            scope.spawn(move || {
                for round in 0..20 {
                    let input = rows(program, 64, seed * 100 + round);
                    assert_eq!(run(encoder, &input), expected(program, &input));
                }
            });
        }
    });
}

#[test]
fn an_encoder_of_the_codec() {
    let program = tiny();
    let offload = offload("emulator");
    let json = program.to_json();
    let encoder = offload.encoder(&[1; 32], json.as_bytes()).unwrap();
    let again = offload.encoder(&[1; 32], b"not looked at twice").unwrap();
    assert!(Arc::ptr_eq(&encoder, &again));
    let input: Vec<f32> = rows(&program, 20, 8).iter().map(|&raw| raw as f32 / 32.0 + 0.01).collect();
    let mut output = vec![0.0; 20 * 8];
    encoder.encode(20, &input, &mut output).unwrap();
    for (x, z) in input.chunks(24).zip(output.chunks(8)) {
        let raw = program.reference(&program.input().quantise_transformed(x).unwrap()).unwrap();
        let exact: Vec<f32> = program.dequantise(&raw).unwrap().iter().map(|&v| v as f32).collect();
        assert_eq!(z, exact);
    }
    let mut nan = input.clone();
    nan[30] = f32::NAN;
    assert!(encoder.encode(20, &nan, &mut output).is_err());
    assert!(encoder.encode(21, &input, &mut output).is_err());
    assert!(offload.encoder(&[2; 32], b"{}").is_err());
}

#[test]
fn choices_say_what_is_wrong_with_them() {
    for (text, says) in [
        ("abacus", "emulator, mock"),
        ("mock:timeout=0", "at least 1"),
        ("mock:check=never", "expected all"),
        ("mock:rows=many", "expected an integer"),
    ] {
        let error = text.parse::<Choice>().unwrap_err();
        assert!(error.message().contains(says), "{text}: {error}");
    }
    // What only the device knows is found when it is opened: the emulator serves.
    let program = tiny();
    let input = rows(&program, 10, 1);
    for text in ["mock:late=2", "mock:seed=x", "mock:colour=red", "opencl:unit=999"] {
        let offload = offload(text);
        assert_eq!(run(&offload.load((*program).clone()), &input), expected(&program, &input));
        let counters = offload.counters();
        assert_eq!((counters.quarantined, counters.faults[&FaultKind::Absent]), (1, 1), "{text}");
    }
}
