//! Whether the messages and services of `host/containerd/api` are containerd's: each message, with every field set, is
//! read by containerd's own client and written again without a loss.

use containerd_client::{events, google, services::v1 as theirs, types};
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::collections::{BTreeMap, BTreeSet};
use wharf_containerd_api as ours;

/// How deep messages are in each other in a sample.
const DEPTH_MAX: usize = 6;

/// What makes a sample of a message.
pub(super) struct Contract {
    messages: BTreeMap<String, DescriptorProto>,
    /// The numbers of their values, by name.
    enums: BTreeMap<String, BTreeMap<String, u64>>,
    /// Their methods, as in `containerd.services.version.v1.Version/Version`.
    pub(super) services: BTreeSet<String>,
}

impl Contract {
    pub(super) fn load() -> Self {
        let set = FileDescriptorSet::decode(ours::CONTRACT).expect("it was built in");
        let (mut messages, mut enums, mut services) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for file in set.file {
            let package = file.package().to_owned();
            for message in &file.message_type {
                messages.insert(format!(".{package}.{}", message.name()), message.clone());
                for inner in &message.nested_type {
                    messages.insert(format!(".{package}.{}.{}", message.name(), inner.name()), inner.clone());
                }
            }
            for kind in &file.enum_type {
                let values = kind.value.iter().map(|value| {
                    (value.name().to_owned(), u64::try_from(value.number()).expect("no number is negative"))
                });
                enums.insert(format!(".{package}.{}", kind.name()), values.collect());
            }
            for service in &file.service {
                let name = service.name();
                services.extend(service.method.iter().map(|method| format!("{package}.{name}/{}", method.name())));
            }
        }
        Self { messages, enums, services }
    }

    /// The bytes of a message in which every field says something.
    fn sample(&self, name: &str) -> Vec<u8> {
        self.part(name, "", 0)
    }

    /// That of a message in others. `salt` makes the keys of a map differ.
    fn part(&self, name: &str, salt: &str, depth: usize) -> Vec<u8> {
        let message = self.messages.get(name).unwrap_or_else(|| panic!("there is a message `{name}`"));
        let mut bytes = Vec::new();
        for field in &message.field {
            // Two of a list, so that one that is no list loses one.
            let times = if field.label() == Label::Repeated { 2 } else { 1 };
            for time in 0..times {
                self.field(field, &format!("{salt}{time}"), depth, &mut bytes);
            }
        }
        bytes
    }

    fn field(&self, field: &FieldDescriptorProto, salt: &str, depth: usize, bytes: &mut Vec<u8>) {
        let number = u64::from(field.number().unsigned_abs());
        let text = format!("{} {salt}", field.name());
        match field.r#type() {
            // Each type has a number that the narrower and the unsigned ones lose.
            Type::Int32 => integer(number, i64::from(i32::MIN) as u64, bytes),
            Type::Int64 => integer(number, -(1_i64 << 40) as u64, bytes),
            Type::Uint32 => integer(number, u64::from(u32::MAX), bytes),
            Type::Uint64 => integer(number, 1 << 40, bytes),
            Type::Bool => integer(number, 1, bytes),
            Type::Enum => integer(number, *self.enums[field.type_name()].values().max().expect("values"), bytes),
            Type::String | Type::Bytes => delimited(number, text.as_bytes(), bytes),
            Type::Message if depth < DEPTH_MAX => {
                // What a map has for a value is a text or a message with fields of its own.
                delimited(number, &self.part(field.type_name(), salt, depth + 1), bytes);
            }
            Type::Message => {}
            other => panic!("`{}` is of a type that no sample has: {other:?}", field.name()),
        }
    }
}

/// Writes a field. What is negative has ten bytes, as the encoding has it for each width.
fn integer(number: u64, value: u64, bytes: &mut Vec<u8>) {
    varint(number << 3, bytes);
    varint(value, bytes);
}

