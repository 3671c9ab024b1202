//! A flame graph: where processor time went, as one SVG that needs nothing else.
//!
//! Each stack that was seen is a path from the root; a frame is as wide as its share of the samples, and stands on its caller.
//! The page has a script: a click on a frame makes it as wide as the page, Ctrl-F marks the names with a text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::chart::escape;

const WIDTH: f64 = 1200.0;
const ROW: f64 = 16.0;
const HEAD: f64 = 56.0;

/// Frames narrower than this are left out: nobody sees them, and they are most of the page.
const NARROWEST: f64 = 0.1;

const STYLE: &str = "\
svg { background: #fbfbfa; font: 12px ui-monospace, monospace; } .title { font: 600 17px system-ui, sans-serif; }
.soft { fill: #5c6670; font-family: system-ui, sans-serif; } .flame { cursor: pointer; } .flame rect { stroke: #fbfbfa; stroke-width: .5; }
.flame text { pointer-events: none; } .found rect { fill: #b05cd6; } .hidden { display: none; }";

/// Widths are shares of the root: a zoom stretches all frames so that one share fills the page.
const SCRIPT: &str = r#"
const svg = document.documentElement, flames = [...svg.querySelectorAll('.flame')];
const share = (flame) => [+flame.dataset.from, +flame.dataset.share];
function zoom(to) {
  const [from, width] = share(to);
  for (const flame of flames) {
    const [left, wide] = share(flame), x = (left - from) / width, end = (left + wide - from) / width;
    const shown = end > 1e-9 && x < 1 - 1e-9;
    flame.classList.toggle('hidden', !shown);
    if (!shown) continue;
    const at = Math.max(x, 0) * 1200, pixels = Math.min(end, 1) * 1200 - at;
    const [rect, text] = [flame.querySelector('rect'), flame.querySelector('text')];
    rect.setAttribute('x', at); rect.setAttribute('width', pixels); text.setAttribute('x', at + 3);
    const letters = Math.floor((pixels - 6) / 7.3), name = flame.dataset.name;
    text.textContent = letters < 3 ? '' : name.length <= letters ? name : name.slice(0, letters - 2) + '..';
  }
}
flames.forEach((flame) => flame.addEventListener('click', () => zoom(flame)));
window.addEventListener('keydown', (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key !== 'f') return;
  event.preventDefault();
  const wanted = prompt('Which names?') || '';
  flames.forEach((flame) => flame.classList.toggle('found', wanted !== '' && flame.dataset.name.includes(wanted)));
});
"#;

#[derive(Debug, Default)]
struct Frame {
    samples: u64,
    callees: BTreeMap<String, Frame>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Flames {
    root: Frame,
}

impl Flames {
    /// Counts a stack, the outermost caller first.
    pub fn add<S: Into<String>>(&mut self, stack: impl IntoIterator<Item = S>, samples: u64) {
        let mut frame = &mut self.root;
        frame.samples += samples;
        for name in stack {
            frame = frame.callees.entry(name.into()).or_default();
            frame.samples += samples;
        }
    }

    /// How many samples there are.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.root.samples
    }

    /// The page.
    #[must_use]
    pub fn svg(&self, title: &str, subtitle: &str) -> String {
        let mut drawing = Drawing {
            all: float(self.samples().max(1)),
            height: HEAD + ROW * float(self.root.depth() + 1) + ROW,
            svg: String::new(),
        };
        drawing.begin(title, subtitle);
        drawing.frame("all", &self.root, 0.0, 0);
        drawing.put(format_args!(
            "<script><![CDATA[{SCRIPT}]]></script>\n</svg>"
        ));
        drawing.svg
    }
}

impl Frame {
    /// How many frames stand on it at most.
    fn depth(&self) -> u64 {
        let callees = self.callees.values();
        callees.map(|callee| callee.depth() + 1).max().unwrap_or(0)
    }
}

struct Drawing {
    all: f64,
    height: f64,
    svg: String,
}

impl Drawing {
    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        self.svg
            .write_fmt(element)
            .expect("a string takes everything");
        self.svg.push('\n');
    }

    fn begin(&mut self, title: &str, subtitle: &str) {
        let height = self.height;
        self.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
             <style>{STYLE}</style>\n\
             <text class=\"title\" x=\"{}\" y=\"24\" text-anchor=\"middle\">{}</text>\n\
             <text class=\"soft\" x=\"{}\" y=\"44\" text-anchor=\"middle\">{}</text>",
            WIDTH / 2.0,
            escape(title),
            WIDTH / 2.0,
            escape(subtitle)
        ));
    }

    /// A frame that begins at `from` samples, and all that stands on it.
    fn frame(&mut self, name: &str, frame: &Frame, from: f64, level: u64) {
        let share = float(frame.samples) / self.all;
        let width = share * WIDTH;
        if width < NARROWEST {
            return;
        }
        let (at, left) = (from / self.all, from / self.all * WIDTH);
        let top = self.height - ROW * float(level + 2);
        let fits = shortened(name, width);
        let (name, percent) = (escape(name), 100.0 * share);
        self.put(format_args!(
            "<g class=\"flame\" data-name=\"{name}\" data-from=\"{at:.7}\" data-share=\"{share:.7}\">\
             <title>{name} ({} samples, {percent:.2} %)</title>\
             <rect x=\"{left:.2}\" y=\"{top}\" width=\"{width:.2}\" height=\"{ROW}\" fill=\"{}\"/>\
             <text x=\"{:.2}\" y=\"{}\">{}</text></g>",
            frame.samples,
            colour(&name),
            left + 3.0,
            top + 12.0,
            escape(&fits)
        ));
        let mut from = from;
        for (name, callee) in &frame.callees {
            self.frame(name, callee, from, level + 1);
            from += float(callee.samples);
        }
    }
}

