"""Send requests by httpx: what its synchronous and its asynchronous client share."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypedDict

import httpx

from crivo.errors import Unreachable
from crivo.version import __version__
from crivo.wire import Reply, Request, is_loopback

_CONNECT_SECONDS: Final = 10.0
_REPLY_MARGIN_SECONDS: Final = 10.0


class ClientOptions(TypedDict):
    """Arguments of both of httpx's clients."""

    headers: dict[str, str]
    timeout: float
    trust_env: bool
    follow_redirects: bool
    verify: ssl.SSLContext


def client_options(
    url: str, headers: dict[str, str], *, timeout: float, ca_file: Path | None
) -> ClientOptions:
    """Return the arguments of httpx's client. Raises OSError for an unusable `ca_file`."""
    return {
        "headers": {"User-Agent": f"crivo-python/{__version__}", **headers},
        "timeout": timeout,
        # No proxy leads to this machine.
        "trust_env": not is_loopback(url),
        # A redirect of a POST would lose its body, and one to another host the key.
        "follow_redirects": False,
        "verify": ssl.create_default_context(cafile=str(ca_file))
        if ca_file
        else httpx.create_ssl_context(),
    }


def timeouts(request: Request, *, timeout: float) -> httpx.Timeout:
    """Return the patience with a request, which may have asked the service to wait."""
    read = max(timeout, request.wait + _REPLY_MARGIN_SECONDS) if request.wait else timeout
    return httpx.Timeout(timeout, read=read, connect=min(timeout, _CONNECT_SECONDS))


def headers_of(request: Request) -> dict[str, str]:
    """Return the headers, with the length of a body that is sent in chunks."""
    headers = dict(request.headers)
    if request.body is not None and request.body.content is None and request.body.size is not None:
        headers["Content-Length"] = str(request.body.size)
    return headers


def reply_of(response: httpx.Response, content: bytes = b"") -> Reply:
    """Return a response without httpx."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(
        url=str(response.url), status=response.status_code, headers=headers, content=content
    )


@contextmanager
def failures_named(url: str) -> Iterator[None]:
    """Raise httpx's errors as Unreachable."""
    try:
        yield
    except httpx.ConnectTimeout:
        raise Unreachable(f"{url} did not accept a connection in time") from None
    except httpx.ConnectError as error:
        raise _no_connection(url, error) from error
    except (httpx.ProxyError, httpx.PoolTimeout) as error:
        raise Unreachable(f"{url} cannot be reached: {error}") from error
    except httpx.TimeoutException as error:
        message = f"{url} did not respond in time"
        raise Unreachable(message, may_have_arrived=True) from error
    except (httpx.LocalProtocolError, httpx.InvalidURL) as error:
        message = f"the request could not be sent to {url}: {error}"
        raise Unreachable(message, may_pass=False) from error
    except httpx.DecodingError as error:
        message = f"{url} sent a response that cannot be decompressed"
        raise Unreachable(message, may_have_arrived=True) from error
    except httpx.TransportError as error:
        message = f"the connection to {url} was lost: {str(error) or type(error).__name__}"
        raise Unreachable(message, may_have_arrived=True) from error


def _no_connection(url: str, error: Exception) -> Unreachable:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            message = (
                f"the certificate of {url} is not trusted: {cause.verify_message}; set its "
                "authority's file as SSL_CERT_FILE"
            )
            return Unreachable(message, may_pass=False)
        if isinstance(cause, ssl.SSLError):
            message = f"{url} does not speak TLS as expected ({cause.reason}); is it http://?"
            return Unreachable(message, may_pass=False)
        if isinstance(cause, OSError) and cause.strerror:
            return Unreachable(f"{url} cannot be reached: {cause.strerror}")
        cause = cause.__cause__ or cause.__context__
    return Unreachable(f"{url} cannot be reached: {error}")