fn varint(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn delimited(number: u64, content: &[u8], bytes: &mut Vec<u8>) {
    varint(number << 3 | 2, bytes);
    varint(content.len() as u64, bytes);
    bytes.extend_from_slice(content);
}

/// Reads and writes a message of one side by that of the other.
fn passes<Ours: Message + Default + PartialEq, Theirs: Message + Default>(sample: &[u8]) -> bool {
    let Ok(first) = Ours::decode(sample) else { return false };
    let Ok(there) = Theirs::decode(first.encode_to_vec().as_slice()) else { return false };
    // The order of maps is not the same on both sides, so that bytes cannot be compared. Lengths can.
    let (written, back) = (first.encode_to_vec(), there.encode_to_vec());
    written.len() == sample.len()
        && back.len() == sample.len()
        && Ours::decode(back.as_slice()).is_ok_and(|back| back == first)
}

macro_rules! compare {
    ($contract:expr; $($package:literal: $($name:ident: $ours:ty, $theirs:ty;)*)*) => {{
        let mut seen = BTreeSet::new();
        $($(
            let name = format!(".{}.{}", $package, stringify!($name));
            let sample = $contract.sample(&name);
            assert!(!sample.is_empty(), "`{name}` says nothing");
            assert!(passes::<$ours, $theirs>(&sample), "`{name}` is not the same on both sides");
            seen.insert(name);
        )*)*
        seen
    }};
}

#[test]
fn each_message_is_that_of_containerd() {
    let contract = Contract::load();
    let seen = compare! { contract;
        "containerd.types":
            Descriptor: ours::types::Descriptor, types::Descriptor;
            Platform: ours::types::Platform, types::Platform;
            Mount: ours::types::Mount, types::Mount;
            Envelope: ours::types::Envelope, types::Envelope;
        "google.rpc":
            Status: ours::rpc::Status, google::rpc::Status;
        "containerd.services.images.v1":
            Image: ours::images::Image, theirs::Image;
            GetImageRequest: ours::images::GetImageRequest, theirs::GetImageRequest;
            GetImageResponse: ours::images::GetImageResponse, theirs::GetImageResponse;
            CreateImageRequest: ours::images::CreateImageRequest, theirs::CreateImageRequest;
            CreateImageResponse: ours::images::CreateImageResponse, theirs::CreateImageResponse;
            UpdateImageRequest: ours::images::UpdateImageRequest, theirs::UpdateImageRequest;
            UpdateImageResponse: ours::images::UpdateImageResponse, theirs::UpdateImageResponse;
            ListImagesRequest: ours::images::ListImagesRequest, theirs::ListImagesRequest;
            ListImagesResponse: ours::images::ListImagesResponse, theirs::ListImagesResponse;
            DeleteImageRequest: ours::images::DeleteImageRequest, theirs::DeleteImageRequest;
            ImageCreate: ours::images::ImageCreate, theirs::ImageCreate;
            ImageUpdate: ours::images::ImageUpdate, theirs::ImageUpdate;
            ImageDelete: ours::images::ImageDelete, theirs::ImageDelete;
        "containerd.services.containers.v1":
            Container: ours::containers::Container, theirs::Container;
            GetContainerRequest: ours::containers::GetContainerRequest, theirs::GetContainerRequest;
            GetContainerResponse: ours::containers::GetContainerResponse, theirs::GetContainerResponse;
            ListContainersRequest: ours::containers::ListContainersRequest, theirs::ListContainersRequest;
            ListContainersResponse: ours::containers::ListContainersResponse, theirs::ListContainersResponse;
        "containerd.services.content.v1":
            Info: ours::content::Info, theirs::Info;
            InfoRequest: ours::content::InfoRequest, theirs::InfoRequest;
            InfoResponse: ours::content::InfoResponse, theirs::InfoResponse;
            UpdateRequest: ours::content::UpdateRequest, theirs::UpdateRequest;
            UpdateResponse: ours::content::UpdateResponse, theirs::UpdateResponse;
            ListContentRequest: ours::content::ListContentRequest, theirs::ListContentRequest;
            ListContentResponse: ours::content::ListContentResponse, theirs::ListContentResponse;
            DeleteContentRequest: ours::content::DeleteContentRequest, theirs::DeleteContentRequest;
            ReadContentRequest: ours::content::ReadContentRequest, theirs::ReadContentRequest;
            ReadContentResponse: ours::content::ReadContentResponse, theirs::ReadContentResponse;
            Status: ours::content::Status, theirs::Status;
            StatusRequest: ours::content::StatusRequest, theirs::StatusRequest;
            StatusResponse: ours::content::StatusResponse, theirs::StatusResponse;
            ListStatusesRequest: ours::content::ListStatusesRequest, theirs::ListStatusesRequest;
            ListStatusesResponse: ours::content::ListStatusesResponse, theirs::ListStatusesResponse;
            WriteContentRequest: ours::content::WriteContentRequest, theirs::WriteContentRequest;
            WriteContentResponse: ours::content::WriteContentResponse, theirs::WriteContentResponse;
            AbortRequest: ours::content::AbortRequest, theirs::AbortRequest;
        "containerd.services.namespaces.v1":
            Namespace: ours::namespaces::Namespace, theirs::Namespace;
            GetNamespaceRequest: ours::namespaces::GetNamespaceRequest, theirs::GetNamespaceRequest;
            GetNamespaceResponse: ours::namespaces::GetNamespaceResponse, theirs::GetNamespaceResponse;
            ListNamespacesRequest: ours::namespaces::ListNamespacesRequest, theirs::ListNamespacesRequest;
            ListNamespacesResponse: ours::namespaces::ListNamespacesResponse, theirs::ListNamespacesResponse;
            CreateNamespaceRequest: ours::namespaces::CreateNamespaceRequest, theirs::CreateNamespaceRequest;
            CreateNamespaceResponse: ours::namespaces::CreateNamespaceResponse, theirs::CreateNamespaceResponse;
            UpdateNamespaceRequest: ours::namespaces::UpdateNamespaceRequest, theirs::UpdateNamespaceRequest;
            UpdateNamespaceResponse: ours::namespaces::UpdateNamespaceResponse, theirs::UpdateNamespaceResponse;
            DeleteNamespaceRequest: ours::namespaces::DeleteNamespaceRequest, theirs::DeleteNamespaceRequest;
        "containerd.services.leases.v1":
            Lease: ours::leases::Lease, theirs::Lease;
            CreateRequest: ours::leases::CreateRequest, theirs::CreateRequest;
            CreateResponse: ours::leases::CreateResponse, theirs::CreateResponse;
            DeleteRequest: ours::leases::DeleteRequest, theirs::DeleteRequest;
            ListRequest: ours::leases::ListRequest, theirs::ListRequest;
            ListResponse: ours::leases::ListResponse, theirs::ListResponse;
            Resource: ours::leases::Resource, theirs::Resource;
            AddResourceRequest: ours::leases::AddResourceRequest, theirs::AddResourceRequest;
            DeleteResourceRequest: ours::leases::DeleteResourceRequest, theirs::DeleteResourceRequest;
            ListResourcesRequest: ours::leases::ListResourcesRequest, theirs::ListResourcesRequest;
            ListResourcesResponse: ours::leases::ListResourcesResponse, theirs::ListResourcesResponse;
        "containerd.services.snapshots.v1":
            PrepareSnapshotRequest: ours::snapshots::PrepareSnapshotRequest, theirs::snapshots::PrepareSnapshotRequest;
            PrepareSnapshotResponse: ours::snapshots::PrepareSnapshotResponse, theirs::snapshots::PrepareSnapshotResponse;
            ViewSnapshotRequest: ours::snapshots::ViewSnapshotRequest, theirs::snapshots::ViewSnapshotRequest;
            ViewSnapshotResponse: ours::snapshots::ViewSnapshotResponse, theirs::snapshots::ViewSnapshotResponse;
            MountsRequest: ours::snapshots::MountsRequest, theirs::snapshots::MountsRequest;
            MountsResponse: ours::snapshots::MountsResponse, theirs::snapshots::MountsResponse;
            RemoveSnapshotRequest: ours::snapshots::RemoveSnapshotRequest, theirs::snapshots::RemoveSnapshotRequest;
            CommitSnapshotRequest: ours::snapshots::CommitSnapshotRequest, theirs::snapshots::CommitSnapshotRequest;
            StatSnapshotRequest: ours::snapshots::StatSnapshotRequest, theirs::snapshots::StatSnapshotRequest;
            Info: ours::snapshots::Info, theirs::snapshots::Info;
            StatSnapshotResponse: ours::snapshots::StatSnapshotResponse, theirs::snapshots::StatSnapshotResponse;
            UpdateSnapshotRequest: ours::snapshots::UpdateSnapshotRequest, theirs::snapshots::UpdateSnapshotRequest;
            UpdateSnapshotResponse: ours::snapshots::UpdateSnapshotResponse, theirs::snapshots::UpdateSnapshotResponse;
            ListSnapshotsRequest: ours::snapshots::ListSnapshotsRequest, theirs::snapshots::ListSnapshotsRequest;
            ListSnapshotsResponse: ours::snapshots::ListSnapshotsResponse, theirs::snapshots::ListSnapshotsResponse;
            UsageRequest: ours::snapshots::UsageRequest, theirs::snapshots::UsageRequest;
            UsageResponse: ours::snapshots::UsageResponse, theirs::snapshots::UsageResponse;
            CleanupRequest: ours::snapshots::CleanupRequest, theirs::snapshots::CleanupRequest;
        "containerd.services.diff.v1":
            ApplyRequest: ours::diff::ApplyRequest, theirs::ApplyRequest;
            ApplyResponse: ours::diff::ApplyResponse, theirs::ApplyResponse;
            DiffRequest: ours::diff::DiffRequest, theirs::DiffRequest;
            DiffResponse: ours::diff::DiffResponse, theirs::DiffResponse;
        "containerd.services.events.v1":
            PublishRequest: ours::events::PublishRequest, theirs::PublishRequest;
            ForwardRequest: ours::events::ForwardRequest, theirs::ForwardRequest;
            SubscribeRequest: ours::events::SubscribeRequest, theirs::SubscribeRequest;
        "containerd.events":
            ContentCreate: ours::happenings::ContentCreate, events::ContentCreate;
            ContentDelete: ours::happenings::ContentDelete, events::ContentDelete;
            SnapshotPrepare: ours::happenings::SnapshotPrepare, events::SnapshotPrepare;
            SnapshotCommit: ours::happenings::SnapshotCommit, events::SnapshotCommit;
            SnapshotRemove: ours::happenings::SnapshotRemove, events::SnapshotRemove;
            NamespaceCreate: ours::happenings::NamespaceCreate, events::NamespaceCreate;
            NamespaceUpdate: ours::happenings::NamespaceUpdate, events::NamespaceUpdate;
            NamespaceDelete: ours::happenings::NamespaceDelete, events::NamespaceDelete;
        "containerd.services.streaming.v1":
            StreamInit: ours::streaming::StreamInit, theirs::StreamInit;
        "containerd.services.transfer.v1":
            TransferRequest: ours::transfer::TransferRequest, theirs::TransferRequest;
            TransferOptions: ours::transfer::TransferOptions, theirs::TransferOptions;
        "containerd.types.transfer":
            ImageStore: ours::types::transfer::ImageStore, types::transfer::ImageStore;
            UnpackConfiguration: ours::types::transfer::UnpackConfiguration, types::transfer::UnpackConfiguration;
            ImageReference: ours::types::transfer::ImageReference, types::transfer::ImageReference;
            ImageImportStream: ours::types::transfer::ImageImportStream, types::transfer::ImageImportStream;
            ImageExportStream: ours::types::transfer::ImageExportStream, types::transfer::ImageExportStream;
            OCIRegistry: ours::types::transfer::OciRegistry, types::transfer::OciRegistry;
            RegistryResolver: ours::types::transfer::RegistryResolver, types::transfer::RegistryResolver;
            AuthRequest: ours::types::transfer::AuthRequest, types::transfer::AuthRequest;
            AuthResponse: ours::types::transfer::AuthResponse, types::transfer::AuthResponse;
            Data: ours::types::transfer::Data, types::transfer::Data;
            WindowUpdate: ours::types::transfer::WindowUpdate, types::transfer::WindowUpdate;
            Progress: ours::types::transfer::Progress, types::transfer::Progress;
        "containerd.services.version.v1":
            VersionResponse: ours::version::VersionResponse, theirs::VersionResponse;
        "containerd.services.introspection.v1":
            Plugin: ours::introspection::Plugin, theirs::Plugin;
            PluginsRequest: ours::introspection::PluginsRequest, theirs::PluginsRequest;
            PluginsResponse: ours::introspection::PluginsResponse, theirs::PluginsResponse;
            ServerResponse: ours::introspection::ServerResponse, theirs::ServerResponse;
            DeprecationWarning: ours::introspection::DeprecationWarning, theirs::DeprecationWarning;
            PluginInfoRequest: ours::introspection::PluginInfoRequest, theirs::PluginInfoRequest;
            PluginInfoResponse: ours::introspection::PluginInfoResponse, theirs::PluginInfoResponse;
    };
    // What is in another one is compared with it.
    let is_inner = |name: &str| name.rsplit_once('.').is_some_and(|(outer, _)| contract.messages.contains_key(outer));
    let is_own = |name: &&String| !name.starts_with(".google.protobuf.") && !is_inner(name);
    let all: BTreeSet<String> = contract.messages.keys().filter(is_own).cloned().collect();
    assert_eq!(seen, all, "every message of the contract is compared");
}

#[test]
fn another_number_or_type_is_noticed() {
    let contract = Contract::load();
    let sample = contract.sample(".containerd.services.leases.v1.Resource");
    assert!(passes::<ours::leases::Resource, theirs::Resource>(&sample));
    // The same fields, under other numbers: 1 is the name there, and 2 the labels.
    assert!(!passes::<ours::leases::Resource, theirs::Namespace>(&sample));
    assert!(!passes::<ours::leases::Resource, theirs::StatusRequest>(&sample));
    let sample = contract.sample(".containerd.services.content.v1.ReadContentRequest");
    assert!(!passes::<ours::content::ReadContentRequest, theirs::ListRequest>(&sample));
    // A number of 32 bits in the place of one of 64, and a truth in that of either.
    let sample = contract.sample(".containerd.services.snapshots.v1.UsageResponse");
    assert!(passes::<ours::snapshots::UsageResponse, theirs::snapshots::UsageResponse>(&sample));
    assert!(!passes::<ours::snapshots::UsageResponse, Narrow>(&sample));
    assert!(!passes::<ours::snapshots::UsageResponse, Truths>(&sample));
}

/// A usage in 32 bits.
#[derive(Clone, PartialEq, Message)]
struct Narrow {
    #[prost(int32, tag = "1")]
    size: i32,
    #[prost(int32, tag = "2")]
    inodes: i32,
}

/// Whether there is a usage.
#[derive(Clone, PartialEq, Message)]
struct Truths {
    #[prost(bool, tag = "1")]
    size: bool,
    #[prost(bool, tag = "2")]
    inodes: bool,
}

/// The values of an enum by name, as containerd's client has them for the names here.
macro_rules! values {
    ($contract:expr; $($name:literal: $theirs:ty;)*) => {{
        let mut seen = BTreeSet::new();
        $(
            let ours = &$contract.enums[$name];
            for (value, number) in ours {
                let there = <$theirs>::from_str_name(value).unwrap_or_else(|| panic!("`{}` has no {value}", $name));
                assert_eq!(there as u64, *number, "{value} of `{}`", $name);
            }
            // Nor does it have another one after these.
            let next = i32::try_from(ours.len()).expect("they are few");
            assert!(<$theirs>::try_from(next).is_err(), "`{}` has {next} there", $name);
            seen.insert($name.to_owned());
        )*
        seen
    }};
}

#[test]
fn each_enum_is_that_of_containerd() {
    let contract = Contract::load();
    let seen: BTreeSet<String> = values! { contract;
        ".containerd.services.content.v1.WriteAction": theirs::WriteAction;
        ".containerd.services.snapshots.v1.Kind": theirs::snapshots::Kind;
        ".containerd.types.transfer.HTTPDebug": types::transfer::HttpDebug;
        ".containerd.types.transfer.AuthType": types::transfer::AuthType;
    };
    assert_eq!(seen, contract.enums.keys().cloned().collect(), "every enum of the contract is compared");
}

/// containerd, `api/services`: what its clients of version 1.6 call, and those of 1.7 for transfers.
#[test]
fn the_services_have_the_methods_of_containerd() {
    let expected = [
        ("containers.v1.Containers", "Get List"),
        ("content.v1.Content", "Info Update List Delete Read Status ListStatuses Write Abort"),
        ("diff.v1.Diff", "Apply Diff"),
        ("events.v1.Events", "Publish Forward Subscribe"),
        ("images.v1.Images", "Get List Create Update Delete"),
        ("introspection.v1.Introspection", "Plugins Server PluginInfo"),
        ("leases.v1.Leases", "Create Delete List AddResource DeleteResource ListResources"),
        ("namespaces.v1.Namespaces", "Get List Create Update Delete"),
        ("snapshots.v1.Snapshots", "Prepare View Mounts Commit Remove Stat Update List Usage Cleanup"),
        ("streaming.v1.Streaming", "Stream"),
        ("transfer.v1.Transfer", "Transfer"),
        ("version.v1.Version", "Version"),
    ];
    let methods = expected.iter().flat_map(|(service, methods)| {
        methods.split(' ').map(move |method| format!("containerd.services.{service}/{method}"))
    });
    assert_eq!(Contract::load().services, methods.collect());
}
