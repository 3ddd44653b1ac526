//! Viewer tokens as `/v1/viewers` takes and shows them.

use serde::Deserialize;

use super::{object, optional};
use crate::auth::{Viewer, ViewerDraft};
use crate::clock::rfc3339_ms;
use crate::json::write_string;

/// What is wanted of a new viewer, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    user: String,
    name: Option<String>,
    tenant: Option<String>,
    restriction: Option<String>,
    #[serde(default)]
    export: bool,
    #[serde(default)]
    personal: bool,
    expires_in: Option<u64>,
}

/// Reads what is wanted of a new viewer.
///
/// # Errors
/// What is wrong, and what was expected.
pub fn viewer_draft(body: &[u8]) -> Result<ViewerDraft, String> {
    let wanted: Wanted = object(body)?;
    Ok(ViewerDraft {
        user: wanted.user,
        name: wanted.name,
        tenant: wanted.tenant,
        restriction: wanted.restriction,
        export: wanted.export,
        personal: wanted.personal,
        life_s: wanted.expires_in,
    })
}

/// A viewer that was just made, with its token and where the page stands for them.
pub fn new_viewer(viewer: &Viewer, token: &str) -> String {
    let mut out = String::from("{\"id\":");
    write_string(&viewer.id, &mut out);
    let path = format!("/embed/{token}/");
    let expires = rfc3339_ms(viewer.expires_ms.cast_signed());
    for (name, value) in [
        ("token", Some(token)),
        ("path", Some(&*path)),
        ("user", Some(&*viewer.user)),
        ("name", viewer.name.as_deref()),
        ("tenant", viewer.tenant.as_deref()),
        ("restriction", viewer.restriction.as_deref()),
        ("expires", Some(&*expires)),
    ] {
        optional(&mut out, name, value);
    }
    out.push_str(&format!(",\"export\":{},\"personal\":{}}}", viewer.export, viewer.personal));
    out
}
