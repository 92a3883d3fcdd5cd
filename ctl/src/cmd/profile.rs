//! `bytctl profile …`

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytchat_proto::limits::AVATAR_BYTES_MAX;
use bytchat_proto::rpc::profile::{Profile, Set, Show};
use bytchat_proto::rpc::{Call, ErrorKind};
use data_encoding::BASE64;

use super::Context;
use crate::args;
use crate::failure::Failure;

pub(super) fn run(context: &mut Context, command: args::Profile) -> Result<(), Failure> {
    let profile: Option<Profile> = match command {
        args::Profile::Set { name, avatar, edit } => {
            let call = Call::ProfileSet(Set {
                account: context.account.clone(),
                name,
                avatar: avatar.map(|file| read_avatar(&file)).transpose()?,
                expect_rev: edit.expect_rev,
                ..Set::default()
            });
            context.change(call, edit.change)?
        }
        args::Profile::Show { who } => context.one(&Call::ProfileShow(Show { who }))?,
    };
    let Some(profile) = profile else {
        return Ok(());
    };
    let bytes = BASE64.decode_len(profile.avatar.len()).unwrap_or(0);
    let mut pairs = vec![
        ("id", profile.id.to_string()),
        ("name", profile.name),
        ("avatar", if bytes == 0 { "none".to_owned() } else { format!("{bytes} bytes") }),
        ("sequence", profile.sequence.to_string()),
        ("holders", profile.holders.to_string()),
    ];
    let more = profile.more.iter();
    pairs.extend(more.map(|(name, value)| (name.as_str(), value.clone())));
    context.printer.pairs(&pairs)
}

fn read_avatar(file: &Path) -> Result<String, Failure> {
    let limit = u64::try_from(AVATAR_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|source| Failure::File { what: "read", path: file.to_owned(), source })?;
    if bytes.len() > AVATAR_BYTES_MAX {
        return Err(Failure::refused(&ErrorKind::BadParameters.because(format!(
            "a picture has at most {AVATAR_BYTES_MAX} bytes, {} has more",
            file.display()
        ))));
    }
    Ok(BASE64.encode(&bytes))
}
