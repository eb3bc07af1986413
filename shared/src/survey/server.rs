//! What a Redis says of itself, as far as its user may ask.

use std::collections::BTreeMap;

use ::redis::{FromRedisValue, Value, from_redis_value};

use super::Facts;
use crate::{
    clock::{Clock, Timestamp},
    store::{
        StoreError,
        redis::{Answer, Endpoint, Guarantee, Look, Topology},
    },
};

/// The settings that the promises rest on.
const SETTINGS: [&str; 6] = [
    "appendonly",
    "appendfsync",
    "no-appendfsync-on-rewrite",
    "maxmemory-policy",
    "min-replicas-to-write",
    "min-replicas-max-lag",
];

/// A server, as one user sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    /// Where it is.
    pub(super) address: String,
    /// `redis` or `valkey`.
    pub(super) program: String,
    pub(super) version: String,
    /// `standalone`, `sentinel` or `cluster`.
    pub(super) mode: String,
    /// `master` or `replica`.
    pub(super) role: String,
    /// What INFO tells; `None`: this user may not ask.
    pub(super) info: Option<BTreeMap<String, String>>,
    /// What CONFIG GET tells; `None`: this user may not ask.
    pub(super) settings: Option<BTreeMap<String, String>>,
    /// By how many milliseconds its clock is ahead of ours, to within the time of a call.
    pub(super) ahead_millis: Option<i64>,
    /// What each write waits for before it is acknowledged.
    pub(super) guarantee: Guarantee,
    /// Whether it can be waited for.
    pub(super) waiting: Waiting,
}

/// What a server makes of the command that waits for replicas and disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Nobody wants to wait, or it does.
    #[default]
    Fine,
    /// This user may not say it.
    Forbidden(&'static str),
    /// The server does not know it.
    Strange(&'static str),
}

impl Server {
    pub(super) async fn seen(look: &mut Look, clock: &dyn Clock) -> Result<Self, StoreError> {
        let hello: BTreeMap<String, Value> = match look.ask(&["HELLO"]).await? {
            Answer::Value(value) => from_redis_value(value).unwrap_or_default(),
            _ => BTreeMap::new(),
        };
        let said = |name: &str| text(hello.get(name)).unwrap_or_else(|| "unknown".to_owned());
        let asked_at = clock.now();
        let info = match look.ask(&["INFO"]).await? {
            Answer::Value(value) => text(Some(&value)).map(|text| parse(&text)),
            _ => None,
        };
        let answered_at = clock.now();
        let mut get = vec!["CONFIG", "GET"];
        get.extend(SETTINGS);
        let settings = match look.ask(&get).await? {
            Answer::Value(value) => from_redis_value(value).ok(),
            _ => None,
        };
        let guarantee = look.settings().guarantee;
        let waiting = Waiting::seen(look, guarantee).await?;
        // Valkey calls itself Redis of a version that it stands in for.
        let valkey = info.as_ref().and_then(|info| info.get("valkey_version")).cloned();
        let program = if valkey.is_some() { "valkey".to_owned() } else { said("server") };
        // Which a server does not know of itself.
        let is_named = matches!(look.settings().topology, Topology::Sentinel(_));
        let mode = if is_named { "sentinel".to_owned() } else { said("mode") };
        Ok(Self {
            address: look.address().to_string(),
            program,
            version: valkey.unwrap_or_else(|| said("version")),
            mode,
            role: said("role"),
            ahead_millis: info.as_ref().and_then(|info| ahead(info, asked_at, answered_at)),
            info,
            settings,
            guarantee,
            waiting,
        })
    }

    /// A line of INFO.
    pub(super) fn told(&self, name: &str) -> Option<&str> {
        self.info.as_ref()?.get(name).map(String::as_str)
    }

    /// A line of INFO that is a number.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.told(name)?.parse().ok()
    }

    /// A setting: as CONFIG GET tells it, or as INFO shows it by the way.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        let settings = self.settings.as_ref();
        settings.and_then(|all| all.get(name).map(String::as_str)).or_else(|| match name {
            "appendonly" => self.told("aof_enabled").map(|on| if on == "0" { "no" } else { "yes" }),
            "maxmemory-policy" => self.told("maxmemory_policy"),
            _ => None,
        })
    }

    /// The replicas that it has, where it says that they are.
    pub(super) fn replicas(&self) -> Vec<Endpoint> {
        let info = self.info.iter().flatten();
        let lines = info.filter(|(name, _)| {
            name.strip_prefix("slave").is_some_and(|number| number.parse::<u32>().is_ok())
        });
        lines.filter_map(|(_, line)| replica(line)).collect()
    }

    pub(super) fn facts(&self) -> Facts {
        let mut facts = vec![
            ("address", self.address.clone()),
            ("server", format!("{} {}", self.program, self.version)),
            ("topology", format!("{}, {}", self.mode, self.role)),
        ];
        let settings: Vec<_> = SETTINGS
            .iter()
            .filter_map(|name| Some(format!("{name} {}", self.setting(name)?)))
            .collect();
        if !settings.is_empty() {
            facts.push(("settings", settings.join(", ")));
        }
        if let Some(used) = self.count("used_memory") {
            let most = match self.count("maxmemory").unwrap_or_default() {
                0 => "no limit".to_owned(),
                most => format!("at most {}", mebibytes(most)),
            };
            facts.push(("memory", format!("{}, {most}", mebibytes(used))));
        }
        if let Some(replicas) = self.told("connected_slaves") {
            facts.push(("replicas", replicas.to_owned()));
        }
        if let Some(ahead) = self.ahead_millis {
            facts.push(("clock", format!("{ahead} ms ahead of this machine's")));
        }
        facts
    }
}

