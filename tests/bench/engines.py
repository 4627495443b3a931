"""Servers of the Docker Engine API for benchmarks, each with a socket and a store of its own."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

START_SECONDS = 120


class Connection(http.client.HTTPConnection):
    """HTTP over a socket in the file system, for what is not measured."""

    def __init__(self, path):
        super().__init__("localhost", timeout=7200)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Server:
    """A server that has been started below `home` and answers. By `stop` it ends, with all that it has mounted."""

    def __init__(self, home, program):
        self.home, self.program, self.socket = home, program, home / "engine.sock"
        home.mkdir()
        self.prepare()
        self.start()

    def prepare(self):
        pass

    def environment(self):
        return {}

    def start(self):
        with open(self.home / "log", "a") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environment()},
            )
        begun = time.monotonic()
        while True:
            try:
                self.ask("GET", "/_ping")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() - begun > START_SECONDS:
                    said = (self.home / "log").read_text(errors="replace")[-2000:]
                    self.stop()
                    sys.exit(f"error: {self.name} does not answer\n{said}")
                time.sleep(0.05)

    def ask(self, method, target, body=None, media_type=None):
        connection = Connection(self.socket)
        connection.request(method, target, body, {"content-type": media_type} if media_type else {})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if response.status >= 300:
            sys.exit(f"error: {self.name}: {method} {target} is answered with {response.status}: {content[:500]!r}")
        return content

    def says(self):
        """What it is: its version, and how it keeps images."""
        version, info = (json.loads(self.ask("GET", target)) for target in ("/version", "/info"))
        return f"{version['Version']}, API {version['ApiVersion']}, storage driver `{info['Driver']}`"

    def docker(self, *arguments):
        """Runs docker's own program against this server, as `measure` wants it."""
        return ["docker", "--config", str(self.home / "client"), "--host", f"unix://{self.socket}", *arguments]

    def processes(self):
        """The server and what it has started."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                number, _, rest = stat.read_text().partition(" (")
                parents[int(number)] = int(rest.rpartition(") ")[2].split()[1])
            except OSError:
                continue
        found = [self.process.pid]
        for one in found:
            found.extend(number for number, parent in parents.items() if parent == one)
        return found

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{self.home}/")]):
            subprocess.run(["umount", mount], check=True)


def resident(processes):
    """The resident sets, in bytes."""
    total = 0
    for number in processes:
        try:
            status = Path(f"/proc/{number}/status").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))
    return total


class Wharf(Server):
    name = "wharf"

    def prepare(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.metrics = f"127.0.0.1:{free.getsockname()[1]}"

    def command(self):
        base = [self.program, "--root", str(self.home / "store"), "serve"]
        return [*base, "--unix", str(self.socket), "--metrics", self.metrics]

    def sandboxes(self):
        """How many sandboxes there were, and how many seconds it took to make them."""
        connection = http.client.HTTPConnection(self.metrics)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        read = lambda name: next(float(line.split()[1]) for line in lines if line.startswith(f"wharf_{name} "))
        return read("sandbox_instantiations_total"), read("sandbox_instantiation_seconds_sum")


class Dockerd(Server):
    """With a containerd that it starts itself, if the machine has none."""

    name = "dockerd"

    def prepare(self):
        # Settings of the machine's own daemon are not to be found.
        (self.home / "daemon.json").write_text("{}")

    def command(self):
        home = self.home
        return [
            self.program, "--host", f"unix://{self.socket}", "--config-file", str(home / "daemon.json"),
            "--data-root", str(home / "data"), "--exec-root", str(home / "exec"), "--pidfile", str(home / "pid"),
            "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
        ]


class Podman(Server):
    name = "podman"

    def __init__(self, home, program, registry):
        self.registry = registry
        super().__init__(home, program)

    def prepare(self):
        text = f'[[registry]]\nlocation = "{self.registry}"\ninsecure = true\n'
        (self.home / "registries.conf").write_text(text)

    def environment(self):
        return {"CONTAINERS_REGISTRIES_CONF": str(self.home / "registries.conf")}

    def command(self):
        roots = ["--root", str(self.home / "data"), "--runroot", str(self.home / "run"), "--storage-driver", "overlay"]
        return [self.program, *roots, "system", "service", "--time", "0", f"unix://{self.socket}"]
