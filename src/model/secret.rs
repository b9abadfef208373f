//! Passwords and keys: never shown, and wiped when they are dropped.

use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Something that no dump, log line or debug output may show. The memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes it over.
    pub fn new(value: T) -> Secret<T> {
        Secret(Zeroizing::new(value))
    }

    /// The secret itself, for whoever signs or sends with it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

/// The eight bytes of VRRPv2's authentication data.
pub type Password = Secret<[u8; 8]>;

/// A key of `auth_hmac`.
pub type Key = Secret<Vec<u8>>;

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_compared_but_not_shown() {
        let key = Key::new(b"hidden".to_vec());
        assert_eq!(key, Key::new(b"hidden".to_vec()));
        assert_ne!(key, Key::new(b"hiddem".to_vec()));
        assert_eq!(
            format!("{key:?} {:#?}", Some(&key)),
            "******** Some(\n    ********,\n)"
        );
        assert_eq!(key.expose().as_slice(), b"hidden");
    }
}
