//! `hookshot demo`: a made-up service, exported, broken and restored with the commands that a user would type.

use std::{io::Write as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;

use crate::{
    cli::app::App,
    error::{Failure, Kind},
    ops::demo::{DEPLOYMENT_COUNT, DemoService},
    store::address::require_path,
};

/// Export and restore a small made-up service, to see hookshot work
#[derive(Debug, Args)]
#[cfg_attr(
    not(feature = "serve"),
    command(
        after_help = "Examples:\n  hookshot demo\n  hookshot demo ./playground                         # keeps the service"
    )
)]
#[cfg_attr(
    feature = "serve",
    command(
        after_help = "Examples:\n  hookshot demo\n  hookshot demo ./playground                         # keeps the service\n  \
        hookshot demo --serve                              # the pages of a shop with 60 nights of archives"
    )
)]
pub struct DemoArguments {
    /// A folder to create and keep [default: a temporary one, removed at the end]
    dir: Option<PathBuf>,
    /// Show the pages of a made-up shop with sixty nights of archives, until Ctrl-C
    #[cfg(feature = "serve")]
    #[arg(long)]
    serve: bool,
    /// With --serve: listen on this address and port [default: a free port of this machine]
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "ADDRESS:PORT", requires = "serve")]
    listen: Option<std::net::SocketAddr>,
}

impl DemoArguments {
    /// Returns true if it serves, until a signal ends it.
    #[cfg(feature = "serve")]
    pub fn serves(&self) -> bool {
        self.serve
    }

    pub fn run(self, app: &App) -> Result<u8> {
        if let Some(folder) = &self.dir {
            require_path(folder)?;
            if folder.to_str().is_none() {
                let message = format!(
                    "{} is not UTF-8, and the configuration of the demo names its folder",
                    folder.display()
                );
                return Err(Failure::new(Kind::Usage, message)
                    .hint("name another folder")
                    .into());
            }
        }
        let temporary = tempfile::Builder::new()
            .prefix("hookshot-demo-")
            .tempdir_in(&app.context.scratch)
            .context("cannot make a temporary folder")?;
        let folder = self
            .dir
            .clone()
            .unwrap_or_else(|| temporary.path().join("service"));
        #[cfg(feature = "serve")]
        if self.serve {
            let free = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            let listen = self.listen.unwrap_or(free);
            return super::demo_serve::run(app, &folder, self.dir.as_ref(), listen);
        }
        let service = DemoService::create(&folder)?;
        let story = Story {
            app,
            service: &service,
        };
        story.say(&format!("A service with {DEPLOYMENT_COUNT} deployments, two services and a secrets file in {}\n", service.folder().display()))?;
        let archive = service.folder().join("state.tar.gz");
        let archive = archive.to_str().context("the folder's name is not UTF-8")?;
        let before = service.digests()?;
        story.hookshot(&["export", archive])?;
        story.hookshot(&["verify", archive])?;
        story.say("\nNow the night goes wrong: the database is overwritten with noise, services.toml is emptied.\n")?;
        service.break_it()?;
        story.hookshot_may_differ(&["diff", archive])?;
        story.hookshot(&["import", archive, "--dry-run", "--force"])?;
        story.hookshot(&["import", archive, "--force"])?;
        if service.digests()? != before {
            return Err(Failure::new(
                Kind::Failed,
                "the restored state is not the one that was exported",
            )
            .into());
        }
        story.say("\nEvery file and every row is what it was. A rollback would bring the broken state back:\n")?;
        story.hookshot(&["rollback", "--dry-run", "--force"])?;
        if self.dir.is_some() {
            story.say(&format!(
                "\nLook around in {}\n",
                service.folder().display()
            ))?;
        }
        if app.printer.is_json() {
            app.printer.report(&json!({ "folder": service.folder(), "restored": true, "kept": self.dir.is_some() }), String::new)?;
        }
        Ok(0)
    }
}

struct Story<'a> {
    app: &'a App,
    service: &'a DemoService,
}

impl Story<'_> {
    fn say(&self, text: &str) -> Result<()> {
        if self.app.printer.is_json() || self.app.is_quiet {
            Ok(())
        } else {
            self.app.printer.tell(text)
        }
    }

    fn hookshot(&self, arguments: &[&str]) -> Result<()> {
        match self.run(arguments)? {
            Some(0) => Ok(()),
            code => Err(failed(arguments, code).into()),
        }
    }

    fn hookshot_may_differ(&self, arguments: &[&str]) -> Result<()> {
        match self.run(arguments)? {
            Some(0 | 1) => Ok(()),
            code => Err(failed(arguments, code).into()),
        }
    }

    /// Shows a command and runs it, as a user would.
    fn run(&self, arguments: &[&str]) -> Result<Option<i32>> {
        self.app.context.stop.check()?;
        let config = self.service.config();
        self.say(&format!(
            "\n$ hookshot --config {} {}\n",
            config.display(),
            arguments.join(" ")
        ))?;
        let program = self.app.context.program.as_deref();
        let executable = program.context("hookshot is not a program here")?;
        let mut command = Command::new(executable);
        command
            .arg("--config")
            .arg(&config)
            .args(arguments)
            .env_remove("HOOKSHOT_SERVICES")
            .env_remove("HOOKSHOT_SECRETS")
            .env_remove("HOOKSHOT_DATA_DIR")
            .env_remove("HOOKSHOT_TO");
        if self.app.is_quiet {
            // Warnings belong to the story, too: they are shown only if a command fails.
            let output = command
                .arg("--quiet")
                .output()
                .with_context(|| format!("cannot run {}", executable.display()))?;
            if !matches!(output.status.code(), Some(0 | 1)) {
                let _ = std::io::stderr().write_all(&output.stderr);
            }
            return Ok(output.status.code());
        }
        if self.app.printer.is_json() {
            command.stdout(std::process::Stdio::null());
        }
        let status = command
            .status()
            .with_context(|| format!("cannot run {}", executable.display()))?;
        Ok(status.code())
    }
}

fn failed(arguments: &[&str], code: Option<i32>) -> Failure {
    Failure::new(
        Kind::Failed,
        format!(
            "hookshot {} ended with {}",
            arguments.join(" "),
            code.map_or_else(|| "a signal".to_owned(), |code| code.to_string())
        ),
    )
}
