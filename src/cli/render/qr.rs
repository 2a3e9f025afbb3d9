//! QR codes in text, with two modules in each character: dark ones are ink, as paper needs it.

use qrcode::{Color, EcLevel, QrCode};

/// The white columns before a code, as the standard asks for (ISO/IEC 18004, "quiet zone").
const QUIET: usize = 4;

/// Returns the lines of a code that holds `text`; `None` if no code holds as much.
pub fn code(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let modules = code.to_colors();
    let is_dark = |row: usize, column: usize| {
        let module = modules.get(row * width + column);
        module.is_some_and(|color| *color == Color::Dark)
    };
    let mut out = String::new();
    for row in (0..width).step_by(2) {
        let mut line = " ".repeat(QUIET);
        line.extend((0..width).map(|column| {
            let lower = row + 1 < width && is_dark(row + 1, column);
            match (is_dark(row, column), lower) {
                (true, true) => '\u{2588}',
                (true, false) => '\u{2580}',
                (false, true) => '\u{2584}',
                (false, false) => ' ',
            }
        }));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_fits_a_page_and_has_its_three_corners() {
        let text = "age1".to_owned() + &"q".repeat(58);
        let code = code(&text).expect("it fits");
        let lines: Vec<&str> = code.lines().collect();
        // Version 4 has 33 modules.
        assert_eq!(lines.len(), 17, "{code}");
        assert!(lines.iter().all(|line| line.chars().count() <= QUIET + 33));
        let corner = "\u{2588}\u{2580}\u{2580}\u{2580}\u{2580}\u{2580}\u{2588}";
        let first = lines[0].trim_start();
        assert!(
            first.starts_with(corner) && first.ends_with(corner),
            "{code}"
        );
        assert!(super::code(&"x".repeat(3000)).is_none());
    }
}
