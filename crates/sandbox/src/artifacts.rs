//! The artifact folder.

use std::path::Path;

use tower_http::services::ServeDir;

/// Serves the files of the folder.
pub(crate) fn service(folder: &Path) -> ServeDir {
    ServeDir::new(folder).append_index_html_on_directories(false)
}
