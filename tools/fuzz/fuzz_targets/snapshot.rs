#![no_main]

libfuzzer_sys::fuzz_target!(
    init: quorate_fuzz::seeds::write("snapshot"),
    |data: &[u8]| quorate_fuzz::snapshot::check(data)
);
