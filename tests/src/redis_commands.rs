//! The commands that a Redis knows, from the server itself.

use redis::{Value, aio::MultiplexedConnection, cmd, from_redis_value};

/// A command without subcommands, or a subcommand.
#[derive(Debug)]
pub struct Known {
    /// As rights name it: `get`, `client|tracking`.
    pub name: String,
    /// How many words it has, its name's included; negative: at least so many.
    arity: i64,
}

impl Known {
    /// The command with as few arguments as it takes, each of them `argument`, but
    /// for numbers of keys.
    pub fn words(&self, argument: &str) -> Vec<String> {
        let mut words: Vec<_> = self.name.split('|').map(str::to_owned).collect();
        let length = usize::try_from(self.arity.unsigned_abs()).unwrap();
        if matches!(self.name.as_str(), "eval" | "evalsha") {
            words.extend(["return 1", "1", argument].map(str::to_owned));
        }
        while words.len() < length {
            words.push(argument.to_owned());
        }
        words
    }
}

/// All that the server knows.
pub async fn known_commands(redis: &mut MultiplexedConnection) -> Vec<Known> {
    let answer: Vec<Value> = cmd("COMMAND").query_async(redis).await.unwrap();
    let mut known = Vec::new();
    answer.into_iter().for_each(|entry| add(entry, &mut known));
    known
}

/// An entry is name, arity, flags, three places of keys, categories, tips, key
/// specifications, subcommands.
fn add(entry: Value, known: &mut Vec<Known>) {
    let mut parts: Vec<Value> = from_redis_value(entry).unwrap();
    let subcommands: Vec<Value> = from_redis_value(parts.remove(9)).unwrap();
    if subcommands.is_empty() {
        let arity = from_redis_value(parts.remove(1)).unwrap();
        known.push(Known { name: from_redis_value(parts.remove(0)).unwrap(), arity });
    }
    subcommands.into_iter().for_each(|entry| add(entry, known));
}
