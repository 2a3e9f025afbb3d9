//! The binary: the only reader of clock, environment and process; everything else is in the library.
#![expect(
    clippy::disallowed_methods,
    reason = "clock, environment and process are read here and nowhere else"
)]

use std::{path::PathBuf, process::ExitCode, time::Instant};

use hookshot::{
    cli::{World, run},
    config::Choices,
};

fn main() -> ExitCode {
    let now = chrono::DateTime::from(std::time::SystemTime::now());
    let nanoseconds = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .map_or(0, |span| span.as_nanos());
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    run(World {
        environment: Choices {
            config: variable("HOOKSHOT_CONFIG"),
            services: variable("HOOKSHOT_SERVICES"),
            secrets: variable("HOOKSHOT_SECRETS"),
            data_dir: variable("HOOKSHOT_DATA_DIR"),
            to: std::env::var_os("HOOKSHOT_TO"),
            identities: variable("HOOKSHOT_IDENTITY")
                .filter(|path| !path.as_os_str().is_empty())
                .into_iter()
                .collect(),
            ..Choices::default()
        },
        variables: std::env::vars_os()
            .filter_map(|(name, value)| {
                // In a value that is not UTF-8, U+FFFD stands for the other bytes. If such a value is needed, it is
                // refused.
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            })
            .collect(),
        arguments: std::env::args_os().collect(),
        now,
        clock: || chrono::DateTime::from(std::time::SystemTime::now()),
        begun: Instant::now(),
        scratch: std::env::temp_dir(),
        has_folder: std::env::current_dir().is_ok(),
        // This program, even if another one has its name by then (proc_pid_exe(5)).
        executable: PathBuf::from("/proc/self/exe"),
        unique: format!("{:x}-{nanoseconds:x}", std::process::id()),
    })
}
