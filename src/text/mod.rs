//! From text to what can be searched: folding, words, and the leaves of a free payload.
//! Pure and shared: the index, the scan and the query all see text through these functions, so that they agree.

mod flatten;
mod fold;
mod number;
mod tokens;
mod unfold;

pub use flatten::{Leaf, flatten};
pub use fold::{VALUE_BYTES_MAX, fold, fold_value};
pub use number::{decimal_key, number_key};
pub use tokens::{TOKEN_BYTES_MAX, Token, is_unspaced, placed_tokens, query_tokens, tokens};
pub use unfold::Unfolding;
