//! Iterators over the messages of typed endpoints.

use crate::error::channel::RecvError;

/// Returns an iterator over the results of `next`. It ends when there is nothing to receive, or no
/// process is left that would send more. It also ends behind an error that each further call would
/// return.
pub(crate) fn messages<T>(
    mut next: impl FnMut() -> Result<T, RecvError>,
) -> impl Iterator<Item = Result<T, RecvError>> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let result = next();
        is_over = matches!(
            result,
            Err(RecvError::Empty
                | RecvError::Disconnected(_)
                | RecvError::Forked
                | RecvError::System(_))
        );
        match result {
            Err(RecvError::Empty | RecvError::Disconnected(_)) => None,
            result => Some(result),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::channel::DisconnectReason;

    fn all(mut results: Vec<Result<u8, RecvError>>) -> Vec<Result<u8, RecvError>> {
        results.reverse();
        messages(|| results.pop().expect("the iterator has ended")).collect()
    }

    #[test]
    fn iterator_ends_where_nothing_more_comes() {
        let closed = RecvError::Disconnected(DisconnectReason::Closed);
        for end in [RecvError::Empty, closed] {
            assert_eq!(all(vec![Ok(1), Ok(2), Err(end)]), [Ok(1), Ok(2)]);
        }
        let lagged = Err(RecvError::Lagged(3));
        let some = vec![Ok(1), lagged.clone(), Ok(2), Err(RecvError::Forked)];
        assert_eq!(all(some.clone()), some);
    }
}
