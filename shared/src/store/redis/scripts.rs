//! The steps that must be atomic, as Lua of one key each.

use std::sync::LazyLock;

use ::redis::{Cmd, cmd};

macro_rules! swap {
    () => {
        r"
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
elseif ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
end
return 1
"
    };
}

/// Arguments: expected value, new value, time of expiry in milliseconds; empty
/// stands for none, which no value is. Answers 1 when done.
pub(super) static SWAP: Script = Script::new(swap!(), || digest(&SWAP));

/// The same, also when the memory is full: for what must not wait until it is not, as
/// the end of a token. It takes a server of 7.0 or later, as all with flags does.
pub(super) static SWAP_THOUGH_FULL: Script =
    Script::new(concat!("#!lua flags=allow-oom", swap!()), || digest(&SWAP_THOUGH_FULL));

/// Arguments: token, live until, now, limit; times in milliseconds. Answers 1
/// when the token is counted.
pub(super) static RESERVE: Script = Script::new(
    r"
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
local others = redis.call('ZCARD', KEYS[1])
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then others = others - 1 end
if others >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 1
",
    || digest(&RESERVE),
);

/// Arguments: field, last used, last reused; and so on. Times are in seconds, 0 for
/// never. A value is the first, and the second after a space unless it is 0: most
/// are then one number, which Redis keeps in few bytes.
///
/// It runs when the memory is full too: what it merges leaves the stream that may have
/// filled it.
pub(super) static MERGE_USAGE: Script = Script::new(
    r"#!lua flags=allow-oom
for i = 1, #ARGV, 3 do
  local used, reused = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  if old then
    local old_used, old_reused = string.match(old, '^(%d+) ?(%d*)$')
    used = math.max(used, tonumber(old_used) or 0)
    reused = math.max(reused, tonumber(old_reused) or 0)
  end
  local new = tostring(used)
  if reused > 0 then new = new .. ' ' .. reused end
  if new ~= old then redis.call('HSET', KEYS[1], ARGV[i], new) end
end
",
    || digest(&MERGE_USAGE),
);

/// A script, known to a server by its digest once it has seen it.
pub(super) struct Script {
    source: &'static str,
    digest: LazyLock<String>,
}

impl Script {
    const fn new(source: &'static str, digest: fn() -> String) -> Self {
        Self { source, digest: LazyLock::new(digest) }
    }

    /// A call on `key`, without arguments yet.
    pub(super) fn call(&self, key: String) -> Call<'_> {
        let mut by_digest = cmd("EVALSHA");
        by_digest.arg(self.digest.as_str()).arg(1).arg(&key);
        Call { script: self, key, arguments: Vec::new(), by_digest }
    }
}

fn digest(script: &Script) -> String {
    ::redis::Script::new(script.source).get_hash().to_owned()
}

/// A script with its arguments.
pub(super) struct Call<'a> {
    script: &'a Script,
    key: String,
    arguments: Vec<Vec<u8>>,
    by_digest: Cmd,
}

impl Call<'_> {
    pub(super) fn arg(mut self, argument: &[u8]) -> Self {
        self.by_digest.arg(argument);
        self.arguments.push(argument.to_vec());
        self
    }

    /// What it is about.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The call to a server that knows the script.
    pub(super) fn by_digest(&self) -> &Cmd {
        &self.by_digest
    }

    /// The call to a server that does not; it will then know it.
    pub(super) fn by_source(&self) -> Cmd {
        let mut eval = cmd("EVAL");
        eval.arg(self.script.source).arg(1).arg(&self.key).arg(&self.arguments);
        eval
    }
}
