//! The verbs and the hosts that run them: for each pair the test that shows it, or the reason why there is none.
//!
//! The rows are those of the declaration of the command line, so that a verb without a row fails here; a test that
//! is named and does not exist does too. It tests nothing else.

use clap::CommandFactory as _;
use std::collections::BTreeSet;
use std::process::Command;
use wharf_terminal::cli::Cli;

/// What stands for one verb on one host.
#[derive(Clone, Copy, Debug)]
enum Cell {
    /// This test of this binary.
    Test(&'static str),
    /// There is none, because of this.
    None(&'static str),
}

use Cell::{None as Without, Test};

/// A verb; the native program, stock wasmtime, and the simulator: the logic on a host in memory.
type Row = (&'static str, [Cell; 3]);

/// The same refusal for every verb that plain WASI has too little for.
const LACKING: Cell = Test("portable::refused::a_verb_that_it_lacks_says_so_in_the_error_and_is_not_in_the_help");
const TREES: Cell = Without("trees are read by the native host itself; the logic is asked for a name only");
const LOGINS: Cell = Without("files and programs of the native host; the logic sees no login");
const TEXT: Cell = Without("it is text of the declaration: no host is asked");

const ROWS: &[Row] = &[
    (
        "pull",
        [
            Test("stories::pulls::an_image_is_pulled_listed_inspected_and_agrees_with_skopeo"),
            Test("portable::session::an_image_is_pulled_listed_inspected_and_explained"),
            Test("verbs::pull::a_pull_of_an_index_takes_the_platform_of_the_machine"),
        ],
    ),
    (
        "images",
        [
            Test("stories::pulls::an_image_is_pulled_listed_inspected_and_agrees_with_skopeo"),
            Test("portable::session::an_image_is_pulled_listed_inspected_and_explained"),
            Test("verbs::images::images_are_listed_newest_first_and_filtered"),
        ],
    ),
    (
        "inspect",
        [
            Test("stories::pulls::an_image_is_pulled_listed_inspected_and_agrees_with_skopeo"),
            Test("portable::session::an_image_is_pulled_listed_inspected_and_explained"),
            Test("verbs::inspect::an_image_is_shown_as_docker_shows_it"),
        ],
    ),
    (
        "history",
        [
            Test("stories::pulls::an_image_is_pulled_listed_inspected_and_agrees_with_skopeo"),
            Test("portable::session::an_image_is_pulled_listed_inspected_and_explained"),
            Test("verbs::history::the_newest_step_is_first_and_empty_layers_have_no_size"),
        ],
    ),
    (
        "unpack",
        [
            Test("stories::trees::layers_are_extracted_when_they_are_asked_for"),
            LACKING,
            Test("verbs::unpack::what_is_missing_is_extracted_and_the_rest_is_not"),
        ],
    ),
    ("ls", [Test("stories::trees::an_image_is_listed_and_its_files_are_printed_without_mounting_it"), LACKING, TREES]),
    ("cat", [Test("stories::trees::an_image_is_listed_and_its_files_are_printed_without_mounting_it"), LACKING, TREES]),
    ("diff", [Test("stories::trees::two_images_are_compared_path_by_path"), LACKING, TREES]),
    ("mount", [Test("stories::trees::an_image_is_mounted_read_only_until_it_is_unmounted"), LACKING, TREES]),
    ("umount", [Test("stories::trees::an_image_is_mounted_read_only_until_it_is_unmounted"), LACKING, TREES]),
    ("mounts", [Test("stories::trees::an_image_is_mounted_read_only_until_it_is_unmounted"), LACKING, TREES]),
    (
        "snapshot",
        [
            Test("stories::snapshots::what_is_written_on_an_image_is_seen_and_becomes_an_image"),
            LACKING,
            Test("verbs::commit::what_was_written_is_one_more_layer_of_the_image_below"),
        ],
    ),
    (
        "tag",
        [
            Test("stories::changes::an_image_gets_names_and_goes_with_the_last_one"),
            Test("portable::changes::an_image_gets_names_is_measured_and_goes_with_the_last_one"),
            Test("verbs::change::a_tag_that_moves_leaves_what_it_pointed_to_for_a_collection"),
        ],
    ),
    (
        "retain",
        [
            Test("stories::retain::blobs_go_once_their_trees_make_them_again_and_come_back_when_they_are_wanted"),
            LACKING,
            Test("verbs::change::retain::blobs_go_once_their_trees_make_them_again"),
        ],
    ),
    (
        "save",
        [
            Test("stories::archives::other_tools_read_what_was_saved"),
            Test("portable::archives::both_hosts_write_the_same_archives"),
            Test("verbs::save::an_archive_has_what_docker_and_others_look_for"),
        ],
    ),
    ("export", [Test("stories::archives::an_image_is_exported_as_it_is_mounted"), LACKING, TREES]),
    (
        "copy",
        [
            Test("stories::pushes::a_copy_leaves_the_same_there_and_nothing_here"),
            Test("portable::uploads::both_hosts_leave_the_same_in_a_registry"),
            Test("verbs::copy::a_whole_index_goes_from_one_registry_to_another"),
        ],
    ),
    (
        "push",
        [
            Test("stories::pushes::what_was_pushed_is_what_others_find_there"),
            Test("portable::uploads::both_hosts_leave_the_same_in_a_registry"),
            Test("verbs::push::what_is_here_is_there_afterwards_byte_for_byte"),
        ],
    ),
    (
        "load",
        [
            Test("stories::loading::what_other_tools_write_is_loaded"),
            Test("portable::archives::an_archive_is_loaded_on_both_hosts"),
            Test("verbs::load::what_was_saved_is_loaded_as_it_was"),
        ],
    ),
    (
        "import",
        [
            Test("stories::importing::an_archive_is_imported_and_its_tree_is_that_of_the_archive"),
            LACKING,
            Test("verbs::import::an_archive_becomes_an_image_of_one_layer"),
        ],
    ),
    (
        "manifest",
        [
            Test("stories::manifests::an_index_is_made_changed_and_pushed"),
            Test("portable::uploads::an_index_is_made_and_pushed"),
            Test("verbs::compose::images_become_an_index_that_is_always_the_same"),
        ],
    ),
    (
        "rm",
        [
            Test("stories::changes::an_image_gets_names_and_goes_with_the_last_one"),
            Test("portable::changes::an_image_gets_names_is_measured_and_goes_with_the_last_one"),
            Test("verbs::change::the_last_name_takes_what_nothing_else_needs"),
        ],
    ),
    (
        "prune",
        [
            Test("stories::changes::a_plan_is_shown_saved_and_carried_out_exactly_or_not_at_all"),
            Test("portable::changes::an_image_gets_names_is_measured_and_goes_with_the_last_one"),
            Test("verbs::change::prune::what_has_a_tag_stays_and_what_has_no_name_goes"),
        ],
    ),
    (
        "gc",
        [
            Test("stories::changes::what_is_left_for_a_collection_is_collected"),
            Test("portable::changes::leases_labels_downloads_and_events_are_the_same_here"),
            Test("verbs::change::no_prune_leaves_everything_for_a_collection"),
        ],
    ),
    (
        "apply",
        [
            Test("stories::changes::a_plan_is_shown_saved_and_carried_out_exactly_or_not_at_all"),
            Test("portable::changes::a_plan_is_saved_where_the_runtime_allows_it_and_carried_out"),
            Test("verbs::change::a_plan_is_carried_out_exactly_or_not_at_all"),
        ],
    ),
    (
        "df",
        [
            Test("stories::changes::sizes_add_up_to_what_is_on_the_disk"),
            Test("portable::changes::an_image_gets_names_is_measured_and_goes_with_the_last_one"),
            Test("verbs::usage::what_two_images_need_is_counted_once"),
        ],
    ),
    (
        "lease",
        [
            Test("stories::changes::a_lease_holds_what_has_no_name_any_more"),
            Test("portable::changes::leases_labels_downloads_and_events_are_the_same_here"),
            Test("verbs::leases::what_a_lease_holds_stays_when_its_name_goes_and_goes_when_the_lease_has_ended"),
        ],
    ),
    (
        "ingest",
        [
            Test("stories::changes::a_download_that_was_given_up_is_listed_and_removed"),
            Test("portable::changes::leases_labels_downloads_and_events_are_the_same_here"),
            Test("verbs::ingests::ingests_go_by_key_by_its_beginning_and_by_name"),
        ],
    ),
    (
        "label",
        [
            Test("stories::changes::labels_are_set_shown_and_taken_away"),
            Test("portable::changes::leases_labels_downloads_and_events_are_the_same_here"),
            Test("verbs::label::labels_are_set_replaced_and_taken_away_together"),
        ],
    ),
    (
        "events",
        [
            Test("stories::changes::what_happens_is_told_afterwards_and_while_it_happens"),
            Test("portable::changes::leases_labels_downloads_and_events_are_the_same_here"),
            Test("verbs::watch::what_was_changed_is_told_in_order"),
        ],
    ),
    (
        "serve",
        [
            Test("stories::docker::dockers_own_program_manages_images_through_wharf"),
            LACKING,
            Without("it is a door before the verbs, which are asked there themselves"),
        ],
    ),
    (
        "fsck",
        [
            Test("stories::fsck::a_damaged_store_is_told_and_repaired"),
            Test("portable::session::a_flipped_bit_is_found_and_repaired"),
            Test("verbs::fsck::what_is_damaged_or_missing_is_told_and_repaired"),
        ],
    ),
    (
        "explain",
        [
            Test("stories::explain::a_program_reads_the_same_as_json"),
            Test("portable::session::an_image_is_pulled_listed_inspected_and_explained"),
            Without("it asks no host; the unit tests of the verb have its rules"),
        ],
    ),
    (
        "tags",
        [
            Test("stories::lists::the_tags_of_a_repository_and_the_repositories_of_a_registry_are_listed_in_order"),
            Test("portable::session::every_tag_is_pulled_and_tags_and_repositories_are_listed"),
            Test("verbs::tags::tags_are_listed_in_order_and_nothing_is_pulled"),
        ],
    ),
    (
        "catalog",
        [
            Test("stories::lists::the_tags_of_a_repository_and_the_repositories_of_a_registry_are_listed_in_order"),
            Test("portable::session::every_tag_is_pulled_and_tags_and_repositories_are_listed"),
            Test("verbs::tags::a_registry_without_a_catalog_says_so"),
        ],
    ),
    (
        "search",
        [
            Test("stories::lists::repositories_are_found_by_a_word"),
            Test("portable::session::every_tag_is_pulled_and_tags_and_repositories_are_listed"),
            Test("verbs::tags::a_registry_is_searched_by_what_it_has"),
        ],
    ),
    (
        "referrers",
        [
            Test("stories::lists::what_refers_to_an_image_is_listed"),
            Test("portable::session::every_tag_is_pulled_and_tags_and_repositories_are_listed"),
            Test("verbs::tags::what_refers_to_an_image_is_listed_or_kept_under_a_tag"),
        ],
    ),
    (
        "login",
        [
            Test("stories::logins::who_logs_in_can_pull_until_he_logs_out"),
            LACKING,
            Test("verbs::check_login::a_login_is_accepted_or_rejected_by_basic_and_by_bearer"),
        ],
    ),
    ("logout", [Test("stories::logins::who_logs_in_can_pull_until_he_logs_out"), LACKING, LOGINS]),
    ("whoami", [Test("stories::logins::who_logs_in_can_pull_until_he_logs_out"), LACKING, LOGINS]),
    (
        "demo",
        [
            Test("stories::text::the_demo_runs_without_network_and_without_a_store"),
            LACKING,
            Without("it is the native program's own registry"),
        ],
    ),
    (
        "completion",
        [
            Test("portable::compared::both_hosts_say_the_same_and_store_the_same"),
            Test("portable::session::completions_and_the_manual_are_printed"),
            TEXT,
        ],
    ),
    (
        "man",
        [
            Test("portable::compared::both_hosts_say_the_same_and_store_the_same"),
            Test("portable::session::completions_and_the_manual_are_printed"),
            TEXT,
        ],
    ),
];

/// What is wrong with a table.
fn faults(rows: &[Row], verbs: &BTreeSet<String>, tests: &BTreeSet<String>) -> Vec<String> {
    let named: BTreeSet<_> = rows.iter().map(|(verb, _)| (*verb).to_owned()).collect();
    let missing = verbs.difference(&named).map(|verb| format!("`{verb}` has no row"));
    let unknown = named.difference(verbs).map(|verb| format!("`{verb}` is no verb"));
    let hosts = ["native", "portable", "simulator"];
    let cells = rows.iter().flat_map(|(verb, cells)| {
        std::iter::zip(hosts, cells).filter_map(move |(host, cell)| match cell {
            Test(test) if !tests.contains(*test) => Some(format!("`{verb}`, {host}: there is no test `{test}`")),
            Without("") => Some(format!("`{verb}`, {host}: neither a test nor a reason")),
            _ => None,
        })
    });
    missing.chain(unknown).chain(cells).collect()
}

/// The verbs that can be typed.
fn verbs() -> BTreeSet<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// The tests of this binary, by their whole names.
fn tests() -> BTreeSet<String> {
    let program = std::env::current_exe().expect("a test is a program");
    let listed = Command::new(program).arg("--list").output().expect("it can be run again").stdout;
    let listed = String::from_utf8(listed).expect("names of tests are text");
    listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[test]
fn each_verb_has_a_test_or_a_reason_on_each_host() {
    let faults = faults(ROWS, &verbs(), &tests());
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_table_with_a_hole_is_noticed() {
    let verbs = ["pull", "push"].map(str::to_owned).into();
    let tests = ["pulls"].map(str::to_owned).into();
    let rows = [("pull", [Test("pulls"), Test("pushes"), Without("")]), ("fly", [TEXT; 3])];
    let expected = [
        "`push` has no row",
        "`fly` is no verb",
        "`pull`, portable: there is no test `pushes`",
        "`pull`, simulator: neither a test nor a reason",
    ];
    assert_eq!(faults(&rows, &verbs, &tests), expected);
}
