#![no_main]

libfuzzer_sys::fuzz_target!(
    init: quorate_fuzz::seeds::write("gate"),
    |data: &[u8]| quorate_fuzz::gate::check(data)
);
