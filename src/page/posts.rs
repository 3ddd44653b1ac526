//! The forms that change something: saved views and the viewer's choices. Each answers 303 back to where it came from.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono_tz::Tz;

use super::Page;
use super::format::shown;
use super::prefs::{self, Prefs};
use super::respond::{Outside, plain, see_other, set_cookie};
use super::state::State;
use super::views::SaveError;

/// What is said to a form with another token than its cookie's.
pub const NOT_OURS: &str =
    "This form did not come from the page, or is too old. Go back, load the page again, and repeat.";

/// What a form sent.
pub struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// Reads a form, if it came from a page of ours. What a browser says comes from another site, the guard has refused.
    pub fn read(body: &str, headers: &HeaderMap) -> Option<Form> {
        let form = Form { pairs: form_urlencoded::parse(body.as_bytes()).into_owned().collect() };
        prefs::token(headers).filter(|token| prefs::is_same(token, form.get("csrf"))).map(|_| form)
    }

    /// The value of a field; empty if it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A query string of the page in its canonical form; whatever else was sent is none.
    fn address(&self, name: &str) -> String {
        State::read(self.get(name), Tz::UTC).state.query_string()
    }
}

/// `POST /admin/audit-log/prefs`
pub async fn prefs(page: Page, headers: HeaderMap, body: String) -> Response {
    let Some(form) = Form::read(&body, &headers) else {
        return plain(StatusCode::FORBIDDEN, NOT_OURS.to_owned());
    };
    let prefs = match Prefs::read(&form.pairs) {
        Ok(prefs) => prefs,
        Err(zone) => {
            let why =
                format!("There is no time zone “{}”. Go back and choose one such as Europe/Berlin.", shown(&zone));
            return plain(StatusCode::BAD_REQUEST, why);
        }
    };
    let mut response = see_other(&format!("./?{}", form.address("back")));
    let is_secure = Outside::of(&headers, &page.settings).is_secure;
    set_cookie(&mut response, &prefs.cookie(is_secure));
    response
}

/// `POST /admin/audit-log/views`
pub async fn save_view(page: Page, headers: HeaderMap, body: String) -> Response {
    let Some(form) = Form::read(&body, &headers) else {
        return plain(StatusCode::FORBIDDEN, NOT_OURS.to_owned());
    };
    let query = State::read(form.get("query"), Tz::UTC).state.filters_only().query_string();
    let name = form.get("name").to_owned();
    let saved = {
        let (views, query) = (page.views.clone(), query.clone());
        tokio::task::spawn_blocking(move || views.save(&name, &query)).await
    };
    done(saved, &format!("./?{query}"))
}

/// `POST /admin/audit-log/views/{id}/delete`
pub async fn remove_view(page: Page, Path(id): Path<String>, headers: HeaderMap, body: String) -> Response {
    let Some(form) = Form::read(&body, &headers) else {
        return plain(StatusCode::FORBIDDEN, NOT_OURS.to_owned());
    };
    let removed = {
        let views = page.views.clone();
        tokio::task::spawn_blocking(move || views.remove(&id)).await
    };
    done(removed, &format!("../../?{}", form.address("back")))
}

fn done(saved: Result<Result<(), SaveError>, tokio::task::JoinError>, back: &str) -> Response {
    match saved {
        Ok(Ok(())) => see_other(back),
        Ok(Err(error)) => {
            let status = match &error {
                SaveError::Name | SaveError::TooLong => StatusCode::BAD_REQUEST,
                SaveError::TooMany => StatusCode::CONFLICT,
                SaveError::ReadOnly => StatusCode::SERVICE_UNAVAILABLE,
                SaveError::Io(cause) => {
                    tracing::error!("{error}: {cause}");
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            };
            plain(status, format!("{}.", super::format::capital(&error.to_string())))
        }
        Err(error) => {
            tracing::error!("saving a view panicked: {error}");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "The view could not be saved.".to_owned())
        }
    }
}
