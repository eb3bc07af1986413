//! The commands, one file each: its arguments, and what it does.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod drop_signing_keys;
pub(crate) mod health;
pub(crate) mod identity;
pub(crate) mod import_hashes;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod password;
pub(crate) mod reset_password;
pub(crate) mod token;
pub(crate) mod token_change;
pub(crate) mod token_create;
pub(crate) mod token_exchange;
pub(crate) mod token_list;
pub(crate) mod user;
pub(crate) mod verify;

use crate::failure::Failure;

/// How many records a page may hold: few enough that even the largest records fit
/// into a gRPC message of 4 MiB.
const PAGE: i32 = 200;

/// Gathers at most `limit` records over as many pages as it takes. `page` answers
/// the records of one page token, and the next token, which is empty at the end.
async fn gather<R>(
    limit: Option<usize>,
    page: impl AsyncFn(String) -> Result<(Vec<R>, String), Failure>,
) -> Result<Vec<R>, Failure> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let (records, next) = page(token).await?;
        all.extend(records);
        if next.is_empty() || all.len() >= limit {
            all.truncate(limit);
            return Ok(all);
        }
        token = next;
    }
}

/// What the contract promises to be in an answer.
fn present<T>(part: Option<T>, name: &'static str) -> Result<T, Failure> {
    part.ok_or(Failure::Incomplete(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pages(token: String) -> Result<(Vec<i32>, String), Failure> {
        Ok(match token.as_str() {
            "" => (vec![1, 2], "a".to_owned()),
            // A page may be empty and yet not be the last.
            "a" => (vec![], "b".to_owned()),
            _ => (vec![3, 4], String::new()),
        })
    }

    #[tokio::test]
    async fn all_pages_are_gathered() {
        assert_eq!(gather(None, pages).await.unwrap(), [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn a_limit_ends_the_gathering() {
        assert_eq!(gather(Some(3), pages).await.unwrap(), [1, 2, 3]);
        assert_eq!(gather(Some(1), pages).await.unwrap(), [1]);
    }
}
