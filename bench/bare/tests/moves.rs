//! The bare path, end to end.

use std::process::Command;

use serde_json::Value;

#[test]
fn events_go_to_three_logs_and_back() {
    for (batch, in_flight) in [("64", "16"), ("1", "1")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-bare"));
        command.args(["--dir", env!("CARGO_TARGET_TMPDIR"), "--log-mib", "32"]);
        command.args(["--duration", "0.3", "--warm-up", "0.1"]);
        command.args(["--batch", batch, "--in-flight", in_flight]);
        let output = command.output().expect("the program is built");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("it is one object");
        let frames = report["samples"].as_u64().expect("it is a count");
        let batch: u64 = batch.parse().expect("it is a number");
        assert!(frames > 0, "{report}");
        assert_eq!(report["events"], frames * batch, "{report}");
        assert!(report["latency_us"]["p50"].as_u64() <= report["latency_us"]["max"].as_u64());
    }
}

#[test]
fn more_than_fits_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-bare"));
    command.args(["--batch", "4096", "--event-size", "1024"]);
    let output = command.output().expect("the program is built");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("does not fit"), "{said}");
}
