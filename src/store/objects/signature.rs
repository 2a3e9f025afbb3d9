//! Signatures of requests to S3, renewed with another key (AWS Signature Version 4).

use object_store::{
    Result,
    aws::{AwsAuthorizer, AwsCredential},
    client::HttpRequest,
};

/// The key that signed a request, and the region and the service that it was signed for.
#[derive(Debug, PartialEq, Eq)]
pub struct Signed {
    /// The key's identifier.
    pub key_id: String,
    region: String,
    service: String,
}

impl Signed {
    /// Reads the signature of a request; `None` if it has none.
    pub fn of(request: &HttpRequest) -> Option<Signed> {
        let header = request.headers().get("authorization")?.to_str().ok()?;
        Signed::parse(header)
    }

    /// Reads `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...`.
    fn parse(header: &str) -> Option<Signed> {
        let (_, rest) = header.split_once("Credential=")?;
        let scope = rest.split(',').next()?;
        let mut parts = scope.trim().rsplitn(5, '/');
        let _version = parts.next()?;
        let (service, region, _date) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Signed {
            key_id: parts.next()?.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }

    /// Signs the request with another key and the current time.
    pub fn sign(&self, request: &mut HttpRequest, key: &AwsCredential) -> Result<()> {
        let headers = request.headers_mut();
        headers.remove("authorization");
        headers.remove("x-amz-security-token");
        let digest = headers.get("x-amz-content-sha256");
        let digest = digest.and_then(|digest| digest.to_str().ok());
        let is_signed = digest != Some("UNSIGNED-PAYLOAD");
        // The body was hashed before; streams cannot be hashed here.
        let digest = digest.and_then(|digest| hex::decode(digest).ok());
        AwsAuthorizer::new(key, &self.service, &self.region)
            .with_sign_payload(is_signed)
            .try_authorize(request, digest.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_slashes_is_told_from_its_scope() {
        let header = "AWS4-HMAC-SHA256 Credential=A/B/20260102/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let signed = Signed::parse(header).expect("a signature");
        assert_eq!((&*signed.key_id, &*signed.region), ("A/B", "eu-west-1"));
        assert_eq!(Signed::parse("Bearer x"), None);
    }
}
