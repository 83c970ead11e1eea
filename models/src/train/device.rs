//! What computes: the processor, or in a build with the feature `train-gpu` a graphics processor.

use super::{Device, Options};
use baler_codec::Result;

/// The device that the options name.
pub(super) fn of(options: &Options) -> Result<burn::tensor::Device> {
    match options.device {
        Device::Cpu => Ok(burn::tensor::Device::flex()),
        #[cfg(feature = "train-gpu")]
        Device::Gpu => Ok(burn::tensor::Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(not(feature = "train-gpu"))]
        Device::Gpu => Err(baler_codec::Error::unsupported(
            "device = \"gpu\": this build trains on the processor only; build it with the feature train-gpu",
        )),
    }
}
