//! What an instruction changes of how a container runs. It is about images for Linux:
//! commands that are written as text go to `/bin/sh -c`.
//!
//! Dockerfile reference. Where a rule is docker's and not in the text, it is said here.

use super::{Error, Instruction, Kind, expand, expand_words, parse_line, shown, signal};
use crate::nouns::config::{Execution, Healthcheck};
use jiff::SignedDuration;

/// What runs commands that are written as text.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// The shortest time between checks, in nanoseconds: docker's.
const CHECK_NS_MIN: i64 = 1_000_000;
/// What an instruction for later builds may not be.
const NEVER_LATER: [&str; 3] = ["FROM", "MAINTAINER", "ONBUILD"];

/// Changes what an instruction says. Variables in it are those of the environment as it was
/// before.
pub fn apply(execution: &mut Execution, instruction: &Instruction) -> Result<(), Error> {
    let Instruction { kind, flags, words, is_json } = instruction;
    let name = kind.name();
    if *kind != Kind::Healthcheck
        && let Some(flag) = flags.first()
    {
        return Err(Error::Flag(name, shown(flag)));
    }
    let variables = execution.env.clone();
    let one = |word: &String| expand(word, &variables, '\\');
    match kind {
        Kind::Cmd => execution.cmd = Some(command(name, words, *is_json)?),
        Kind::Entrypoint => execution.entrypoint = Some(command(name, words, *is_json)?),
        Kind::Env => {
            for (key, value) in pairs(name, words)? {
                let (key, value) = (key_of(name, one(key)?)?, one(value)?);
                let variable = format!("{key}={value}");
                let is_same = |known: &&mut String| known.split_once('=').is_some_and(|(known, _)| known == key);
                match execution.env.iter_mut().find(is_same) {
                    Some(known) => *known = variable,
                    None => execution.env.push(variable),
                }
            }
        }
        Kind::Label => {
            for (key, value) in pairs(name, words)? {
                execution.labels.insert(key_of(name, one(key)?)?, one(value)?);
            }
        }
        Kind::Expose => {
            let mut ports = Vec::new();
            for word in some(name, words, "a port, as in `8080` or `53/udp`")? {
                // A variable may stand for several.
                ports.extend(expand_words(word, &variables, '\\')?);
            }
            for port in ports {
                expose(execution, &port)?;
            }
        }
        Kind::Healthcheck => execution.healthcheck = Some(healthcheck(flags, words, *is_json)?),
        Kind::Onbuild => {
            let later = only(name, words, "an instruction")?;
            let first = later.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            if NEVER_LATER.contains(&&*first) {
                return Err(Error::Value(shown(later), "nothing that ONBUILD takes"));
            }
            // What is known here can be checked here; the rest is for who builds.
            match parse_line(later) {
                Ok(_) | Err(Error::Unknown(_)) => execution.on_build.push(later.trim().to_owned()),
                Err(error) => return Err(error),
            }
        }
        Kind::Stopsignal => {
            let text = one(only(name, words, "a signal")?)?;
            if !signal::is_signal(&text) {
                return Err(Error::Value(shown(&text), "no signal, as `SIGTERM` or `9` are"));
            }
            execution.stop_signal = Some(text);
        }
        Kind::User => execution.user = one(only(name, words, "a user")?)?,
        Kind::Volume => {
            for word in some(name, words, "a path")? {
                let path = one(word)?.trim().to_owned();
                if path.is_empty() {
                    return Err(Error::Lacking(name, "a path that is not empty"));
                }
                execution.volumes.insert(path);
            }
        }
        Kind::Workdir => {
            let path = one(only(name, words, "a path")?)?;
            execution.working_dir = directory(&execution.working_dir, &path)?;
        }
    }
    Ok(())
}

fn some<'w>(name: &'static str, words: &'w [String], what: &'static str) -> Result<&'w [String], Error> {
    if words.is_empty() { Err(Error::Lacking(name, what)) } else { Ok(words) }
}

fn only<'w>(name: &'static str, words: &'w [String], what: &'static str) -> Result<&'w String, Error> {
    words.first().ok_or(Error::Lacking(name, what))
}

fn command(name: &'static str, words: &[String], is_json: bool) -> Result<Vec<String>, Error> {
    match is_json {
        // An empty array says that there is none.
        true => Ok(words.to_vec()),
        false => {
            let text = only(name, words, "a command")?;
            Ok(SHELL.into_iter().map(str::to_owned).chain([text.clone()]).collect())
        }
    }
}

