//! What a call takes from the machine: directories by path, the environment, the files with logins and those with
//! configuration. It is a part of `main`, and as such takes ambient authority. It decides nothing.

use crate::problem;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use wharf::cli::{self, Cli, PlanFile, Surroundings};
use wharf::configuration::{self, ENTRIES_MAX, Excerpt, FILE_BYTES_MAX, Files, Places};
use wharf::credentials::{Credentials, Document};
use wharf::engine::Services;
use wharf::images::{Access, ErrorCode, Problem, Rule};
use wharf::layers::{self, Rights};
use wharf::metadata::{self, Metadata};
use wharf::network::{self, Network, Proxies, Site};
use wharf::store::{self, Store};
use wharf::{credentials, render};

/// No file with logins is larger.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;
/// No plan is larger.
const PLAN_BYTES_MAX: u64 = 32 << 20;

/// How a call about one reference speaks to registries, and where that is said.
#[derive(Debug)]
pub(crate) struct Configured {
    /// For the component.
    pub(crate) access: Access,
    /// For the network.
    pub(crate) settings: network::Settings,
    /// One for each rule of `access`.
    pub(crate) sources: Vec<String>,
    /// One for each alias of `access`.
    pub(crate) alias_sources: Vec<String>,
}

/// Reads the configuration of the machine as far as it concerns `reference`, and adds it to `access`. A registry is
/// written with a slash at its end. What is worth saying goes to the log.
pub(crate) fn configured(options: &cli::Access, reference: &str, access: Access) -> Result<Configured, Problem> {
    configured_for(options, &[reference.to_owned()], access)
}

/// The same for several references.
pub(crate) fn configured_for(
    options: &cli::Access,
    references: &[String],
    access: Access,
) -> Result<Configured, Problem> {
    let wrong = |error: configuration::Error| Problem {
        fix: Some(
            "correct the file, or name another place with `--certs-d`, `--registries-conf` or `--daemon-json`"
                .to_owned(),
        ),
        code: ErrorCode::Invalid,
        ..problem("cannot use the configuration of registries", &error)
    };
    let read = configuration::read(&Disk, &places(options)?).map_err(wrong)?;
    let (mut rules, mut sources, mut sites, mut warned) =
        (Vec::<Rule>::new(), Vec::new(), Vec::<Site>::new(), BTreeSet::new());
    warned.extend(read.warnings.iter().cloned());
    for reference in references {
        let excerpt: Excerpt = read.about(&Disk, reference).map_err(wrong)?;
        warned.extend(excerpt.warnings);
        for (rule, source) in excerpt.rules.into_iter().zip(excerpt.sources) {
            // Several references of one registry have the same rules.
            if !rules.iter().zip(&sources).any(|(known, from)| known.prefix == rule.prefix && *from == source) {
                rules.push(rule);
                sources.push(source);
            }
        }
        for site in excerpt.sites {
            if !sites.iter().any(|known| known.origin == site.origin) {
                sites.push(site);
            }
        }
    }
    for sentence in &warned {
        tracing::warn!("{}", render::escape::text(sentence));
    }
    let settings = network::Settings {
        proxies: proxies(read.proxies.unwrap_or_default()),
        plain_http: access.plain_http.clone(),
        sites,
        ..network::Settings::default()
    };
    let access = Access { rules, aliases: read.aliases, ..access };
    Ok(Configured { access, settings, sources, alias_sources: read.alias_sources })
}

fn places(options: &cli::Access) -> Result<Places, Problem> {
    let (home, config_home) = (variable("HOME").map(PathBuf::from), variable("XDG_CONFIG_HOME").map(PathBuf::from));
    let mut places = Places::usual(home.as_deref(), config_home.as_deref());
    for (named, place) in [
        (options.certs_d(), &mut places.certs_d),
        (options.registries_conf(), &mut places.registries_conf),
        (options.daemon_json(), &mut places.daemon_json),
    ] {
        if let Some(named) = named {
            // What need not be there otherwise has to be there if somebody named it.
            let what = || format!("cannot read the configuration in `{}`", named.display());
            std::fs::metadata(named).map_err(|error| problem(&what(), &error))?;
            *place = vec![named.to_owned()];
        }
    }
    Ok(places)
}

/// The files of the machine.
struct Disk;

impl Files for Disk {
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = unless_absent(File::open(file))? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let Some(entries) = unless_absent(std::fs::read_dir(directory))? else { return Ok(Vec::new()) };
        entries.take(ENTRIES_MAX + 1).map(|entry| entry.map(|entry| entry.file_name())).collect()
    }
}

fn unless_absent<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        // A registry may have a name that no file can have.
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Returns the directory of the store.
pub(crate) fn root(cli: &Cli) -> Result<PathBuf, Problem> {
    let surroundings = Surroundings {
        superuser: rustix::process::geteuid().is_root(),
        home: variable("HOME").map(PathBuf::from),
        data_home: variable("XDG_DATA_HOME").map(PathBuf::from),
    };
    surroundings.root(cli.global.root.as_deref())
}

/// Opens the store at `root` and makes the services of it.
pub(crate) fn services(root: &Path, network: Network, logins: credentials::Settings) -> Result<Services, Problem> {
    let what = || format!("cannot open the store `{}`", root.display());
    let directory = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .and_then(|()| Dir::open_ambient_dir(root, ambient_authority()))
        .map_err(|error| problem(&what(), &error))?;
    let proc = Dir::open_ambient_dir("/proc", ambient_authority())
        .map_err(|error| problem("cannot look into `/proc`, which has to be mounted", &error))?;
    let settings = layers::Settings { rights: rights(), boot: boot(), proc };
    let Store { content, layers, metadata } =
        Store::open(&directory, root, settings).map_err(|error| unusable(&what(), &error))?;
    let credentials =
        Credentials::new(logins, network.clone()).map_err(|error| problem("cannot use the logins", &error))?;
    Ok(Services { content, layers, metadata, credentials, network })
}

