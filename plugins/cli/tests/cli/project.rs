//! Projects: made, imported from Python Baler, and run from their configuration.

use crate::support::{Place, field_npy, le_bytes, npy, npz};

/// A configuration as Python Baler's users write them: a function that sets attributes.
fn python(lines: &[&str]) -> String {
    let body: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("# === Configuration ===\n\n\ndef set_config(c):\n{body}")
}

fn config(p: &Place, name: &str) -> toml::Table {
    String::from_utf8(p.read(name)).unwrap().parse().unwrap()
}

#[test]
fn a_new_project_runs_from_its_configuration() {
    let p = Place::new();
    let made = p.json(0, "new flows cylinder");
    assert_eq!(made["config"], "flows/cylinder/config.toml");
    assert!(p.path("flows/data").is_dir() && p.path("flows/cylinder/output/compressed").is_dir());
    assert!(p.run(2, "new flows cylinder").contains("exists already"));
    assert!(p.run(2, "new flows ../evil").contains("ASCII letters"));
    assert!(p.run(2, "train --project flows cylinder").contains("no data in this folder"));
    p.write("flows/data/a.npy", &field_npy(40));
    p.write("flows/data/b.csv", b"x,y\n1,2\n3,4.5\n");
    assert!(p.run(1, "compress --project flows cylinder").contains("baler train --project flows cylinder"));
    let text = String::from_utf8(p.read("flows/cylinder/config.toml")).unwrap();
    p.write("flows/cylinder/config.toml", text.replace("model = \"own\"", "model = \"none\"").as_bytes());
    let shown = p.command("compress --project flows cylinder").output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let lines = String::from_utf8(shown.stderr).unwrap();
    assert!(lines.contains("$ baler compress flows/data/a.npy flows/cylinder/output/compressed/a.baler --rel 0.001"));
    // Again: what a project makes it may make again.
    p.run(0, "compress --project flows cylinder --quiet");
    p.run(0, "decompress --project flows cylinder");
    p.run(0, "verify --project flows cylinder");
    assert!(p.path("flows/cylinder/output/decompressed/a.npy").is_file());
    assert!(p.path("flows/cylinder/output/decompressed/b.npz").is_file());
    assert!(p.run(0, "info --project flows cylinder").contains("a.baler"));
    assert!(p.run(1, "train --project flows sphere").contains("baler new flows sphere"));
    p.write("flows/cylinder/config.toml", text.replace("bound = \"rel\"", "bound = \"about\"").as_bytes());
    assert!(p.run(1, "compress --project flows cylinder").contains("is not there"));
    p.write("flows/cylinder/config.toml", text.replace("[compress]", "[compres]").as_bytes());
    assert!(p.run(2, "compress --project flows cylinder").contains("compres"));
}

