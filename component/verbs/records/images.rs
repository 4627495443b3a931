//! Image records: names, whatever they are, and what they point to. What of a target is here is found out when a name is
//! made to point to it, so that every door knows as much as if it had brought it.

use super::{
    fields::{self, Field, Of},
    filters::{Filters, labelled},
    here::Here,
    labels::{apart, checked, set, together, value},
    read_digest, within,
};
use crate::{
    host::{Host, Transaction},
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        label, media_type,
        problem::{ErrorCode, Problem},
        record::{self, Action, ImageRecord, Name, View},
        retention::{RETENTION_LABEL, Retention},
    },
    registry::Failure,
    verbs::{
        change::collect_now,
        choose,
        contract::{
            Caller,
            records::{Named, Pointed},
        },
        failing::{because, fail, invalid, try_this},
        load::record::parts,
        store::{self, Records, conflict},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// How often a name is looked at again because it points elsewhere by now.
const ROUNDS_MAX: usize = 16;

/// Returns the image of a name. See `records.get-image`.
pub async fn get<H: Host>(host: &H, caller: &Caller, name: &str) -> Result<Named, Problem> {
    let work = async {
        let name = read_name(name)?;
        let record = Records::begin(host, caller).await?.named(&name).await?.ok_or_else(|| absent(&name))?;
        let record = record.map_err(|error| unreadable(&name, &error))?;
        Ok(picture(&name.to_string(), &View::from(&record)))
    };
    within(caller, format!("cannot show the image `{}`", name.escape_debug()), work).await
}

/// Returns the images that pass the filters, in order of name. See `records.list-images`.
pub async fn list<H: Host>(host: &H, caller: &Caller, filters: &[String]) -> Result<Vec<Named>, Problem> {
    let work = async {
        let filters = Filters::read(filters)?;
        let mut images = Vec::new();
        // One that cannot be read hides nothing but itself.
        let visit = |name: &str, record: Result<View<'_>, record::Error>| {
            let image = record.ok().map(|record| picture(name, &record));
            images.extend(image.filter(|image| passes(image, &filters)));
        };
        Records::begin(host, caller).await?.walk_named(visit).await?;
        images.sort_by(|one: &Named, other| one.name.cmp(&other.name));
        Ok(images)
    };
    within(caller, "cannot list the images", work).await
}

/// Records a name. See `records.create-image`.
pub async fn create<H: Host>(host: &H, caller: &Caller, image: &Named) -> Result<Named, Problem> {
    let work = async {
        let name = read_name(&image.name)?;
        let target = read_target(&image.target)?;
        let labels = together(&checked(&image.labels)?, &checked_annotations(&image.target)?)?;
        let machine = choose::machine(&caller.machine)?;
        let here = Here::look(host, &machine, &target).await?;
        // What was found may have been brought by somebody who died before making it durable.
        host.sync().await?;
        let record = store::change(host, caller, async |records| {
            if records.named_value(&name).await?.is_some() {
                return Err(fail(ErrorCode::InUse, format!("there is an image `{}`", shown(&name))));
            }
            let mut labels = labels.clone();
            if !labels.contains_key(RETENTION_LABEL) {
                records.usual_retention().await?.note(&mut labels);
            }
            let (now, size, platforms) = (host.now(), here.size(), here.platforms.clone());
            let target = target.clone();
            let record = ImageRecord { target, created: now, updated: now, size, labels, platforms };
            records.put_named(&name, &record)?;
            records.tell(host, Action::Tag, name.to_string(), Some(&record.target.digest));
            Ok(record)
        })
        .await?;
        // From here on the record holds it.
        drop(here);
        store::forget(host, caller).await;
        Ok(picture(&name.to_string(), &View::from(&record)))
    };
    within(caller, format!("cannot record the image `{}`", image.name.escape_debug()), work).await
}

