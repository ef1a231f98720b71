"""Send requests to the URLs that users choose: checked, bounded in time and size, no redirects."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final
from urllib import request
from urllib.parse import unquote, urlsplit

import httpcore
import httpx
from msgspec import Struct

from app.egress.connections import CheckedBackend
from app.egress.errors import NoAnswer
from app.egress.resolver import Resolver, ThreadedResolver
from app.egress.streams import BoundedBackend
from app.egress.targets import Policy, Target
from app.errors import CrivoError

# For everything: lookup, connection, TLS, request and the head of the answer.
REQUEST_SECONDS: Final = 15.0
# The body of an answer is not used. A short one is read, so that its sender sees no broken
# connection.
_DRAIN_SECONDS: Final = 1.0
_MAX_HEADER: Final = 200
# Shorter than what servers allow, which would close a connection just as it is used again.
_KEEP_ALIVE_SECONDS: Final = 4.0


class InvalidProxy(CrivoError):
    """HTTPS_PROXY or HTTP_PROXY names something else than an HTTP proxy."""


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to a request: its status, and when its sender wants the next request."""

    status: int
    retry_after: str | None


class EgressClient:
    """Sends requests directly, or through the proxies that the environment names.

    Through a proxy, the proxy resolves names and decides what they may reach: then only the checks
    of the URL itself remain, and the proxy must refuse inward addresses.
    """

    def __init__(
        self,
        direct: httpcore.AsyncConnectionPool,
        proxied: Mapping[str, httpcore.AsyncConnectionPool],
        proxies: Mapping[str, str],
        *,
        keep_alive: bool = False,
    ) -> None:
        """Take open connection pools, by scheme for those of proxies, and the proxies' URLs."""
        self._connection = () if keep_alive else (("Connection", "close"),)
        self._direct = direct
        self._proxied = proxied
        self._proxies = dict(proxies)

    async def post(self, target: Target, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a POST request. Raises NoAnswer, InwardTarget."""
        url = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        try:
            async with (
                asyncio.timeout(REQUEST_SECONDS) as limit,
                self._pool_for(target).stream(
                    "POST",
                    url,
                    headers=[
                        ("Host", target.authority),
                        *self._connection,
                        *headers.items(),
                    ],
                    content=body,
                ) as response,
            ):
                # The answer counts from here on, however slow its body is.
                limit.reschedule(None)
                await _drain(response)
                return Answer(status=response.status, retry_after=_header(response, b"retry-after"))
        except TimeoutError:
            raise NoAnswer(f"no answer within {REQUEST_SECONDS:.0f} s") from None
        # OSError, ssl.SSLError: from closing a connection that is broken already.
        except (*_HTTPCORE_ERRORS, OSError, ssl.SSLError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from None

    def _pool_for(self, target: Target) -> httpcore.AsyncConnectionPool:
        pool = self._proxied.get(target.scheme)
        if pool is None or _bypasses_proxies(target.host, self._proxies):
            return self._direct
        return pool


_HTTPCORE_ERRORS: Final = (
    httpcore.ConnectionNotAvailable,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


@asynccontextmanager
async def open_egress_client(
    policy: Policy,
    *,
    connections: int,
    keep_alive: bool = False,
    resolver: Resolver | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[EgressClient]:
    """Open a client with at most so many connections. Raises InvalidProxy.

    `keep_alive`: connections serve many requests. That is for one tenant's requests to one host, as
    what follows an answer would be read as the next one's.
    Certificates are checked against certifi's list, or the one that SSL_CERT_FILE or SSL_CERT_DIR
    names.
    """
    tls = ssl_context or httpx.create_ssl_context()
    backend = CheckedBackend(policy, resolver or ThreadedResolver(4 * connections))
    async with AsyncExitStack() as stack:

        async def opened(
            proxy: httpcore.Proxy | None, network: httpcore.AsyncNetworkBackend
        ) -> httpcore.AsyncConnectionPool:
            return await stack.enter_async_context(
                httpcore.AsyncConnectionPool(
                    ssl_context=tls,
                    proxy=proxy,
                    max_connections=connections,
                    max_keepalive_connections=connections if keep_alive else 0,
                    keepalive_expiry=_KEEP_ALIVE_SECONDS,
                    network_backend=network,
                )
            )

        proxied = {
            scheme: await opened(proxy, BoundedBackend())
            for scheme, proxy in proxies_in_environment().items()
        }
        direct = await opened(None, backend)
        yield EgressClient(direct, proxied, request.getproxies_environment(), keep_alive=keep_alive)


def _bypasses_proxies(host: str, proxies: dict[str, str]) -> bool:
    """Return whether NO_PROXY names a host."""
    # typeshed lacks it, and urllib documents it.
    return bool(request.proxy_bypass_environment(host, proxies))  # type: ignore[attr-defined]


def proxies_in_environment() -> dict[str, httpcore.Proxy]:
    """Return the proxy of each scheme that has one. Raises InvalidProxy."""
    urls = request.getproxies_environment()
    return {
        scheme: _proxy(urls[name])
        for scheme in ("https", "http")
        if (name := scheme if scheme in urls else "all") in urls
    }


def _proxy(url: str) -> httpcore.Proxy:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidProxy(
            "HTTPS_PROXY, HTTP_PROXY and ALL_PROXY take the URL of an HTTP proxy: "
            "http://proxy.example:3128"
        )
    auth = None
    if parts.username is not None:
        auth = (unquote(parts.username), unquote(parts.password or ""))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return httpcore.Proxy(
        httpcore.URL(scheme=parts.scheme, host=parts.hostname, port=port, target="/"), auth=auth
    )


async def _drain(response: httpcore.Response) -> None:
    """Read an answer's body while it is short and comes at once; closing ends any other."""
    with suppress(TimeoutError, *_HTTPCORE_ERRORS):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in response.aiter_stream():
                pass


def _header(response: httpcore.Response, name: bytes) -> str | None:
    for key, value in response.headers:
        if key.lower() == name:
            return bytes(value[:_MAX_HEADER]).decode("latin-1")
    return None
