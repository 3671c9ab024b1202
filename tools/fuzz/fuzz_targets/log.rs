#![no_main]

libfuzzer_sys::fuzz_target!(
    init: quorate_fuzz::seeds::write("log"),
    |data: &[u8]| quorate_fuzz::log::check(data)
);
