//! A bucket of very many objects that can only be listed: a page of S3's XML for each request, and nothing kept.

use chrono::{DateTime, TimeDelta};

use super::{
    http::{self, Head, Request},
    listening::Listening,
};

/// The objects of a page, as S3 gives them.
const PAGE: usize = 1000;

/// A server with one bucket.
pub struct Crowd {
    listening: Listening,
}

impl Crowd {
    /// Every ten minutes since 2020 an archive of `prefix`, so many of them, below `host/`.
    pub fn of(prefix: &str, count: usize) -> Crowd {
        let prefix = prefix.to_owned();
        let listening = Listening::start(move |client, _| {
            http::serve(client, |request| answer(request, &prefix, count))
        });
        Crowd { listening }
    }

    pub fn endpoint(&self) -> String {
        self.listening.endpoint()
    }
}

/// The name of an archive.
pub fn name(prefix: &str, number: usize) -> String {
    let first = DateTime::from_timestamp(1_577_836_800, 0).expect("a time");
    let time = first + TimeDelta::minutes(10 * number as i64);
    format!("{prefix}-{}.tar.gz", time.format("%Y%m%d-%H%M%S"))
}

fn answer(request: &Request, prefix: &str, count: usize) -> (Head, Vec<u8>) {
    if request.head.parameter("list-type").is_none() {
        return (Head::answer(404), Vec::new());
    }
    let token = request.head.parameter("continuation-token");
    let from: usize = token.map_or(0, |token| token.parse().expect("a number of ours"));
    let to = count.min(from + PAGE);
    let mut page = String::from("<ListBucketResult><Name>bucket</Name>");
    for number in from..to {
        page += &format!(
            "<Contents><Key>host/{}</Key><LastModified>2026-11-21T03:00:00.000Z</LastModified>\
             <ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>{}</Size></Contents>",
            name(prefix, number),
            100_000 + number,
        );
    }
    if to < count {
        page += &format!("<NextContinuationToken>{to}</NextContinuationToken>");
    }
    page += &format!(
        "<IsTruncated>{}</IsTruncated></ListBucketResult>",
        to < count
    );
    (Head::answer(200), page.into_bytes())
}
