//! The help of `wharf serve`.

/// `wharf serve -h`.
pub(crate) const SERVE: &str = "\
Examples:
  wharf serve                                        answer docker's clients until Ctrl-C
  wharf serve --unix /tmp/wharf.sock                 on another socket
  DOCKER_HOST=unix:///run/wharf/docker.sock docker images

More by `wharf serve --help`.";

/// `wharf serve --help`.
pub(crate) const SERVE_LONG: &str = "\
Examples:
  wharf serve                                        answer docker's clients until Ctrl-C
  wharf serve --unix /tmp/wharf.sock                 on another socket
  wharf serve --tcp 127.0.0.1:2375                   over the network of this machine too
  wharf serve --tcp 0.0.0.0:2376 --tls-cert cert.pem --tls-key key.pem --client-ca ca.pem
                                                     for others, who show a certificate
  docker --host tcp://images.lan:2376 --tlsverify images
  wharf serve --metrics 127.0.0.1:9323               and curl http://127.0.0.1:9323/metrics
  wharf serve --otlp http://127.0.0.1:4318           with spans for a collector
  DOCKER_HOST=unix:///run/wharf/docker.sock docker images
  curl --unix-socket /run/wharf/docker.sock http://localhost/v1.41/images/json

What there is:
  The routes of the Docker Engine API about images, versions 1.24 to 1.52: list, inspect, history, pull, push, tag,
  remove, prune, save, load, search, distribution, and version, info, df, events, auth and _ping. There are no
  containers: everything else is answered with status 501.

Clients of containerd:
  --containerd answers them on a socket of its own: ctr, and whatever speaks its services for images, content, snapshots,
  leases, namespaces, events, diffs and transfers. What they need no more is collected, by containerd's thresholds, as by
  `wharf gc --scheduled`; --no-gc leaves that to you. What one namespace has, another one has by naming its digest; with
  --sharing isolated it has to send the bytes.

Who may:
  Whoever can open the socket; it belongs to you and your group. --tcp without TLS listens on this machine alone, and
  whoever reaches the address may do everything, too. With --tls-cert, --tls-key and --client-ca it listens anywhere, and
  lets in whoever shows a certificate of that authority. The files are read once, at the start.

Logins:
  Clients send their own with each request, as docker does. Those of this machine are not used.

Everything at once:
  Each request has a sandbox of its own. The store is the one that `wharf pull` and the others use, at the same time.

How many, and how long:
  4096 clients, 128 requests at once, and beside them 256 that follow events. A head has 30 seconds, 100 headers and 64 KiB;
  who asks for nothing for 5 minutes is sent away; who sends nothing of a body, or takes nothing of an answer, for
  --client-timeout is cut off. A pull or an archive may take as long as it takes.

From a file:
  --config serve.toml has any of these options, without dashes, as in `tcp = \"127.0.0.1:2375\"`, `no-gc = true` and
  `plain-http = [\"10.0.0.5:5000\"]`. What stands on the command line, or in a variable, holds instead.

Numbers:
  --metrics tells, as OpenMetrics for Prometheus: requests by route, method and status with their times; sandboxes, their
  memory, and how many were stopped; pulls by name and outcome; bytes, times and hits of layers by digest. The first 512
  names and 1024 digests have lines of their own, and all others share the one of `other`.

Spans:
  --otlp sends them to a collector of OpenTelemetry, by OTLP over HTTP in protobuf: each request with its route, status and
  time, and what its sandbox has used; each pull with its name, outcome, layers and bytes. Nothing of headers and bodies is
  among them. OTEL_EXPORTER_OTLP_HEADERS has what the collector wants to see, as in `api-key=…`. A collector that does not
  answer is told once and holds nothing up.

As a service:
  With a socket from systemd it listens there in the place of its own, and tells systemd when it is ready and when it stops.
  host/systemd/wharf.socket and wharf.service in the sources are units that do both.

Ctrl-C and SIGTERM:
  Nobody new is let in, and requests have 10 seconds to end. What a pull has received by then is kept, and the next
  one continues there.";
