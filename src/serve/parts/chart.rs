//! Numbers over time: a line as SVG, drawn by hand.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::model::readable::size;

/// The width and height of the drawing, and the room for words at its left edge and below.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 160.0;

/// Draws sizes over time: `points` are pairs of seconds and bytes in the order of time. `label` says in words what is drawn.
///
/// Of fewer than two points nothing is drawn.
pub fn chart(points: &[(i64, u64)], label: &str) -> Markup {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return html! {};
    };
    let top = points.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let span = last.0.saturating_sub(first.0);
    if span <= 0 {
        return html! {};
    }
    let place = |(seconds, bytes): &(i64, u64)| {
        let x = seconds.saturating_sub(first.0) as f64 / span as f64 * WIDTH;
        let y = HEIGHT - *bytes as f64 / top.max(1) as f64 * HEIGHT;
        (x, y)
    };
    let mut line = String::new();
    for point in points {
        let (x, y) = place(point);
        let start = if line.is_empty() { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(line, "{start}{x:.1} {y:.1}");
    }
    let area = format!("{line}V{HEIGHT}H0z");
    html! {
        figure .chart {
            svg viewBox={ "-4 -6 " (WIDTH + 8.0) " " (HEIGHT + 12.0) } preserveAspectRatio="none" role="img" aria-label=(label) {
                path .area d=(area) {}
                path .base d={ "M0 " (HEIGHT) "H" (WIDTH) } {}
                path .line d=(line) {}
            }
            figcaption { span { "largest " (size(top)) } span { "last " (size(last.1)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_reaches_from_corner_to_corner_and_needs_two_times() {
        let drawn = chart(&[(0, 0), (5, 1024), (10, 512)], "x").into_string();
        assert!(drawn.contains("M0.0 160.0L320.0 0.0L640.0 80.0"), "{drawn}");
        assert!(
            drawn.contains("largest 1.0 KiB") && drawn.contains("last 512 B"),
            "{drawn}"
        );
        for points in [&[][..], &[(1, 1)], &[(1, 1), (1, 2)]] {
            assert_eq!(chart(points, "x").into_string(), "");
        }
        chart(&[(i64::MIN, u64::MAX), (i64::MAX, u64::MAX)], "x");
    }
}
