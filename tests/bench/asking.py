"""Clients of HTTP that cost little, so that what is measured is the server: one after the other, or many in one thread.

They read what servers of the Docker Engine API send, and are no clients for anything else: an answer has its length, or
comes in chunks, of a body in which no line ends with CR and LF.
"""

import select
import socket
import time

# What a server may take for a single answer.
PATIENCE_SECONDS = 900
LAST_CHUNK = b"\r\n0\r\n\r\n"


class Broken(Exception):
    """A server has not answered, or not as it should."""


class Client:
    """A connection that is kept."""

    def __init__(self, path):
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stream.settimeout(PATIENCE_SECONDS)
        self.stream.connect(str(path))
        self.got, self.head, self.length = bytearray(), 0, None

    def fileno(self):
        return self.stream.fileno()

    def send(self, request):
        self.got, self.head, self.length = bytearray(), 0, None
        self.stream.sendall(request)

    def receive(self):
        """Takes what has arrived, and says whether the answer is whole."""
        piece = self.stream.recv(1 << 20)
        if not piece:
            raise Broken("the server has hung up")
        self.got += piece
        if not self.head:
            end = self.got.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.head = end + 4
            for line in bytes(self.got[:end]).lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    self.length = int(line[15:])
        if self.length is None:
            return self.got.endswith(LAST_CHUNK)
        return len(self.got) >= self.head + self.length

    @property
    def status(self):
        return int(self.got[9:12])

    def ask(self, request):
        """Returns how many bytes the answer has."""
        self.send(request)
        while not self.receive():
            pass
        if self.status != 200:
            raise Broken(f"{request.split(b' HTTP')[0].decode()} is answered with {bytes(self.got[:500])!r}")
        return len(self.got) - self.head

    def is_closed(self):
        """Whether the server has hung up, seen from a connection on which nothing is under way."""
        return bool(select.select([self], [], [], 0)[0])

    def close(self):
        self.stream.close()


def get(target):
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


class Flood:
    """So many clients that ask for the same again and again, for so long."""

    def __init__(self, path, target, clients, seconds):
        self.path, self.request, self.errors, self.whys = path, get(target), 0, set()
        self.poll, self.clients = select.epoll(), {}
        for _ in range(clients):
            self.join()
        begun = time.perf_counter()
        self.answered = self.run(begun + seconds, again=True)
        self.seconds = time.perf_counter() - begun
        # Whoever is measured next is not to wait for these, and they are in no rate.
        self.asked = self.answered + self.run(begun + seconds + PATIENCE_SECONDS, again=False)

    def join(self):
        client = Client(self.path)
        self.clients[client.fileno()] = client
        self.poll.register(client, select.EPOLLIN)
        client.send(self.request)

    def leave(self, client):
        self.poll.unregister(client)
        del self.clients[client.fileno()]
        client.close()

    def run(self, until, again):
        answered = 0
        while self.clients and time.perf_counter() < until:
            for number, _ in self.poll.poll(0.1):
                client = self.clients[number]
                try:
                    if not client.receive():
                        continue
                    if client.status != 200:
                        raise Broken(f"{client.status}")
                    answered += 1
                    if again:
                        client.send(self.request)
                    else:
                        self.leave(client)
                except (Broken, OSError) as why:
                    self.errors += 1
                    self.whys.add(str(why))
                    self.leave(client)
                    if again:
                        self.join()
        return answered

    @property
    def rate(self):
        return self.answered / self.seconds
