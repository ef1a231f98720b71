"""Run Redis on a private socket: it carries work signals, and keeps the streams of pipes."""

import signal
import socket
from pathlib import Path

from app.embedded.processes import Service
from app.embedded.sockets import remove_socket_folder

_RESPONSE_SECONDS = 1.0


def redis_url(sockets: Path) -> str:
    """Return the server's URL; the path of `sockets` needs no encoding."""
    return f"unix://{sockets / 'redis.sock'}"


def redis_service(
    program: Path, *, data: Path, sockets: Path, log: Path, durable: bool = True
) -> Service:
    """Describe the server for a supervisor; `data` is a folder of its own."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = sockets / "redis.sock"
    command = [str(program), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "600"]
    command += ["--save", "", "--dir", str(data), "--daemonize", "no"]
    # An event that a stream has acknowledged is on the disk. `everysec` acknowledges before it
    # writes while the disk is slow.
    command += ["--appendonly", "yes" if durable else "no", "--appendfsync", "always"]
    # Wake-ups are written, too, and make up most of a file without events.
    command += ["--auto-aof-rewrite-min-size", "16mb"]
    return Service(
        name="Redis",
        command=command,
        log=log,
        is_ready=lambda: _responds(path),
        folder=data,
        after_stop=lambda: remove_socket_folder(sockets),
        stop_signal=signal.SIGTERM,
        stop_seconds=5.0,
    )


def _responds(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_RESPONSE_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
