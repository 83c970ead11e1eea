//! `baler outliers`, and training and compressing with them in mind.

use crate::support::{Place, le_bytes, npy};

const ROWS: usize = 1500;
const ODD: [usize; 3] = [40, 700, 1301];

/// Rows of (a, b, a + b, a - b), but for three.
fn table() -> Vec<f32> {
    let noise = crate::support::noise(4 * ROWS);
    let part = |i: usize| (f32::from(noise[i]) + f32::from(noise[i + 2 * ROWS]) - 255.0) / 100.0;
    let mut values: Vec<f32> = (0..ROWS)
        .flat_map(|i| {
            let (a, b) = (part(2 * i), part(2 * i + 1));
            [a, b, a + b, a - b]
        })
        .collect();
    values[4 * ODD[0]] += 4.0;
    values[4 * ODD[1] + 2] -= 5.0;
    values[4 * ODD[2]..][..4].fill(9.0);
    values
}

fn rows(listed: &serde_json::Value) -> Vec<u64> {
    let outliers = listed["arrays"][0]["outliers"].as_array().unwrap();
    let mut rows: Vec<u64> = outliers.iter().map(|o| o["at"][0].as_u64().unwrap()).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn outliers_are_left_out_of_training_kept_and_listed() {
    let p = Place::new();
    p.write("in.npy", &npy("<f4", false, &format!("({ROWS}, 4)"), &le_bytes(&table())));
    let train = "train in.npy --tile 4 --latents 2 --epochs 4 --learning-rate 1e-5 --rel 1e-2 --normalise *=standard";
    p.run(0, &format!("{train} -o pairs.bundle --remove-outliers 3 --outlier-quantile 0.995"));
    let shown = p.run(0, "models show pairs.bundle");
    assert!(shown.contains("[density]") && shown.contains("outliers_removed = ["), "{shown}");

    let odd = ODD.map(|row| row as u64);
    let listed = p.json(0, "outliers in.npy --model pairs.bundle");
    assert!(odd.iter().all(|row| rows(&listed).contains(row)), "{listed}");
    assert!(rows(&listed).len() < ROWS / 50, "{listed}");
    assert_eq!(rows(&p.json(0, "outliers in.npy --model pairs.bundle --top 1")).len(), 1);

    // Kept exactly, and found again in the file; its own decoder alone cannot score.
    p.run(0, "compress in.npy out.baler --latent --model pairs.bundle");
    p.run(5, "outliers out.baler");
    let again = p.json(0, "outliers out.baler --model pairs.bundle");
    assert!(odd.iter().all(|row| rows(&again).contains(row)), "{again}");
    p.run(0, "decompress out.baler back.npy");
    let (before, after) = (p.read("in.npy"), p.read("back.npy"));
    let row = |bytes: &[u8], i: usize| bytes[bytes.len() - 16 * (ROWS - i)..][..16].to_vec();
    assert!(ODD.iter().all(|&i| row(&before, i) == row(&after, i)));
    assert!((0..ROWS).filter(|&i| row(&before, i) == row(&after, i)).count() < ROWS / 50);

    p.run(0, "compress in.npy kept.baler --rel 1e-2 --model pairs.bundle --keep-outliers");
    p.run(0, "verify in.npy kept.baler");
    p.run(2, "compress in.npy none.baler --rel 1e-2 --keep-outliers");
}

#[test]
fn models_and_files_that_cannot_be_scored_are_told() {
    let p = Place::new();
    p.write("in.npy", &npy("<f4", false, &format!("({ROWS}, 4)"), &le_bytes(&table())));
    p.run(0, "train in.npy --tile 4 --latents 2 --epochs 1 -o plain.bundle");
    p.run(0, "train in.npy --tile 4 --latents 2 --epochs 1 -o pairs.bundle --density");
    p.write("other.npy", &npy("<f4", false, "(8, 3)", &le_bytes(&[1.5; 24])));
    p.run(0, "compress in.npy plain.baler --rel 1e-2 --model none");
    for (line, says) in [
        ("outliers in.npy", "--model"),
        ("outliers in.npy --model auto", "name one model"),
        ("outliers in.npy --model plain.bundle", "no density"),
        ("outliers other.npy --model pairs.bundle", "tiles of [4]"),
        ("outliers plain.baler", "--model"),
        ("outliers in.npy --model pairs.bundle --array pt", "no array"),
    ] {
        let printed = p.run(2, line);
        assert!(printed.contains(says), "{line}: {printed}");
    }
}
