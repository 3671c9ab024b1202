//! The sleep protocol of the lanes, in all orders in which two or three threads can meet in it.

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use sleep::Sleep;
use sync::{AtomicBool, Ordering};

/// What the file is built on here: atomics whose every order is tried.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

#[path = "../src/lane/sleep.rs"]
mod sleep;

/// A sleeper, what it waits for, and its bell.
struct Room {
    sleep: Sleep,
    /// What each waker puts there.
    items: [AtomicBool; 2],
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Room {
    fn new() -> Self {
        Self {
            sleep: Sleep::new(),
            items: [AtomicBool::new(false), AtomicBool::new(false)],
            rung: Mutex::new(false),
            bell: Condvar::new(),
        }
    }

    fn put(&self, waker: usize) {
        self.items[waker].store(true, Ordering::Release);
        if self.sleep.end() {
            *self.rung.lock().expect("nobody panics") = true;
            self.bell.notify_one();
        }
    }

    fn has(&self, wakers: usize) -> bool {
        let mut items = self.items[..wakers].iter();
        items.all(|item| item.load(Ordering::Acquire))
    }

    /// Sleeps until all wakers have put something there. A wake-up that is lost is a deadlock, which the model reports.
    fn wait(&self, wakers: usize) {
        while !self.has(wakers) {
            self.sleep.announce();
            if !self.has(wakers) {
                let mut rung = self.rung.lock().expect("nobody panics");
                while !*rung {
                    rung = self.bell.wait(rung).expect("nobody panics");
                }
                *rung = false;
            }
            self.sleep.retract();
        }
    }
}

fn check(wakers: usize) {
    let mut model = loom::model::Builder::new();
    // All orders of two threads are few; of three there are too many, but what goes wrong does so after few switches.
    model.preemption_bound = (wakers > 1).then_some(2);
    model.check(move || {
        let room = Arc::new(Room::new());
        let threads: Vec<_> = (0..wakers)
            .map(|waker| {
                let room = Arc::clone(&room);
                thread::spawn(move || room.put(waker))
            })
            .collect();
        room.wait(wakers);
        for thread in threads {
            thread.join().expect("nobody panics");
        }
    });
}

#[test]
fn one_waker_is_never_slept_over() {
    check(1);
}

#[test]
fn of_two_wakers_none_is_slept_over() {
    check(2);
}
