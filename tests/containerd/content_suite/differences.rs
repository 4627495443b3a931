//! Where wharf answers something else than containerd about content, and why.

use crate::containerd::suite::Difference;

pub(super) const DIFFERENCES: &[Difference] = &[
    (
        "Writer",
        "commit `` 0 bytes at 256, of 0 ``: commit at 256 of 256 9edb6b1a",
        "commit `` 0 bytes at 256, of 0 ``: commit at 256 of 0 9edb6b1a",
        TOTAL,
    ),
    (
        "Writer",
        "commit `` 0 bytes at 256, of 0 `139c46fd`: commit at 256 of 256 139c46fd",
        "commit `` 0 bytes at 256, of 0 `139c46fd`: commit at 256 of 0 139c46fd",
        TOTAL,
    ),
    ("UpdateStatus", "statuses : ref at 256 of 256 `2273efc4`", "statuses : ref at 256 of 256 ``", EXPECTED),
    (
        "ResumeCopy",
        "write `ref` 156 bytes at 100, of 256 `a837b5f3`: write at 256 of 256 a837b5f3",
        "write `ref` 156 bytes at 100, of 256 `a837b5f3`: write at 256 of 0 a837b5f3",
        TOTAL,
    ),
    (
        "ResumeCopy",
        "commit `` 0 bytes at 256, of 256 `a837b5f3`: commit at 256 of 256 a837b5f3",
        "commit `` 0 bytes at 256, of 256 `a837b5f3`: commit at 256 of 0 a837b5f3",
        TOTAL,
    ),
    (
        "SmallBlob",
        "commit `ref` 19 bytes at 0, of 19 `6513b4c2`: commit at 19 of 19 6513b4c2",
        "commit `ref` 19 bytes at 0, of 19 `6513b4c2`: commit at 19 of 0 6513b4c2",
        TOTAL,
    ),
    (
        "SmallBlob",
        "read 6513b4c2 from 3, 2 bytes: from 3 2 bytes, 970f519c",
        "read 6513b4c2 from 3, 2 bytes: from 0 2 bytes, 970f519c",
        FROM,
    ),
    (
        "SmallBlob",
        "read 6513b4c2 from 3, 0 bytes: from 3 16 bytes, b6bebbc9",
        "read 6513b4c2 from 3, 0 bytes: from 0 16 bytes, b6bebbc9",
        FROM,
    ),
    (
        "SmallBlob",
        "read 6513b4c2 from 18, 1 bytes: from 18 1 bytes, 3f79bb7b",
        "read 6513b4c2 from 18, 1 bytes: from 0 1 bytes, 3f79bb7b",
        FROM,
    ),
    (
        "SmallBlob",
        "read 6513b4c2 from 10, 100 bytes: from 10 9 bytes, 1e3c789c",
        "read 6513b4c2 from 10, 100 bytes: from 0 9 bytes, 1e3c789c",
        FROM,
    ),
    (
        "SmallBlob",
        "read 2daf4530 from 1048576, 1500000 bytes: from 1048576 1500000 bytes, 66a18c12",
        "read 2daf4530 from 1048576, 1500000 bytes: from 0 1500000 bytes, 66a18c12",
        FROM,
    ),
    (
        "Labels",
        "commit `ref` 256 bytes at 0, of 256 `35c4ce62`: commit at 256 of 256 35c4ce62",
        "commit `ref` 256 bytes at 0, of 256 `35c4ce62`: commit at 256 of 0 35c4ce62",
        TOTAL,
    ),
    (
        "CommitErrorState",
        "commit `` 0 bytes at 256, of 0 ``: commit at 256 of 256 f94fd355",
        "commit `` 0 bytes at 256, of 0 ``: commit at 256 of 0 f94fd355",
        TOTAL,
    ),
    (
        "CommitErrorState",
        "commit `` 0 bytes at 256, of 0 ``: commit at 256 of 256 b6453dd9",
        "commit `` 0 bytes at 256, of 0 ``: commit at 256 of 0 b6453dd9",
        TOTAL,
    ),
    (
        "CommitErrorState",
        "commit `` 0 bytes at 256, of 0 ``: commit at 256 of 256 ed5b5101",
        "commit `` 0 bytes at 256, of 0 ``: commit at 256 of 0 ed5b5101",
        TOTAL,
    ),
    (
        "CommitErrorState",
        "write `` 256 bytes at 0, of 200 ``: InvalidArgument",
        "write `` 256 bytes at 0, of 200 ``: write at 256 of 256 ea407779",
        SAID,
    ),
    ("CommitErrorState", "end: it has ended", "end: done", SAID),
    (
        "CommitErrorState",
        "stat `said` 0 bytes at 0, of 256 `ea407779`: stat at 0 of 256 e3b0c442",
        "stat `said` 0 bytes at 0, of 256 `ea407779`: stat at 256 of 256 ea407779",
        SAID,
    ),
    (
        "CommitErrorState",
        "write `` 256 bytes at 0, of 0 `f41f3fa6`: InvalidArgument",
        "write `` 256 bytes at 0, of 0 `f41f3fa6`: write at 256 of 256 ea407779",
        SAID,
    ),
    ("CommitErrorState", "end: it has ended", "end: done", SAID),
    (
        "CommitErrorState",
        "stat `no digest` 0 bytes at 0, of 0 `0`: InvalidArgument",
        "stat `no digest` 0 bytes at 0, of 0 `0`: stat at 0 of 0 e3b0c442",
        DIGEST,
    ),
    ("CommitErrorState", "end: it has ended", "end: done", DIGEST),
    (
        "CommitErrorState",
        "commit `` 256 bytes at 0, of 0 `0`: InvalidArgument",
        "commit `` 256 bytes at 0, of 0 `0`: FailedPrecondition",
        DIGEST,
    ),
    (
        "CommitErrorState",
        "statuses : no digest at 256 of 0 ``",
        "statuses : no digest at 256 of 0 ``, said at 256 of 256 ``",
        DIGEST,
    ),
    (
        "CrossNamespaceAppend",
        "write `` 8 bytes at 256, of 0 ``: OutOfRange",
        "write `` 8 bytes at 256, of 0 ``: write at 264 of 256 e28bbb34",
        APPEND,
    ),
    (
        "CrossNamespaceAppend",
        "there is nobody to send it to",
        "commit `` 0 bytes at 264, of 0 ``: FailedPrecondition",
        APPEND,
    ),
    (
        "CrossNamespaceAppend",
        "stat `total` 0 bytes at 0, of 264 `cdb1bbba`: stat at 256 of 264 cdb1bbba",
        "stat `total` 0 bytes at 0, of 264 `cdb1bbba`: stat at 0 of 264 e3b0c442",
        APPEND,
    ),
    ("CrossNamespaceAppend", "statuses : ", "statuses : ref at 264 of 256 ``, total at 0 of 264 ``", APPEND),
    (
        "CrossNamespaceShare",
        "commit `ref` 0 bytes at 0, of 0 `67e66437`: commit at 256 of 256 67e66437",
        "commit `ref` 0 bytes at 0, of 0 `67e66437`: FailedPrecondition",
        AT_ONCE,
    ),
    ("CrossNamespaceShare", "end: done", "end: it has ended", AT_ONCE),
    ("CrossNamespaceShare", "info 67e66437: 67e66437 256 bytes []", "info 67e66437: NotFound", AT_ONCE),
    ("CrossNamespaceShare", "delete 67e66437: done", "delete 67e66437: NotFound", AT_ONCE),
    ("Locked", "statuses : ", "statuses : ref at 0 of 256 ``", REFUSED),
    (
        "Locked",
        "statuses : other at 256 of 256 `bc8d47bd`, ref at 100 of 256 `bc8d47bd`",
        "statuses : other at 256 of 256 ``, ref at 100 of 256 ``",
        EXPECTED,
    ),
    ("Messages", "statuses : ref at 20 of 256 `5a714a31`", "statuses : ref at 20 of 0 ``", KNOWN),
    (
        "Messages",
        "commit `unknown` 256 bytes at 0, of 0 ``: InvalidArgument",
        "commit `unknown` 256 bytes at 0, of 0 ``: unknown at 0 of 0 ",
        ACTION,
    ),
    ("Messages", "end: it has ended", "end: done", ACTION),
    (
        "Messages",
        "write `negative` 256 bytes at -1, of 0 ``: OutOfRange",
        "write `negative` 256 bytes at -1, of 0 ``: write at 256 of 0 5a714a31",
        NEGATIVE,
    ),
    ("Messages", "end: it has ended", "end: done", NEGATIVE),
    (
        "Messages",
        "commit `whole` 256 bytes at 0, of 256 `5a714a31`: commit at 256 of 256 5a714a31",
        "commit `whole` 256 bytes at 0, of 256 `5a714a31`: commit at 256 of 0 5a714a31",
        TOTAL,
    ),
    (
        "Messages",
        "write `whole` 256 bytes at 0, of 0 ``: FailedPrecondition",
        "write `whole` 256 bytes at 0, of 0 ``: commit at 256 of 0 5a714a31",
        DONE,
    ),
    ("Messages", "end: it has ended", "end: done", DONE),
    ("Abort", "abort : InvalidArgument", "abort : NotFound", NAMELESS),
    (
        "Statuses",
        "statuses : one-a at 90 of 256 `95b2654b`, one-b at 91 of 0 `67130ab9`, two at 92 of 256 ``",
        "statuses : one-a at 90 of 256 ``, one-b at 91 of 0 ``, two at 92 of 256 ``",
        EXPECTED,
    ),
    (
        "Statuses",
        "statuses ref~=^one: one-a at 90 of 256 `95b2654b`, one-b at 91 of 0 `67130ab9`",
        "statuses ref~=^one: one-a at 90 of 256 ``, one-b at 91 of 0 ``",
        EXPECTED,
    ),
    (
        "Statuses",
        "statuses ref!=two or ref==two: one-a at 90 of 256 `95b2654b`, one-b at 91 of 0 `67130ab9`, two at 92 of 256 ``",
        "statuses ref!=two or ref==two: one-a at 90 of 256 ``, one-b at 91 of 0 ``, two at 92 of 256 ``",
        EXPECTED,
    ),
    ("Statuses", "status : InvalidArgument", "status : NotFound", NAMELESS),
    ("List", "list size==200: daba2fb1 200 bytes [a.b/c=d team=db]", "list size==200: ", SIZE),
    (
        "List",
        "list size==200,labels.team==db: daba2fb1 200 bytes [a.b/c=d team=db]",
        "list size==200,labels.team==db: ",
        SIZE,
    ),
    ("Lease", "statuses : begun at 100 of 256 `fc586083`", "statuses : ", BEGUN),
];
const TOTAL: &str = "it tells no total of its own, and forgets one that came with the message that began the write";
const EXPECTED: &str = "it does not tell what a write is to hash to";
const REFUSED: &str = "it remembers a write that it has refused";
const FROM: &str = "it counts from where the read began";
const SAID: &str =
    "what was said is not taken back here; there the last word counts, and bytes of a stream that was cut off stay";
