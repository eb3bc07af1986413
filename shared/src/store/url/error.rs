//! What can be wrong with a store URL.

/// Why a store URL is not one. Says what would be right, and nothing of what was
/// written after the scheme, for there may be a password in it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreUrlError {
    /// An unknown scheme, or none.
    #[error(
        "a store URL is embedded:DIR, redis://…, redis+unix:///PATH, redis+sentinel://… or redis+cluster://…; rediss in place of redis for TLS"
    )]
    Scheme,
    /// `embedded:` without a directory, or written as an authority.
    #[error(
        "write embedded:DIR, such as embedded:./tessera-data or embedded:/var/lib/tessera, with no // before the directory"
    )]
    Directory,
    /// A host or a port that is none.
    #[error(
        "not a URL: write redis://USER:PASSWORD@HOST:PORT/DB?prefix=P, and percent-encode what is special in user and password"
    )]
    Syntax,
    /// No host.
    #[error("no host: write redis://HOST:PORT/DB")]
    Host,
    /// Several hosts where there is one.
    #[error("several hosts: write redis+sentinel:// or redis+cluster:// for what they are")]
    OneHost,
    /// No name of a primary.
    #[error(
        "no primary: write redis+sentinel://H1:26379,H2:26379,H3:26379/NAME/DB, with the name that the sentinels know it by"
    )]
    Primary,
    /// No socket.
    #[error("no socket: write redis+unix:///PATH?db=DB, with three slashes")]
    Socket,
    /// The database is no number, or too great.
    #[error("the database is a number from 0 to 65535: write …/0, or ?db=0 for a unix socket")]
    Database,
    /// A database, or more, after the hosts of a cluster.
    #[error("a cluster has database 0 alone: write redis+cluster://H1:PORT,H2:PORT")]
    ClusterDatabase,
    /// A prefix that would put all keys into one slot.
    #[error("the prefix of a cluster's keys has no {{ or }}: they would all fall into one slot")]
    Braces,
    /// Percent-encoding that is no UTF-8.
    #[error("user, password and path must be percent-encoded UTF-8")]
    Encoding,
    /// A parameter that the scheme does not have, or has twice.
    #[error("the parameters after ? are {0}, each at most once")]
    Parameter(&'static str),
    /// A fragment.
    #[error("a store URL has nothing after #; write %23 for a # in a password")]
    Fragment,
}
