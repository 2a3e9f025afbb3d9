//! A store that drops, cuts, flips and delays what passes: an export that ends with 0 has arrived.

use std::{sync::Arc, time::Duration};

use support::{
    Machine,
    restic::Restic,
    servers::{Fault, Faults, Rule, http::Head},
    vaults::{names, noise, takes_all, with_states_at_s3},
};

/// The folders of a repository that an export writes to.
const FOLDERS: [&str; 4] = ["locks", "data", "index", "snapshots"];

fn is_below(folder: &'static str) -> impl Fn(&Head) -> bool + Send + 'static {
    move |head| head.line[1].contains(&format!("/vault/{folder}/"))
}

/// Exports while a fault strikes, and returns the exit code. The archives are those from before, and one more if the
/// export ended well.
fn exported(machine: &Machine, faults: &Faults, archives: &mut usize, case: &str) -> i32 {
    let before = faults.struck();
    let run = machine.run(&["export", "@vault"]);
    assert!(faults.struck() > before, "{case}: nothing was struck");
    faults.clear();
    if run.code == 0 {
        *archives += 1;
    } else {
        println!("{case}: {} {}", run.code, run.stderr.trim());
        machine.run(&["repo", "unlock", "@vault", "--all"]).exits(0);
    }
    assert_eq!(names(machine).len(), *archives, "{case}: {}", run.code);
    run.code
}

#[test]
fn an_export_that_ended_well_has_arrived_whatever_the_store_does() {
    let (s3, faults, machine) = with_states_at_s3(1);
    let cut = Fault::ResetRequest { after_bytes: 20 };
    let delay = Fault::AtRequestByte {
        at: 0,
        hook: Arc::new(|| std::thread::park_timeout(Duration::from_millis(300))),
    };
    let (mut seed, mut archives) = (0, 1);
    for folder in FOLDERS {
        let cases: [(&str, Rule, Option<i32>); 7] = [
            (
                "swallow all",
                Rule::on("PUT", Fault::Swallow).always(),
                None,
            ),
            ("cut all", Rule::on("PUT", cut.clone()).always(), None),
            (
                "flip",
                Rule::on("PUT", Fault::FlipRequestByte { at: 30 }),
                None,
            ),
            ("lost answer", Rule::on("PUT", Fault::LoseAnswer), Some(0)),
            ("delay", Rule::on("PUT", delay.clone()), Some(0)),
            ("swallow", Rule::on("PUT", Fault::Swallow), None),
            ("cut once", Rule::on("PUT", cut.clone()), Some(0)),
        ];
        let count = match folder {
            _ if takes_all() => cases.len(),
            "data" | "snapshots" => 5,
            _ => 2,
        };
        let cases = cases.into_iter().take(count);
        for (what, rule, code) in cases {
            seed += 1;
            machine.write("etc/secrets", noise(40_000, seed), 0o600);
            faults.clear();
            let case = format!("{folder}: {what}");
            faults.add(rule.whose(is_below(folder)));
            let found = exported(&machine, &faults, &mut archives, &case);
            assert!(code.is_none_or(|code| code == found), "{case}: {found}");
        }
    }
    machine.run(&["export", "@vault"]).exits(0);
    // What was told is true.
    machine
        .run(&["verify", "@vault", "--since", "2000-01-01"])
        .exits(0);
    machine
        .run(&["repo", "check", "@vault", "--read-data"])
        .exits(0);
    if let Some(restic) = Restic::of_the_system() {
        let arguments = ["--no-lock", "check", "--read-data"];
        restic.run(&s3.file("vault"), &arguments).exits(0);
    }
}

#[test]
fn an_answer_that_is_broken_on_its_way_changes_nothing() {
    let (_s3, faults, machine) = with_states_at_s3(1);
    machine.write("etc/secrets", "now", 0o600);
    let before = machine.targets();
    for folder in ["keys", "data", "index", "snapshots"] {
        for fault in [
            Fault::FlipAnswerByte { at: 60 },
            Fault::TruncateAnswer { after_bytes: 60 },
            Fault::Answer(503),
        ] {
            // The first bytes of a key say only when and where it was made.
            if folder == "keys" && matches!(fault, Fault::FlipAnswerByte { .. }) {
                continue;
            }
            let case = format!("{folder}: {fault:?}");
            faults.add(Rule::on("GET", fault).whose(is_below(folder)).always());
            let run = machine.run(&["import", "@vault/latest"]);
            assert!(run.code != 0 && run.code != 2, "{case}: {}", run.stderr);
            assert_eq!(machine.targets(), before, "{case}");
            faults.clear();
        }
    }
    machine.run(&["import", "@vault/latest"]).exits(0);
}
