//! The check of notifications without sending one: their secrets, addresses, proxies and certificates.

use anyhow::Result;

use super::{channel, delivery::reason};
#[cfg(feature = "notify")]
use super::{email, http};
#[cfg(feature = "notify")]
use crate::{
    config::notify::{Channel, Email, Web},
    store::web,
};
use crate::{
    config::{
        Settings,
        notify::Notification,
        secret::{Lookup, WrittenSecret, read_required},
    },
    context::Context,
    error::{Failure, Kind},
    store::Secret,
};

/// The results of the check.
#[derive(Debug, Default)]
pub struct Checked {
    /// Faults of the configuration.
    pub faults: Vec<String>,
    /// Faults that may exist in this process alone.
    pub warnings: Vec<String>,
}

/// Checks each notification that is enabled. Runs no command, and sends nothing.
pub fn check(context: &Context, settings: &Settings) -> Result<Checked> {
    settings.mask_secrets(&context.runner.masks);
    let mut checked = Checked::default();
    for notification in &settings.schema.notify {
        let section = format!("[[backup.notify]] {}", notification.name);
        if !notification.enabled {
            let warning = format!("{section}: it is disabled, and never sent");
            checked.warnings.push(warning);
            continue;
        }
        let step = context.step();
        let mut findings = Findings {
            lookup: &channel::lookup(context, settings, notification, &step),
            faults: Vec::new(),
            unseen: Vec::new(),
        };
        findings.check(notification)?;
        let unseen = findings.unseen.iter();
        checked
            .warnings
            .extend(unseen.map(|unseen| format!("{section}: {unseen}")));
        let config = settings.config.display();
        for fault in &findings.faults {
            let fault = context.runner.masked(fault);
            checked.faults.push(format!("{config}: {section}: {fault}"));
        }
    }
    Ok(checked)
}

/// The findings about one notification. Each check is made, even if a secret that another one needs cannot be read here.
struct Findings<'a> {
    lookup: &'a Lookup<'a>,
    /// The faults.
    faults: Vec<String>,
    /// The secrets that cannot be read here.
    unseen: Vec<String>,
}

impl Findings<'_> {
    fn check(&mut self, notification: &Notification) -> Result<()> {
        let built = channel::require_built(notification);
        if self.note(built.map_err(Into::into))?.is_none() {
            return Ok(());
        }
        #[cfg(feature = "notify")]
        match &notification.channel {
            Channel::Web(web) => self.check_web(web),
            Channel::Email(email) => self.check_mail(email),
            Channel::Command(_) => Ok(()),
        }
        #[cfg(not(feature = "notify"))]
        for secret in notification.secrets() {
            self.value(secret)?;
        }
        #[cfg(not(feature = "notify"))]
        Ok(())
    }

    #[cfg(feature = "notify")]
    fn check_web(&mut self, web: &Web) -> Result<()> {
        let url = self.value(&web.url)?;
        for secret in web.token.iter().chain(web.headers.values()) {
            self.value(secret)?;
        }
        let ca_file = self.lookup.path(web.ca_file.as_deref());
        self.note(web::check_authorities(ca_file.as_deref()))?;
        let address = match url {
            Some(url) => self.note(http::address(&url).map_err(Into::into))?,
            None => None,
        };
        let proxy = match &web.proxy {
            Some(written) => match self.value(written)? {
                Some(proxy) => Some(proxy),
                // The variables do not count.
                None => return Ok(()),
            },
            None => None,
        };
        let environment = self.lookup.environment;
        let checked = web::check_proxy(address.as_ref(), proxy.as_ref(), environment);
        self.note(checked).map(drop)
    }

    #[cfg(feature = "notify")]
    fn check_mail(&mut self, mail: &Email) -> Result<()> {
        if let Some(password) = &mail.password {
            self.value(password)?;
        }
        let ca_file = self.lookup.path(mail.ca_file.as_deref());
        self.note(email::check_authorities(ca_file.as_deref()))?;
        self.note(email::addresses(mail).map_err(Into::into))
            .map(drop)
    }

    /// Returns the value of a secret if it can be read here without a command.
    fn value(&mut self, written: &WrittenSecret) -> Result<Option<Secret>> {
        if !written.is_at_hand() {
            return Ok(None);
        }
        match self.lookup.find(written) {
            Ok(value) => self.note(read_required(written, &value).map_err(Into::into)),
            Err(error) => {
                self.unseen.push(format!("{error:#}"));
                Ok(None)
            }
        }
    }

    /// Returns the result of a check that held, and notes the fault of another one. Fails if the check was interrupted.
    fn note<T>(&mut self, checked: Result<T>) -> Result<Option<T>> {
        match checked {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let failure = Failure::of(&error);
                if let Kind::Interrupted(_) = failure.kind {
                    return Err(error);
                }
                self.faults.push(reason(&failure));
                Ok(None)
            }
        }
    }
}
