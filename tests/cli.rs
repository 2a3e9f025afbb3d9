//! x
mod support;
use support::Machine;

#[test]
fn smoke() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.run(&["verify", &archive]).exits(0);
}
