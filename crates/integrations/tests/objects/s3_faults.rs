//! S3 services on a bad day.

use domain::objects::S3Bucket;
use integrations::objects::{ObjectError, ObjectStore as _, S3Store, UploadId, UploadedPart};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path, query_param},
};

fn store(server: &MockServer) -> S3Store {
    let config = S3Bucket {
        endpoint: server.uri(),
        region: "eu-1".into(),
        bucket: "b".into(),
        access_key_id: "id".into(),
        path_style: true,
    };
    S3Store::new(&config, "secret").unwrap()
}

fn parts() -> Vec<UploadedPart> {
    vec![UploadedPart { etag: "\"e\"".into(), bytes: 7 }]
}

#[tokio::test]
async fn a_service_that_stumbles_is_asked_again() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(2)
        .mount(&server)
        .await;
    let begun = r#"<InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket><Key>k</Key><UploadId>u1</UploadId></InitiateMultipartUploadResult>"#;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string(begun))
        .mount(&server)
        .await;
    assert_eq!(store(&server).begin_upload("k").await.unwrap(), UploadId("u1".into()));
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_service_that_stays_down_is_a_fault_that_may_pass() {
    let server = MockServer::start().await;
    Mock::given(method("HEAD")).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let error = store(&server).head("k").await.unwrap_err();
    assert!(error.is_transient() && !error.to_string().contains("Signature"), "{error}");
    drop(server);
    let gone = S3Bucket {
        endpoint: "http://127.0.0.1:1".into(),
        region: "eu-1".into(),
        bucket: "b".into(),
        access_key_id: "id".into(),
        path_style: true,
    };
    let error = S3Store::new(&gone, "secret").unwrap().head("k").await.unwrap_err();
    assert!(error.is_transient() && !error.to_string().contains("X-Amz"), "{error}");
}

#[tokio::test]
async fn an_error_in_an_answer_of_200_is_not_taken_for_success() {
    let server = MockServer::start().await;
    let failed =
        "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>try again</Message></Error>";
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string(failed))
        .mount(&server)
        .await;
    Mock::given(method("HEAD")).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    let error = store(&server).complete("k", &UploadId("u".into()), &parts()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn completing_again_succeeds_when_only_the_answer_was_lost() {
    let server = MockServer::start().await;
    let gone = "<Error><Code>NoSuchUpload</Code></Error>";
    Mock::given(method("POST"))
        .and(path("/b/k"))
        .and(query_param("uploadId", "u"))
        .respond_with(ResponseTemplate::new(404).set_body_string(gone))
        .mount(&server)
        .await;
    let there =
        |bytes: &str| ResponseTemplate::new(200).insert_header("etag", "\"x\"").set_body_string(bytes);
    Mock::given(method("HEAD")).respond_with(there("1234567")).up_to_n_times(1).mount(&server).await;
    Mock::given(method("HEAD")).respond_with(there("another")).mount(&server).await;
    let store = store(&server);
    store.complete("k", &UploadId("u".into()), &parts()).await.unwrap();
    let longer = [UploadedPart { etag: "\"e\"".into(), bytes: 8 }];
    let error = store.complete("k", &UploadId("u".into()), &longer).await.unwrap_err();
    assert!(matches!(&error, ObjectError::Incomplete(why) if why.contains("NoSuchUpload")), "{error}");
}

#[tokio::test]
async fn an_upload_that_is_gone_is_aborted_and_a_refusal_is_told() {
    let server = MockServer::start().await;
    let abort = || Mock::given(method("DELETE")).and(path("/b/k")).and(query_param("uploadId", "u"));
    abort().respond_with(ResponseTemplate::new(204)).up_to_n_times(1).mount(&server).await;
    abort().respond_with(ResponseTemplate::new(404)).up_to_n_times(1).mount(&server).await;
    let denied = ResponseTemplate::new(403).set_body_string("<Error><Code>AccessDenied</Code></Error>");
    abort().respond_with(denied).mount(&server).await;
    let (store, upload) = (store(&server), UploadId("u".into()));
    store.abort("k", &upload).await.unwrap();
    store.abort("k", &upload).await.unwrap();
    let error = store.abort("k", &upload).await.unwrap_err();
    assert!(matches!(&error, ObjectError::Refused(why) if why.contains("AccessDenied")), "{error}");
}

#[tokio::test]
async fn a_listing_asks_for_no_more_than_it_gives() {
    let server = MockServer::start().await;
    let object = |key: &str| format!("<Contents><Key>{key}</Key><Size>2</Size></Contents>");
    let body = format!(
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>true</IsTruncated>\
         <NextContinuationToken>t</NextContinuationToken>{}{}</ListBucketResult>",
        object("i/b/a"),
        object("i/b/b")
    );
    Mock::given(method("GET"))
        .and(query_param("max-keys", "2"))
        .and(query_param("start-after", "i/a"))
        .and(query_param("prefix", "i/"))
        .respond_with(ResponseTemplate::new(200).set_body_string(body))
        .mount(&server)
        .await;
    let found = store(&server).list("i/", Some("i/a"), 2).await.unwrap();
    let found: Vec<_> = found.iter().map(|found| (found.key.as_str(), found.bytes)).collect();
    assert_eq!(found, [("i/b/a", 2), ("i/b/b", 2)]);
}

#[tokio::test]
async fn what_is_not_there_is_removed_but_not_from_a_bucket_that_is_not_there() {
    let server = MockServer::start().await;
    let absent =
        |code| ResponseTemplate::new(404).set_body_string(format!("<Error><Code>{code}</Code></Error>"));
    for (key, answer) in [
        ("/b/no-key", absent("NoSuchKey")),
        ("/b/no-bucket", absent("NoSuchBucket")),
        ("/b/silent", ResponseTemplate::new(404)),
    ] {
        Mock::given(method("DELETE")).and(path(key)).respond_with(answer).mount(&server).await;
    }
    let store = store(&server);
    let upload = UploadId("u".into());
    for (key, done) in [("no-key", true), ("silent", true), ("no-bucket", false)] {
        assert_eq!(store.delete(key).await.is_ok(), done, "{key}");
        assert_eq!(store.abort(key, &upload).await.is_ok(), done, "{key}");
    }
}
