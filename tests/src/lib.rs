//! What the end-to-end tests stand on: real processes, a real Redis, typed
//! clients and foreign tools.
//!
//! A scenario is written once, over a [`system::Backend`], and
//! [`on_every_backend!`] makes a test of it for the embedded store and for Redis.
//! Every process is started with an empty environment, on ports of its own, and
//! dies with the value that stands for it. Nothing sleeps: what takes time is
//! watched by [`watch::eventually`].

pub mod ask;
pub mod cli;
pub mod client;
pub mod collector;
pub mod contract;
pub mod crash;
pub mod gate;
pub mod gateway;
pub mod group;
pub mod guarded;
pub mod hostile;
pub mod http;
pub mod metrics;
pub mod port;
pub mod process;
pub mod promise;
pub mod proxy;
pub mod raw;
pub mod reader;
pub mod redis;
pub mod redis_commands;
pub mod refused;
pub mod service;
pub mod system;
pub mod tls;
pub mod tools;
pub mod upstream;
pub mod users;
pub mod watch;
pub mod wire;

/// Makes of each scenario, an `async fn(Backend)`, one test for each backend.
#[macro_export]
macro_rules! on_every_backend {
    ($($scenario:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario($crate::system::Backend::Embedded).await;
            })+
        }
        mod redis {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario($crate::system::Backend::Redis).await;
            })+
        }
    };
}
