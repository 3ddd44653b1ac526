//! How a viewer wants the page: theme, height of rows, zone, keys. Kept in a cookie, so that the server renders it and
//! nothing flashes; and the token that shows that a form came from our own page.
//!
//! Without sign-in there is nobody to forge a post for but the loopback user: the token stands in a cookie that no
//! other site's request carries (`SameSite=Strict`) and in the form, and both have to agree.

use std::str::FromStr;

use axum::http::{HeaderMap, header};
use chrono_tz::Tz;
use subtle::ConstantTimeEq;

use super::respond;
use crate::durable;
use crate::event::row::hex;

/// The cookie of the viewer's choices.
pub const PREFS_COOKIE: &str = "annals_view";
/// The cookie of the token.
pub const TOKEN_COOKIE: &str = "annals_form";
/// How long choices are kept, seconds.
const YEAR_S: u32 = 31_536_000;
/// Characters of a token.
const TOKEN_CHARS: usize = 32;

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the system says.
    #[default]
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// A viewer's choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefs {
    /// Light or dark.
    pub theme: Theme,
    /// One line a row.
    pub is_compact: bool,
    /// The zone; none on a first visit.
    pub tz: Option<Tz>,
    /// Single keys do something.
    pub has_keys: bool,
}

impl Default for Prefs {
    fn default() -> Prefs {
        Prefs { theme: Theme::Auto, is_compact: false, tz: None, has_keys: true }
    }
}

impl Theme {
    /// All, as the menu shows them.
    pub const ALL: [Theme; 3] = [Theme::Auto, Theme::Light, Theme::Dark];

    /// The value in form and cookie.
    pub fn word(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

impl Prefs {
    /// The choices of a request's cookie. What cannot be read is as if it was never chosen.
    pub fn of(headers: &HeaderMap) -> Prefs {
        let text = cookie(headers, PREFS_COOKIE).unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        Prefs::read(&pairs).unwrap_or_default()
    }

    /// The choices of a form. An unknown zone is given back.
    pub fn read(pairs: &[(String, String)]) -> Result<Prefs, String> {
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
        let theme = value("theme").and_then(|word| Theme::ALL.into_iter().find(|theme| theme.word() == word));
        let tz = match value("tz").filter(|name| !name.is_empty()) {
            Some(name) => Some(Tz::from_str(name).map_err(|_| name.to_owned())?),
            None => None,
        };
        Ok(Prefs {
            theme: theme.unwrap_or_default(),
            is_compact: value("rows") == Some("compact"),
            tz,
            has_keys: value("keys") != Some("off"),
        })
    }

    /// The cookie that keeps them. Its path is left to the browser: the page, under whatever prefix it sees it.
    pub fn cookie(&self, is_secure: bool) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.append_pair("theme", self.theme.word());
        text.append_pair("rows", if self.is_compact { "compact" } else { "two" });
        text.append_pair("keys", if self.has_keys { "on" } else { "off" });
        if let Some(tz) = self.tz {
            text.append_pair("tz", tz.name());
        }
        let secure = respond::secure(is_secure);
        format!("{PREFS_COOKIE}={}; Max-Age={YEAR_S}; SameSite=Lax; HttpOnly{secure}", text.finish())
    }
}

/// The value of a cookie.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|text| text.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

/// The token of a request, if it brought one of ours.
pub fn token(headers: &HeaderMap) -> Option<String> {
    cookie(headers, TOKEN_COOKIE)
        .filter(|text| text.len() == TOKEN_CHARS && text.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A new token, and the cookie that carries it.
pub fn new_token(is_secure: bool) -> std::io::Result<(String, String)> {
    let text = hex(&durable::random::<16>()?);
    let secure = respond::secure(is_secure);
    let cookie = format!("{TOKEN_COOKIE}={text}; SameSite=Strict; HttpOnly{secure}");
    Ok((text, cookie))
}

/// Whether two tokens are the same, in a time that does not tell where they differ.
pub fn is_same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_come_back_out_of_their_cookie() {
        let prefs = Prefs { theme: Theme::Dark, is_compact: true, tz: Some(Tz::Asia__Kolkata), has_keys: false };
        let cookie = prefs.cookie(false);
        let mut headers = HeaderMap::new();
        let sent = format!("other=1; {}", cookie.split(';').next().unwrap());
        headers.insert(header::COOKIE, sent.parse().unwrap());
        assert_eq!(Prefs::of(&headers), prefs);
        headers.insert(header::COOKIE, "annals_view=tz=Mars".parse().unwrap());
        assert_eq!(Prefs::of(&headers), Prefs::default());
    }

    #[test]
    fn a_token_is_random_and_compared_as_a_whole() {
        let (a, cookie) = new_token(true).unwrap();
        let (b, _) = new_token(true).unwrap();
        assert!(a != b && cookie.contains(&a) && cookie.ends_with("; Secure"));
        assert!(is_same(&a, &a) && !is_same(&a, &b) && !is_same(&a, ""));
    }
}
