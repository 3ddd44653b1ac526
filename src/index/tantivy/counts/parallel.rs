//! Work on all cores when there is enough of it.

use rayon::prelude::*;

/// Does `work` on each of `items`, in order, or all at once if that is worth its while. `start` makes what one thread
/// works with.
pub fn each<I: Send, S, T: Send, E: Send>(
    is_worth_it: bool,
    items: Vec<I>,
    start: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, I) -> Result<T, E> + Sync + Send,
) -> Result<Vec<T>, E> {
    if is_worth_it && items.len() > 1 {
        return items.into_par_iter().map_init(start, work).collect();
    }
    let mut state = start();
    items.into_iter().map(|item| work(&mut state, item)).collect()
}
