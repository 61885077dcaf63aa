//! Work done side by side whose results come one after another.

use rayon::prelude::*;

/// How many pieces of work may be done and not yet taken. With pieces of 64 KiB this bounds
/// the memory to some 32 MiB; it changes no result.
const BATCH: usize = 256;

/// Does `work` on every item, on all threads, and hands the results to `take` in the order of
/// the items. `tool` makes what one thread needs for any number of items.
pub(crate) fn in_order<T, Tool, R, E>(
    items: impl Iterator<Item = T>,
    tool: impl Fn() -> Tool + Sync + Send,
    work: impl Fn(&mut Tool, T) -> R + Sync + Send,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E>
where
    T: Send,
    R: Send,
{
    let mut items = items.fuse();
    loop {
        let batch: Vec<T> = items.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let done: Vec<R> = batch.into_par_iter().map_init(&tool, &work).collect();
        done.into_iter().try_for_each(&mut take)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_items_and_an_error_ends_it() {
        let mut seen = Vec::new();
        let take = |value: usize| {
            seen.push(value);
            if value == 2 * 700 {
                Err("enough")
            } else {
                Ok(())
            }
        };
        let end = in_order(0..1000, || 2, |factor, item| *factor * item, take);
        assert_eq!(end, Err("enough"));
        assert!(seen.iter().copied().eq((0..=700).map(|item| 2 * item)));
    }
}
