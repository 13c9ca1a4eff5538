//! Query strings.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use store::Page;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::problem::{Code, Problem};

/// Most entries of a page.
const MAX_LIMIT: u32 = 100;

/// Parameters of the expected types.
pub struct ValidQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ValidQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(Code::InvalidParameter, rejection.body_text())),
        }
    }
}

/// Which part of a list is wanted. Lists begin with the newest.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Listed {
    /// Most entries, 1 to 100; 50 unless told.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

fn limit<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u32>, D::Error> {
    let limit = Option::<u32>::deserialize(source)?;
    if limit.is_none_or(|limit| (1..=MAX_LIMIT).contains(&limit)) {
        return Ok(limit);
    }
    Err(D::Error::custom(format_args!("limit is 1 to {MAX_LIMIT}")))
}

impl Listed {
    /// As the store takes it.
    pub fn page(&self) -> Page {
        Page::new(self.cursor, self.limit.unwrap_or(50))
    }
}
