"""What the benchmarks share: run a command, and say what it cost in the row of a Markdown table."""

import argparse
import os
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """What one process cost."""

    wall: float  # seconds
    cpu: float  # seconds, user and system
    memory: int  # bytes, the peak of the resident set


def measure(command, log):
    """Runs a command to its end, with its output in `log`."""
    begun = time.perf_counter()
    process = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - begun
    if status != 0:
        said = Path(log).read_text(errors="replace")
        sys.exit(f"error: `{' '.join(command)}` ended with {os.waitstatus_to_exitcode(status)}\n{said}")
    # Linux counts `ru_maxrss` in KiB.
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


# The kernel carries the peak of what called `exec` over to the program, so a program that is smaller than this
# script cannot be seen.
FLOOR = measure(["true"], os.devnull).memory


def memory(runs):
    return peak(median(runs, "memory"))


def peak(size):
    return mebibytes(size) if size > FLOOR * 1.05 else f"under {mebibytes(FLOOR * 1.05)}"


def median(runs, field):
    return statistics.median(getattr(run, field) for run in runs)


def spread(runs):
    walls = sorted(run.wall for run in runs)
    return f"{seconds(walls[0])} to {seconds(walls[-1])}"


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def mebibytes(value):
    return f"{value / (1 << 20):.1f} MiB"


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def head(*cells):
    row(*cells)
    row(*("---" for _ in cells))


def line(what, tool, runs, base=None):
    """One tool's row. `base` are the runs that its wall time is divided by."""
    ratio = f"{median(runs, 'wall') / median(base, 'wall'):.2f}" if base else "1"
    cells = seconds(median(runs, "wall")), spread(runs), ratio
    row(what, tool, *cells, seconds(median(runs, "cpu")), memory(runs))


def program(name):
    """An absolute path, so that the shell's aliases and the current directory play no part."""
    found = shutil.which(name)
    if found is None:
        raise argparse.ArgumentTypeError(f"there is no program `{name}`")
    return os.path.abspath(found)


def positive(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return int(text)
