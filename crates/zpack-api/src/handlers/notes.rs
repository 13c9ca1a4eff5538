//! Notes: of the account at `/api/note`, of a server at `/api/instances/{id}/note`. Their owner's, and shown to nobody else.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{
    instance::{Instance, Lifecycle},
    text::has_hidden,
};
use garde::Validate;
use serde::{Deserialize, Serialize};
use store::{
    Db,
    notes::{self, Earlier, MAX_BYTES, Note, Place},
};
use utoipa::ToSchema;

use crate::{
    auth::{Owned, ReadInstances, SignedIn},
    extract::{Etag, IfMatch, ValidJson},
    problem::{Code, Problem},
};

/// A note.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Note)]
pub struct NoteView {
    /// Its text, as it was typed: Markdown, if somebody likes.
    pub body: String,
    /// Increases with every change, 0 before the first; the `ETag`, without its quotes.
    pub version: i64,
    /// When it was changed last; null if it never was.
    #[schema(required)]
    pub updated_at: Option<DateTime<Utc>>,
}

impl From<Note> for NoteView {
    fn from(it: Note) -> Self {
        Self { body: it.body, version: it.version, updated_at: it.updated_at }
    }
}

/// What a note was.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoteVersion)]
pub struct NoteVersionView {
    /// Its version.
    pub version: i64,
    /// Its text.
    pub body: String,
    /// When it was written.
    pub written_at: DateTime<Utc>,
}

impl From<Earlier> for NoteVersionView {
    fn from(it: Earlier) -> Self {
        Self { version: it.version, body: it.body, written_at: it.written_at }
    }
}

/// What a note is to say.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteNote {
    /// Its text, at most 30,000 bytes of UTF-8.
    #[garde(length(bytes, max = MAX_BYTES), custom(plain))]
    #[schema(max_length = 30000)]
    body: String,
}

/// Lines and tabs are what a text has; other control characters would be hidden from who reads it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of a custom rule")]
fn plain(text: &str, (): &()) -> garde::Result {
    let hidden = |line: &str| has_hidden(&line.replace(['\t', '\r'], " "));
    if text.split('\n').any(hidden) { Err(garde::Error::new("it has control characters")) } else { Ok(()) }
}

/// The account's note.
#[utoipa::path(
    get, path = "/note", tag = "notes", operation_id = "getAccountNote",
    responses((status = 200, body = NoteView, headers(("etag" = String)))),
    security(("session" = []))
)]
pub async fn get_own(State(db): State<Db>, signed_in: SignedIn) -> Result<(Etag, Json<NoteView>), Problem> {
    read(&db, own(&signed_in)).await
}

/// Writes the account's note over the version that was read.
#[utoipa::path(
    put, path = "/note", tag = "notes", operation_id = "writeAccountNote",
    params(("If-Match" = String, Header, description = "The `ETag` that was read; `*` for whichever it is.")),
    request_body = WriteNote,
    responses((status = 200, body = NoteView, headers(("etag" = String)))),
    security(("session" = []))
)]
pub async fn put_own(
    State(db): State<Db>,
    signed_in: SignedIn,
    wanted: IfMatch,
    ValidJson(body): ValidJson<WriteNote>,
) -> Result<(Etag, Json<NoteView>), Problem> {
    write(&db, own(&signed_in), wanted, &body.body).await
}

/// What the account's note was before: the last 20 versions, newest first.
#[utoipa::path(
    get, path = "/note/versions", tag = "notes", operation_id = "listAccountNoteVersions",
    responses((status = 200, body = Vec<NoteVersionView>)),
    security(("session" = []))
)]
pub async fn versions_own(
    State(db): State<Db>,
    signed_in: SignedIn,
) -> Result<Json<Vec<NoteVersionView>>, Problem> {
    earlier(&db, own(&signed_in)).await
}

/// A server's note.
#[utoipa::path(
    get, path = "/instances/{id}/note", tag = "notes", operation_id = "getInstanceNote",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = NoteView, headers(("etag" = String)))),
    security(("session" = []))
)]
pub async fn get_of(
    State(db): State<Db>,
    _: SignedIn,
    Owned { it, .. }: Owned<Instance, ReadInstances>,
) -> Result<(Etag, Json<NoteView>), Problem> {
    read(&db, of(&it)?).await
}

/// Writes a server's note over the version that was read.
#[utoipa::path(
    put, path = "/instances/{id}/note", tag = "notes", operation_id = "writeInstanceNote",
    params(("id" = Uuid, Path), ("If-Match" = String, Header, description = "The `ETag` that was read; `*` for whichever it is.")),
    request_body = WriteNote,
    responses((status = 200, body = NoteView, headers(("etag" = String)))),
    security(("session" = []))
)]
pub async fn put_of(
    State(db): State<Db>,
    _: SignedIn,
    Owned { it, .. }: Owned<Instance, ReadInstances>,
    wanted: IfMatch,
    ValidJson(body): ValidJson<WriteNote>,
) -> Result<(Etag, Json<NoteView>), Problem> {
    write(&db, of(&it)?, wanted, &body.body).await
}

/// What a server's note was before: the last 20 versions, newest first.
#[utoipa::path(
    get, path = "/instances/{id}/note/versions", tag = "notes", operation_id = "listInstanceNoteVersions",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Vec<NoteVersionView>)),
    security(("session" = []))
)]
pub async fn versions_of(
    State(db): State<Db>,
    _: SignedIn,
    Owned { it, .. }: Owned<Instance, ReadInstances>,
) -> Result<Json<Vec<NoteVersionView>>, Problem> {
    earlier(&db, of(&it)?).await
}

const fn own(signed_in: &SignedIn) -> Place {
    Place { customer: signed_in.customer.id, instance: None }
}

fn of(it: &Instance) -> Result<Place, Problem> {
    if it.lifecycle == Lifecycle::Deleted {
        return Err(Problem::not_found());
    }
    Ok(Place { customer: it.customer_id, instance: Some(it.id) })
}

async fn read(db: &Db, place: Place) -> Result<(Etag, Json<NoteView>), Problem> {
    let note = notes::get(db, place).await?;
    Ok((Etag(note.version), Json(NoteView::from(note))))
}

async fn write(
    db: &Db,
    place: Place,
    wanted: IfMatch,
    body: &str,
) -> Result<(Etag, Json<NoteView>), Problem> {
    let mut version = match wanted {
        IfMatch::Version(version) => version,
        IfMatch::Any => notes::get(db, place).await?.version,
    };
    loop {
        if let Some(note) = notes::put(db, place, version, body).await? {
            return Ok((Etag(note.version), Json(NoteView::from(note))));
        }
        if wanted != IfMatch::Any {
            let detail = "Nothing was written: the note was changed meanwhile, in another window or on another device. Read it again, and \
                          decide which of both is to stay.";
            return Err(Problem::new(Code::VersionMismatch, detail));
        }
        version = notes::get(db, place).await?.version;
    }
}

async fn earlier(db: &Db, place: Place) -> Result<Json<Vec<NoteVersionView>>, Problem> {
    let versions = notes::earlier(db, place).await?;
    Ok(Json(versions.into_iter().map(Into::into).collect()))
}
