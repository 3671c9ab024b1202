//! What a client sends to a node.

use quorate_replication::gate::{Asked, Gate};
use quorate_wire::{Chunk, ClusterName};

use crate::script::Script;

/// # Panics
/// There is a bug.
pub fn check(data: &[u8]) {
    let bytes = Script(data).stream();
    let gate = Gate {
        cluster: ClusterName::new("flights").expect("a name"),
        fetch_wait_ms: 1000,
    };
    for greeted in [false, true] {
        let mut frames = Vec::new();
        let (taken, end) = gate.open(&bytes, greeted, &mut frames);
        assert!(taken <= bytes.len());
        for frame in &frames {
            let chunk = &bytes[frame.chunk()];
            match &frame.asked {
                Ok(Asked::Produce { id, .. }) => {
                    let parsed = Chunk::parse(chunk)
                        .expect("what passed the gate is sound")
                        .0;
                    assert_eq!(parsed.id(), *id);
                }
                Ok(Asked::Greet { .. } | Asked::Fetch { .. } | Asked::Status | Asked::Audit(_) | Asked::Named(_) | Asked::Talk(_) | Asked::Admin(_)) | Err(_) => {}
            }
        }
        // However the network cuts the stream, the same comes of it.
        let half = bytes.len() / 2;
        let mut parts = Vec::new();
        let (first, early) = gate.open(&bytes[..half], greeted, &mut parts);
        let over = early.is_err();
        let count = parts.len();
        if !over {
            let greeted = greeted || count > 0;
            let (second, late) = gate.open(&bytes[first..], greeted, &mut parts);
            assert_eq!(first + second, taken, "the same bytes are taken");
            assert_eq!(late.is_err(), end.is_err(), "the same end");
        } else {
            assert!(end.is_err(), "the same end");
        }
        assert_eq!(parts.len(), frames.len(), "the same requests");
    }
}
