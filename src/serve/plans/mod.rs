//! Plans: what an import or a rollback would do, shown before it is done, and applied as shown or not at all.
//!
//! A plan is a dry run that is kept. To apply it, the dry run is made again, and the verb itself takes the digest along:
//! it refuses another plan before it changes anything.

mod apply;
mod choices;
mod make;
mod seen;
mod told;
mod undo;

pub use self::{
    apply::{Confirmation, apply},
    choices::{Choice, choices},
    make::{Wish, plan_import, plan_rollback},
    seen::seen,
    told::{Blocked, PlanState, Remark, Step, Told, Undone, told},
    undo::{Undo, undo},
};
