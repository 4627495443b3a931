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
  DOCKER_HOST=unix:///run/wharf/docker.sock docker images
  curl --unix-socket /run/wharf/docker.sock http://localhost/v1.41/images/json

What there is:
  The routes of the Docker Engine API about images, versions 1.24 to 1.52: list, inspect, history, pull, push, tag,
  remove, prune, save, load, search, distribution, and version, info, df, events, auth and _ping. There are no
  containers: everything else is answered with status 501.

Who may:
  Whoever can open the socket; it belongs to you and your group. --tcp listens on this machine alone, and whoever
  reaches the address may do everything, too.

Logins:
  Clients send their own with each request, as docker does. Those of this machine are not used.

Everything at once:
  Each request has a sandbox of its own. The store is the one that `wharf pull` and the others use, at the same time.

Ctrl-C and SIGTERM:
  Nobody new is let in, and requests have 10 seconds to end. What a pull has received by then is kept, and the next
  one continues there.";
