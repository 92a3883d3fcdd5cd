//! The flags of `bytchatd`.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytchat_proto::alias::Host;
use clap::Parser;

use super::Page;

/// Keeps links to other nodes, holds and delivers mail, and serves front ends on a Unix socket.
///
/// Every flag overrides the configuration file; without any the daemon has good defaults.
/// BYTCHAT_LOG sets what is logged, for example BYTCHAT_LOG=debug.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "bytchatd", version)]
pub struct Args {
    /// Read this configuration file instead of the usual one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Keep keys and messages in this directory
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Serve front ends on this Unix socket
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Listen on this UDP address; may be given several times
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    pub listen: Vec<SocketAddr>,
    /// Ask this node when no neighbour is known; may be given several times
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    pub bootstrap: Vec<SocketAddr>,
    /// Join the private network of this name
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Be the pod of this host name
    #[arg(long, value_name = "HOST")]
    pub pod_host: Option<Host>,
    /// Check the configuration, print it and exit
    #[arg(long)]
    pub check_config: bool,
    /// Print an example of the configuration file and exit
    #[arg(long)]
    pub example_config: bool,
    /// Print a manual page and exit
    #[arg(long, hide = true, value_name = "PAGE")]
    pub manual: Option<Page>,
}

/// Reads an address, and says what it looks like where it is none.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "write an IP address with a port, such as 192.0.2.7:4848 or [2001:db8::7]:4848; \
         host names are not looked up here"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_no_address_is_shown_one() {
        for wrong in ["pod.example:4848", "192.0.2.7", "[::]", ""] {
            let error = Args::try_parse_from(["bytchatd", "--bootstrap", wrong]).unwrap_err();
            assert!(error.to_string().contains("192.0.2.7:4848"), "{error}");
        }
        let args = Args::try_parse_from(["bytchatd", "--listen", "[::1]:0"]).unwrap();
        assert_eq!(args.listen, ["[::1]:0".parse().unwrap()]);
    }
}