/// As much of a name as so many pixels take.
fn shortened(name: &str, width: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a page is not so wide"
    )]
    let letters = ((width - 6.0) / 7.3).max(0.0) as usize;
    if letters < 3 {
        String::new()
    } else if name.chars().count() <= letters {
        name.to_owned()
    } else {
        let kept = name.chars().take(letters - 2);
        kept.chain("..".chars()).collect()
    }
}

/// A warm colour, the same for the same name.
fn colour(name: &str) -> String {
    let mixed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let part = |shift: u32, most: u64| (mixed >> shift) % most;
    let (hue, light) = (part(8, 46), 62 + part(24, 14));
    format!("hsl({hue}, 82%, {light}%)")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a place on a page needs no more digits than a float has"
)]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::{Flames, shortened};

    #[test]
    fn a_frame_stands_on_its_caller_and_is_as_wide_as_its_share() {
        let mut flames = Flames::default();
        flames.add(["pipeline-0", "turn", "write<T> & send"], 3);
        flames.add(["pipeline-0", "turn"], 1);
        flames.add(["shard-0"], 4);
        assert_eq!(flames.samples(), 8);
        let svg = flames.svg("Time", "8 samples");
        for part in [
            "<title>all (8 samples, 100.00 %)</title><rect x=\"0.00\" y=\"104\" width=\"1200.00\"",
            "<title>pipeline-0 (4 samples, 50.00 %)</title><rect x=\"0.00\" y=\"88\" width=\"600.00\"",
            "<title>shard-0 (4 samples, 50.00 %)</title><rect x=\"600.00\" y=\"88\" width=\"600.00\"",
            "<title>turn (4 samples, 50.00 %)</title><rect x=\"0.00\" y=\"72\"",
            "<title>write&lt;T&gt; &amp; send (3 samples, 37.50 %)</title><rect x=\"0.00\" y=\"56\" width=\"450.00\"",
        ] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
        assert_eq!(svg.matches("class=\"flame\"").count(), 5);
    }

    #[test]
    fn what_nobody_sees_is_left_out() {
        let mut flames = Flames::default();
        flames.add(["wide"], 1_000_000);
        flames.add(["narrow"], 1);
        let svg = flames.svg("", "");
        assert!(svg.contains("wide (") && !svg.contains("narrow"), "{svg}");
    }

    #[test]
    fn names_are_cut_to_their_frames() {
        assert_eq!(shortened("quorate", 100.0), "quorate");
        assert_eq!(shortened("quorate", 50.0), "quor..");
        assert_eq!(shortened("quorate", 10.0), "");
    }
}
