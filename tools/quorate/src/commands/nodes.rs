//! The argument that client commands share: where the nodes are.

use quorate_client::Name;

/// Where nodes listen for clients.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Nodes {
    /// Addresses of nodes, separated by commas. One is enough: it names the others.
    #[arg(
        long,
        value_name = "HOST:PORT,..",
        env = "QUORATE_NODES",
        value_delimiter = ',',
        default_value = "127.0.0.1:9001,127.0.0.1:9002,127.0.0.1:9003",
        value_parser = address
    )]
    pub(crate) nodes: Vec<String>,
}

/// An address as it is written: a host, a colon, and a port.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let is_address = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if is_address {
        Ok(text.to_owned())
    } else {
        Err("an address is HOST:PORT, such as 127.0.0.1:9001".into())
    }
}

/// The name of a cursor or a consumer group.
pub(crate) fn name(text: &str) -> Result<Name, String> {
    Name::new(text)
        .ok_or_else(|| "a name is 1 to 64 printable ASCII characters without spaces".into())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for text in ["127.0.0.1:9001", "localhost:1", "[::1]:65535"] {
            assert_eq!(address(text), Ok(text.to_owned()));
        }
        for text in [
            "",
            "localhost",
            ":9001",
            "localhost:",
            "localhost:0",
            "a:65536",
            "a:b",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
