//! Line charts as SVG, to stand in a page of [`crate::page`], whose style they share.

use std::fmt::Write as _;

use crate::axis::{Axis, Span, Unit};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 52.0;

/// Colours that the page's style has; further lines begin again.
const COLOURS: usize = 8;

/// Room in the legend for a line's mark, and for a letter of its name.
const MARK: f64 = 34.0;
const LETTER: f64 = 7.0;

/// Lines with more points than this get no dots.
const DOTS_MAX: usize = 60;

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in order.
    pub points: Vec<(f64, f64)>,
}

/// A chart of lines.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// In the order of the legend.
    pub lines: Vec<Line>,
}

/// Text as it may stand in SVG and HTML.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// What is drawn so far.
struct Canvas {
    svg: String,
    x: Span,
    y: Span,
}

impl Chart {
    /// The chart as an SVG element.
    #[must_use]
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let mut canvas = Canvas {
            svg: String::new(),
            x: Span::over(self.x.scale, points().map(|&(x, _)| x)),
            y: Span::over(self.y.scale, points().map(|&(_, y)| y)),
        };
        let title = escape(&self.title);
        canvas.put(format_args!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\" xmlns=\"http://www.w3.org/2000/svg\">"
        ));
        canvas.put(format_args!(
            "<text class=\"title\" x=\"{LEFT}\" y=\"24\">{title}</text>"
        ));
        canvas.grid(self);
        for (at, line) in self.lines.iter().enumerate() {
            canvas.line(self, line, at % COLOURS);
        }
        canvas.legend(&self.lines);
        canvas.put(format_args!("</svg>"));
        canvas.svg
    }
}

impl Canvas {
    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        self.svg
            .write_fmt(element)
            .expect("a string takes everything");
        self.svg.push('\n');
    }

    fn x_at(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_at(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&mut self, chart: &Chart) {
        let (right, foot) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in self.x.ticks() {
            let (x, text) = (self.x_at(tick), chart.x.unit.text(tick));
            self.put(format_args!(
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{foot}\"/>"
            ));
            let y = foot + 18.0;
            self.put(format_args!(
                "<text class=\"tick\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>"
            ));
        }
        for tick in self.y.ticks() {
            let (y, text) = (self.y_at(tick), chart.y.unit.text(tick));
            self.put(format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"
            ));
            let (x, y) = (LEFT - 8.0, y + 4.0);
            self.put(format_args!(
                "<text class=\"tick\" x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>"
            ));
        }
        let (middle_x, middle_y) = (f64::midpoint(LEFT, right), f64::midpoint(TOP, foot));
        let (x_label, y_label) = (escape(&chart.x.label), escape(&chart.y.label));
        let y = HEIGHT - 12.0;
        self.put(format_args!(
            "<text class=\"label\" x=\"{middle_x}\" y=\"{y}\" text-anchor=\"middle\">{x_label}</text>"
        ));
        self.put(format_args!(
            "<text class=\"label\" x=\"16\" y=\"{middle_y}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {middle_y})\">{y_label}</text>"
        ));
    }

    fn line(&mut self, chart: &Chart, line: &Line, colour: usize) {
        let finite = |(x, y): &&(f64, f64)| x.is_finite() && y.is_finite();
        let shown: Vec<(f64, f64)> = line.points.iter().filter(finite).copied().collect();
        let places: Vec<String> = shown
            .iter()
            .map(|&(x, y)| format!("{:.1},{:.1}", self.x_at(x), self.y_at(y)))
            .collect();
        let places = places.join(" ");
        self.put(format_args!(
            "<polyline class=\"line c{colour}\" points=\"{places}\"/>"
        ));
        if shown.len() > DOTS_MAX {
            return;
        }
        for (x, y) in shown {
            let (at_x, at_y) = (self.x_at(x), self.y_at(y));
            let said = said(chart.x.unit, x, chart.y.unit, y);
            let name = escape(&line.name);
            self.put(format_args!(
                "<circle class=\"dot c{colour}\" cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"2.6\"><title>{name}: {said}</title></circle>"
            ));
        }
    }

    fn legend(&mut self, lines: &[Line]) {
        let (mut x, mut y) = (LEFT, 44.0);
        for (at, line) in lines.iter().enumerate() {
            let letters = u16::try_from(line.name.chars().count()).unwrap_or(u16::MAX);
            let width = MARK + LETTER * f64::from(letters);
            if x > LEFT && x + width > WIDTH - RIGHT {
                (x, y) = (LEFT, y + 16.0);
            }
            let (end, middle, text, colour) = (x + 16.0, y - 4.0, x + 21.0, at % COLOURS);
            self.put(format_args!(
                "<line class=\"line c{colour}\" x1=\"{x:.1}\" y1=\"{middle}\" x2=\"{end:.1}\" y2=\"{middle}\"/>"
            ));
            let name = escape(&line.name);
            self.put(format_args!(
                "<text class=\"tick\" x=\"{text:.1}\" y=\"{y}\">{name}</text>"
            ));
            x += width;
        }
    }
}

