//! The language of man(7).

/// The most columns of a line of the source.
const LINE_WIDTH: usize = 78;

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Roff(String);

impl Roff {
    /// Returns the page.
    pub fn finish(self) -> String {
        self.0
    }

    /// Adds instructions, or text that is escaped already.
    pub fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// Begins a section.
    pub fn section(&mut self, name: &str) {
        self.0.push_str(&format!(".SH {}\n", quoted(name)));
    }

    /// Adds a paragraph's lines, each sentence on lines of its own.
    pub fn text(&mut self, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            let word = escaped(word);
            if !line.is_empty() && line.len() + 1 + word.len() > LINE_WIDTH {
                self.line(&line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
            if word.ends_with(['.', '!', '?']) {
                self.line(&line);
                line.clear();
            }
        }
        if !line.is_empty() {
            self.line(&line);
        }
    }

    /// Adds a line that is text, whatever it begins with.
    pub fn line(&mut self, line: &str) {
        // Otherwise man(7) would read the line as an instruction.
        if line.starts_with(['.', '\'']) {
            self.0.push_str("\\&");
        }
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// Adds paragraphs, which blank lines divide.
    pub fn paragraphs(&mut self, text: &str) {
        let paragraphs = text.split("\n\n").filter(|text| !text.trim().is_empty());
        for (at, paragraph) in paragraphs.enumerate() {
            if at > 0 {
                self.0.push_str(".PP\n");
            }
            self.text(paragraph);
        }
    }

    /// Adds a paragraph after a list.
    pub fn text_after(&mut self, text: &str) {
        self.0.push_str(".PP\n");
        self.text(text);
    }

    /// Adds an item of a list.
    pub fn item(&mut self, head: &str, body: &str) {
        self.0.push_str(&format!(".TP\n{head}\n"));
        self.text(body);
    }
}

/// Returns the text as a sentence, with a capital letter and a full stop.
pub fn sentence(text: &str) -> String {
    let mut text = text.trim().to_owned();
    if let Some(first) = text.chars().next() {
        text.replace_range(..first.len_utf8(), &first.to_uppercase().to_string());
    }
    if !text.ends_with(['.', '!', '?', ']', ':']) {
        text.push('.');
    }
    text
}

/// Returns bold text.
pub fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escaped(text))
}

fn quoted(text: &str) -> String {
    match text.contains(' ') {
        true => format!("\"{}\"", escaped(text)),
        false => escaped(text),
    }
}

/// Returns text for man(7), escaped (groff_char(7)).
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_an_instruction_is_text() {
        let mut page = Roff::default();
        page.text(".br of 'x' and a\\b. 'y");
        assert_eq!(page.0, "\\&.br of \\(aqx\\(aq and a\\eb.\n\\(aqy\n");
    }
}
