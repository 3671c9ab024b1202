#![no_main]

libfuzzer_sys::fuzz_target!(
    init: quorate_fuzz::seeds::write("record"),
    |data: &[u8]| quorate_fuzz::record::check(data)
);
