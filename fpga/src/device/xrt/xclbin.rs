//! The container that XRT loads, `xclbin2`: enough of it to describe one kernel.
//!
//! A container for a card comes from the vendor's linker and holds a bitstream. This one holds none: XRT's noop mode and
//! emulations take it, and tests of everything around the hardware need no more. Layouts: `xclbin.h` of XRT, which asserts
//! their sizes.

/// Sections by their kind.
const EMBEDDED_METADATA: u32 = 2;
const MEM_TOPOLOGY: u32 = 6;
const CONNECTIVITY: u32 = 7;
const IP_LAYOUT: u32 = 8;
const GROUP_TOPOLOGY: u32 = 26;
const GROUP_CONNECTIVITY: u32 = 27;

const HEAD_BYTES: usize = 456;
const SECTION_HEADER_BYTES: usize = 40;
/// Of the one memory, in KiB.
const MEMORY_KIB: u64 = 1 << 20;
const MEM_DDR4: u8 = 1;
const IP_KERNEL: u32 = 1;
/// AP_CTRL_HS, no interrupt.
const PROPERTIES: u32 = 0;
const KERNEL_ADDRESS: u64 = 0x180_0000;

/// A container with one kernel `name(input*, output*, uint rows)` and one memory for both buffers.
pub fn pack(name: &str, uuid: [u8; 16]) -> Vec<u8> {
    let topology = topology();
    let connectivity = connectivity();
    let sections = [
        (EMBEDDED_METADATA, metadata(name).into_bytes()),
        (MEM_TOPOLOGY, topology.clone()),
        (IP_LAYOUT, ip_layout(name)),
        (CONNECTIVITY, connectivity.clone()),
        (GROUP_TOPOLOGY, topology),
        (GROUP_CONNECTIVITY, connectivity),
    ];
    let mut headers = Vec::new();
    let mut data = Vec::new();
    let first = (HEAD_BYTES + sections.len() * SECTION_HEADER_BYTES).next_multiple_of(8);
    for (kind, bytes) in &sections {
        headers.extend_from_slice(&kind.to_le_bytes());
        headers.extend_from_slice(&[0; 20]); // name, 16 bytes; 4 to the next multiple of 8
        headers.extend_from_slice(&((first + data.len()) as u64).to_le_bytes());
        headers.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        data.extend_from_slice(bytes);
        data.resize(data.len().next_multiple_of(8), 0);
    }
    let mut out = Vec::with_capacity(first + data.len());
    out.extend_from_slice(b"xclbin2\0");
    out.extend_from_slice(&(-1i32).to_le_bytes()); // no signature
    out.extend_from_slice(&[0xff; 28]);
    out.extend_from_slice(&[0; 256]); // key block
    out.extend_from_slice(&0u64.to_le_bytes()); // unique id
    out.extend_from_slice(&((first + data.len()) as u64).to_le_bytes());
    out.extend_from_slice(&[0; 16]); // time stamps
    out.extend_from_slice(&[0, 0, 2, 1]); // version: patch, major, minor
    out.extend_from_slice(&[0; 4]); // mode: flat; action mask
    out.extend_from_slice(&[0; 16]); // platform
    let mut platform = [0; 64];
    platform[..b"baler".len()].copy_from_slice(b"baler");
    out.extend_from_slice(&platform);
    out.extend_from_slice(&uuid);
    out.extend_from_slice(&[0; 16]); // name of a binary with debug information
    out.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    out.resize(HEAD_BYTES, 0);
    out.extend_from_slice(&headers);
    out.resize(first, 0);
    out.extend_from_slice(&data);
    out
}

fn metadata(name: &str) -> String {
    let argument = |id: u32, port: &str, qualifier: u32, arg: &str, size: &str, offset: &str, c_type: &str| {
        format!(
            "<arg name=\"{arg}\" addressQualifier=\"{qualifier}\" id=\"{id}\" port=\"{port}\" size=\"{size}\" \
             offset=\"{offset}\" hostOffset=\"0x0\" hostSize=\"{size}\" type=\"{c_type}\"/>"
        )
    };
    let arguments = [
        argument(0, "M_AXI_GMEM0", 1, "in", "0x8", "0x10", "int*"),
        argument(1, "M_AXI_GMEM1", 1, "out", "0x8", "0x1C", "int*"),
        argument(2, "S_AXI_CONTROL", 0, "rows", "0x4", "0x28", "uint"),
    ]
    .concat();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><project name=\"baler\"><platform vendor=\"baler\" boardid=\"none\" \
         name=\"none\" featureRomTime=\"0\"><version major=\"1\" minor=\"0\"/><device name=\"fpga0\" \
         fpgaDevice=\"none\"><core name=\"OCL_REGION_0\" target=\"bitstream\" type=\"clc_region\"><kernel \
         name=\"{name}\" language=\"ip\" hwControlProtocol=\"ap_ctrl_hs\"><port name=\"M_AXI_GMEM0\" mode=\"master\" \
         range=\"0xFFFFFFFFFFFFFFFF\" dataWidth=\"512\" portType=\"addressable\" base=\"0x0\"/><port \
         name=\"M_AXI_GMEM1\" mode=\"master\" range=\"0xFFFFFFFFFFFFFFFF\" dataWidth=\"512\" portType=\"addressable\" \
         base=\"0x0\"/><port name=\"S_AXI_CONTROL\" mode=\"slave\" range=\"0x1000\" dataWidth=\"32\" \
         portType=\"addressable\" base=\"0x0\"/>{arguments}<instance name=\"{name}_1\"><addrRemap \
         base=\"{KERNEL_ADDRESS:#x}\" range=\"0x10000\" port=\"S_AXI_CONTROL\"/></instance></kernel></core></device>\
         </platform></project>"
    )
}

fn topology() -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&1i32.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[MEM_DDR4, 1, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&MEMORY_KIB.to_le_bytes());
    out.extend_from_slice(&0u64.to_le_bytes());
    let mut tag = [0; 16];
    tag[..b"bank0".len()].copy_from_slice(b"bank0");
    out.extend_from_slice(&tag);
    out
}

fn ip_layout(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&1i32.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&IP_KERNEL.to_le_bytes());
    out.extend_from_slice(&PROPERTIES.to_le_bytes());
    out.extend_from_slice(&KERNEL_ADDRESS.to_le_bytes());
    let unit = format!("{name}:{name}_1");
    let mut bytes = [0; 64];
    let len = unit.len().min(63);
    bytes[..len].copy_from_slice(&unit.as_bytes()[..len]);
    out.extend_from_slice(&bytes);
    out
}

/// Arguments 0 and 1 of the kernel, in memory 0.
fn connectivity() -> Vec<u8> {
    [2i32, 0, 0, 0, 1, 0, 0].into_iter().flat_map(i32::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_lie_where_the_table_says() {
        let bytes = pack("baler_test", [7; 16]);
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(&bytes[..8], b"xclbin2\0");
        assert_eq!(number(304) as usize, bytes.len());
        let n = u32::from_le_bytes(bytes[448..452].try_into().unwrap());
        assert_eq!(n, 6);
        let sizes = [None, Some(48), Some(88), Some(28), Some(48), Some(28)];
        for (i, size) in sizes.into_iter().enumerate() {
            let header = HEAD_BYTES + i * SECTION_HEADER_BYTES;
            let (offset, len) = (number(header + 24) as usize, number(header + 32) as usize);
            assert!(offset + len <= bytes.len());
            assert!(size.is_none_or(|size| size == len), "section {i}: {len}");
        }
    }
}