fn pairs<'w>(name: &'static str, words: &'w [String]) -> Result<impl Iterator<Item = (&'w String, &'w String)>, Error> {
    let words = some(name, words, "a key and a value, as in `key=value`")?;
    Ok(words.chunks_exact(2).map(|pair| (&pair[0], &pair[1])))
}

fn key_of(name: &'static str, key: String) -> Result<String, Error> {
    if key.is_empty() { Err(Error::Lacking(name, "keys that are not empty")) } else { Ok(key) }
}

/// Reads `port`, `first-last`, each with or without a protocol.
fn expose(execution: &mut Execution, text: &str) -> Result<(), Error> {
    const NONE: &str = "no port, as `8080`, `8000-8010` or `53/udp` are";
    let wrong = |why| Error::Value(shown(text), why);
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
    if !["tcp", "udp", "sctp"].contains(&&*protocol) {
        return Err(wrong("of no protocol that is known: tcp, udp and sctp are"));
    }
    if ports.contains(':') {
        return Err(wrong("more than a port of the container: where it is published is said when that is run"));
    }
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number)
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last) = (number(first).ok_or_else(|| wrong(NONE))?, number(last).ok_or_else(|| wrong(NONE))?);
    if first > last {
        return Err(wrong("a range whose end comes before its beginning"));
    }
    execution.exposed_ports.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    Ok(())
}

fn healthcheck(flags: &[String], words: &[String], is_json: bool) -> Result<Healthcheck, Error> {
    const NAME: &str = "HEALTHCHECK";
    let (kind, words) = words.split_first().ok_or(Error::Lacking(NAME, "`CMD` with a command, or `NONE`"))?;
    if kind.eq_ignore_ascii_case("NONE") {
        return match (words.first(), flags.first()) {
            (Some(word), _) => Err(Error::Value(shown(word), "too much: nothing follows `NONE`")),
            (None, Some(flag)) => Err(Error::Flag("HEALTHCHECK NONE", shown(flag))),
            (None, None) => Ok(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }),
        };
    }
    if !kind.eq_ignore_ascii_case("CMD") {
        return Err(Error::Value(shown(kind), "neither `CMD` nor `NONE`"));
    }
    let how = if is_json { "CMD" } else { "CMD-SHELL" };
    let command = some(NAME, words, "a command after `CMD`")?.iter().cloned();
    let mut check =
        Healthcheck { test: [how.to_owned()].into_iter().chain(command).collect(), ..Healthcheck::default() };
    for flag in flags {
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        match name {
            "--interval" => check.interval = nanoseconds(value)?,
            "--timeout" => check.timeout = nanoseconds(value)?,
            "--start-period" => check.start_period = nanoseconds(value)?,
            "--start-interval" => check.start_interval = nanoseconds(value)?,
            "--retries" => {
                let number = Some(value).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let number = number.and_then(|text| text.parse::<u32>().ok());
                check.retries = number.ok_or_else(|| Error::Value(shown(value), "no number of retries"))?.into();
            }
            _ => return Err(Error::Flag(NAME, shown(name))),
        }
    }
    Ok(check)
}

/// Reads a time, as in `30s` or `1m30s`. None is 0, which leaves it to who runs the container.
fn nanoseconds(text: &str) -> Result<i64, Error> {
    const WHY: &str = "no time with its unit, as `30s` or `1m30s` are";
    if text.is_empty() || text == "0" {
        return Ok(0);
    }
    let time = Some(text).filter(|text| text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains(' '));
    let time = time.and_then(|text| text.parse::<SignedDuration>().ok());
    let time = time.and_then(|time| i64::try_from(time.as_nanos()).ok());
    match time.ok_or_else(|| Error::Value(shown(text), WHY))? {
        0 => Ok(0),
        time if time < CHECK_NS_MIN => Err(Error::Value(shown(text), "less than a millisecond")),
        time => Ok(time),
    }
}

/// Returns where `path` leads from the directory `from`, without detours.
fn directory(from: &str, path: &str) -> Result<String, Error> {
    if path.is_empty() {
        return Err(Error::Lacking("WORKDIR", "a path that is not empty"));
    }
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{from}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}
