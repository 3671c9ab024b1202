#![no_main]

libfuzzer_sys::fuzz_target!(
    init: quorate_fuzz::seeds::write("peer"),
    |data: &[u8]| quorate_fuzz::peer::check(data)
);
