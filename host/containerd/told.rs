//! What an envelope may hold that this server writes itself: the topic of each message, and what filters see of it.

use std::collections::BTreeMap;
use wharf_containerd_api::Name;
use wharf_containerd_api::happenings::{
    ContentCreate, ContentDelete, NamespaceCreate, NamespaceDelete, NamespaceUpdate, SnapshotCommit, SnapshotPrepare,
    SnapshotRemove,
};
use wharf_containerd_api::images::{ImageCreate, ImageDelete, ImageUpdate};

/// The path of a field, as in `event.name`, and what is there.
pub(super) type Field = (String, String);

/// Something that has happened.
pub(super) trait Happened: Name {
    /// containerd, `core/metadata` and `plugins/services`.
    const TOPIC: &'static str;

    /// Its fields that are texts: the only ones that containerd's filters see.
    fn fields(&self) -> Vec<Field>;
}

/// A topic, and the fields by their names. Of labels each one is a field.
macro_rules! happened {
    ($($message:ident: $topic:literal, $($field:ident)*, $({$labels:ident})?;)*) => {$(
        impl Happened for $message {
            const TOPIC: &'static str = $topic;

            fn fields(&self) -> Vec<Field> {
                let fields = vec![$((concat!("event.", stringify!($field)).to_owned(), self.$field.clone())),*];
                $(let fields = labelled(fields, &self.$labels);)?
                fields
            }
        }
    )*};
}

happened! {
    ContentCreate: "/content/create", digest,;
    ContentDelete: "/content/delete", digest,;
    ImageCreate: "/images/create", name, {labels};
    ImageUpdate: "/images/update", name, {labels};
    ImageDelete: "/images/delete", name,;
    NamespaceCreate: "/namespaces/create", name, {labels};
    NamespaceUpdate: "/namespaces/update", name, {labels};
    NamespaceDelete: "/namespaces/delete", name,;
    SnapshotPrepare: "/snapshot/prepare", key parent snapshotter,;
    SnapshotCommit: "/snapshot/commit", key name snapshotter,;
    SnapshotRemove: "/snapshot/remove", key snapshotter,;
}

fn labelled(mut fields: Vec<Field>, labels: &BTreeMap<String, String>) -> Vec<Field> {
    fields.extend(labels.iter().map(|(key, value)| (format!("event.labels.{key}"), value.clone())));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_paths_and_labels_are_fields() {
        let told = ImageCreate { name: "a".to_owned(), labels: [("b.c".to_owned(), "d".to_owned())].into() };
        let field = |path: &str, value: &str| (path.to_owned(), value.to_owned());
        assert_eq!(told.fields(), [field("event.name", "a"), field("event.labels.b.c", "d")]);
        assert_eq!(ImageCreate::TOPIC, "/images/create");
        assert_eq!(ImageCreate::full_name(), "containerd.services.images.v1.ImageCreate");
        let told = SnapshotRemove { key: "k".to_owned(), snapshotter: "overlayfs".to_owned() };
        assert_eq!(told.fields(), [field("event.key", "k"), field("event.snapshotter", "overlayfs")]);
        assert_eq!(SnapshotRemove::full_name(), "containerd.events.SnapshotRemove");
    }
}
