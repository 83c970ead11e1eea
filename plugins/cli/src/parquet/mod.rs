//! `baler parquet`: tables whose columns of floats become integer columns that any program can handle.

mod decode;
mod encode;
mod files;
mod info;
mod verify;

use crate::failure::{Code, Failure, Result};
use crate::outcome::Outcome;
use baler_codec::ErrorKind;
use clap::{Args, Subcommand};

/// Parquet tables in a data lake: rows stay rows, other programs keep working
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler parquet encode events.parquet small.parquet --rel 1e-3\n  \
    baler parquet encode lake/ small/ --rel 1e-3 --column energy=abs:0.01 --keys event,run\n  \
    baler parquet verify lake/ small/\n  \
    baler parquet decode small/ back/")]
pub struct ParquetArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Encode(encode::EncodeArgs),
    Decode(decode::DecodeArgs),
    Info(info::InfoArgs),
    Verify(verify::VerifyArgs),
}

impl ParquetArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        match &self.command {
            Command::Encode(args) => args.run(quiet),
            Command::Decode(args) => args.run(quiet),
            Command::Info(args) => args.run(),
            Command::Verify(args) => args.run(quiet),
        }
    }
}

impl From<baler_arrow::Error> for Failure {
    fn from(e: baler_arrow::Error) -> Self {
        use baler_arrow::Error;
        let message = e.to_string();
        match e {
            Error::Codec(e) if e.kind() == ErrorKind::ModelMissing => Failure::new(Code::Model, message),
            Error::Codec(e) => e.into(),
            Error::Io(e) => e.into(),
            // An error of ours on its way through Arrow's iterators.
            Error::Arrow(arrow_schema::ArrowError::ExternalError(inner)) => match inner.downcast::<Error>() {
                Ok(ours) => (*ours).into(),
                Err(other) => Failure::damaged(other.to_string()),
            },
            _ => Failure::damaged(message),
        }
    }
}
