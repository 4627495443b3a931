"""A containerd of a benchmark's own."""

import os
import signal
import subprocess
import sys
import time


class Containerd:
    """A containerd with a root of its own, and nothing but the content store, the overlay snapshotter and the API."""

    DISABLED = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
                "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
                "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.restart"]

    def __init__(self, daemon, place):
        self.root, self.socket = place / "root", place / "containerd.sock"
        disabled = ", ".join(f'"{name}"' for name in self.DISABLED)
        config = place / "config.toml"
        config.write_text(
            f'version = 2\nroot = "{self.root}"\nstate = "{place / "state"}"\ndisabled_plugins = [{disabled}]\n'
            f'[grpc]\naddress = "{self.socket}"\n[ttrpc]\naddress = "{self.socket}.ttrpc"\n'
        )
        self.log = open(place / "daemon.log", "wb")
        self.process = subprocess.Popen([daemon, "--config", str(config)], stdout=self.log, stderr=self.log)
        for _ in range(500):
            if self.socket.exists():
                return
            time.sleep(0.02)
        sys.exit(f"error: containerd does not start: {(place / 'daemon.log').read_text(errors='replace')}")

    def stop(self):
        """Ends the daemon, and returns its CPU time in seconds and its peak memory in bytes."""
        self.process.send_signal(signal.SIGTERM)
        _, _, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = 0
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
