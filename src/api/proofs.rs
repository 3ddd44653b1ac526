//! What an auditor asks for: the signed checkpoint, the tree's tiles and leaves as c2sp.org/tlog-tiles serves them, and
//! proofs of single entries. All of it lies below the signed size, so it never changes.

use std::time::Duration;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::events::find;
use super::params::Params;
use super::{App, EngineChoice, ask, json, own};
use crate::log::Head;
use crate::seq::Seq;
use crate::tree::tiles::TILE_HASHES;
use crate::tree::{Hash, TlogProof, tile_path};
use crate::wire;

/// Tiles are immutable; a year is what caches take for ever.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// A new entry is signed within a second: so long one who asks for its proof waits.
pub(super) const SIGNED_SOON: Duration = Duration::from_secs(2);

/// `GET /checkpoint`
pub async fn checkpoint(app: App) -> Result<Response, ApiError> {
    let head = signed(&app)?;
    Ok(text(head.checkpoint))
}

/// `GET /v1/log`
pub async fn log(app: App) -> Result<Response, ApiError> {
    let head = signed(&app)?;
    let (store, cosigned) = (&app.store, app.store.cosigned());
    let log_id = &store.report().log_id;
    let (key, integrity) = (store.public_key(), store.integrity());
    Ok(json(wire::log(log_id, key, &head.checkpoint, cosigned.as_deref(), &integrity, store.marks())))
}

pub async fn tile(app: App, Path((level, tile)): Path<(String, String)>) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("there is no such tile in the signed tree");
    let (tile, width) = tile_path::parse(&tile).ok_or_else(missing)?;
    let level = match level.as_str() {
        "entries" => None,
        level => Some(tile_path::parse_level(level).ok_or_else(missing)?),
    };
    let size = signed(&app)?.size;
    let held = size.0.checked_shr(8 * level.unwrap_or(0)).unwrap_or(0);
    let first = tile.checked_mul(TILE_HASHES).ok_or_else(missing)?;
    if first.checked_add(width).is_none_or(|end| end > held) {
        return Err(missing());
    }
    let bytes = ask(&app, EngineChoice::Index, {
        let store = app.store.clone();
        move |answers, _| match level {
            Some(level) => Ok(store.tree().tile(level, tile, width)?.concat()),
            None => {
                let mut bundle = Vec::with_capacity(width as usize * wire::ENTRY_BYTES);
                for seq in first..first + width {
                    wire::push_entry(&answers.source.evidence(Seq(seq))?.leaf, &mut bundle);
                }
                Ok(bundle)
            }
        }
    })
    .await?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, FOR_EVER)];
    Ok((headers, bytes).into_response())
}

pub async fn proof(app: App, Path(name): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    let proven = prove(&app, named(&app, &name, &uri).await?).await?;
    Ok(text(proven.to_text()))
}

pub async fn evidence(app: App, Path(name): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    evidence_of(&app, &name, &uri).await
}

/// Leaf, salt and body of the entry of this name as they were hashed, the way to the newest checkpoint, and what was sealed if the caller
/// may see it: the body has its digests.
pub async fn evidence_of(app: &App, name: &str, uri: &Uri) -> Result<Response, ApiError> {
    let proven = prove(app, named(app, name, uri).await?).await?;
    let seq = Seq(proven.index);
    own::enter_view(app, seq).await?;
    let (evidence, opened) = ask(app, EngineChoice::Index, move |answers, _| {
        Ok((answers.source.evidence(seq)?, answers.source.opened(seq)?))
    })
    .await?;
    Ok(json(wire::evidence(&evidence, &opened, &proven)))
}

pub async fn consistency(app: App, uri: Uri) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri)?;
    let any = |_: &u64| true;
    let from = params.take_as("from", "a size of the tree", any)?;
    let from =
        from.ok_or_else(|| ApiError::parameter("from", "required", "from is missing, expected a size of the tree"))?;
    let to = params.take_as("to", "a size of the tree", any)?;
    params.finish()?;
    let head = signed(&app)?;
    let to = to.unwrap_or(head.size.0);
    if to > head.size.0 {
        return Err(ApiError::not_signed_yet(head.size));
    }
    if from > to {
        let detail = format!("from is {from}, expected at most to, which is {to}");
        return Err(ApiError::parameter("from", "bad_value", detail));
    }
    let store = app.store.clone();
    let (roots, proof) = ask(&app, EngineChoice::Index, move |_, _| {
        let tree = store.tree();
        let proof = tree.consistency(from, to)?.unwrap_or_default();
        Ok(([(from, tree.root(from)?), (to, tree.root(to)?)], proof))
    })
    .await?;
    Ok(json(wire::consistency(&roots, &proof, &head.checkpoint)))
}

/// The entry of this name.
async fn named(app: &App, name: &str, uri: &Uri) -> Result<Seq, ApiError> {
    let mut params = Params::of(uri)?;
    let tenant = params.take("tenant")?;
    params.finish()?;
    find(app, name, tenant.as_deref()).await
}

/// The inclusion proof of an entry that the caller sees, under the newest checkpoint.
pub(super) async fn prove(app: &App, seq: Seq) -> Result<TlogProof, ApiError> {
    if seq >= signed(app)?.size {
        // Who timed out is told below.
        let _ = tokio::time::timeout(SIGNED_SOON, app.store.watermarks().signed(seq.plus(1))).await;
    }
    let head = signed(app)?;
    let (store, size) = (app.store.clone(), head.size);
    let hashes: Option<Vec<Hash>> =
        ask(app, EngineChoice::Index, move |_, _| Ok(store.tree().inclusion(seq.0, size.0)?)).await?;
    let hashes = hashes.ok_or_else(|| ApiError::not_signed_yet(size))?;
    Ok(TlogProof { index: seq.0, hashes, checkpoint: head.checkpoint })
}

/// The newest signed checkpoint.
pub(super) fn signed(app: &App) -> Result<Head, ApiError> {
    app.store.signed().filter(Head::is_signed).ok_or_else(|| ApiError::not_signed_yet(Seq::ZERO))
}

fn text(body: String) -> Response {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    (StatusCode::OK, [(header::CONTENT_TYPE, plain)], body).into_response()
}
