//! Objects in a bucket that speaks S3 (Amazon S3 API reference, 2006-03-01). Every request is a presigned address, the
//! agents' and our own.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{agent::MAX_BACKUP_PARTS, objects::S3Bucket};
use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, header, redirect};
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle, actions::ListObjectsV2};

use super::{
    ByteRange, ListedObject, ObjectBody, ObjectError, ObjectInfo, ObjectStore, UploadId, UploadedPart,
    folder::MAX_LISTED, key::checked,
};
use crate::body::{BodyError, read_bounded};

const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// Longest silence.
const IDLE_DEADLINE: Duration = Duration::from_secs(30);
/// For a whole answer that is small.
const CALL_DEADLINE: Duration = Duration::from_secs(20);
/// Completing copies on some services: they send blanks until it is done.
const COMPLETE_DEADLINE: Duration = Duration::from_mins(5);
/// How long our own addresses are good.
const OWN_EXPIRY: Duration = Duration::from_mins(10);
/// Pauses between tries of one call.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
/// Longest XML answer: a listing of 1,000 keys is about 500 KiB.
const XML_LIMIT: usize = 4 << 20;

/// A bucket. Cheap to clone.
#[derive(Clone)]
pub struct S3Store {
    bucket: Arc<Bucket>,
    credentials: Arc<Credentials>,
    http: Client,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("bucket", &self.bucket.base_url().as_str()).finish_non_exhaustive()
    }
}

impl S3Store {
    /// The bucket of `config`. Asks nothing yet.
    pub fn new(config: &S3Bucket, secret_access_key: &str) -> Result<Self, ObjectError> {
        let refused = |error: &dyn fmt::Display| ObjectError::Refused(format!("its address: {error}"));
        let endpoint: Url = config.endpoint.parse().map_err(|error| refused(&error))?;
        let style = if config.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = Bucket::new(endpoint, style, config.bucket.clone(), config.region.clone())
            .map_err(|error| refused(&error))?;
        let http = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_DEADLINE)
            .read_timeout(IDLE_DEADLINE)
            .build()
            .map_err(|error| ObjectError::Refused(error.to_string()))?;
        let credentials = Credentials::new(&config.access_key_id, secret_access_key);
        Ok(Self { bucket: Arc::new(bucket), credentials: Arc::new(credentials), http })
    }

    /// A call that may be repeated, with its pauses. Answers below 500 are the caller's to judge.
    async fn call(
        &self,
        request: impl Fn(&Client) -> RequestBuilder + Send + Sync,
    ) -> Result<Response, ObjectError> {
        for pause in PAUSES.map(Some).into_iter().chain([None]) {
            let failed = match request(&self.http).send().await {
                Ok(answer) if is_passing(answer.status()) => format!("it answered {}", answer.status()),
                Ok(answer) => return Ok(answer),
                // Without its address, which is signed.
                Err(error) => crate::chain(&error.without_url()),
            };
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(ObjectError::Unreachable(failed)),
            }
        }
        unreachable!("the last try has no pause")
    }

    /// The parts' object, if completing it was acknowledged to nobody.
    async fn is_complete(&self, key: &str, parts: &[UploadedPart]) -> Result<bool, ObjectError> {
        let total = parts.iter().map(|part| part.bytes).sum::<u64>();
        Ok(self.head(key).await?.is_some_and(|info| info.bytes == total))
    }
}

fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT
        )
}

/// The body of an answer as text.
async fn text(answer: Response) -> Result<String, ObjectError> {
    let bytes = read_bounded(answer, XML_LIMIT).await.map_err(|error| match error {
        BodyError::TooLong(limit) => ObjectError::TooLong(limit),
        BodyError::Broken(error) => ObjectError::Unreachable(crate::chain(&error.without_url())),
    })?;
    String::from_utf8(bytes).map_err(|error| ObjectError::Invalid(error.to_string()))
}

/// What is not there is removed; unless there is no such bucket, which says nothing of what is in the right one.
async fn removed(answer: Response) -> Result<(), ObjectError> {
    match answer.status() {
        status if status.is_success() => Ok(()),
        StatusCode::NOT_FOUND => match error_code(&text(answer).await?) {
            Some(code @ "NoSuchBucket") => Err(ObjectError::Refused(code.to_owned())),
            _ => Ok(()),
        },
        _ => Err(refusal(answer).await),
    }
}

