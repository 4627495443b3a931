//! The same command line where a stock WebAssembly runtime runs it: which verbs
//! and options need more than plain WASI has, and how `--help` says so.
//!
//! No verb, option or default is declared here.

use super::{Access, ArchiveFormat, Cli, Kept, ManifestCommand, Patience, Verb, help, help_color};
use crate::filed::PlannedPull;
use clap::{CommandFactory, FromArgMatches};
use std::ffi::OsString;
use wharf_vocabulary::{types::ErrorCode, vocabulary::Problem};

/// The directory of images, unless `--root` names another: the name that the
/// preopened directory has inside.
pub const ROOT: &str = "store";

/// The variable with the text of a `config.json`, as docker reads it.
pub const LOGINS_VARIABLE: &str = "DOCKER_AUTH_CONFIG";

/// The variable with the platform to take the machine for, as in `linux/arm64`.
pub const MACHINE_VARIABLE: &str = "WHARF_MACHINE";

/// What the machine is taken for if nobody says otherwise: a sandbox does not
/// tell its processor.
pub const MACHINE: &str = "linux/amd64";

/// The namespace that there is.
const NAMESPACE: &str = "default";

/// Reads the arguments, the program's own name first. The error is as in
/// [`parse`](super::parse).
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = Cli::command().after_long_help(help::PORTABLE).color(help_color(&arguments));
    for (verb, _, _) in LACKING {
        command = command.mut_subcommand(verb, |lacking| lacking.hide(true));
    }
    command = command
        .mut_arg("root", |root| {
            root.help("Where images are kept: a directory that the runtime was given").default_value(ROOT)
        })
        .mut_arg("log", |log| log.hide(true));
    Cli::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// A verb that plain WASI has too little for: its name, what it lacks, and an
/// example of the native command.
const LACKING: [(&str, &str, &str); 16] = [
    ("unpack", EXTRACTION, "wharf unpack REF"),
    ("retain", EXTRACTION, "wharf retain unpacked REF"),
    ("ls", EXTRACTION, "wharf ls REF"),
    ("cat", EXTRACTION, "wharf cat REF PATH"),
    ("diff", EXTRACTION, "wharf diff REF REF"),
    ("export", EXTRACTION, "wharf export REF -o FILE"),
    ("import", EXTRACTION, "wharf import FILE REF"),
    ("mount", MOUNTS, "wharf mount REF DIR"),
    ("umount", MOUNTS, "wharf umount DIR"),
    ("mounts", MOUNTS, "wharf mounts"),
    ("snapshot", MOUNTS, "wharf snapshot prepare NAME REF"),
    ("login", LOGINS, "wharf login REGISTRY"),
    ("logout", LOGINS, "wharf logout REGISTRY"),
    ("whoami", LOGINS, "wharf whoami"),
    ("serve", "the runtime listens, and gives requests to the component", "wharf serve"),
    ("demo", "WASI opens no port of its own for it", "wharf demo"),
];

const EXTRACTION: &str = "files of an image need owners, devices and attributes, which WASI cannot set";
const MOUNTS: &str = "WASI has no mounts";
const LOGINS: &str = "WASI starts no programs that keep logins, and hides no typing";

