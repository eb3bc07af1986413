//! A foreign library that reads access tokens one after the other, with what it
//! remembers of the keys in between.

use std::process::{Command, Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

/// A running reader. It is killed when dropped.
pub struct Reader {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Reader {
    /// Starts a command that answers each line with one.
    pub fn start(command: Command) -> Self {
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { input, output, _process: process }
    }

    /// What it says of a token: `good`, or why not.
    pub async fn says_of(&mut self, token: &str) -> String {
        self.input.write_all(format!("{token}\n").as_bytes()).await.unwrap();
        self.output.next_line().await.unwrap().expect("an answer to each token")
    }
}
