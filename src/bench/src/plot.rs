//! The report as one SVG picture, self-contained: compile times on a logarithmic scale, and run times over mimeo's.

use crate::report::Report;
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 90.0;
const BAR: f64 = 15.0;
const GAP: f64 = 16.0;
const COLOURS: [&str; 8] = [
    "#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5",
];

/// A bar: its label, its engine, its length.
struct Bar {
    engine: String,
    value: f64,
}

/// Bars that belong together.
struct Group {
    name: String,
    bars: Vec<Bar>,
}

/// The whole picture.
pub fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 20.0;
    let engines: Vec<&str> = report.compilers();
    let compile: Vec<Group> = report
        .sizes()
        .into_iter()
        .map(|size| Group {
            name: format!("{size} uops"),
            bars: engines
                .iter()
                .filter_map(|engine| {
                    let row = report.compile_row(size, engine)?;
                    Some(bar(engine, row.compile_ns_per_uop))
                })
                .collect(),
        })
        .collect();
    chart(
        &mut body,
        &mut y,
        "Compile time, ns per uop (logarithmic)",
        &compile,
        &engines,
    );
    let runners = report.runners();
    let run: Vec<Group> = report
        .kernel_names()
        .into_iter()
        .filter_map(|kernel| {
            let own = report.run_time(kernel, "mimeo")?;
            let ratio = |engine: &&str| Some(bar(engine, report.run_time(kernel, engine)? / own));
            Some(Group {
                name: kernel.to_owned(),
                bars: runners.iter().filter_map(ratio).collect(),
            })
        })
        .collect();
    // The colours are the compile chart's where there is one.
    let colours = if engines.is_empty() {
        &runners
    } else {
        &engines
    };
    chart(
        &mut body,
        &mut y,
        "Run time over mimeo's (logarithmic)",
        &run,
        colours,
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// The picture in a page.
pub fn html(report: &Report) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>mimeo bench</title></head>\n\
         <body>\n{}</body>\n</html>\n",
        svg(report)
    )
}

fn bar(engine: &str, value: f64) -> Bar {
    Bar {
        engine: engine.to_owned(),
        value,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, what: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escape(what)
    );
}

/// Draws groups of bars, and moves `y` below them.
fn chart(out: &mut String, y: &mut f64, title: &str, groups: &[Group], engines: &[&str]) {
    let values = || groups.iter().flat_map(|group| &group.bars);
    let positive = || values().map(|bar| bar.value).filter(|&value| value > 0.0);
    let (Some(least), Some(most)) = (
        positive().min_by(f64::total_cmp),
        positive().max_by(f64::total_cmp),
    ) else {
        return;
    };
    let low = least.log10().floor();
    let high = most.log10().ceil().max(low + 1.0);
    let place = |value: f64| {
        let share = (value.max(least).log10() - low) / (high - low);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    };
    text(out, LEFT, *y, "start", title);
    *y += 18.0;
    let top = *y;
    for group in groups {
        text(out, LEFT - 8.0, *y + BAR - 3.0, "end", &group.name);
        for bar in &group.bars {
            let index = engines.iter().position(|engine| *engine == bar.engine);
            let colour = index.map_or("#888", |index| COLOURS[index % COLOURS.len()]);
            let end = place(bar.value);
            let _ = writeln!(
                out,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
                (end - LEFT).max(1.0),
                BAR - 2.0
            );
            let label = format!("{} {}", Significant(bar.value), bar.engine);
            text(out, end + 4.0, *y + BAR - 4.0, "start", &label);
            *y += BAR;
        }
        *y += GAP;
    }
    let mut decade = low;
    while decade <= high {
        let x = place(10f64.powf(decade));
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#0002\"/>",
            top - 4.0,
            *y - GAP
        );
        text(out, x, *y, "middle", &format!("{}", 10f64.powf(decade)));
        decade += 1.0;
    }
    *y += 40.0;
}

/// A number with three significant digits.
struct Significant(f64);

impl std::fmt::Display for Significant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = (2 - self.0.abs().max(1e-9).log10().floor() as i32).clamp(0, 3) as usize;
        write!(f, "{:.digits$}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::KernelRow;

    #[test]
    fn a_picture_has_a_bar_for_each_engine_and_escapes_names() {
        let row = |engine: &str, time| KernelRow {
            kernel: "a<b".to_owned(),
            engine: engine.to_owned(),
            uops: 1,
            ns_per_iteration: time,
            code_bytes: None,
        };
        let report = Report {
            kernels: vec![row("mimeo", 1.0), row("other", 3.0)],
            ..Report::default()
        };
        let picture = svg(&report);
        assert_eq!(picture.matches("height=\"13.0\"").count(), 2);
        assert!(picture.contains("a&lt;b") && !picture.contains("a<b"));
        assert!(html(&report).contains("</svg>"));
    }

    #[test]
    fn a_picture_of_nothing_is_empty_and_well_formed() {
        let picture = svg(&Report::default());
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    }
}
