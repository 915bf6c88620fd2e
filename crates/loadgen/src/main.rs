//! `auralink-loadgen`: loads a server that speaks the LiveKit protocol, and measures. One JSON object on stdout.
#![expect(clippy::indexing_slicing, reason = "a measuring tool: an index out of range should end the run at once")]

mod args;
mod churn;
mod client;
mod feed;
mod fleet;
mod inbound;
mod io;
mod ip;
mod joins;
mod json;
mod link;
mod load;
mod media;
mod procfs;
mod proto;
mod raw;
mod sdp;
mod signal;
mod token;
mod transport;
mod tun;

use std::process::ExitCode;

use args::Args;
use json::Json;

const USAGE: &str = "usage: auralink-loadgen run|join|churn|udp --option value ...
  run   one or several rooms under steady load
  join  join times, one at a time or several at once
  churn joins in a second, as many as the server takes
  udp   the raw UDP limit of this machine for the same shape of sends";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    io::raise_descriptor_limit();
    match command(&words) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("auralink-loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command(words: &[String]) -> Result<Json, String> {
    let (name, options) = words.split_first().ok_or(USAGE)?;
    match name.as_str() {
        "run" => load::run(&Args::parse(options, load::OPTIONS)?),
        "join" => joins::run(&Args::parse(options, joins::OPTIONS)?),
        "churn" => churn::run(&Args::parse(options, churn::OPTIONS)?),
        "udp" => raw::run(&Args::parse(options, raw::OPTIONS)?),
        _ => Err(USAGE.to_owned()),
    }
}
