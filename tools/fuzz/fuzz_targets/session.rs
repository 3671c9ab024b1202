#![no_main]

libfuzzer_sys::fuzz_target!(
    init: quorate_fuzz::seeds::write("session"),
    |data: &[u8]| quorate_fuzz::session::check(data)
);
