//! Spoils the body of a good answer while it streams. The headers stay as they were, as they do when a mirror rots.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::Response,
};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};

use crate::faults::{Fault, Kind};

/// The same answer with a body that is bad in that way.
pub(crate) fn spoil(response: Response, fault: &Fault) -> Response {
    let length = response
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let (head, body) = response.into_parts();
    let pieces = body.into_data_stream().map_err(io::Error::other);
    let body = match fault.kind {
        Kind::NotFound | Kind::Late | Kind::Status | Kind::Lost => Body::empty(),
        Kind::WrongBytes => Body::from_stream(with_wrong_start(pieces)),
        Kind::Slow => Body::from_stream(slowly(pieces, Duration::from_millis(fault.delay_ms))),
        Kind::Cut => {
            let limit = fault.after_bytes.or(length.map(|length| length / 2)).unwrap_or(0);
            Body::from_stream(cut_after(pieces, limit))
        }
    };
    Response::from_parts(head, body)
}

fn with_wrong_start(
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    pieces.enumerate().map(|(index, piece)| {
        let mut bytes = piece?.to_vec();
        if let (0, Some(first)) = (index, bytes.first_mut()) {
            *first ^= 0xff;
        }
        Ok(bytes.into())
    })
}

fn slowly(
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    pause: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    pieces.then(move |piece| async move {
        tokio::time::sleep(pause).await;
        piece
    })
}

/// An error in the body makes the server break the connection, short of the promised length.
fn cut_after(
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    limit: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
    pieces
        .map(move |piece| {
            let mut piece = piece?;
            piece.truncate(left);
            left -= piece.len();
            Ok(piece)
        })
        .take_while(|piece| std::future::ready(!matches!(piece, Ok(piece) if piece.is_empty())))
        .chain(stream::once(async {
            // Long enough for what went before to leave, so that the client does see the beginning.
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(io::Error::other("cut on request"))
        }))
}
