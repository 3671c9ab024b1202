//! A page with facts, tables and charts: one file that needs nothing else, in a light and a dark dress.

use std::fmt::Write as _;

use crate::chart::{Chart, escape};

const STYLE: &str = "\
:root { color-scheme: light dark; --ground: #fbfbfa; --text: #1d232b; --soft: #5c6670; --grid: #dfe3e8;
  --c0: #2463c4; --c1: #c2410c; --c2: #15803d; --c3: #8e2bb5; --c4: #a16207; --c5: #0e7490; --c6: #be185d; --c7: #52525b; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181d; --text: #e4e8ec; --soft: #9aa5b1; --grid: #2c343d;
    --c0: #74a9ff; --c1: #ff9a5c; --c2: #5fd08a; --c3: #d390f5; --c4: #e3bd4e; --c5: #57c7de; --c6: #ff86b6; --c7: #b5b9c2; } }
body { background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0; font-size: 14px; }
table.columns { display: block; overflow-x: auto; font-size: 13px; }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--grid); }
th { color: var(--soft); font-weight: 500; } table:not(.columns) th { white-space: nowrap; }
td.number { text-align: right; white-space: nowrap; }
svg { width: 100%; height: auto; margin: 1rem 0; display: block; }
svg text { fill: var(--text); font-family: system-ui, sans-serif; font-size: 12px; }
svg .title { font-size: 15px; font-weight: 600; } svg .tick { fill: var(--soft); } svg .label { fill: var(--soft); font-size: 13px; }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke: currentColor; }
svg .dot { fill: currentColor; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); } .c7 { color: var(--c7); }
footer { color: var(--soft); margin: 2rem 0; font-size: 13px; }";

/// A page that grows.
#[derive(Debug)]
pub struct Page {
    html: String,
}

impl Page {
    /// A page with a title.
    #[must_use]
    pub fn new(title: &str) -> Self {
        let title = escape(title);
        let mut page = Self {
            html: String::new(),
        };
        page.put(format_args!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{title}</title>\n<style>\n{STYLE}\n</style></head>\n<body>\n<h1>{title}</h1>"
        ));
        page
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        self.html
            .write_fmt(element)
            .expect("a string takes everything");
        self.html.push('\n');
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) {
        let text = escape(text);
        self.put(format_args!("<h2>{text}</h2>"));
    }

    /// What there is to say, each with its name.
    pub fn facts(&mut self, facts: &[(String, String)]) {
        self.put(format_args!("<table>"));
        for (what, text) in facts {
            let (what, text) = (escape(what), escape(text));
            self.put(format_args!("<tr><th>{what}</th><td>{text}</td></tr>"));
        }
        self.put(format_args!("</table>"));
    }

    /// A table with headings. Cells that begin with a digit stand to the right.
    pub fn table(&mut self, headings: &[&str], rows: &[Vec<String>]) {
        self.put(format_args!("<table class=\"columns\">"));
        let cells: Vec<_> = headings
            .iter()
            .map(|cell| format!("<th>{}</th>", escape(cell)))
            .collect();
        self.put(format_args!("<tr>{}</tr>", cells.concat()));
        for row in rows {
            let cells: Vec<_> = row.iter().map(|text| cell(text)).collect();
            self.put(format_args!("<tr>{}</tr>", cells.concat()));
        }
        self.put(format_args!("</table>"));
    }

    /// A chart.
    pub fn chart(&mut self, chart: &Chart) {
        let svg = chart.svg();
        self.put(format_args!("{svg}"));
    }

    /// The page's text.
    #[must_use]
    pub fn finish(mut self, footer: &str) -> String {
        let footer = escape(footer);
        self.put(format_args!("<footer>{footer}</footer>\n</body></html>"));
        self.html
    }
}

fn cell(text: &str) -> String {
    let is_number = text.starts_with(|first: char| first.is_ascii_digit());
    let class = if is_number { " class=\"number\"" } else { "" };
    format!("<td{class}>{}</td>", escape(text))
}

/// Whether each element that begins also ends, in order: enough for what is written here, where no attribute holds a `>`.
#[cfg(test)]
pub(crate) fn well_formed(text: &str) -> Result<(), String> {
    let mut open = Vec::new();
    for part in text.split('<').skip(1) {
        let (tag, behind) = part.split_once('>').ok_or("a tag that does not end")?;
        if behind.contains('>') {
            return Err(format!("a stray > behind {tag}"));
        }
        let name = tag.split_whitespace().next().unwrap_or_default();
        if let Some(name) = name.strip_prefix('/') {
            match open.pop() {
                Some(begun) if begun == name => {}
                begun => return Err(format!("{name} ends, {begun:?} was open")),
            }
        } else if !tag.ends_with('/') && !tag.starts_with('!') {
            open.push(name);
        }
        if tag.matches('"').count() % 2 == 1 {
            return Err(format!("an attribute that does not end: {tag}"));
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err(format!("not ended: {open:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, well_formed};
    use crate::axis::{Axis, Scale, Unit};
    use crate::chart::{Chart, Line};

    #[test]
    fn a_page_is_well_formed_and_needs_nothing_else() {
        let axis = |label: &str| Axis {
            label: label.into(),
            scale: Scale::Linear,
            unit: Unit::Count,
        };
        let mut page = Page::new("a <page>");
        page.heading("facts & figures");
        page.table(
            &["what", "how many"],
            &[vec!["a < b".into(), "1,234".into()]],
        );
        page.facts(&[("rate".into(), "1,235 events/s & more".into())]);
        page.chart(&Chart {
            title: "chart".into(),
            x: axis("x"),
            y: axis("y"),
            lines: vec![Line {
                name: "one".into(),
                points: vec![(1.0, 2.0)],
            }],
        });
        let html = page.finish("made by \"us\"");
        well_formed(&html).unwrap_or_else(|what| panic!("{what}\n{html}"));
        assert!(html.contains("<td class=\"number\">1,234</td>"), "{html}");
        assert!(
            html.contains("<td>1,235 events/s &amp; more</td>"),
            "{html}"
        );
        let linked = ["href", "src=", "@import", "url("];
        assert!(
            linked.iter().all(|link| !html.contains(link)),
            "it is one file"
        );
        assert!(html.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn what_is_not_well_formed_is_seen() {
        for broken in [
            "<a><b></a></b>",
            "<a>",
            "<a x=\"1>y</a>",
            "</a>",
            "<a>></a>",
        ] {
            assert!(well_formed(broken).is_err(), "{broken}");
        }
        assert_eq!(well_formed("<!doctype html><a><b x=\"1\"/>t</a>"), Ok(()));
    }
}
