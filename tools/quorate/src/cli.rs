//! The arguments: what `quorate` can be asked for.

use clap::{Parser, Subcommand};

use crate::commands::{
    admin, audit, bench, cluster, consume, cursor, demo, groups, log, node, produce, status, verify,
};

const EXAMPLES: &str = "\
Examples:
  quorate demo                               three nodes, real events, a killed leader: see it work
  quorate cluster up --dir /tmp/q            three nodes on this host, ports 9001 to 9003
  quorate cluster status --dir /tmp/q        who leads, and how far each node is
  quorate produce events.csv --key-column 2  send events, one a line, to 127.0.0.1:9001 to 9003
  quorate consume --from start               read them back
  quorate cluster down --dir /tmp/q          stop the nodes
  quorate bench                              measure it on this host
  quorate node --config node-1.toml          one node, in the foreground

Exit status:
  0 done; 1 a command failed; 2 called wrongly; 70 a write to a node's log failed; 71 a log or superblock is damaged;
  72 a node refuses to start; 130 Ctrl-C ended it before it was done. docs/errors.md lists all codes.";

/// A replicated event log: acknowledged when a majority of disks has it.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, after_help = EXAMPLES, max_term_width = 120)]
pub(crate) struct Cli {
    /// How much is logged to standard error: error, warn, info, debug, trace, or directives. Nodes: info; others: warn.
    #[arg(long, global = true, value_name = "LEVEL", env = "QUORATE_LOG_LEVEL")]
    pub(crate) log_level: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one node in the foreground.
    Node(node::Args),
    /// Run a cluster of real processes on this host.
    Cluster(cluster::Args),
    /// Replay real events through three nodes, kill the leader, and compare the logs.
    Demo(demo::Args),
    /// Send events from a file or a pipe, one a line.
    Produce(produce::Args),
    /// Print committed events.
    Consume(consume::Args),
    /// Show, set and delete named cursors.
    Cursor(cursor::Args),
    /// Show the consumer groups, their members, and how far they are.
    Groups(groups::Args),
    /// Read the log back, and hold it against the lines that were produced.
    Verify(verify::Args),
    /// Hold the replicas against each other while they run.
    Audit(audit::Args),
    /// Show how the nodes are; fails if no leader takes events.
    Status(status::Args),
    /// Look after the group: who belongs to it, and who leads.
    Admin(admin::Args),
    /// Check or print the log of a node that does not run.
    Log(log::Args),
    /// Measure how many events a second are acknowledged, and what they take and cost.
    Bench(Box<bench::Args>),
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use clap::{Command, CommandFactory as _, Parser as _};

    use super::Cli;

    /// The pages that tell people what to type.
    fn pages() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let runbooks = fs::read_dir(root.join("docs/runbooks")).expect("the folder is there");
        let runbooks = runbooks.map(|page| page.expect("an entry").path());
        let others = [
            "README.md",
            "docs/failover.md",
            "docs/tutorial-rust.md",
            "docs/tutorial-python.md",
        ];
        runbooks
            .chain(others.iter().map(|page| root.join(page)))
            .collect()
    }

    /// The commands of ours in a page's blocks for a shell.
    fn commands(page: &str) -> Vec<Vec<String>> {
        let blocks = page.split("```sh\n").skip(1);
        let lines = blocks.flat_map(|rest| rest.split("```").next().unwrap_or("").lines());
        let lines = lines.map(|line| line.split('#').next().unwrap_or(""));
        lines.flat_map(typed).collect()
    }

    /// The commands of ours in a line for a shell.
    fn typed(line: &str) -> impl Iterator<Item = Vec<String>> {
        let parts = line.split('|').map(|part| part.split('>').next());
        let ours = parts.flatten().map(str::trim);
        let ours = ours.filter(|part| part.starts_with("quorate ") && !part.contains("$("));
        ours.map(|part| part.split_whitespace().map(str::to_owned).collect())
    }

    fn assert_exists(command: &[String], shown: &str) {
        if let Err(error) = Cli::try_parse_from(command) {
            panic!("{shown} shows {command:?}: {error}");
        }
    }

    #[test]
    fn the_pages_show_commands_that_exist() {
        let mut count = 0;
        for page in pages() {
            let text = fs::read_to_string(&page).expect("a page is text");
            for command in commands(&text) {
                assert_exists(&command, &page.display().to_string());
                count += 1;
            }
        }
        assert!(count > 30, "only {count} commands were found");
    }

    /// Every command, with what its help says in the end.
    fn helps(command: &Command) -> Vec<(String, String)> {
        let text = command.get_after_help().map(ToString::to_string);
        let own = (command.get_name().to_owned(), text.unwrap_or_default());
        let others = command.get_subcommands().flat_map(helps);
        [own].into_iter().chain(others).collect()
    }

    #[test]
    fn the_helps_show_commands_that_exist() {
        let root = Cli::command();
        let mut count = 0;
        for (of, text) in helps(&root) {
            // What a command does stands behind it.
            for line in text
                .lines()
                .filter_map(|line| line.trim().split("  ").next())
            {
                for command in typed(&line.replace(['\'', '"'], "")) {
                    assert_exists(&command, &of);
                    count += 1;
                }
            }
            // In a sentence it may be named without what it needs.
            for named in text.split("`quorate ").skip(1) {
                let named = named.split('`').next().unwrap_or("");
                let mut at = &root;
                for word in named
                    .split_whitespace()
                    .take_while(|word| !word.starts_with('-'))
                {
                    if at.has_subcommands() {
                        let found = at.find_subcommand(word);
                        at = found.unwrap_or_else(|| panic!("{of} names `quorate {named}`"));
                    }
                }
            }
        }
        assert!(count > 60, "only {count} commands were found");
    }

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }
}