/// Returns why a verb or its options cannot be had here, and what to do instead.
pub fn lacking(verb: &Verb) -> Option<Problem> {
    let name = match verb {
        Verb::Unpack(_) => "unpack",
        Verb::Retain(_) => "retain",
        Verb::Ls(_) => "ls",
        Verb::Cat(_) => "cat",
        Verb::Diff(_) => "diff",
        Verb::Export(_) => "export",
        Verb::Import(_) => "import",
        Verb::Mount(_) => "mount",
        Verb::Snapshot(_) => "snapshot",
        Verb::Umount(_) => "umount",
        Verb::Mounts(_) => "mounts",
        Verb::Login(_) => "login",
        Verb::Logout(_) => "logout",
        Verb::Whoami(_) => "whoami",
        Verb::Serve(_) => "serve",
        Verb::Demo => "demo",
        Verb::Pull(pull) if pull.retain.is_some_and(|kept| kept != Kept::Both) => return Some(lean("pull")),
        Verb::Load(load) if load.retain.is_some_and(|kept| kept != Kept::Both) => return Some(lean("load")),
        Verb::Pull(pull) => return options(&pull.access, Some(&pull.patience)),
        Verb::Copy(copy) => return options(&copy.access, Some(&copy.patience)),
        Verb::Push(push) if push.compress.is_some() => {
            const WHY: &str = "it would take minutes for what the native program does in seconds";
            let fix = "push the layers as they are, or use the native program: `wharf push --compress`".to_owned();
            return Some(unsupported("this wharf has no `--compress`".to_owned(), WHY, fix));
        }
        Verb::Push(push) => return options(&push.access, Some(&push.patience)),
        Verb::Apply(apply) => return options(&apply.access, Some(&apply.patience)),
        Verb::Explain(explain) => return options(&explain.access, None),
        Verb::Fsck(fsck) => return options(&fsck.access, None),
        Verb::Manifest(manifest) => {
            return match &manifest.command {
                ManifestCommand::Push(push) => options(&push.access, Some(&push.patience)),
                ManifestCommand::Inspect(inspect) => options(&inspect.access, Some(&inspect.patience)),
                _ => None,
            };
        }
        Verb::Tags(tags) => return options(&tags.asking.access, Some(&tags.asking.patience)),
        Verb::Catalog(catalog) => return options(&catalog.asking.access, Some(&catalog.asking.patience)),
        Verb::Search(search) => return options(&search.access, Some(&search.patience)),
        Verb::Referrers(listed) => return options(&listed.access, Some(&listed.patience)),
        Verb::Images(_) | Verb::Inspect(_) | Verb::History(_) | Verb::Completion { .. } | Verb::Man { .. } => {
            return None;
        }
        Verb::Gc(gc) if gc.schedule.scheduled => {
            const WHY: &str = "a runtime cannot be told to end it, and starts it again as easily";
            let fix = "have `gc` started by a timer, or use the native program: `wharf gc --scheduled`".to_owned();
            return Some(unsupported("this wharf has no `--scheduled`".to_owned(), WHY, fix));
        }
        Verb::Rm(rm) if !rm.platforms.is_empty() => {
            const WHY: &str = "an image layout says by every blob that is there which platforms an image has";
            let fix = "remove the image and pull the platforms that you want, or use the native program: \
                       `wharf rm --platform PLATFORM REF`";
            return Some(unsupported("this wharf has no `rm --platform`".to_owned(), WHY, fix.to_owned()));
        }
        Verb::Save(save) if save.format == ArchiveFormat::OciDir => {
            let what = "this wharf has no `--format oci-dir`".to_owned();
            const WHY: &str = "the directory of images is an OCI image layout itself";
            return Some(unsupported(what, WHY, "copy that directory, or save an archive".to_owned()));
        }
        Verb::Save(save) if save.complete => return options(&save.access, Some(&save.patience)),
        Verb::Load(load) if !load.no_unpack => {
            let fix = "load it with `--no-unpack`, or use the native program: `wharf load`".to_owned();
            return Some(unsupported("cannot extract layers".to_owned(), EXTRACTION, fix));
        }
        Verb::Tag(_) | Verb::Save(_) | Verb::Load(_) | Verb::Rm(_) | Verb::Prune(_) | Verb::Gc(_) | Verb::Df(_) => {
            return None;
        }
        Verb::Lease(_) | Verb::Ingest(_) | Verb::Label(_) | Verb::Events(_) => return None,
    };
    let (_, why, native) = LACKING.into_iter().find(|(lacking, _, _)| *lacking == name)?;
    let fix = match name {
        "serve" => "`wasmtime serve -Scli -Shttp --dir ./images::store wharf.wasm`".to_owned(),
        "login" => {
            format!("use the native program, `{native}`, or give logins by `--auth-file` or `{LOGINS_VARIABLE}`")
        }
        _ => format!("use the native program: `{native}`"),
    };
    Some(unsupported(format!("this wharf has no `{name}`"), why, fix))
}

/// Returns why there is no such namespace. A layout has one set of names.
pub fn foreign(namespace: &str) -> Option<Problem> {
    (namespace != NAMESPACE).then(|| {
        let why = "an image layout has one set of names";
        let fix = "leave out `--namespace`, and give another directory by `--dir` for other names".to_owned();
        unsupported(format!("this wharf has no namespace `{namespace}`"), why, fix)
    })
}

/// Returns why a plan of a pull cannot be carried out exactly here.
pub fn inexact(planned: &PlannedPull) -> Option<Problem> {
    planned.unpack.then(|| {
        let fix = "make the plan with `--no-unpack`, or use the native program".to_owned();
        unsupported("cannot carry out the plan: it says that layers are extracted".to_owned(), EXTRACTION, fix)
    })
}

/// Why nothing but blobs is kept here.
fn lean(verb: &str) -> Problem {
    let fix = format!("leave it out, or use the native program: `wharf {verb} --retain unpacked`");
    unsupported("this wharf keeps images as they came".to_owned(), EXTRACTION, fix)
}

/// Options that would have to be obeyed and cannot be.
fn options(access: &Access, patience: Option<&Patience>) -> Option<Problem> {
    const FILES: &str = "they say how to speak TLS and through which proxy, and here the runtime decides that";
    let files = [
        ("--certs-d", access.certs_d().is_some()),
        ("--registries-conf", access.registries_conf().is_some()),
        ("--daemon-json", access.daemon_json().is_some()),
    ];
    let rate = ("--limit-rate", patience.is_some_and(|patience| patience.bytes_per_second().is_some()));
    let native = "leave it out, or use the native program";
    if let Some((option, _)) = files.into_iter().find(|(_, given)| *given) {
        return Some(unsupported(format!("this wharf has no `{option}`"), FILES, native.to_owned()));
    }
    let (option, given) = rate;
    given.then(|| {
        let why = "the runtime receives and sends, and is not slowed down from inside";
        unsupported(format!("this wharf has no `{option}`"), why, native.to_owned())
    })
}

fn unsupported(what: String, why: &str, fix: String) -> Problem {
    Problem { code: ErrorCode::Unsupported, what, why: vec![why.to_owned()], fix: Some(fix) }
}
