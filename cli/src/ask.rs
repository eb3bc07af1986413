//! Where secrets come from: a variable, a file, standard input, or a prompt
//! without echo. Never an argument: every user of a machine can read those.

use std::{
    ffi::OsString,
    fs,
    io::{self, BufRead as _, IsTerminal as _},
    path::Path,
};

use crate::{failure::Failure, secret::Secret};

/// How environment variables are read; tests give their own.
pub(crate) type Env = dyn Fn(&str) -> Option<OsString>;

/// The secret in the variable `name`, or in the file that `name`_FILE names. An
/// empty variable counts as unset.
///
/// # Errors
/// Both are set; the file can't be read.
pub(crate) fn variable(env: &Env, name: &'static str) -> Result<Option<Secret>, Failure> {
    let value = env(name).filter(|value| !value.is_empty());
    let file = env(&format!("{name}_FILE")).filter(|path| !path.is_empty());
    match (value, file) {
        (Some(_), Some(_)) => Err(Failure::Twice(name)),
        (Some(value), None) => value
            .into_string()
            .map(|text| Some(Secret::new(text)))
            .map_err(|_| Failure::NotText(name.to_owned())),
        (None, Some(path)) => file_content(Path::new(&path)).map(Some),
        (None, None) => Ok(None),
    }
}

/// The secret that is all of a file, without the line's end, and the byte order mark that some
/// editors put first.
///
/// # Errors
/// The file can't be read, is no text, or is empty.
pub(crate) fn file_content(path: &Path) -> Result<Secret, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|source| Failure::File { path: path.to_owned(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
    not_empty(without_line_end(text), &path.display().to_string())
}

/// The next line of standard input.
///
/// # Errors
/// It can't be read, or is empty.
pub(crate) fn input_line(what: &'static str) -> Result<Secret, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| Failure::Input(what, error))?;
    not_empty(without_line_end(line), what)
}

/// Asks at the terminal, without echo.
///
/// # Errors
/// There is no terminal (`instead` says what to do then), or nothing was entered.
pub(crate) fn prompt(what: &'static str, instead: &'static str) -> Result<Secret, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::NoTerminal { what, instead });
    }
    let text = rpassword::prompt_password(format!("{what}: "))
        .map_err(|error| Failure::Input(what, error))?;
    not_empty(text, what)
}

/// The next line of standard input; at a terminal, asked for without echo.
///
/// # Errors
/// As [`input_line`] and [`prompt`].
pub(crate) fn line_or_prompt(what: &'static str) -> Result<Secret, Failure> {
    if io::stdin().is_terminal() {
        prompt(what, "give it on standard input")
    } else {
        input_line(what)
    }
}

/// Asks twice, so that a slip of the finger locks nobody out.
///
/// # Errors
/// As [`prompt`]; or the entries differ.
pub(crate) fn prompt_twice(what: &'static str, instead: &'static str) -> Result<Secret, Failure> {
    let first = prompt(what, instead)?;
    let second = prompt("The same again", instead)?;
    if first.expose() == second.expose() { Ok(first) } else { Err(Failure::Differ) }
}

fn not_empty(text: String, what: &str) -> Result<Secret, Failure> {
    if text.is_empty() {
        return Err(Failure::Empty(what.to_owned()));
    }
    Ok(Secret::new(text))
}

fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Box<Env> {
        let map: HashMap<String, OsString> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        Box::new(move |name| map.get(name).cloned())
    }

    #[test]
    fn a_variable_gives_the_secret() {
        let secret = variable(&*env(&[("P", "hunter2")]), "P").unwrap().unwrap();
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_file_gives_the_secret_without_byte_order_mark_and_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "\u{feff}two words \r\n").unwrap();
        let env = env(&[("P_FILE", path.to_str().unwrap())]);
        assert_eq!(variable(&*env, "P").unwrap().unwrap().expose(), "two words ");
    }

    #[test]
    fn value_and_file_together_are_refused() {
        let both = env(&[("P", "x"), ("P_FILE", "/y")]);
        assert!(matches!(variable(&*both, "P"), Err(Failure::Twice("P"))));
    }

    #[test]
    fn an_empty_variable_is_unset() {
        assert!(variable(&*env(&[("P", "")]), "P").unwrap().is_none());
    }

    #[test]
    fn an_empty_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "\n").unwrap();
        assert!(matches!(file_content(&path), Err(Failure::Empty(_))));
    }
}
