use std::collections::BTreeMap;
use std::path::PathBuf;

use quorate_wire::{ErrorCode, NodeId};

use super::{Config, Limits, Overrides, Pin};

const SMALLEST: &str =
    "cluster = \"flights\"\nnode = 2\nnodes = [{ id = 1 }, { id = 2 }, { id = 3 }]\n";

fn parse(text: &str) -> Result<Config, super::ConfigError> {
    Config::parse(text, &Overrides::default())
}

#[test]
fn three_keys_make_a_configuration() {
    let config = parse(SMALLEST).expect("it is sound");
    assert_eq!(config.this().client, "127.0.0.1:9002");
    assert_eq!(config.this().peer, "127.0.0.1:9102");
    assert_eq!(config.data, PathBuf::from("./quorate-data/node-2"));
    assert_eq!(
        (&config.pin, &config.limits),
        (&Pin::Auto, &Limits::default())
    );
}

#[test]
fn a_configuration_survives_its_own_file() {
    let mut config = parse(SMALLEST).expect("it is sound");
    config.pin = Pin::Cores(vec![1, 0]);
    config.limits.frame_ms = 77;
    config.nodes[2].client = "[::1]:9003".to_owned();
    let text = config.to_toml();
    assert_eq!(parse(&text), Ok(config), "{text}");
}

#[test]
fn who_joins_need_list_only_itself() {
    let alone = SMALLEST.replace(
        "{ id = 1 }, { id = 2 }, { id = 3 }",
        "{ id = 1 }, { id = 2 }",
    );
    assert!(parse(&alone).is_err(), "two form no group");
    let config = parse(&format!("join = true\n{alone}")).expect("it is sound");
    assert!(config.join);
}

#[test]
fn flags_win_over_the_file() {
    let overrides = Overrides {
        node: Some(NodeId(3)),
        data: Some(PathBuf::from("/elsewhere")),
        pin: Some(Pin::Off),
    };
    let config = Config::parse(SMALLEST, &overrides).expect("it is sound");
    assert_eq!(config.this().client, "127.0.0.1:9003");
    assert_eq!(
        (config.data, config.pin),
        (PathBuf::from("/elsewhere"), Pin::Off)
    );
    // A file that all nodes share need not name one of them.
    let shared = SMALLEST.replace("node = 2\n", "");
    assert!(Config::parse(&shared, &overrides).is_ok());
    assert!(parse(&shared).is_err());
}

#[test]
fn a_pin_is_also_a_flag() {
    assert_eq!("auto".parse(), Ok(Pin::Auto));
    assert_eq!("off".parse(), Ok(Pin::Off));
    assert_eq!("2, 0".parse(), Ok(Pin::Cores(vec![2, 0])));
    assert!("2,x".parse::<Pin>().is_err());
}

