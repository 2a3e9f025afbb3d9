//! The channels of notifications, with their secrets: the values that are needed before a message is composed, and the
//! task that sends it.

use anyhow::Result;

use super::{command::CommandChannel, limit::Limit, message::Message};
#[cfg(feature = "notify")]
use super::{
    email::MailChannel,
    http::{self, WebChannel},
    tries::Tries,
};
#[cfg(feature = "notify")]
use crate::store::web::WebClient;
use crate::{
    config::{
        Settings,
        notify::{Channel, Notification},
        secret::Lookup,
    },
    context::Context,
    error::Failure,
    model::user_command::UserCommand,
};

/// A task that sends one message. Its error holds no secret.
pub type Task = Box<dyn FnMut(&Limit) -> Result<(), String> + Send>;

/// A channel with its secrets.
pub enum ReadyChannel {
    /// Over HTTP.
    #[cfg(feature = "notify")]
    Web(Box<WebChannel>, Box<WebClient>),
    /// By mail.
    #[cfg(feature = "notify")]
    Mail(Box<MailChannel>),
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
    let is_command = matches!(notification.channel, Channel::Command(_));
    if is_command || cfg!(feature = "notify") {
        return Ok(());
    }
    let (name, kind) = (&notification.name, notification.channel.kind());
    let what = format!("the notification {name} of the kind `{kind}` cannot be sent");
    Err(Failure::without("notify", &what))
}

impl ReadyChannel {
    /// Resolves the secrets of a notification, and makes its client.
    pub fn resolve(
        context: &Context,
        settings: &Settings,
        notification: &Notification,
        limit: &Limit,
    ) -> Result<ReadyChannel> {
        require_built(notification)?;
        let advance = |_: u64| limit.check();
        let lookup = lookup(context, settings, notification, &advance);
        match &notification.channel {
            #[cfg(feature = "notify")]
            Channel::Web(web) => {
                let channel = WebChannel::resolve(web, &lookup)?;
                let client = channel.client(&lookup, limit.left() / Tries::default().count)?;
                Ok(ReadyChannel::Web(Box::new(channel), Box::new(client)))
            }
            #[cfg(feature = "notify")]
            Channel::Email(email) => Ok(ReadyChannel::Mail(Box::new(MailChannel::resolve(
                email, &lookup,
            )?))),
            #[cfg(not(feature = "notify"))]
            Channel::Web(_) | Channel::Email(_) => {
                let _ = lookup;
                Err(Failure::without("notify", "nothing can be sent").into())
            }
            Channel::Command(command) => Ok(ReadyChannel::Command(command.clone())),
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
            ReadyChannel::Web(channel, client) => {
                let request = channel.request(message);
                Ok(Box::new(move |limit| {
                    http::send(&client, &request, Tries::default(), limit, &runner)
                }))
            }
            #[cfg(feature = "notify")]
            ReadyChannel::Mail(channel) => {
                let mail = channel.mail(context, message)?;
                Ok(Box::new(move |limit| {
                    mail.send(Tries::default(), limit, &runner)
                }))
            }
            ReadyChannel::Command(command) => {
                let events = context.events.clone();
                let mark = &context.unique;
                let channel = CommandChannel::new(name, &command, settings, message, mark);
                Ok(Box::new(move |limit| channel.run(limit, &runner, &events)))
            }
        }
    }
}