impl Waiting {
    /// Waits for nothing, which is over at once.
    async fn seen(look: &mut Look, guarantee: Guarantee) -> Result<Self, StoreError> {
        let (word, answer) = match guarantee {
            Guarantee { disks: true, .. } => {
                ("WAITAOF", look.ask(&["WAITAOF", "0", "0", "1"]).await?)
            }
            Guarantee { replicas: 0, .. } => return Ok(Self::Fine),
            _ => ("WAIT", look.ask(&["WAIT", "0", "1"]).await?),
        };
        Ok(match answer {
            Answer::Forbidden => Self::Forbidden(word),
            Answer::Strange => Self::Strange(word),
            Answer::Value(_) | Answer::Wrong => Self::Fine,
        })
    }
}

/// A number of bytes for people.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}

fn text(value: Option<&Value>) -> Option<String> {
    String::from_redis_value(value?.clone()).ok()
}

fn parse(info: &str) -> BTreeMap<String, String> {
    let lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// `ip=10.0.0.2,port=6379,state=online,...`
fn replica(line: &str) -> Option<Endpoint> {
    let value = |name| line.split(',').find_map(|part| part.strip_prefix(name));
    Some(Endpoint { host: value("ip=")?.to_owned(), port: value("port=")?.parse().ok()? })
}

/// The server's clock against the middle of the call; nothing within the call's own time.
fn ahead(
    info: &BTreeMap<String, String>,
    asked_at: Timestamp,
    answered_at: Timestamp,
) -> Option<i64> {
    let theirs = info.get("server_time_usec")?.parse::<i64>().ok()? / 1000;
    let took = answered_at.millis() - asked_at.millis();
    let ahead = theirs - (asked_at.millis() + took / 2);
    Some(if ahead.abs() <= took / 2 + 1 { 0 } else { ahead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_call() {
        let info = parse("# Server\r\nserver_time_usec:5000000\r\n");
        let at = Timestamp::from_millis;
        assert_eq!(ahead(&info, at(4990), at(5010)), Some(0));
        assert_eq!(ahead(&info, at(1000), at(1010)), Some(3995));
        assert_eq!(ahead(&info, at(9000), at(9000)), Some(-4000));
        assert_eq!(ahead(&parse("x:1"), at(0), at(0)), None);
    }

    #[test]
    fn replicas_are_where_info_says_that_they_are() {
        let lines = "connected_slaves:1\r\nslave0:ip=::1,port=6380,state=online,offset=1,lag=0\r\n\
                     slave_read_only:1\r\n";
        let server = Server { info: Some(parse(lines)), ..Server::default() };
        assert_eq!(server.replicas(), [Endpoint { host: "::1".to_owned(), port: 6380 }]);
        assert_eq!(Server::default().replicas(), []);
    }

    #[test]
    fn info_stands_in_for_what_config_does_not_tell() {
        let info = Some(parse("aof_enabled:1\r\nmaxmemory_policy:noeviction\r\n"));
        let server = Server { info, ..Server::default() };
        assert_eq!(server.setting("appendonly"), Some("yes"));
        assert_eq!(server.setting("maxmemory-policy"), Some("noeviction"));
        assert_eq!(server.setting("appendfsync"), None);
    }
}