/// Changes the record of a name. See `records.update-image`.
pub async fn update<H: Host>(host: &H, caller: &Caller, image: &Named, fields: &[String]) -> Result<Named, Problem> {
    let work = async {
        let name = read_name(&image.name)?;
        let wanted = fields::read(fields, Of::Image)?;
        let machine = choose::machine(&caller.machine)?;
        for _ in 0..ROUNDS_MAX {
            let before = Records::begin(host, caller).await?.named(&name).await?.ok_or_else(|| absent(&name))?;
            let before = before.map_err(|error| unreadable(&name, &error))?;
            let target = changed(&before, image, &wanted)?.target;
            // Labels alone say nothing about what is here.
            let here = match wanted.contains(&Field::Target) {
                true => Some(Here::look(host, &machine, &target).await?),
                false => None,
            };
            if here.is_some() {
                host.sync().await?;
            }
            let record = store::change(host, caller, async |records| {
                replace(host, records, &name, image, &wanted, &target, here.as_ref()).await
            });
            if let Some(record) = record.await? {
                drop(here);
                store::forget(host, caller).await;
                return Ok(picture(&name.to_string(), &View::from(&record)));
            }
        }
        Err(conflict())
    };
    within(caller, format!("cannot change the image `{}`", image.name.escape_debug()), work).await
}

/// Takes a name away. See `records.delete-image`.
pub async fn delete<H: Host>(
    host: &H,
    caller: &Caller,
    name: &str,
    target: Option<&str>,
    sync: bool,
) -> Result<(), Problem> {
    let work = async {
        let name = read_name(name)?;
        let target = target.map(read_digest).transpose()?;
        let others = targets(host, caller, &name).await?;
        store::change(host, caller, async |records| {
            let record = records.named(&name).await?.ok_or_else(|| absent(&name))?;
            let found = record.ok().map(|record| record.target.digest);
            if target.is_some() && target != found {
                let failure = fail(ErrorCode::NotFound, format!("`{}` points to something else", shown(&name)));
                return Err(failure);
            }
            records.delete_named(&name)?;
            records.tell(host, Action::Untag, name.to_string(), found.as_ref());
            // A record that cannot be read goes as well, and nobody knows which image that was.
            if let Some(found) = found.filter(|found| !others.contains(found)) {
                records.tell(host, Action::Delete, found.as_str(), Some(&found));
            }
            Ok(())
        })
        .await?;
        store::forget(host, caller).await;
        if sync {
            collect_now(host, caller).await.map_err(because("the name is gone, and nothing else is"))?;
        }
        Ok(())
    };
    within(caller, format!("cannot remove the image `{}`", name.escape_debug()), work).await
}

/// What the other names of the namespace point to.
async fn targets<H: Host>(host: &H, caller: &Caller, name: &Name) -> Result<BTreeSet<Digest>, Failure> {
    let mut targets = BTreeSet::new();
    let this = name.to_string();
    let visit = |other: &str, record: Result<View<'_>, record::Error>| {
        if let Some(record) = record.ok().filter(|_| other != this) {
            targets.insert(Digest::from(&record.target.digest));
        }
    };
    Records::begin(host, caller).await?.walk_named(visit).await?;
    Ok(targets)
}

