//! The picture: how long each runtime takes, where the peer is 1.

use std::fmt::Write as _;

use crate::report::Report;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 330.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 12.0;
const COLOURS: [&str; 4] = ["#1b7f5c", "#9aa5b1", "#c8884a", "#7a6fb0"];

/// Draws all rows as bars of the median ratio, with our own first.
pub(crate) fn draw(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write_picture(&mut out, report);
    out
}

fn write_picture(out: &mut String, report: &Report) -> std::fmt::Result {
    let runtimes = report.runtimes.len() as f64;
    let group = runtimes * BAR + 14.0;
    let height = 60.0 + group * report.rows.len() as f64;
    let ratios = report.rows.iter().flat_map(|row| &row.timed).map(|timed| timed.wall_ratio.1);
    let most = ratios.fold(1.0_f64, f64::max).min(6.0);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">
    <rect width="100%" height="100%" fill="#ffffff"/>"##
    )?;
    for (n, name) in report.runtimes.iter().enumerate() {
        let x = LEFT + 110.0 * n as f64;
        let colour = COLOURS[n % COLOURS.len()];
        writeln!(out, r#"<rect x="{x}" y="14" width="12" height="12" fill="{colour}"/>"#)?;
        writeln!(out, r##"<text x="{}" y="24" fill="#222">{}</text>"##, x + 18.0, escape(name))?;
    }
    let one = LEFT + scale;
    writeln!(
        out,
        r##"<line x1="{one}" x2="{one}" y1="36" y2="{}" stroke="#bbb" stroke-dasharray="3 3"/>"##,
        height - 12.0
    )?;
    for (n, row) in report.rows.iter().enumerate() {
        let top = 44.0 + group * n as f64;
        let label = escape(&row.about.replace('`', ""));
        let middle = top + runtimes * BAR / 2.0 + 4.0;
        writeln!(
            out,
            r##"<text x="{}" y="{middle}" text-anchor="end" fill="#222">{label}</text>"##,
            LEFT - 10.0
        )?;
        for (n, timed) in row.timed.iter().enumerate() {
            let (y, ratio) = (top + BAR * n as f64, timed.wall_ratio.1);
            let width = ratio.min(most) * scale;
            let colour = COLOURS[n % COLOURS.len()];
            writeln!(
                out,
                r##"<rect x="{LEFT}" y="{y}" width="{width:.1}" height="{}" fill="{colour}"/>
<text x="{:.1}" y="{}" fill="#444" font-size="10">{ratio:.2}</text>"##,
                BAR - 2.0,
                LEFT + width + 4.0,
                y + 9.0
            )?;
        }
    }
    writeln!(out, "</svg>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
