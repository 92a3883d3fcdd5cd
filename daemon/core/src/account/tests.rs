//! Whose accounts there is room for, and which one is meant.

use super::*;

const ANN: Caller = Caller { uid: 1_000 };
const BEN: Caller = Caller { uid: 1_001 };

/// Fills the share of a Unix user, and says how many that are.
fn fill(accounts: &mut Accounts, owner: Caller) -> usize {
    let mut made = 0;
    while accounts.room(owner).is_ok() {
        let number = u8::try_from(accounts.damaged.len()).unwrap();
        let user = UserId([number; 20]);
        let (name, aliases, why) = (String::new(), vec![], String::new());
        let damaged = Damaged { user, owner: Some(owner), name, aliases, why };
        accounts.damaged.insert(user, damaged);
        made += 1;
    }
    made
}

#[test]
fn no_unix_user_takes_all_room_for_accounts() {
    let mut accounts = Accounts::default();
    let most = ACCOUNTS_MAX * USER_SHARE_FACTOR / (USER_SHARE_FACTOR + 1);
    assert_eq!(fill(&mut accounts, ANN), most);
    let full = accounts.room(ANN).unwrap_err();
    assert_eq!(full.kind, ErrorKind::Quota);
    assert!(full.message.contains(&format!("you have {most} accounts")), "{full}");
    let rest = ACCOUNTS_MAX - most;
    let others = fill(&mut accounts, BEN);
    assert_eq!(others, rest * USER_SHARE_FACTOR / (USER_SHARE_FACTOR + 1));
    assert!(accounts.room(Caller { uid: 1_002 }).is_ok());
    for uid in 2_000.. {
        if accounts.damaged.len() == ACCOUNTS_MAX {
            break;
        }
        assert!(fill(&mut accounts, Caller { uid }) > 0);
    }
    let full = accounts.room(Caller { uid: 9 }).unwrap_err();
    assert!(full.message.contains("no room"), "{full}");
}
