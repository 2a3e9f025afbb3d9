//! The ways of notifications, with their secrets: what is needed before a message is composed, and the task that sends
//! it.

use anyhow::Result;

use super::{command::CommandWay, limit::Limit, message::Message};
#[cfg(feature = "notify")]
use super::{
    email::MailWay,
    http::{self, WebWay},
    tries::Tries,
};
#[cfg(feature = "notify")]
use crate::store::web::WebClient;
use crate::{
    config::{
        Settings,
        notify::{Notification, Way},
        secret::Lookup,
    },
    context::Context,
    error::Failure,
    model::user_command::UserCommand,
};

/// A task that sends one message. Its error holds no secret.
pub type Task = Box<dyn FnMut(&Limit) -> Result<(), String> + Send>;

/// A way with its secrets.
pub enum ReadyWay {
    /// Over HTTP.
    #[cfg(feature = "notify")]
    Web(Box<WebWay>, Box<WebClient>),
    /// By mail.
    #[cfg(feature = "notify")]
    Mail(Box<MailWay>),
    /// By a command.
    Command(UserCommand),
}

/// Returns the surroundings in which the secrets of a notification are resolved.
pub fn lookup<'a>(
    context: &'a Context,
    settings: &'a Settings,
    notification: &Notification,
    advance: &'a dyn Fn(u64) -> Result<()>,
) -> Lookup<'a> {
    Lookup {
        config: &settings.config,
        environment: &context.environment,
        runner: &context.runner,
        limit: notification.timeout,
        advance,
    }
}

/// Refuses a notification that this program is built without.
pub fn require_built(notification: &Notification) -> Result<(), Failure> {
    let is_command = matches!(notification.way, Way::Command(_));
    if is_command || cfg!(feature = "notify") {
        return Ok(());
    }
    let (name, kind) = (&notification.name, notification.way.kind());
    let what = format!("the notification {name} of the kind `{kind}` cannot be sent");
    Err(Failure::without("notify", &what))
}

impl ReadyWay {
    /// Resolves the secrets of a notification, and makes its client.
    pub fn resolve(
        context: &Context,
        settings: &Settings,
        notification: &Notification,
        limit: &Limit,
    ) -> Result<ReadyWay> {
        require_built(notification)?;
        let advance = |_: u64| limit.check();
        let lookup = lookup(context, settings, notification, &advance);
        match &notification.way {
            #[cfg(feature = "notify")]
            Way::Web(web) => {
                let way = WebWay::resolve(web, &lookup)?;
                let client = way.client(&lookup, limit.left() / Tries::default().count)?;
                Ok(ReadyWay::Web(Box::new(way), Box::new(client)))
            }
            #[cfg(feature = "notify")]
            Way::Email(email) => Ok(ReadyWay::Mail(Box::new(MailWay::resolve(email, &lookup)?))),
            #[cfg(not(feature = "notify"))]
            Way::Web(_) | Way::Email(_) => {
                let _ = lookup;
                Err(Failure::without("notify", "nothing can be sent").into())
            }
            Way::Command(command) => Ok(ReadyWay::Command(command.clone())),
        }
    }

    /// Returns the task that sends a message.
    pub fn task(
        self,
        context: &Context,
        settings: &Settings,
        name: &str,
        message: &Message,
    ) -> Result<Task> {
        let runner = context.runner.clone();
        match self {
            #[cfg(feature = "notify")]
            ReadyWay::Web(way, client) => {
                let request = way.request(message);
                Ok(Box::new(move |limit| {
                    http::send(&client, &request, Tries::default(), limit, &runner)
                }))
            }
            #[cfg(feature = "notify")]
            ReadyWay::Mail(way) => {
                let mail = way.mail(context, message)?;
                Ok(Box::new(move |limit| {
                    mail.send(Tries::default(), limit, &runner)
                }))
            }
            ReadyWay::Command(command) => {
                let events = context.events.clone();
                let mark = &context.unique;
                let way = CommandWay::new(name, &command, settings, message, mark);
                Ok(Box::new(move |limit| way.run(limit, &runner, &events)))
            }
        }
    }
}
