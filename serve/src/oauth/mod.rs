//! What the endpoints of OAuth share, which are the issuer's `/revoke` (RFC 7009) and the
//! verifier's `/introspect` (RFC 7662).
//!
//! | module | what lives there |
//! |---|---|
//! | `caller` | how a caller proves itself |
//! | `form` | what it sends |
//! | `answer` | what it gets: JSON, and the errors of RFC 6749 |

pub mod answer;
pub mod caller;
pub mod form;
