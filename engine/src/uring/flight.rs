//! The vectors of one send, at an address that stays.

use std::mem;
use std::ptr;

use quorate_replication::seam::{Part, Send as Outgoing};

/// A `msghdr` and the vectors that it points to. Each link has one, in memory that never moves.
pub(super) struct Flight {
    header: libc::msghdr,
    vectors: [libc::iovec; Outgoing::PARTS_MAX],
}

// SAFETY: the addresses in it lead into the send that is open on its link, which moves between threads with it.
unsafe impl Send for Flight {}

impl Flight {
    pub(super) fn new() -> Self {
        Self {
            // SAFETY: all zeros is a `msghdr` without a name, vectors and control bytes.
            header: unsafe { mem::zeroed() },
            vectors: [libc::iovec {
                iov_base: ptr::null_mut(),
                iov_len: 0,
            }; Outgoing::PARTS_MAX],
        }
    }

    /// Points the vectors at all of a send but its first `sent` bytes, and gives the header to hand to the kernel. It holds
    /// until the next call, as long as neither this flight nor the send's memory moves.
    pub(super) fn aim(&mut self, send: &Outgoing, sent: usize) -> *const libc::msghdr {
        assert!(
            send.parts.len() <= Outgoing::PARTS_MAX,
            "a send has so many parts at most"
        );
        let mut skip = sent;
        let mut count = 0;
        for part in &send.parts {
            let bytes: &[u8] = part_bytes(send, part);
            let skipped = skip.min(bytes.len());
            skip -= skipped;
            let rest = &bytes[skipped..];
            if rest.is_empty() {
                continue;
            }
            self.vectors[count] = libc::iovec {
                // The kernel only reads there; `iovec` has no way to say so.
                iov_base: rest.as_ptr().cast_mut().cast(),
                iov_len: rest.len(),
            };
            count += 1;
        }
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = count;
        &raw const self.header
    }
}

/// Bytes of a send.
pub(super) fn total(send: &Outgoing) -> usize {
    send.parts
        .iter()
        .map(|part| part_bytes(send, part).len())
        .sum()
}

fn part_bytes<'a>(send: &'a Outgoing, part: &'a Part) -> &'a [u8] {
    match part {
        Part::Head(range) => &send.head[range.clone()],
        Part::Records(slice) => slice,
    }
}

#[cfg(test)]
mod tests {
    use std::slice;
    use std::sync::Arc;

    use quorate_replication::buffer::{Buffer, Slice};
    use quorate_replication::seam::{Part, Send};

    use super::{Flight, total};

    #[test]
    fn a_send_goes_on_where_the_kernel_stopped() {
        let mut buffer = Buffer::zeroed(4096);
        buffer[..5].copy_from_slice(b"cargo");
        let records = Slice::new(Arc::new(buffer), 0..5);
        let send = Send {
            head: b"headtail".to_vec(),
            parts: vec![Part::Head(0..4), Part::Records(records), Part::Head(4..8)],
        };
        let all = b"headcargotail";
        assert_eq!(total(&send), all.len());
        let mut flight = Flight::new();
        for sent in 0..=all.len() {
            let header = flight.aim(&send, sent);
            // SAFETY: the header is `flight`'s, whose vectors point into `send`; both are here.
            let rest: Vec<u8> = unsafe {
                slice::from_raw_parts((*header).msg_iov, (*header).msg_iovlen)
                    .iter()
                    .flat_map(|vector| {
                        slice::from_raw_parts(vector.iov_base.cast::<u8>(), vector.iov_len)
                    })
                    .copied()
                    .collect()
            };
            assert_eq!(rest, all[sent..]);
        }
    }
}
