#![no_main]

libfuzzer_sys::fuzz_target!(
    init: quorate_fuzz::seeds::write("frame"),
    |data: &[u8]| quorate_fuzz::frame::check(data)
);