const DIGEST: &str = "what is no digest is refused when it is said; there it is one that nothing hashes to";
const APPEND: &str =
    "what is here is not continued; there it is copied at first, and then refused at the end, or never copied";
const AT_ONCE: &str = "a commit shares what another namespace has; there it takes a question first";
const KNOWN: &str = "it does not tell what a write is to hash to, and forgets the total";
const ACTION: &str = "it ignores an action that it does not know, and answers with it";
const NEGATIVE: &str = "it takes an offset below zero for zero";
const DONE: &str = "it answers messages after a commit with that once more";
const NAMELESS: &str = "an empty name is a mistake here; there it is one that nobody writes under";
const SIZE: &str = "filters know sizes here";
const BEGUN: &str = "what has come of a write that no lease holds stays here until a collection, for whoever goes on";

/// The same for servers that isolate namespaces.
pub(super) const ISOLATED_DIFFERENCES: &[Difference] = &[
    (
        "SharedNamespaceIsolate",
        "stat `ref` 0 bytes at 0, of 256 `7b5c1e75`: stat at 256 of 256 7b5c1e75",
        "stat `ref` 0 bytes at 0, of 256 `7b5c1e75`: stat at 0 of 256 e3b0c442",
        SHAREABLE,
    ),
    (
        "SharedNamespaceIsolate",
        "commit `` 0 bytes at 256, of 256 `7b5c1e75`: commit at 256 of 256 7b5c1e75",
        "commit `` 0 bytes at 256, of 256 `7b5c1e75`: OutOfRange",
        SHAREABLE,
    ),
    ("SharedNamespaceIsolate", "end: done", "end: it has ended", SHAREABLE),
    ("SharedNamespaceIsolate", "info 7b5c1e75: 7b5c1e75 256 bytes []", "info 7b5c1e75: NotFound", SHAREABLE),
];
const SHAREABLE: &str = "1.6 does not know the label of namespaces that share";