/// What an answer that is no success says: its status and S3's own code, for example `NoSuchBucket`.
async fn refusal(answer: Response) -> ObjectError {
    let status = answer.status();
    let body = text(answer).await.unwrap_or_default();
    match error_code(&body) {
        Some(code) => ObjectError::Refused(format!("{status}, {code}")),
        None => ObjectError::Refused(status.to_string()),
    }
}

fn error_code(body: &str) -> Option<&str> {
    element(body.split_once("<Error")?.1, "Code")
}

/// The text of the first element of this name. Services disagree about namespaces, so an XML reader that minds them
/// would refuse some; what is read here is never more than a word without markup.
fn element<'b>(body: &'b str, name: &str) -> Option<&'b str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn info(answer: &Response) -> Result<ObjectInfo, ObjectError> {
    let field = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let whole = field(header::CONTENT_RANGE).and_then(|range| range.rsplit_once('/')).map(|(_, whole)| whole);
    let bytes = whole.or(field(header::CONTENT_LENGTH)).and_then(|bytes| bytes.parse().ok());
    let missing = |what: &str| ObjectError::Invalid(format!("it has no {what}"));
    Ok(ObjectInfo {
        bytes: bytes.ok_or_else(|| missing("length"))?,
        etag: field(header::ETAG).ok_or_else(|| missing("etag"))?.to_owned(),
    })
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn begin_upload(&self, key: &str) -> Result<UploadId, ObjectError> {
        let url =
            self.bucket.create_multipart_upload(Some(&self.credentials), checked(key)?).sign(OWN_EXPIRY);
        let answer = self.call(|http| http.post(url.clone()).timeout(CALL_DEADLINE)).await?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        let body = text(answer).await?;
        let id = element(&body, "UploadId").filter(|id| !id.is_empty());
        id.map(|id| UploadId(id.to_owned()))
            .ok_or_else(|| ObjectError::Invalid("it named no upload".to_owned()))
    }

    fn part_url(
        &self,
        key: &str,
        upload: &UploadId,
        number: u32,
        expires: Duration,
    ) -> Result<String, ObjectError> {
        let number = u16::try_from(number)
            .ok()
            .filter(|number| (1..=MAX_BACKUP_PARTS).contains(&u32::from(*number)))
            .ok_or_else(|| ObjectError::Incomplete("an upload has at most 10,000 parts".to_owned()))?;
        let action = self.bucket.upload_part(Some(&self.credentials), checked(key)?, number, &upload.0);
        Ok(action.sign(expires).into())
    }

    async fn complete(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[UploadedPart],
    ) -> Result<(), ObjectError> {
        let etags = || parts.iter().map(|part| part.etag.as_str());
        let action =
            || self.bucket.complete_multipart_upload(Some(&self.credentials), key, &upload.0, etags());
        checked(key)?;
        let (url, body) = (action().sign(OWN_EXPIRY), action().body());
        let ask = |http: &Client| http.post(url.clone()).timeout(COMPLETE_DEADLINE).body(body.clone());
        let answer = match self.call(ask).await {
            Ok(answer) => answer,
            // Some services answer 500 when the upload is gone because it was completed before.
            Err(error) => return if self.is_complete(key, parts).await? { Ok(()) } else { Err(error) },
        };
        let status = answer.status();
        let body = text(answer).await?;
        // An answer of 200 may still be an error (CompleteMultipartUpload, "Error responses").
        if status.is_success() && body.contains("<CompleteMultipartUploadResult") {
            return Ok(());
        }
        if self.is_complete(key, parts).await? {
            return Ok(());
        }
        match error_code(&body) {
            Some(code @ ("InternalError" | "SlowDown" | "ServiceUnavailable")) => {
                Err(ObjectError::Unreachable(code.to_owned()))
            }
            code => Err(ObjectError::Incomplete(format!("{status}, {}", code.unwrap_or("no reason given")))),
        }
    }

    async fn abort(&self, key: &str, upload: &UploadId) -> Result<(), ObjectError> {
        let url = self
            .bucket
            .abort_multipart_upload(Some(&self.credentials), checked(key)?, &upload.0)
            .sign(OWN_EXPIRY);
        let answer = self.call(|http| http.delete(url.clone()).timeout(CALL_DEADLINE)).await?;
        removed(answer).await
    }

    fn put_url(&self, key: &str, expires: Duration) -> Result<String, ObjectError> {
        Ok(self.bucket.put_object(Some(&self.credentials), checked(key)?).sign(expires).into())
    }

    fn get_url(&self, key: &str, expires: Duration) -> Result<String, ObjectError> {
        Ok(self.bucket.get_object(Some(&self.credentials), checked(key)?).sign(expires).into())
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        let url = self.bucket.head_object(Some(&self.credentials), checked(key)?).sign(OWN_EXPIRY);
        let answer = self.call(|http| http.request(Method::HEAD, url.clone()).timeout(CALL_DEADLINE)).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => info(&answer).map(Some),
            _ => Err(refusal(answer).await),
        }
    }

    async fn get(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, ObjectError> {
        let Some(mut body) = self.get_stream(key, None).await? else { return Ok(None) };
        if body.length > limit as u64 {
            return Err(ObjectError::TooLong(limit));
        }
        let mut content = Vec::new();
        while let Some(chunk) = body.stream.try_next().await? {
            if content.len() + chunk.len() > limit {
                return Err(ObjectError::TooLong(limit));
            }
            content.extend_from_slice(&chunk);
        }
        Ok(Some(content))
    }

    async fn get_stream(
        &self,
        key: &str,
        range: Option<ByteRange>,
    ) -> Result<Option<ObjectBody>, ObjectError> {
        let url = self.bucket.get_object(Some(&self.credentials), checked(key)?).sign(OWN_EXPIRY);
        let ask = |http: &Client| {
            let request = http.get(url.clone());
            match range {
                None => request,
                Some(ByteRange { first, last: None }) => {
                    request.header(header::RANGE, format!("bytes={first}-"))
                }
                Some(ByteRange { first, last: Some(last) }) => {
                    request.header(header::RANGE, format!("bytes={first}-{last}"))
                }
            }
        };
        let answer = self.call(ask).await?;
        match (answer.status(), range) {
            (StatusCode::NOT_FOUND, _) => return Ok(None),
            (StatusCode::RANGE_NOT_SATISFIABLE, _) => {
                let whole = self.head(key).await?.map_or(0, |info| info.bytes);
                return Err(ObjectError::Range(whole));
            }
            (StatusCode::OK, None) | (StatusCode::PARTIAL_CONTENT, Some(_)) => {}
            (StatusCode::OK, Some(_)) => {
                return Err(ObjectError::Invalid("it does not serve ranges".to_owned()));
            }
            _ => return Err(refusal(answer).await),
        }
        let info = info(&answer)?;
        let length = answer.content_length().unwrap_or(info.bytes);
        let first = range.map_or(0, |range| range.first);
        let broken = |error: reqwest::Error| ObjectError::Unreachable(crate::chain(&error.without_url()));
        let stream = answer.bytes_stream().map_err(broken).boxed();
        Ok(Some(ObjectBody { info, first, length, stream }))
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let url = self.bucket.delete_object(Some(&self.credentials), checked(key)?).sign(OWN_EXPIRY);
        let answer = self.call(|http| http.delete(url.clone()).timeout(CALL_DEADLINE)).await?;
        removed(answer).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ListedObject>, ObjectError> {
        let mut action = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
        action.with_prefix(prefix);
        action.with_max_keys(limit.clamp(1, MAX_LISTED));
        if let Some(after) = after {
            action.with_start_after(after);
        }
        let url = action.sign(OWN_EXPIRY);
        let answer = self.call(|http| http.get(url.clone()).timeout(CALL_DEADLINE)).await?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        let body = text(answer).await?;
        if !body.contains("<ListBucketResult") {
            return Err(ObjectError::Invalid("it is no listing".to_owned()));
        }
        let listed = body.split("<Contents>").skip(1).take(limit).map(|found| {
            let bytes = element(found, "Size")?.parse().ok()?;
            // Keys of ours need no decoding; others are nobody's business here.
            Some(ListedObject { key: element(found, "Key")?.to_owned(), bytes })
        });
        let listed: Option<Vec<_>> = listed.collect();
        listed.ok_or_else(|| ObjectError::Invalid("an object has no key or no size".to_owned()))
    }
}
