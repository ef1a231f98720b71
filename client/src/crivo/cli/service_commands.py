"""`crivo login`, `logout`, `open`, `completion`."""

import getpass
import sys
import webbrowser
from typing import Final, Literal

from cyclopts import App

from crivo.cli.arguments import Service
from crivo.cli.exit_codes import UsageError
from crivo.cli.login_file import (
    Login,
    delete_login,
    effective_login,
    login_path,
    write_login,
)
from crivo.cli.output import say
from crivo.errors import AccessDenied
from crivo.retries import Retry
from crivo.sync.client import Crivo
from crivo.wire import checked_url

_FORBIDDEN: Final = 403


def login(url: str | None = None, /, *, service: Service | None = None) -> None:
    """Check a URL and a key, and keep them in a file that only you can read.

    The key is asked for on a terminal, else read from standard input.

    Parameters
    ----------
    url
        URL of the service.
    """
    service = service or Service()
    given = url or service.url
    # A damaged file is no obstacle to its replacement.
    wanted = checked_url(given) if given else effective_login(None, None).url
    with Crivo(wanted, retry=Retry(attempts=1)) as anonymous:
        needs_key = anonymous.ready().access == "keys"
    key = service.key if service.key or not needs_key else _asked_key()
    with Crivo(wanted, key, retry=Retry(attempts=1)) as client:
        _require_valid_key(client)
    path = write_login(Login(url=wanted, key=key))
    access = "with its key" if key else "which needs no key"
    service.output.document({"url": wanted, "file": str(path)}, f"{wanted}, {access}")
    say(f"crivo: kept in {path}")


def logout(*, service: Service | None = None) -> None:
    """Delete the file of `crivo login`. The key itself stays valid until it is revoked."""
    existed = delete_login()
    text = f"{login_path()} {'deleted' if existed else 'does not exist'}"
    (service or Service()).output.document({"deleted": existed}, text)


def open_page(*, service: Service | None = None) -> None:
    """Print the URL of the page that shows and tries every call, and open it in a browser."""
    service = service or Service()
    url = f"{effective_login(service.url, service.key).url}/docs"
    service.output.document({"url": url}, url)
    if sys.stdout.isatty():
        webbrowser.open(url)


def register_completion(app: App) -> None:
    """Add the command that prints the completion script of a shell."""

    @app.command(sort_key=17)
    def completion(shell: Literal["bash", "fish", "zsh"], /) -> None:
        """Print the script that completes commands in a shell: `source <(crivo completion bash)`.

        Parameters
        ----------
        shell
            Your shell.
        """
        sys.stdout.write(app.generate_completion(shell=shell))


def _require_valid_key(client: Crivo) -> None:
    try:
        next(client.executions.list(page_size=1), None)
    except AccessDenied as error:
        # A valid key may lack the scope to read.
        if error.status != _FORBIDDEN:
            raise


def _asked_key() -> str:
    if not sys.stdin.isatty():
        key = sys.stdin.readline().strip()
    else:
        key = getpass.getpass("API key: ").strip()
    if not key:
        raise UsageError("the service needs a key, and none was given")
    return key
