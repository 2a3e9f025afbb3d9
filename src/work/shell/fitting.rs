//! Texts that fit into the environment of a process.
//!
//! execve(2) refuses one variable of more than 128 KiB, and about 2 MiB of all; a NUL ends a variable.

/// The longest value of a variable, in bytes.
pub const MOST_VARIABLE_BYTES: usize = 8 << 10;

/// Returns a value that fits into the environment: its beginning, without NUL.
pub(super) fn fit(value: &str) -> String {
    let mut value = value.replace('\0', "");
    if value.len() > MOST_VARIABLE_BYTES {
        let ends = (0..=MOST_VARIABLE_BYTES).rev();
        let end = ends.into_iter().find(|&at| value.is_char_boundary(at));
        value.truncate(end.unwrap_or_default());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_characters_and_a_nul_is_left_out() {
        assert_eq!(fit("a\0b"), "ab");
        let long = "ä".repeat(MOST_VARIABLE_BYTES);
        assert_eq!(fit(&long).len(), MOST_VARIABLE_BYTES);
        let odd = format!("x{long}");
        assert_eq!(fit(&odd).len(), MOST_VARIABLE_BYTES - 1);
    }
}
