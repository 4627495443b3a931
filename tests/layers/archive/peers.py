"""Writes archives into a directory, and what Python's tarfile reads in them.

Half of them are tarfile's own, of random entries in its three formats; GNU tar writes the others, of sparse files in its
four forms and of a tree. Standard output is one line of JSON for each archive: its name and its entries.

    python3 peers.py DIRECTORY SEED COUNT
"""

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
KINDS = [tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE,
         tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
SPARSE = [["--format=gnu"], *(["--format=pax", "--sparse-version=" + form] for form in ("0.0", "0.1", "1.0"))]


def name(choose, extended):
    """A path, of up to 4 000 bytes where the format has room for it."""
    long = extended and choose.random() < 0.2
    parts = []
    for _ in range(choose.randint(1, 20) if long else choose.randint(1, 3)):
        alphabet = choose.choice([b"abc.-_", b"\xc3\xa4\xe2\x82\xac", bytes(range(1, 256)).replace(b"/", b"")])
        if alphabet[0] == 0xc3:
            parts.append("äß€".encode())
        else:
            parts.append(bytes(choose.choices(alphabet, k=choose.randint(1, 200 if long else 20))))
    return os.fsdecode(b"/".join(parts))


def entry(choose, form):
    extended = form != tarfile.USTAR_FORMAT
    kind = choose.choice(KINDS)
    # Whether a file from before POSIX is a directory, tarfile tells by what a header has room for.
    info = tarfile.TarInfo(name(choose, extended and kind != tarfile.AREGTYPE))
    info.type = kind
    info.mode = choose.choice([0o644, 0o4755, 0o7777, 0, 0o1777])
    ids = [0, 1000, 0o7777777] + ([0o10000000, 65536 * 5, 2**32 - 2] if extended else [])
    info.uid, info.gid = choose.choice(ids), choose.choice(ids)
    info.uname, info.gname = choose.choice(["", "root", "nobody"]), ""
    info.mtime = choose.choice([0, 1, 1700000000, 0o77777777777] + ([-1, -2**33, 2**33] if extended else []))
    if form == tarfile.PAX_FORMAT:
        info.mtime += choose.choice([0, 0.25, 0.5, 0.75])
    content = b""
    if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info.linkname = name(choose, extended)
    if info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = choose.choice([(1, 3), (8, 17), (4095, 2**20 - 1), (0o7777777, 0)])
    if info.isreg():
        content = choose.randbytes(choose.choice([0, 1, 511, 512, 513, 5000]))
        info.size = len(content)
    if form == tarfile.PAX_FORMAT and choose.random() < 0.3:
        info.pax_headers = {"SCHILY.xattr.user." + choose.choice("abc"): "value", "comment": "nobody's"}
    return info, content


def from_python(choose, path):
    form = choose.choice(FORMATS)
    with tarfile.open(path, "w", format=form, errors="surrogateescape") as archive:
        for _ in range(choose.randint(0, 12)):
            info, content = entry(choose, form)
            try:
                archive.addfile(info, io.BytesIO(content))
            except ValueError:
                pass  # a name that ustar has no room for


def from_gnu(choose, path, directory):
    tree = os.path.join(directory, "tree")
    subprocess.run(["rm", "-rf", tree], check=True)
    os.makedirs(os.path.join(tree, "d" * choose.randint(1, 200)))
    for at in range(choose.randint(1, 4)):
        with open(os.path.join(tree, f"sparse-{at}" + "x" * choose.choice([0, 0, 150])), "wb") as file:
            size = choose.choice([0, 4096, 1 << 20, (1 << 33) + 1])
            file.truncate(size)
            for _ in range(choose.choice([0, 1, 3, 30]) if size else 0):
                file.seek(choose.randrange(size) // 4096 * 4096)
                file.write(choose.randbytes(min(choose.choice([1, 4096, 10000]), size - file.tell())))
    os.symlink("x" * choose.choice([1, 99, 100, 101, 300]), os.path.join(tree, "symlink"))
    os.link(os.path.join(tree, "symlink"), os.path.join(tree, "link"))
    when = "--mtime=@" + choose.choice(["0", "1700000000.25", "8589934592.5", "-1.5"])
    subprocess.run(["tar", "-cf", path, when, "--sparse", *choose.choice(SPARSE), "-C", tree, "."], check=True)
    subprocess.run(["rm", "-rf", tree], check=True)


def digest(archive, info):
    """The digest of a file's content, or of its first and last megabyte."""
    file, whole = archive.extractfile(info), hashlib.sha256()
    whole.update(file.read(1 << 20))
    if info.size > 1 << 20:
        file.seek(info.size - (1 << 20))
        whole.update(file.read())
    return whole.hexdigest()


def entries(path):
    with tarfile.open(path, errors="surrogateescape") as archive:
        for info in archive:
            yield {
                # Where a long name has a record `path` as well, tarfile takes the one that comes last.
                "path": os.fsencode(info.pax_headers.get("GNU.sparse.name", info.name)).hex(),
                "kind": "0" if info.isreg() else info.type.decode(),
                "size": info.size,
                "mode": info.mode & 0o7777,
                "uid": info.uid,
                "gid": info.gid,
                "mtime": info.mtime,
                "link": os.fsencode(info.linkname).hex() if info.issym() or info.islnk() else "",
                "device": [info.devmajor, info.devminor] if info.isdev() and not info.isfifo() else [0, 0],
                "content": digest(archive, info) if info.isreg() else "",
            }


def main():
    directory, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    choose = random.Random(seed)
    for at in range(count):
        path = os.path.join(directory, f"{seed}-{at}.tar")
        if at % 2:
            from_gnu(choose, path, directory)
        else:
            from_python(choose, path)
        print(json.dumps({"archive": path, "entries": list(entries(path))}))


main()
