//! Keys of a section that hold secrets, or URLs with a password in them.

use super::{
    reader::Section,
    secret::{SecretForm, WrittenSecret, is_reference},
};
use crate::store::{
    Secret,
    proxy::{self, Proxy},
};

impl Section<'_> {
    /// Returns a secret: its value, or a reference.
    pub(super) fn secret(&self, key: &'static str, form: SecretForm) -> Option<WrittenSecret> {
        let text = Secret::new(self.text(key)?);
        Some(WrittenSecret { key, form, text })
    }

    /// Returns the URL of a proxy, a reference to one, or `none`.
    pub(super) fn proxy(&self, key: &'static str) -> Option<WrittenSecret> {
        let url = self.text(key)?;
        let is_elsewhere = is_reference(&url);
        if !is_elsewhere
            && url != proxy::NONE
            && let Err(fault) = Proxy::parse(&url, "`proxy`")
        {
            self.fault(key, format!("cannot be used: {fault}"));
        }
        // With a password it is a secret like others.
        let form = match is_elsewhere || url.contains('@') {
            true => SecretForm::Key,
            false => SecretForm::Plain,
        };
        Some(WrittenSecret {
            key,
            form,
            text: Secret::new(url),
        })
    }
}
