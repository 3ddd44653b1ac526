//! A secret that is kept as long as the process lives: on a page of its own that is not written to swap, as far as the system lets us,
//! and zeros before that page is given back.

use std::ops::Deref;

use region::LockGuard;
use zeroize::Zeroize;

use super::kek::{KEY_BYTES, Secret};

/// Nothing else is on its page, so that nothing else is unlocked or locked with it.
#[repr(C, align(4096))]
struct Page {
    key: [u8; KEY_BYTES],
}

/// A key in memory of its own.
pub struct Kept {
    /// Dropped first: what is unlocked must still be ours.
    lock: Option<LockGuard>,
    page: Box<Page>,
}

impl Kept {
    /// Takes a key there. If the system locks no more memory for us (`ulimit -l`), it is where it is.
    pub fn new(key: &Secret) -> Kept {
        let mut page = Box::new(Page { key: [0; KEY_BYTES] });
        let lock = region::lock(&raw const *page, size_of::<Page>()).ok();
        page.key.copy_from_slice(&**key);
        Kept { lock, page }
    }

    /// Whether it is never swapped.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

impl Deref for Kept {
    type Target = [u8; KEY_BYTES];

    fn deref(&self) -> &[u8; KEY_BYTES] {
        &self.page.key
    }
}

impl Drop for Kept {
    /// Before it is unlocked.
    fn drop(&mut self) {
        self.page.key.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KiB of this process that are locked, as the kernel counts them.
    fn locked_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn it_is_on_a_locked_page_of_its_own() {
        // Enough of them that what other tests do meanwhile does not matter.
        let kept: Vec<Kept> = (0..8).map(|n| Kept::new(&Secret::new([n; KEY_BYTES]))).collect();
        assert!(kept.iter().all(Kept::is_locked), "the system locks no 32 KiB for us: ulimit -l");
        assert!(locked_kib() >= 32, "{}", locked_kib());
        assert!((0..8).zip(&kept).all(|(n, kept)| **kept == [n; KEY_BYTES]));
        let pages: std::collections::HashSet<usize> =
            kept.iter().map(|kept| (&raw const *kept.page) as usize / 4096).collect();
        assert_eq!(pages.len(), 8);
    }
}
