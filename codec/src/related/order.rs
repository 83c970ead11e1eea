//! In which order columns are decoded.

use crate::error::{Error, Result};

/// An order in which every column comes after those it `needs`, otherwise rising; an error for a circle.
pub(crate) fn order(n_columns: usize, needs: impl Fn(usize) -> Vec<usize>) -> Result<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Waits,
        Done,
    }
    let mut state = vec![State::New; n_columns];
    let mut order = Vec::with_capacity(n_columns);
    for start in 0..n_columns {
        // A stack of our own: a table may have more columns than a thread has frames.
        let mut stack = vec![(start, None::<std::vec::IntoIter<usize>>)];
        while let Some((column, waiting_for)) = stack.last_mut() {
            let column = *column;
            match waiting_for {
                None if state[column] == State::Done => {
                    stack.pop();
                }
                None if state[column] == State::Waits => {
                    return Err(Error::corrupt(format!("column {column} is predicted from itself")));
                }
                None => {
                    state[column] = State::Waits;
                    let needed = needs(column);
                    if needed.iter().any(|&c| c >= n_columns) {
                        return Err(Error::corrupt(format!(
                            "column {column} of {n_columns} needs one beyond the last"
                        )));
                    }
                    *waiting_for = Some(needed.into_iter());
                }
                Some(needed) => match needed.next() {
                    Some(next) => stack.push((next, None)),
                    None => {
                        state[column] = State::Done;
                        order.push(column);
                        stack.pop();
                    }
                },
            }
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_circles_are_errors() {
        let needs = [vec![2, 3], vec![], vec![1], vec![2]];
        assert_eq!(order(4, |c| needs[c].clone()).unwrap(), [1, 2, 3, 0]);
        assert_eq!(order(3, |_| vec![]).unwrap(), [0, 1, 2]);
        assert!(order(2, |c| vec![1 - c]).is_err());
        assert!(order(1, |c| vec![c]).is_err());
        assert!(order(2, |_| vec![7]).is_err());
        let deep: Vec<Vec<usize>> = (0..100_000).map(|c| if c > 0 { vec![c - 1] } else { vec![] }).collect();
        assert_eq!(order(100_000, |c| deep[c].clone()).unwrap().len(), 100_000);
    }
}