#[test]
fn what_is_wrong_is_named() {
    let with = |more: &str| format!("{SMALLEST}{more}");
    let instead = |from: &str, to: &str| SMALLEST.replace(from, to);
    let cases = [
        (
            with("conections = 1\n"),
            "line 4: unknown field `conections`",
        ),
        (
            with("[limits]\nconection_bytes = 1\n"),
            "line 5: unknown field `conection_bytes`",
        ),
        (
            with("[limits]\nconnections = 0\n"),
            "`limits.connections` takes 1 to 65536, not 0",
        ),
        (with("[limits]\nconnections = -1\n"), "line 5: "),
        (
            with("[limits]\nconnection_bytes = 4096\n"),
            "`limits.connection_bytes` takes 1048",
        ),
        (
            with("[raft]\nheartbeat_ms = 200\n"),
            "`raft.election_min_ms` takes 400",
        ),
        (
            with("[raft]\nelection_max_ms = 150\n"),
            "`raft.election_max_ms` takes 151",
        ),
        (
            with("[log]\nsegment_mib = 0\n"),
            "`log.segment_mib` takes 4",
        ),
        (
            with("[pipeline]\nspin_us = 10001\n"),
            "`pipeline.spin_us` takes 0 to 10000, not 10001",
        ),
        (
            with("[shards]\nspin_us = 10001\n"),
            "`shards.spin_us` takes 0 to 10000",
        ),
        (with("pin = [0]\n"), "`pin` lists 1 cores for 2 threads"),
        (with("pin = \"all\"\n"), "`pin` takes"),
        (instead("flights", "two words"), "`cluster` takes 1 to 16"),
        (
            instead("node = 2", "node = 4"),
            "`node` is 4, which is not in `nodes`",
        ),
        (instead(", { id = 3 }", ""), "`nodes` takes 1, 3, 5 or 7"),
        (instead("id = 3", "id = 1"), "`nodes` has the id 1 twice"),
        (instead("id = 3", "id = 0"), "`nodes` has the id 0"),
        (
            instead("id = 3", "id = 3, client = \"127.0.0.1:9001\""),
            "has the address 127.0.0.1:9001 twice",
        ),
        (
            instead("id = 3", "id = 3, client = \"9003\""),
            "`client` of node 3 takes host:port",
        ),
        (
            instead("id = 3", "id = 3, client = \"::1:9003\""),
            "`client` of node 3 takes host:port",
        ),
        (
            instead("id = 3", "id = 3, peer = \"a:0\""),
            "`peer` of node 3 takes host:port",
        ),
        (
            instead("cluster = \"flights\"\n", ""),
            "missing field `cluster`",
        ),
        ("cluster = ".to_owned(), "line 1: "),
    ];
    for (text, sentence) in cases {
        let error = parse(&text).expect_err(sentence);
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        let said = error.to_string();
        assert!(
            said.contains(sentence),
            "{said:?} does not say {sentence:?}"
        );
        assert!(!said.contains('\n'), "{said:?} is one line");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let path = PathBuf::from("/nowhere/node.toml");
    let error = Config::load(&path, &Overrides::default()).expect_err("it is not there");
    assert!(
        error.to_string().starts_with("/nowhere/node.toml: "),
        "{error}"
    );
}

/// `docs/configuration.md` has a row `| key | default | meaning |` for each key and for none that does not exist.
#[test]
fn the_documentation_lists_every_key_with_its_default() {
    let page = include_str!("../../../docs/configuration.md");
    let mut documented = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [key, default, meaning] = cells[..] else {
            panic!("a row has three cells: {line}")
        };
        assert!(!meaning.is_empty(), "{key} has no meaning");
        let before = documented.insert(
            key.trim_matches('`').to_owned(),
            default.trim_matches('`').to_owned(),
        );
        assert_eq!(before, None, "{key} is listed twice");
    }
    let config = parse(SMALLEST).expect("it is sound");
    let table: toml::Table =
        toml::from_str(&config.to_toml()).expect("a configuration's file is TOML");
    let mut keys = BTreeMap::new();
    for (key, value) in &table {
        match value {
            toml::Value::Table(section) => {
                keys.extend(
                    section
                        .iter()
                        .map(|(inner, value)| (format!("{key}.{inner}"), value.to_string())),
                );
            }
            toml::Value::Array(nodes) if key == "nodes" => {
                let node = nodes[0].as_table().expect("a node is a table");
                keys.extend(
                    node.keys()
                        .map(|inner| (format!("nodes.{inner}"), "special".to_owned())),
                );
            }
            toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_) => {
                let special = ["cluster", "node", "data"].contains(&key.as_str());
                keys.insert(
                    key.clone(),
                    if special {
                        "special".to_owned()
                    } else {
                        value.to_string()
                    },
                );
            }
        }
    }
    assert_eq!(
        keys.keys().collect::<Vec<_>>(),
        documented.keys().collect::<Vec<_>>(),
        "the page lists the keys that exist"
    );
    for (key, default) in &keys {
        if default != "special" {
            assert_eq!(&documented[key], default, "the default of {key}");
        }
    }
}
