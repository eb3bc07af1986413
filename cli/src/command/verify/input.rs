//! The tokens to verify, from standard input, a file, or a prompt.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal as _, Read as _},
    path::Path,
};

use crate::{ask, failure::Failure, secret::Secret};

/// The most questions that BatchVerify takes.
const MOST_TOKENS: usize = 1000;
/// The most bytes of tokens in one call, so that a call with all its other fields
/// stays under gRPC's usual limit of 4 MiB.
const MOST_BYTES: usize = 1 << 20;
/// Above 8,192 bytes a token is MALFORMED without being looked at: one byte more
/// gets the same answer as the whole of a line that is longer still.
const LONGEST: usize = 8193;

/// A token and where it stood.
#[derive(Debug)]
pub(crate) struct Line {
    /// The line's number, from 1.
    pub(crate) number: usize,
    /// The token on it.
    pub(crate) token: Secret,
}

/// Reads tokens, one on each line.
pub(crate) struct Tokens {
    from: Box<dyn BufRead>,
    number: usize,
}

impl Tokens {
    /// The lines of `file`, or of standard input; at a terminal, one token asked for.
    ///
    /// # Errors
    /// The file can't be opened; nothing was entered.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = file {
            let opened = File::open(path)
                .map_err(|source| Failure::File { path: path.to_owned(), source })?;
            return Ok(Self::new(BufReader::new(opened)));
        }
        if io::stdin().is_terminal() {
            let token = ask::prompt("Token", "give it on standard input or with --token-file")?;
            return Ok(Self::new(io::Cursor::new(token.expose().to_owned())));
        }
        Ok(Self::new(io::stdin().lock()))
    }

    fn new(from: impl BufRead + 'static) -> Self {
        Self { from: Box::new(from), number: 0 }
    }

    /// As many tokens as go into one call; none at the end.
    ///
    /// # Errors
    /// The input can't be read.
    pub(crate) fn chunk(&mut self) -> Result<Vec<Line>, Failure> {
        self.read_chunk().map_err(|error| Failure::Input("the tokens", error))
    }

    fn read_chunk(&mut self) -> io::Result<Vec<Line>> {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while chunk.len() < MOST_TOKENS && bytes < MOST_BYTES {
            let Some(line) = self.line()? else { break };
            self.number += 1;
            let text = String::from_utf8_lossy(&line);
            let token = text.trim();
            if !token.is_empty() {
                bytes += token.len();
                let number = self.number;
                chunk.push(Line { number, token: Secret::new(token.to_owned()) });
            }
        }
        Ok(chunk)
    }

    /// The next line, of which no more than [`LONGEST`] bytes are kept.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let read = (&mut self.from).take(limit).read_until(b'\n', &mut line)?;
        if read == LONGEST && line.last() != Some(&b'\n') {
            self.from.skip_until(b'\n')?;
        }
        Ok((read > 0).then_some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(text: &str) -> Vec<Vec<(usize, String)>> {
        let mut tokens = Tokens::new(io::Cursor::new(text.to_owned()));
        std::iter::from_fn(|| Some(tokens.chunk().unwrap()).filter(|chunk| !chunk.is_empty()))
            .map(|chunk| {
                let plain = |line: &Line| (line.number, line.token.expose().to_owned());
                chunk.iter().map(plain).collect()
            })
            .collect()
    }

    #[test]
    fn tokens_keep_their_line_numbers_and_empty_lines_are_passed_over() {
        let read = chunks("a\r\n\n  b \nc");
        assert_eq!(read, [[(1, "a".into()), (3, "b".into()), (4, "c".into())]]);
    }

    #[test]
    fn a_chunk_holds_at_most_a_thousand() {
        let read = chunks(&"t\n".repeat(2001));
        assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 1]);
    }

    #[test]
    fn a_line_too_long_stays_too_long_and_spoils_no_other() {
        let read = chunks(&format!("{}\nb\n", "x".repeat(100_000)));
        assert_eq!(read[0][0].1.len(), LONGEST);
        assert_eq!(read[0][1], (2, "b".into()));
    }

    #[test]
    fn long_tokens_make_smaller_chunks() {
        let read = chunks(&format!("{}\n", "x".repeat(8000)).repeat(300));
        assert!(read.len() > 1 && read.iter().all(|chunk| chunk.len() <= 132));
    }
}
