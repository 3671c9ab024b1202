//! The connections of a shard by name, and the requests that are open by ticket.

use std::rc::Rc;

use quorate_replication::gate::Filter;
use quorate_replication::lane::{Chunks, Ticket};

use super::connection::Connection;

/// Places that are named by number, and reused; each reuse has a new name, so that a name is never used again.
#[derive(Debug)]
struct Places<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    taken: usize,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            taken: 0,
        }
    }
}

impl<T> Places<T> {
    fn insert(&mut self, make: impl FnOnce(u64) -> T) -> u64 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            u32::try_from(self.places.len() - 1).expect("the configuration bounds the places")
        });
        let (use_count, place) = &mut self.places[to_index(at)];
        let name = (u64::from(*use_count) << 32) | u64::from(at);
        assert!(place.is_none(), "a free place is empty");
        *place = Some(make(name));
        self.taken += 1;
        name
    }

    fn get(&self, name: u64) -> Option<&T> {
        let (at, use_count) = split(name);
        let (now, place) = self.places.get(to_index(at))?;
        place.as_ref().filter(|_| *now == use_count)
    }

    fn get_mut(&mut self, name: u64) -> Option<&mut T> {
        let (at, use_count) = split(name);
        let (now, place) = self.places.get_mut(to_index(at))?;
        place.as_mut().filter(|_| *now == use_count)
    }

    fn remove(&mut self, name: u64) -> Option<T> {
        let (at, use_count) = split(name);
        let (now, place) = self.places.get_mut(to_index(at))?;
        if *now != use_count {
            return None;
        }
        let taken = place.take()?;
        self.taken -= 1;
        // A place whose names are used up is left alone.
        if let Some(next) = now.checked_add(1) {
            *now = next;
            self.free.push(at);
        }
        Some(taken)
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|(_, place)| place.as_ref())
    }
}

fn split(name: u64) -> (u32, u32) {
    let low = u32::try_from(name & u64::from(u32::MAX)).expect("32 bits were masked");
    let high = u32::try_from(name >> 32).expect("32 bits are left");
    (low, high)
}

fn to_index(at: u32) -> usize {
    usize::try_from(at).expect("32 bits fit into a size")
}

/// The connections of a shard.
#[derive(Debug, Default)]
pub(super) struct Connections {
    places: Places<Rc<Connection>>,
}

impl Connections {
    pub(super) fn insert(&mut self, make: impl FnOnce(u64) -> Connection) -> Rc<Connection> {
        let name = self.places.insert(|name| Rc::new(make(name)));
        Rc::clone(self.places.get(name).expect("it was just put there"))
    }

    pub(super) fn get(&self, name: u64) -> Option<Rc<Connection>> {
        self.places.get(name).map(Rc::clone)
    }

    pub(super) fn remove(&mut self, name: u64) -> Option<Rc<Connection>> {
        self.places.remove(name)
    }

    pub(super) const fn len(&self) -> usize {
        self.places.taken
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Rc<Connection>> {
        self.places.iter()
    }
}

/// What an open request holds until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Its place only.
    Place,
    /// Bytes of a chunk, or of a run of them.
    Chunk(usize),
    /// One of the fetches.
    Fetch,
    /// A fetch of a subscription, whose name its correlation is.
    Push,
}

/// A request that the pipeline has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenRequest {
    pub(super) connection: u64,
    /// The client's name for it. Two of one connection may share one, if the client likes to be confused.
    pub(super) correlation: u64,
    pub(super) holds: Holds,
    /// How many requests it is that are not answered: of a run, one a chunk.
    pub(super) requests: u32,
    /// Which of the records it wants; all if there is none.
    pub(super) filter: Option<Filter>,
}

/// The requests that the pipeline has: as many as the lane has room for.
#[derive(Debug, Default)]
pub(super) struct OpenRequests {
    places: Places<OpenRequest>,
}

impl OpenRequests {
    /// The ticket for a request of a connection.
    pub(super) fn open(&mut self, request: OpenRequest) -> Ticket {
        let connection = request.connection;
        Ticket {
            connection,
            chunks: Chunks::all(request.requests),
            correlation: self.places.insert(|_| request),
        }
    }

    /// The request of a ticket that was answered; of a run, what is answered of it.
    pub(super) fn close(&mut self, ticket: Ticket) -> Option<OpenRequest> {
        let answered = ticket.chunks.count;
        let open = self.places.get_mut(ticket.correlation)?;
        if open.requests == answered {
            return self.places.remove(ticket.correlation);
        }
        let mut part = open.clone();
        part.requests = answered;
        if let Holds::Chunk(bytes) = &mut open.holds {
            // As if all were equally long: the last part gives what is left.
            let share = *bytes / to_index(open.requests) * to_index(answered);
            part.holds = Holds::Chunk(share);
            *bytes -= share;
        }
        open.requests = open.requests.checked_sub(answered)?;
        Some(part)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &OpenRequest> {
        self.places.iter()
    }

    pub(super) const fn len(&self) -> usize {
        self.places.taken
    }
}

#[cfg(test)]
mod tests {
    use quorate_replication::lane::{Chunks, Ticket};

    use super::{Holds, OpenRequest, OpenRequests, Places};

    #[test]
    fn a_run_that_is_answered_in_parts_gives_back_what_it_held() {
        let mut open = OpenRequests::default();
        let ticket = open.open(OpenRequest {
            connection: 1,
            correlation: 9,
            holds: Holds::Chunk(10),
            requests: 3,
            filter: None,
        });
        let part = |at, count| Ticket {
            chunks: Chunks { at, count },
            ..ticket
        };
        let mut close = |at, count| {
            let part = open.close(part(at, count))?;
            Some((part.requests, part.holds))
        };
        assert_eq!(close(0, 1), Some((1, Holds::Chunk(3))));
        assert_eq!(close(1, 2), Some((2, Holds::Chunk(7))));
        assert_eq!(close(0, 1), None, "all of it is answered");
    }

    #[test]
    fn a_name_is_never_used_again() {
        let mut places = Places::default();
        let one = places.insert(|_| "one");
        assert_eq!(places.remove(one), Some("one"));
        let two = places.insert(|_| "two");
        assert_ne!(one, two);
        assert_eq!((places.get(one), places.get(two)), (None, Some(&"two")));
        assert_eq!(places.remove(one), None);
        assert_eq!(
            (places.taken, places.places.len()),
            (1, 1),
            "the place was used again"
        );
    }

    #[test]
    fn a_place_whose_names_are_used_up_is_left_alone() {
        let mut places = Places::default();
        let first = places.insert(|_| 1);
        places.places[0].0 = u32::MAX;
        assert_eq!(places.get(first), None);
        let last = (u64::from(u32::MAX) << 32) | first;
        assert_eq!(places.remove(last), Some(1));
        assert_eq!(places.remove(last), None);
        assert_eq!(
            places.insert(|_| 2),
            1,
            "another place, with its first name"
        );
    }
}
