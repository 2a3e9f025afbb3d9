//! A page of a listing, as S3, Google and Azure write it. Anything else is refused.
//!
//! object_store would take any XML for a page, and one without a next token for the last. It would fail at a key with
//! two slashes.

use chrono::{DateTime, Utc};
use quick_xml::{Reader, de::from_str, events::Event};
use serde::Deserialize;

use crate::store::address::Provider;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Page {
    /// The objects, with their whole keys.
    pub objects: Vec<ListedObject>,
    /// The common prefixes of other keys, up to the next slash.
    pub folders: Vec<String>,
    /// The token of the next page; `None` if this is the last one.
    pub next: Option<String>,
}

/// An object in a page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The time of its last change, if the server sends a readable one.
    pub modified: Option<DateTime<Utc>>,
    /// Its tag, if the server sends one.
    pub etag: Option<String>,
}

impl Page {
    /// Reads a page. The error describes its fault.
    pub fn read(provider: Provider, text: &str) -> Result<Page, String> {
        let expected = match provider {
            Provider::S3 | Provider::Gcs => "ListBucketResult",
            Provider::Azure => "EnumerationResults",
        };
        match root(text) {
            Some(found) if found == expected => {}
            Some(found) if found.eq_ignore_ascii_case("html") => {
                return Err("a web page".to_owned());
            }
            Some(found) => return Err(format!("<{found}> instead of <{expected}>")),
            None => return Err(format!("something else than XML, instead of <{expected}>")),
        }
        match provider {
            Provider::S3 | Provider::Gcs => of_s3(text),
            Provider::Azure => of_azure(text),
        }
    }

    /// Returns an empty page in the words of the protocol.
    pub fn empty(provider: Provider) -> &'static str {
        match provider {
            Provider::S3 | Provider::Gcs => "<ListBucketResult></ListBucketResult>",
            Provider::Azure => "<EnumerationResults><Blobs></Blobs></EnumerationResults>",
        }
    }
}