fn said(x_unit: Unit, x: f64, y_unit: Unit, y: f64) -> String {
    format!("{} at {}", y_unit.text(y), x_unit.text(x))
}

#[cfg(test)]
mod tests {
    use super::{Chart, Line, escape};
    use crate::axis::{Axis, Scale, Unit};
    use crate::page::well_formed;

    fn chart(lines: Vec<Line>) -> Chart {
        let axis = |label: &str, scale, unit| Axis {
            label: label.into(),
            scale,
            unit,
        };
        Chart {
            title: "latency <by> percentile & more".into(),
            x: axis("percentile", Scale::Nines, Unit::Share),
            y: axis("latency", Scale::Log, Unit::Micros),
            lines,
        }
    }

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        Line {
            name: name.into(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn a_chart_is_well_formed_whatever_its_lines_are() {
        let some = line(
            "run \"1\"",
            &[(0.0, 300.0), (0.99, 2_000.0), (1.0, 9_000.0)],
        );
        let odd = line("odd", &[(f64::NAN, 1.0), (0.5, f64::INFINITY), (0.9, 0.0)]);
        for lines in [vec![], vec![line("empty", &[])], vec![some, odd]] {
            let svg = chart(lines).svg();
            well_formed(&svg).unwrap_or_else(|what| panic!("{what}\n{svg}"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_chart_says_what_it_shows_in_which_unit() {
        let svg = chart(vec![line("p99", &[(0.5, 812.0), (0.999, 2_345.0)])]).svg();
        for part in [
            "latency &lt;by&gt; percentile &amp; more",
            ">percentile<",
            ">1 ms<",
            ">99.9 %<",
            ">p99<",
            "<title>p99: 812 us at 50 %</title>",
        ] {
            assert!(svg.contains(part), "{part} is not in\n{svg}");
        }
    }

    #[test]
    fn a_line_goes_up_when_its_values_do() {
        let svg = chart(vec![line("a", &[(0.0, 100.0), (0.9, 1_000.0)])]).svg();
        let points = svg.split("points=\"").nth(1).expect("there is a line");
        let points = points.split('"').next().expect("the attribute ends");
        let place = |text: &str| -> (f64, f64) {
            let (x, y) = text.split_once(',').expect("a point has two numbers");
            (
                x.parse().expect("it is a number"),
                y.parse().expect("it is a number"),
            )
        };
        let places: Vec<_> = points.split(' ').map(place).collect();
        assert!(
            places[1].0 > places[0].0 && places[1].1 < places[0].1,
            "{points}"
        );
    }

    #[test]
    fn a_crowded_legend_takes_a_second_row() {
        let name = "a line with a rather long name, number";
        let lines = (0..6).map(|at| line(&format!("{name} {at}"), &[]));
        let svg = chart(lines.collect()).svg();
        assert!(svg.contains("y=\"44\">a line") && svg.contains("y=\"60\">a line"));
    }

    #[test]
    fn markup_in_text_is_none() {
        assert_eq!(escape("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
    }
}
