//! The formats as a client in another language meets them: golden files, damage, chance, and the pages that specify them.

mod damage;
mod dump;
mod golden;
mod pages;
mod properties;
mod reseal;
mod samples;
mod tables;
mod vectors;