/// Says why a store does not open, and what to try.
fn unusable(what: &str, error: &store::Error) -> Problem {
    let fix = match error {
        store::Error::Damaged => Some("wharf fsck --repair".to_owned()),
        store::Error::Metadata(metadata::Error::Damaged(_)) => Some("wharf fsck --repair --rebuild".to_owned()),
        _ => None,
    };
    Problem { fix, ..problem(what, error) }
}

/// Reads what says that a directory is a store, and its records from end to end, if there are any. With `repair` the
/// first is written again, and a file of records that is damaged is taken out of the way; returns what was done.
pub(crate) fn check_store(root: &Path, repair: bool) -> Result<Vec<String>, Problem> {
    let what = || format!("cannot check the store `{}`", root.display());
    let Ok(directory) = Dir::open_ambient_dir(root, ambient_authority()) else { return Ok(Vec::new()) };
    let mut done = Vec::new();
    if repair && store::mend(&directory).map_err(|error| problem(&what(), &error))? {
        done.push("`version` was damaged, and is written again".to_owned());
    }
    if directory.symlink_metadata(metadata::FILE).is_err() {
        return Ok(done);
    }
    match Metadata::open(&directory, root).and_then(|metadata| metadata.check()) {
        Ok(()) => {}
        Err(metadata::Error::Damaged(_)) if repair => {
            let aside = Metadata::set_aside(&directory).map_err(|error| problem(&what(), &error))?;
            done.push(format!(
                "the records were damaged, and are kept as `{aside}`; what names the images had is in there"
            ));
        }
        Err(error) => return Err(unusable(&what(), &error.into())),
    }
    Ok(done)
}

/// Returns whether trees can be made as root makes them. Root of a user namespace is not: the kernel lets it make no
/// devices, and no attributes of overlay's own.
fn rights() -> Rights {
    let everybody = fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]));
    if rustix::process::geteuid().is_root() && everybody { Rights::Root } else { Rights::User }
}

/// Returns what tells one start of the machine from another.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Reads the files with logins: the named one alone, or those of podman and
/// docker, where they usually are.
pub(crate) fn documents(named: Option<&Path>) -> Result<Vec<Document>, Problem> {
    // An empty or relative variable is as if there were none: the current directory does not choose logins.
    let directory = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = [
        directory("XDG_RUNTIME_DIR").map(|path| path.join("containers/auth.json")),
        directory("HOME").map(|path| path.join(".config/containers/auth.json")),
        directory("DOCKER_CONFIG")
            .or_else(|| Some(directory("HOME")?.join(".docker")))
            .map(|path| path.join("config.json")),
    ];
    let candidates: Vec<PathBuf> = match named {
        Some(named) => vec![named.to_owned()],
        None => usual.into_iter().flatten().collect(),
    };
    let mut documents = Vec::new();
    for path in candidates {
        let label = path.display().to_string();
        let what = || format!("cannot read the logins in `{label}`");
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() > DOCUMENT_BYTES_MAX => {
                return Err(problem(&what(), &format!("the file is larger than {DOCUMENT_BYTES_MAX} bytes")));
            }
            Ok(_) => {
                let bytes = std::fs::read(&path).map_err(|error| problem(&what(), &error))?;
                documents.push(Document { label, bytes });
            }
            Err(error) if named.is_none() && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            }
            Err(error) => return Err(problem(&what(), &error)),
        }
    }
    Ok(documents)
}

/// The conventional variables, the spelling in lower case first; where they name no proxy, the `configured` ones.
pub(crate) fn proxies(configured: Proxies) -> Proxies {
    let either = |name: &str| {
        let value = variable(&name.to_lowercase()).or_else(|| variable(name))?;
        value.into_string().ok().filter(|value| !value.is_empty())
    };
    let (http, https, all) = (either("HTTP_PROXY"), either("HTTPS_PROXY"), either("ALL_PROXY"));
    let except = either("NO_PROXY");
    match (&http, &https, &all) {
        (None, None, None) => Proxies { except: except.or(configured.except), ..configured },
        _ => Proxies { http, https, all, except },
    }
}

/// Reads a plan that a person has saved.
pub(crate) fn read_plan(file: PlanFile<'_>) -> Result<String, Problem> {
    let what = || match file {
        PlanFile::Standard => "cannot read the plan from standard input".to_owned(),
        PlanFile::Named(path) => format!("cannot read the plan in `{}`", path.display()),
    };
    let source: io::Result<Box<dyn Read>> = match file {
        PlanFile::Standard => Ok(Box::new(io::stdin())),
        PlanFile::Named(path) => File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
    };
    let mut document = String::new();
    source
        .and_then(|source| source.take(PLAN_BYTES_MAX + 1).read_to_string(&mut document))
        .map_err(|error| problem(&what(), &error))?;
    if document.len() as u64 > PLAN_BYTES_MAX {
        return Err(problem(&what(), &format!("it is larger than {PLAN_BYTES_MAX} bytes")));
    }
    Ok(document)
}

/// Saves a plan where a person wants it. What was in the file is gone.
pub(crate) fn write_plan(path: &Path, document: &str) -> Result<(), Problem> {
    let what = || format!("cannot write the plan to `{}`", path.display());
    fs::write(path, document).map_err(|error| problem(&what(), &error))
}

/// Makes a directory for what is over when the program ends.
pub(crate) fn temporary_directory(name: &str) -> io::Result<PathBuf> {
    let path = env::temp_dir().join(name);
    // It has to be new: in a shared directory somebody may have guessed the name.
    DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}

/// Reads a variable of the environment.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}