/// Returns the name of the first element, without its namespace.
pub fn root(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    loop {
        match reader.read_event() {
            Ok(Event::Start(start) | Event::Empty(start)) => {
                return Some(String::from_utf8_lossy(start.local_name().as_ref()).into_owned());
            }
            Ok(Event::DocType(kind)) => {
                let kind = String::from_utf8_lossy(&kind).trim().to_lowercase();
                if kind.starts_with("html") {
                    return Some("html".to_owned());
                }
            }
            Ok(Event::Text(text)) if text.iter().any(|byte| !byte.is_ascii_whitespace()) => {
                return None;
            }
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct S3Page {
    #[serde(default)]
    contents: Vec<S3Object>,
    #[serde(default)]
    common_prefixes: Vec<S3Folder>,
    is_truncated: Option<String>,
    encoding_type: Option<String>,
    next_continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct S3Object {
    key: String,
    size: u64,
    last_modified: Option<String>,
    #[serde(rename = "ETag")]
    etag: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct S3Folder {
    prefix: String,
}

fn of_s3(text: &str) -> Result<Page, String> {
    let page: S3Page = from_str(text).map_err(broken)?;
    let token = page
        .next_continuation_token
        .filter(|token| !token.is_empty());
    let is_truncated = page.is_truncated.as_deref().map(str::trim);
    let next = match (is_truncated, token) {
        (Some("true"), None) => {
            return Err(
                "a listing that says that it goes on (IsTruncated), without a token to go on with"
                    .to_owned(),
            );
        }
        (Some("false"), _) => None,
        (_, token) => token,
    };
    // Some servers encode keys although they were not asked to.
    let is_encoded = page.encoding_type.as_deref() == Some("url");
    let plain = |key: String| match is_encoded {
        true => decoded(&key),
        false => key,
    };
    let objects = page.contents.into_iter().map(S3Object::read);
    let folders = page.common_prefixes.into_iter();
    Ok(Page {
        objects: objects
            .map(|object| ListedObject {
                key: plain(object.key),
                ..object
            })
            .collect(),
        folders: folders.map(|folder| plain(folder.prefix)).collect(),
        next,
    })
}

/// Decodes a key: each `%XX` stands for a byte, and `+` for a blank.
fn decoded(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *byte == b'%');
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let coded = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let coded = coded.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (coded, byte) {
            (Some(coded), _) => {
                bytes.push(coded);
                rest = &behind[2..];
                continue;
            }
            (None, b'+') => bytes.push(b' '),
            (None, byte) => bytes.push(*byte),
        }
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl S3Object {
    fn read(self) -> ListedObject {
        let time = |text: String| DateTime::parse_from_rfc3339(text.trim()).ok();
        ListedObject {
            key: self.key,
            size_bytes: self.size,
            modified: self
                .last_modified
                .and_then(time)
                .map(|time| time.with_timezone(&Utc)),
            etag: self.etag,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AzurePage {
    blobs: AzureBlobs,
    next_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AzureBlobs {
    #[serde(default)]
    blob_prefix: Vec<AzureFolder>,
    #[serde(default)]
    blob: Vec<AzureBlob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AzureFolder {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AzureBlob {
    name: String,
    properties: AzureProperties,
}

#[derive(Deserialize)]
struct AzureProperties {
    #[serde(rename = "Last-Modified")]
    modified: Option<String>,
    #[serde(rename = "Content-Length")]
    size_bytes: u64,
    #[serde(rename = "Etag")]
    etag: Option<String>,
    #[serde(rename = "ResourceType")]
    resource_type: Option<String>,
}

fn of_azure(text: &str) -> Result<Page, String> {
    let page: AzurePage = from_str(text.trim_start_matches('\u{feff}')).map_err(broken)?;
    let is_file = |blob: &AzureBlob| blob.properties.resource_type.as_deref() != Some("directory");
    let read = |blob: AzureBlob| ListedObject {
        key: blob.name,
        size_bytes: blob.properties.size_bytes,
        modified: (blob.properties.modified)
            .and_then(|text| DateTime::parse_from_rfc2822(text.trim()).ok())
            .map(|time| time.with_timezone(&Utc)),
        etag: blob.properties.etag,
    };
    let folders = page.blobs.blob_prefix.into_iter();
    Ok(Page {
        objects: (page.blobs.blob.into_iter().filter(is_file).map(read)).collect(),
        folders: folders.map(|folder| folder.name).collect(),
        next: page.next_marker.filter(|token| !token.is_empty()),
    })
}

fn broken(error: quick_xml::DeError) -> String {
    format!("a listing that cannot be read ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_s3_is_read_whatever_its_keys_are() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
            <IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;1=</NextContinuationToken>
            <Contents><Key>x//a&lt;b.tar.gz</Key><Size>7</Size><LastModified>2026-11-21T03:00:00.000Z</LastModified></Contents>
            <CommonPrefixes><Prefix>x//</Prefix></CommonPrefixes>
            <Contents><Key>y</Key><Size>0</Size><LastModified>some day</LastModified></Contents></ListBucketResult>"#;
        let page = Page::read(Provider::S3, text).expect("a page");
        assert_eq!(page.next.as_deref(), Some("t&1="));
        assert_eq!(page.objects[0].key, "x//a<b.tar.gz");
        assert!(page.objects[0].modified.is_some());
        assert_eq!(
            (page.objects[1].size_bytes, page.objects[1].modified),
            (0, None)
        );
        assert_eq!(page.folders, ["x//"]);
        assert_eq!(Page::read(Provider::Gcs, text), Ok(page));
    }

    #[test]
    fn encoded_keys_are_decoded_if_the_page_says_so() {
        let page = |kind: &str| {
            let text = format!(
                "<ListBucketResult>{kind}<Contents><Key>a%2Bb%2fc+d%zz%+f</Key><Size>1</Size></Contents></ListBucketResult>"
            );
            Page::read(Provider::S3, &text).expect("a page").objects[0]
                .key
                .clone()
        };
        assert_eq!(page("<EncodingType>url</EncodingType>"), "a+b/c d%zz% f");
        assert_eq!(page(""), "a%2Bb%2fc+d%zz%+f");
    }

    #[test]
    fn a_page_of_azure_is_read() {
        let text = "\u{feff}<?xml version=\"1.0\"?><EnumerationResults><Blobs><BlobPrefix><Name>a/</Name></BlobPrefix>\
            <Blob><Name>x</Name><Properties><Last-Modified>Sat, 21 Nov 2026 03:00:00 GMT</Last-Modified>\
            <Content-Length>9</Content-Length></Properties></Blob><Blob><Name>dir</Name><Properties>\
            <Content-Length>0</Content-Length><ResourceType>directory</ResourceType></Properties></Blob></Blobs>\
            <NextMarker/></EnumerationResults>";
        let page = Page::read(Provider::Azure, text).expect("a page");
        assert_eq!(page.objects.len(), 1);
        assert_eq!(
            (page.objects[0].key.as_str(), page.objects[0].size_bytes),
            ("x", 9)
        );
        assert!(page.objects[0].modified.is_some());
        assert_eq!((page.folders, page.next), (vec!["a/".to_owned()], None));
    }

    #[test]
    fn what_is_not_a_page_is_refused_with_what_it_is() {
        let truncated = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        let empty_token = "<ListBucketResult><IsTruncated>true</IsTruncated>\
            <NextContinuationToken></NextContinuationToken></ListBucketResult>";
        for (text, says) in [
            (
                "<!DOCTYPE html>\n<html><body>hi</body></html>",
                "a web page",
            ),
            ("<HTML><head>", "a web page"),
            (
                "<ListAllMyBucketsResult/>",
                "<ListAllMyBucketsResult> instead of",
            ),
            ("<Error><Code>x</Code></Error>", "<Error> instead of"),
            ("{\"error\": 1}", "something else than XML"),
            ("", "something else than XML"),
            (truncated, "without a token"),
            (empty_token, "without a token"),
            (
                "<ListBucketResult><Contents><Key>x</Key></Contents></ListBucketResult>",
                "cannot be read",
            ),
            ("<ListBucketResult><Contents><Key>x</Key>", "cannot be read"),
        ] {
            let fault = Page::read(Provider::S3, text).expect_err(text);
            assert!(fault.contains(says), "{text}: {fault}");
        }
        let last = "<ListBucketResult><IsTruncated>false</IsTruncated>\
            <NextContinuationToken>x</NextContinuationToken></ListBucketResult>";
        assert_eq!(Page::read(Provider::S3, last).expect("a page").next, None);
        for provider in [Provider::S3, Provider::Gcs, Provider::Azure] {
            assert!(Page::read(provider, Page::empty(provider)).is_ok());
        }
    }
}
