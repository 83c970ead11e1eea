//! Triple modular redundancy: three copies, of which two outvote one that radiation has changed.
//!
//! All registers of a pipeline are fed forward: what is flipped in one copy is gone when its row has left. Counters of
//! the other designs are set anew by every row. A parameter that is flipped stays wrong in its copy, is outvoted, and
//! raises `copies_differ` until parameters are loaded again. The queue of the AXI4-Stream wrapper is not protected.

use super::Design;
use std::fmt::Write as _;

/// `design` three times with voters; its module gets `_copy` behind its name, the new one has the old name.
pub(super) fn triplicate(mut design: Design) -> Design {
    let copy = format!("{}_copy", design.top);
    let mut inputs = vec![("rst", 1), ("in_valid", 1), ("in_data", design.input.bits())];
    let mut outputs = vec![("out_valid", 1), ("out_data", design.output.bits())];
    if design.has_status {
        outputs.push(("out_overflow", 1));
    }
    if design.has_ready {
        outputs.push(("in_ready", 1));
    }
    if design.is_reloadable {
        inputs.extend([("load_begin", 1), ("load_valid", 1), ("load_data", 32)]);
        outputs.extend([("load_ready", 1), ("load_good", 1)]);
    }
    let mut text = design.text.replace(&format!("module {} (", design.top), &format!("module {copy} ("));
    let ports: String = inputs.iter().map(|(name, bits)| format!(",\n  input wire [{}:0] {name}", bits - 1)).collect();
    let voted: String =
        outputs.iter().map(|(name, bits)| format!(",\n  output wire [{}:0] {name}", bits - 1)).collect();
    let _ = write!(
        text,
        "\n// Three copies and their majority.\nmodule {} (\n  input wire clk{ports}{voted},\n  output reg copies_differ\n);\n",
        design.top
    );
    for (name, bits) in &outputs {
        let _ = writeln!(text, "  wire [{}:0] {name}_0, {name}_1, {name}_2;", bits - 1);
    }
    for k in 0..3 {
        let of_inputs: String = inputs.iter().map(|(name, _)| format!(", .{name}({name})")).collect();
        let of_outputs: String = outputs.iter().map(|(name, _)| format!(", .{name}({name}_{k})")).collect();
        // Without the attributes synthesis would see that the copies are alike, and keep one.
        let keep = "(* keep_hierarchy = \"yes\", dont_touch = \"yes\" *)";
        let _ = writeln!(text, "  {keep} {copy} copy_{k} (.clk(clk){of_inputs}{of_outputs});");
    }
    for (name, _) in &outputs {
        let _ =
            writeln!(text, "  assign {name} = ({name}_0 & {name}_1) | ({name}_0 & {name}_2) | ({name}_1 & {name}_2);");
    }
    // Bits of a row count while there is one.
    let differs: Vec<String> = outputs
        .iter()
        .map(|(name, _)| {
            let test = format!("({name}_0 != {name}_1 | {name}_0 != {name}_2)");
            if matches!(*name, "out_data" | "out_overflow") { format!("(out_valid & {test})") } else { test }
        })
        .collect();
    let _ = write!(text, "  always @(posedge clk) copies_differ <= ~rst & ({});\nendmodule\n", differs.join(" | "));
    design.text = text;
    design.has_copies = true;
    for size in [&mut design.adder_bits, &mut design.register_bits] {
        *size *= 3;
    }
    design.n_adders *= 3;
    design.n_multipliers *= 3;
    design.registers = design.registers.into_iter().map(|name| format!("copy_1.{name}")).collect();
    design
}