/// As the project's CMS example is documented: a table of 24 variables at ratio 1.6.
#[test]
fn a_table_project_of_python_baler_is_imported() {
    let p = Place::new();
    std::fs::create_dir_all(p.path("workspaces/CMS_workspace/CMS_project/config")).unwrap();
    std::fs::create_dir_all(p.path("workspaces/CMS_workspace/data")).unwrap();
    let values: Vec<f32> = (0..30 * 24).map(|i| (i % 24) as f32 + (i as f32 * 0.37).sin()).collect();
    let names = npy("<U1", false, "(24,)", &[0; 96]);
    let table = npz(&[("data", npy("<f4", false, "(30, 24)", &le_bytes(&values))), ("names", names)]);
    p.write("workspaces/CMS_workspace/data/jets.npz", &table);
    let lines = [
        "c.input_path                   = \"workspaces/CMS_workspace/data/jets.npz\"",
        "c.data_dimension               = 1",
        "c.compression_ratio            = 1.6",
        "c.apply_normalization          = True",
        "c.model_name                   = \"AE\"",
        "c.model_type                   = \"dense\"",
        "c.epochs                       = 25",
        "c.lr                           = 0.001",
        "c.batch_size                   = 512",
        "c.early_stopping               = True",
        "c.lr_scheduler                 = True",
        "c.early_stopping_patience      = 100",
        "c.min_delta                    = 0",
        "c.lr_scheduler_patience        = 50",
        "c.custom_norm                  = False",
        "c.reg_param                    = 0.001",
        "c.RHO                          = 0.05",
        "c.test_size                    = 0.15",
        "c.extra_compression            = False",
        "c.type_list                    = [\"float64\", \"int\",",
        "                                  \"float64\"]",
        "c.save_error_bounded_deltas    = True",
        "c.error_bounded_requirement    = 1  # per cent",
        "c.custom_loss_function         = None",
        "c.number_of_columns            = len(names)",
        "c.Part                         = \"xcvu9p-flga2104-2L-e\"",
    ];
    p.write("workspaces/CMS_workspace/CMS_project/config/CMS_project_config.py", python(&lines).as_bytes());
    let report = p.json(0, "import-project workspaces/CMS_workspace/CMS_project -o jets --copy");
    let config = config(&p, "jets/CMS_project/config.toml");
    let options = config["train"]["options"].as_table().unwrap();
    for (key, value) in [
        ("tile", "[24]"),
        ("latents", "15"),
        ("architecture", "\"ae\""),
        ("epochs", "25"),
        ("learning_rate", "0.001"),
        ("batch", "512"),
        ("validation", "0.15"),
        ("test", "0.0"),
        ("early_stop", "100"),
        ("min_delta", "0.0"),
        ("schedule", "\"plateau\""),
        ("plateau_patience", "50"),
        ("loss", "\"mse-sum\""),
    ] {
        assert_eq!(options[key].to_string(), value, "{key}");
    }
    assert_eq!(config["train"]["family"].as_str(), Some("autoencoder"));
    assert_eq!(config["compress"]["bound"].as_str(), Some("pw_rel"));
    assert_eq!(config["compress"]["value"].as_float(), Some(0.01));
    assert_eq!(config["data"]["files"][0].as_str(), Some("data/jets.npz"));
    assert!(p.path("jets/data/jets.npz").is_file());
    let notes = report["notes"].to_string();
    for said in ["never added to the loss", "not understood, so left out: c.number_of_columns", "hls4ml", "in the type"]
    {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    let text = String::from_utf8(p.read("jets/CMS_project/config.toml")).unwrap();
    assert!(text.contains("# note: RHO"), "{text}");
    assert!(p.run(2, "import-project workspaces/CMS_workspace/CMS_project -o jets").contains("exists already"));
}

/// As its CFD example: frames, latents alone.
#[test]
fn a_project_of_frames_is_imported() {
    let p = Place::new();
    std::fs::create_dir_all(p.path("w/flow/config")).unwrap();
    std::fs::create_dir_all(p.path("w/data")).unwrap();
    p.write("w/data/flow.npz", &npz(&[("data", npy("<f8", false, "(3, 20, 10)", &[0; 4800]))]));
    let lines = [
        "c.input_path = 'somewhere/else/flow.npz'",
        "c.data_dimension = 2",
        "c.compression_ratio = 100",
        "c.model_name = \"TransformerAE\"",
        "c.convert_to_blocks = [1, 10, 5]",
        "c.custom_loss_function = \"loss_function_swae\"",
        "c.intermittent_model_saving = True",
        "c.intermittent_saving_patience = 7",
    ];
    p.write("w/flow/config/flow_config.py", python(&lines).as_bytes());
    let report = p.json(0, "import-project w/flow -o ours");
    let config = config(&p, "ours/flow/config.toml");
    let options = config["train"]["options"].as_table().unwrap();
    let option = |key: &str| options[key].to_string();
    assert_eq!((option("tile"), option("latents"), option("loss")), ("[10, 5]".into(), "1".into(), "\"swae\"".into()));
    assert_eq!((option("checkpoint_epochs"), option("schedule")), ("7".into(), "\"constant\"".into()));
    assert!(!options.contains_key("architecture"));
    assert_eq!(config["compress"]["bound"].as_str(), Some("latent"));
    assert!(config["data"]["files"][0].as_str().unwrap().ends_with("w/data/flow.npz"));
    assert!(report["notes"].to_string().contains("could not be constructed"), "{report}");
}

#[test]
fn what_is_no_project_of_python_baler_is_told() {
    let p = Place::new();
    std::fs::create_dir_all(p.path("w/p/config")).unwrap();
    assert!(p.run(2, "import-project w/p").contains("no *_config.py"));
    p.write("w/p/config/p_config.py", b"import os\nprint('hello')\n");
    assert!(p.run(2, "import-project w/p").contains("is this a configuration"));
    p.write("w/p/config/p_config.py", b"c.epochs = 3\n");
    assert!(p.run(2, "import-project w/p").contains("input_path"));
    p.write("w/p/config/p_config.py", b"c.input_path = 'gone.npz'\n");
    assert!(p.run(1, "import-project w/p").contains("are not there"));
    assert_eq!(p.names(), ["w"]);
}

#[cfg(feature = "train")]
#[test]
fn a_project_is_trained_diagnosed_and_drifts() {
    let p = Place::new();
    p.run(0, "new w p");
    let table = |shift: f32| -> Vec<u8> {
        let values: Vec<f32> = (0..1200).flat_map(|i| [(i * 37 % 101) as f32, (i * 53 % 97) as f32 + shift]).collect();
        npz(&[
            ("data", npy("<f4", false, "(1200, 2)", &le_bytes(&values))),
            ("names", npy("<U1", false, "(2,)", b"a\0\0\0b\0\0\0")),
        ])
    };
    p.write("w/data/t.npz", &table(0.0));
    let text = String::from_utf8(p.read("w/p/config.toml")).unwrap();
    p.write(
        "w/p/config.toml",
        text.replace("#epochs = 200", "epochs = 3").replace("#latents = 16", "latents = 2").as_bytes(),
    );
    let trained = p.json(0, "train --project w p");
    assert_eq!((&trained["epochs"], &trained["latents"], &trained["name"]), (&3.into(), &2.into(), &"p".into()));
    let compressed = p.json(0, "compress --project w p");
    assert_eq!(compressed["drift"], serde_json::json!([]));
    p.write("shifted.npz", &table(80.0));
    let drifted = p.json(0, "compress shifted.npz s.baler --rel 1e-2 --model w/p/output/p.bundle");
    assert_eq!(drifted["drift"][0]["columns"][0]["column"], "b", "{drifted}");
    assert!(p.run(0, "compress shifted.npz s.baler --rel 1e-2 --model w/p/output/p.bundle -f").contains("warning"));
    let diagnosed = p.json(0, "diagnose --project w p");
    assert_eq!(diagnosed["latents"].as_array().unwrap().len(), 2);
    assert_eq!(diagnosed["layers"][0]["layer"], "encoder 1");
    assert!(diagnosed["layers"][0]["mean_abs"][0].as_f64().unwrap() > 0.0);
    assert!(String::from_utf8(p.read("w/p/output/diagnose.svg")).unwrap().starts_with("<svg"));
    // Without data: those that the log names.
    assert!(p.run(0, "diagnose w/p/output/p.bundle").contains("2 of 2 used"));
    let info = p.run(0, "info w/p/output/p.bundle");
    assert!(info.contains("every tenth row, held out") && info.contains("with the decoder"), "{info}");
    assert!(p.run(2, "diagnose w/p/output/p.bundle shifted.npz --columns-named a").contains("does not fit"));
}

/// Every option that training has is in the template, at a value it takes.
#[cfg(feature = "train")]
#[test]
fn the_template_lists_every_option_of_training() {
    let p = Place::new();
    p.run(0, "new w p");
    let text = String::from_utf8(p.read("w/p/config.toml")).unwrap();
    let is_option = |line: &&str| {
        line.starts_with('#')
            && line[1..]
                .split(" = ")
                .next()
                .is_some_and(|k| k.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
    };
    let at = text.find("[train.options]").unwrap();
    let lines: String = text[at..]
        .lines()
        .take_while(|l| !l.starts_with("[compress]"))
        .filter(is_option)
        .map(|l| format!("{}\n", &l[1..]))
        .collect();
    let options: baler_models::train::Options = toml::from_str(&lines).unwrap_or_else(|e| panic!("{e}\n{lines}"));
    let all = toml::Table::try_from(&options).unwrap();
    for key in all.keys().filter(|k| *k != "name" && *k != "card") {
        assert!(lines.contains(&format!("{key} = ")), "{key} is not in the template");
    }
}