/// Writes a record as it is to be. None if it is to point elsewhere than to what was looked at.
async fn replace<H: Host>(
    host: &H,
    records: &Records<'_, impl Transaction>,
    name: &Name,
    image: &Named,
    wanted: &[Field<'_>],
    target: &Descriptor,
    here: Option<&Here<'_, H>>,
) -> Result<Option<ImageRecord>, Failure> {
    let before = records.named(name).await?.ok_or_else(|| absent(name))?;
    let before = before.map_err(|error| unreadable(name, &error))?;
    let mut record = changed(&before, image, wanted)?;
    if record.target != *target {
        return Ok(None);
    }
    if let Some(here) = here {
        let mut blobs = here.blobs.clone();
        record.platforms = here.platforms.clone();
        // What was recorded of the same target stays, also where trees stand for blobs that were given up.
        for present in before.platforms.iter().filter(|_| before.target.digest == record.target.digest) {
            if record.platforms.iter().all(|other| other.manifest.digest != present.manifest.digest)
                && let Some(parts) = parts(host, present).await?
            {
                blobs.extend(parts);
                record.platforms.push(present.clone());
            }
        }
        record.size = record::weight(&blobs);
    }
    record.updated = host.now();
    records.put_named(name, &record)?;
    let action = match (before.target == record.target, before.labels == record.labels) {
        (false, _) => Some(Action::Tag),
        (true, false) => Some(Action::Label),
        (true, true) => None,
    };
    if let Some(action) = action {
        records.tell(host, action, name.to_string(), Some(&record.target.digest));
    }
    Ok(Some(record))
}

/// A record with the fields that are wanted as a client wrote them. What of the target is here is left as it was.
fn changed(before: &ImageRecord, image: &Named, wanted: &[Field<'_>]) -> Result<ImageRecord, Failure> {
    let all = before.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let (labels, annotations) = apart(all);
    let mut labels: BTreeMap<String, String> = labels.into_iter().collect();
    let mut annotations: BTreeMap<String, String> = annotations.into_iter().collect();
    let mut record = before.clone();
    for field in wanted {
        match field {
            Field::Labels => {
                // What is kept of an image is wharf's own label: who replaces all labels and does not know it leaves it.
                let kept = Retention::of(&labels);
                labels = checked(&image.labels)?;
                if !labels.contains_key(RETENTION_LABEL) {
                    kept.note(&mut labels);
                }
            }
            Field::Label(key) => set(&mut labels, key, value(&image.labels, key))?,
            Field::Target => {
                record.target = read_target(&image.target)?;
                annotations = checked_annotations(&image.target)?;
            }
            Field::Annotations => annotations = checked_annotations(&image.target)?,
            Field::Annotation(key) => set(&mut annotations, key, value(&image.target.annotations, key))?,
        }
    }
    record.labels = together(&labels, &annotations)?;
    Ok(record)
}

/// As clients see a record.
fn picture(name: &str, record: &View<'_>) -> Named {
    let (labels, annotations) = apart(record.labels.iter().map(|(&key, &value)| (key, value)));
    let target = Pointed {
        media_type: record.target.media_type.to_owned(),
        digest: Digest::from(&record.target.digest).to_string(),
        size: i64::try_from(record.target.size).unwrap_or(i64::MAX),
        annotations,
    };
    Named { name: name.to_owned(), labels, target, created: (record.created, 0), updated: (record.updated, 0) }
}

fn passes(image: &Named, filters: &Filters) -> bool {
    filters.pass(|path| match path {
        [field] if field == "name" => Some(image.name.as_str()),
        [root, field] if root == "target" && field == "digest" => Some(image.target.digest.as_str()),
        [root, field] if root == "target" && field == "mediatype" => Some(image.target.media_type.as_str()),
        [root, ..] if root == "labels" => labelled(&image.labels, path),
        [root, ..] if root == "annotations" => labelled(&image.target.annotations, path),
        _ => None,
    })
}

fn read_name(name: &str) -> Result<Name, Failure> {
    match name.is_empty() || name.contains('\0') {
        true => Err(invalid("an image has a name, and none without letters")),
        false => Ok(Name::read(name)),
    }
}

/// Reads what a name is to point to.
fn read_target(target: &Pointed) -> Result<Descriptor, Failure> {
    let digest = read_digest(&target.digest).map_err(because("the target has no digest"))?;
    if !media_type::is_valid(&target.media_type) {
        let why = format!("`{}` is no media type of a target", target.media_type.escape_debug());
        return Err(invalid(why));
    }
    match u64::try_from(target.size) {
        Ok(size) if size > 0 => Ok(Descriptor::new(target.media_type.clone(), digest, size)),
        _ => Err(invalid(format!("a target of {} bytes is none", target.size))),
    }
}

fn checked_annotations(target: &Pointed) -> Result<BTreeMap<String, String>, Failure> {
    for (key, value) in &target.annotations {
        label::check(key, value).map_err(invalid)?;
    }
    Ok(target.annotations.iter().cloned().collect())
}

fn shown(name: &Name) -> String {
    name.to_string().escape_debug().to_string()
}

fn absent(name: &Name) -> Failure {
    fail(ErrorCode::NotFound, format!("no image here is called `{}`", shown(name)))
}

fn unreadable(name: &Name, error: &record::Error) -> Failure {
    let failure = invalid(format!("`{}`: {error}", shown(name)));
    match name {
        Name::Reference(name) => try_this(failure, format!("wharf pull {}", name.familiar())),
        Name::Foreign(_) => failure,
    }
}
