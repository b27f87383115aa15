//! Lists that are longer than a page.

use std::future::Future;

use poa_sdk::Error;

/// The contract's largest page.
const MAX_PAGE: usize = 200;

/// Fetches pages until `limit` items or the end. `fetch` takes a page size and a page token.
pub(crate) async fn collect<T, F, Fut>(limit: usize, fetch: F) -> Result<Vec<T>, Error>
where
    F: FnMut(i32, String) -> Fut,
    Fut: Future<Output = Result<(Vec<T>, String), Error>>,
{
    collect_by(MAX_PAGE, limit, fetch).await
}

/// The same where the largest page is another.
pub(crate) async fn collect_by<T, F, Fut>(
    max_page: usize,
    limit: usize,
    mut fetch: F,
) -> Result<Vec<T>, Error>
where
    F: FnMut(i32, String) -> Fut,
    Fut: Future<Output = Result<(Vec<T>, String), Error>>,
{
    let mut items = Vec::new();
    let mut token = String::new();
    while items.len() < limit {
        let size = (limit - items.len()).min(max_page);
        let (page, next) = fetch(i32::try_from(size).unwrap_or(i32::MAX), token).await?;
        items.extend(page);
        if next.is_empty() {
            break;
        }
        token = next;
    }
    items.truncate(limit);
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_are_fetched_up_to_the_limit() {
        let mut asked = Vec::new();
        let items = collect(450, |size, token| {
            asked.push((size, token));
            async move { Ok((vec![0; usize::try_from(size).unwrap()], "next".to_owned())) }
        })
        .await
        .unwrap();
        assert_eq!(items.len(), 450);
        let sizes: Vec<i32> = asked.iter().map(|(size, _)| *size).collect();
        assert_eq!(sizes, [200, 200, 50]);
        assert_eq!(asked[1].1, "next");
    }

    #[tokio::test]
    async fn the_last_page_ends_the_list() {
        let items = collect(450, |_, _| async { Ok((vec![1, 2], String::new())) }).await.unwrap();
        assert_eq!(items, [1, 2]);
    }
}
