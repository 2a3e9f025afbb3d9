//! Variables of the environment in place of options and of `[backup] to`, through the real program.

use support::{Machine, Run, archives_in, finish};

fn run(machine: &Machine, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut command = machine.command();
    command.args(arguments).envs(variables.iter().copied());
    finish(command, b"")
}

/// A machine with the destinations `@one` and `@two`, of which exports go to the first.
fn machine() -> Machine {
    let machine = Machine::new();
    let folders = ["one", "two"].map(|name| {
        let folder = machine.path(name);
        format!(
            "[backup.destinations.{name}]\nurl = \"{}\"\n",
            folder.display()
        )
    });
    let text = machine.config_text(&format!("[backup]\nto = [\"one\"]\n{}", folders.concat()));
    machine.write("etc/config.toml", text, 0o600);
    machine
}

#[test]
fn a_variable_asks_for_json_and_for_silence() {
    let machine = machine();
    let json = [("HOOKSHOT_JSON", "true")];
    let good = run(&machine, &json, &["validate"]).exits(0);
    assert_eq!(good.json()["good"], true);
    assert_eq!(
        run(&machine, &json, &["validat"]).exits(2).json()["error"]["code"],
        2
    );
    let no = [("HOOKSHOT_JSON", "no")];
    assert!(!run(&machine, &no, &["validate"]).text().starts_with('{'));
    let quiet = [("HOOKSHOT_QUIET", "1")];
    let said = run(&machine, &quiet, &["export"]).exits(0).stderr;
    assert_eq!(said, "");
    let lines = [("HOOKSHOT_LOG_FORMAT", "json")];
    run(&machine, &lines, &["export"])
        .exits(0)
        .says("\"level\":\"INFO\"");
}

#[test]
fn a_wrong_value_of_a_variable_is_exit_code_2_and_names_it() {
    let machine = machine();
    run(&machine, &[], &["export"]).exits(0);
    for variable in [
        "HOOKSHOT_JSON",
        "HOOKSHOT_THREADS",
        "HOOKSHOT_PROGRESS",
        "HOOKSHOT_COLOR",
        "HOOKSHOT_VERBOSE",
        "HOOKSHOT_QUIET",
        "HOOKSHOT_LOG_FORMAT",
        "HOOKSHOT_TO",
    ] {
        run(&machine, &[(variable, "")], &["list"]).exits(0);
        run(&machine, &[(variable, "perhaps")], &["list"])
            .exits(2)
            .says(&format!("`{variable}` of the environment"));
    }
    run(
        &machine,
        &[("HOOKSHOT_COLOR", "perhaps")],
        &["list", "--color=never"],
    )
    .exits(0);
    let to = [("HOOKSHOT_TO", "one,tow")];
    let faults = run(&machine, &to, &["validate", "--json"]).exits(2).json();
    let faults = faults["faults"].to_string();
    assert!(faults.contains("`HOOKSHOT_TO`"), "{faults}");
}

#[test]
fn a_variable_stands_for_the_configured_destinations_unless_one_is_named() {
    let machine = machine();
    let usb = machine.path("usb");
    let to = format!("@two, {}/", usb.display());
    let to = [("HOOKSHOT_TO", to.as_str())];
    run(&machine, &to, &["export"]).exits(0);
    let held = |machine: &Machine| {
        ["one", "two", "usb"].map(|name| archives_in(&machine.path(name)).len())
    };
    assert_eq!(held(&machine), [0, 1, 1]);
    let listed = run(&machine, &to, &["list", "--json"]).exits(0).json();
    assert_eq!(listed["archives"].as_array().map(Vec::len), Some(2));
    run(&machine, &to, &["export", "@one"]).exits(0);
    assert_eq!(held(&machine), [1, 1, 1]);
    run(&machine, &[("HOOKSHOT_TO", " , ")], &["list"]).exits(0);
}
