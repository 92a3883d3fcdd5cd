//! `bytctl tui`

use super::{Context, random_hex};
use crate::args;
use crate::failure::Failure;
use crate::tui::{self, Start};

pub(super) fn run(context: &Context, command: &args::Tui) -> Result<(), Failure> {
    tui::run(Start {
        client: context.client.another(),
        account: context.account.clone(),
        client_ids: random_hex(16)?,
        mouse: !command.no_mouse,
    })
}
