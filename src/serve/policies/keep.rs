//! The changes of policies, each with its record in the audit trail.

use super::{assign::no_good, values::PolicyValues};
use crate::serve::{
    Server,
    answer::Trouble,
    database::{Deed, Policy},
    identity::Person,
};

/// The most characters of a name, and of words about a policy.
const MOST_NAME: usize = 100;
const MOST_WORDS: usize = 1000;

/// The words and values that a policy is to have.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Words about it.
    pub description: String,
    /// True for the one that configurations without one of their own inherit.
    pub is_default: bool,
    /// Its values.
    pub values: PolicyValues,
}

impl Wanted {
    /// Returns the policy, if its words and values are good.
    fn policy(self, id: &str, generation: i64) -> Result<Policy, Trouble> {
        let name = self.name.trim().to_owned();
        let is_good =
            |text: &str, most| text.chars().count() <= most && !text.contains(char::is_control);
        let mut faults = self.values.faults();
        if name.is_empty() || !is_good(&name, MOST_NAME) {
            faults.insert(
                0,
                format!("its name is not 1 to {MOST_NAME} characters in one line"),
            );
        }
        if !is_good(&self.description, MOST_WORDS) {
            faults.push(format!(
                "its description is not up to {MOST_WORDS} characters in one line"
            ));
        }
        if !faults.is_empty() {
            return Err(no_good("the policy", faults));
        }
        Ok(Policy {
            id: id.to_owned(),
            name,
            description: self.description,
            is_default: self.is_default,
            values: self.values,
            generation,
        })
    }
}

/// Adds a policy under a new identifier.
pub fn add(server: &Server, person: &Person, id: &str, wanted: Wanted) -> Result<Policy, Trouble> {
    let policy = wanted.policy(id, 1)?;
    let from = person.address.to_string();
    let deed = deed(person, &from, "add policy", &policy.name);
    server.database.add_policy(&policy, deed, server.now())?;
    Ok(policy)
}

/// Changes a policy that has this generation.
pub fn change(
    server: &Server,
    person: &Person,
    (id, generation): (&str, i64),
    wanted: Wanted,
) -> Result<Policy, Trouble> {
    let policy = wanted.policy(id, generation)?;
    let from = person.address.to_string();
    let deed = deed(person, &from, "change policy", &policy.name);
    Ok((server.database).change_policy(&policy, deed, server.now())?)
}

/// Removes a policy that has this generation, and returns it.
pub fn remove(
    server: &Server,
    person: &Person,
    (id, generation): (&str, i64),
) -> Result<Policy, Trouble> {
    let old = server.database.policy(id)?;
    let old = old.ok_or_else(|| Trouble::missing("policy"))?;
    let from = person.address.to_string();
    let deed = deed(person, &from, "remove policy", &old.name);
    (server.database).remove_policy((id, generation), deed, server.now())?;
    Ok(old)
}

fn deed<'a>(person: &'a Person, address: &'a str, action: &'a str, name: &'a str) -> Deed<'a> {
    Deed {
        actor: &person.name,
        address,
        action,
        target: name,
        outcome: "done",
    }
}
