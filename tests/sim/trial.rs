//! Everything goes wrong at once, and comes to rest again.

use bytchat_tests::sim::{each_seed, trial};

#[test]
fn what_was_promised_is_kept_through_crashes_cuts_loss_and_wrong_clocks() {
    each_seed("trial", 4, |seed| {
        let broken = trial(seed);
        assert!(broken.is_empty(), "SEED={seed}: {broken:#?}");
    });
}
