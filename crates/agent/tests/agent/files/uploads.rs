//! Uploads in parts: what has come stays, however often the connection breaks.

use domain::agent::FileUpload;
use reqwest::{Body, Method};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Refused, checked, noise, refused};
use crate::support::TestAgent;

const MIB: usize = 1 << 20;

/// A body that sends this and then breaks off.
fn cut_off(bytes: &[u8]) -> Body {
    let pieces = bytes.chunks(64 * 1024).map(|piece| Ok(piece.to_vec())).collect::<Vec<_>>();
    Body::wrap_stream(tokio_stream::iter(pieces.into_iter().chain([Err(std::io::Error::other("cut"))])))
}

impl TestAgent {
    async fn begin_upload(
        &self,
        path: &str,
        size: usize,
        headers: &[(&str, &str)],
    ) -> Result<FileUpload, Refused> {
        let size = size.to_string();
        let mut request = self.files(Method::POST, "uploads", &[("path", path), ("size", &size)]);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(checked(request.send().await.unwrap()).await?.json().await.unwrap())
    }

    fn part(&self, id: &str, offset: u64, body: impl Into<Body>) -> reqwest::RequestBuilder {
        self.files(Method::PATCH, "uploads", &[("id", id), ("offset", &offset.to_string())]).body(body)
    }

    async fn send_part(&self, id: &str, offset: u64, body: impl Into<Body>) -> Result<FileUpload, Refused> {
        let response = self.part(id, offset, body).send().await.unwrap();
        Ok(checked(response).await?.json().await.unwrap())
    }

    async fn see_upload(&self, id: &str) -> Result<FileUpload, Refused> {
        let response = self.files(Method::GET, "uploads", &[("id", id)]).send().await.unwrap();
        Ok(checked(response).await?.json().await.unwrap())
    }

    /// Where the next part begins, once the agent has noticed that the last one broke off.
    async fn settled(&self, id: &str, above: u64) -> u64 {
        for _ in 0..500 {
            let offset = self.see_upload(id).await.unwrap().offset;
            if offset > above {
                return offset;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("nothing came")
    }
}

#[tokio::test]
async fn a_file_whose_upload_is_cut_twice_is_whole_and_was_sent_once() {
    let agent = TestAgent::start();
    let content = noise(8 * MIB);
    let id = agent.begin_upload("world.zip", content.len(), &[]).await.unwrap().id.to_string();
    let mut offset = 0;
    for until in [3 * MIB, 6 * MIB] {
        let from = usize::try_from(offset).unwrap();
        // The client's own half of the connection is gone, so there is no answer.
        assert!(agent.part(&id, offset, cut_off(&content[from..until])).send().await.is_err());
        offset = agent.settled(&id, offset).await;
        assert!(offset <= until as u64 && offset > from as u64, "{offset} of {until}");
        assert!(agent.stat_file("world.zip").await.is_err(), "it has no name before it is whole");
    }
    let rest = content[usize::try_from(offset).unwrap()..].to_vec();
    let done = agent.send_part(&id, offset, rest).await.unwrap();
    assert_eq!(done.file.unwrap().size, content.len() as u64);
    assert_eq!(agent.get_file("world.zip").await.unwrap(), content);
    assert_eq!(agent.see_upload(&id).await, refused(404, "upload_not_found"), "it is over");
    agent.assert_nothing_unfinished();
    assert_eq!(agent.usage().await.used_bytes, content.len() as u64);
}

#[tokio::test]
async fn who_comes_back_takes_over_from_a_connection_that_nobody_has_missed_yet() {
    let agent = TestAgent::start();
    let content = noise(16 * MIB);
    let id = agent.begin_upload("f", content.len(), &[]).await.unwrap().id.to_string();
    // A part that never ends: its client is gone, and the network says nothing.
    let (send, receive) = mpsc::channel::<Result<Vec<u8>, std::io::Error>>(4);
    let hanging = agent.part(&id, 0, Body::wrap_stream(ReceiverStream::new(receive)));
    let hanging = tokio::spawn(hanging.send());
    // More than the sockets hold when nobody reads, so once all of it is sent the agent has begun to take it.
    for piece in content[..12 * MIB].chunks(64 * 1024) {
        send.send(Ok(piece.to_vec())).await.unwrap();
    }
    // It does not know how far that one came.
    let wrong = agent.send_part(&id, 0, Body::from(vec![])).await;
    let offset = match wrong {
        Ok(upload) => upload.offset,
        Err(_) => agent.see_upload(&id).await.unwrap().offset,
    };
    let rest = content[usize::try_from(offset).unwrap()..].to_vec();
    assert!(agent.send_part(&id, offset, rest).await.unwrap().file.is_some());
    assert_eq!(agent.get_file("f").await.unwrap(), content);
    let answer = hanging.await.unwrap().unwrap();
    assert_eq!(answer.status(), 400, "it was told that it is too late");
}

#[tokio::test]
async fn parts_follow_one_another_and_no_more_comes_than_was_said() {
    let agent = TestAgent::start();
    agent.limit_disk(10 * MIB as u64).await;
    assert_eq!(agent.begin_upload("big", 11 * MIB, &[]).await, refused(507, "quota_exceeded"));
    assert_eq!(agent.begin_upload("../out", 1, &[]).await.unwrap_err().0, 422);
    let id = agent.begin_upload("f", 10, &[]).await.unwrap().id.to_string();
    assert_eq!(agent.send_part(&id, 3, "abc").await, refused(409, "upload_offset_mismatch"));
    assert_eq!(agent.send_part(&id, 0, "abc").await.unwrap().offset, 3);
    assert_eq!(agent.send_part(&id, 3, "0123456789").await, refused(422, "request_invalid"));
    assert_eq!(agent.see_upload(&id).await.unwrap().offset, 3, "nothing of it was taken");
    assert!(agent.send_part(&id, 3, "defghij").await.unwrap().file.is_some());
    assert_eq!(agent.get_file("f").await.unwrap(), b"abcdefghij");
    // A file without bytes is whole with an empty part.
    let id = agent.begin_upload("empty", 0, &[]).await.unwrap().id.to_string();
    assert!(agent.send_part(&id, 0, "").await.unwrap().file.is_some());
}

#[tokio::test]
async fn what_is_replaced_is_looked_at_when_all_has_come_and_what_is_given_up_leaves_nothing() {
    let agent = TestAgent::start();
    let absent = [("if-none-match", "*")];
    let id = agent.begin_upload("f", 1, &absent).await.unwrap().id.to_string();
    agent.put_file("f", "theirs").await.unwrap();
    assert_eq!(agent.begin_upload("f", 1, &absent).await, refused(412, "precondition_failed"));
    assert_eq!(agent.send_part(&id, 0, "x").await, refused(412, "precondition_failed"));
    assert_eq!(agent.get_file("f").await.unwrap(), b"theirs");
    let id = agent.begin_upload("g", 100, &[]).await.unwrap().id.to_string();
    agent.send_part(&id, 0, "some").await.unwrap();
    let gone = agent.files(Method::DELETE, "uploads", &[("id", &id)]).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    assert_eq!(agent.send_part(&id, 4, "more").await, refused(404, "upload_not_found"));
    agent.assert_nothing_unfinished();
    assert_eq!(agent.usage().await.used_bytes, 6);
}
