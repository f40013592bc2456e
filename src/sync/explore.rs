//! How the models run under loom.

use loom::model::Builder;

/// Runs a model with up to this number of preemptions, and with one more in the long runs.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    let more = usize::from(std::env::var_os("SHMKIT_TEST_LONG").is_some());
    builder.preemption_bound = Some(preemptions + more);
    builder.max_branches = 20_000;
    builder.check(model);
}
