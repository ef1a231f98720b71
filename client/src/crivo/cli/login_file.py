"""Keep the URL and key of `crivo login` in a file that only its owner can read."""

import os
import stat
from pathlib import Path
from typing import Final

from msgspec import DecodeError, Struct, ValidationError, json

from crivo.cli.exit_codes import UsageError
from crivo.wire import checked_url

DEFAULT_URL: Final = "http://127.0.0.1:8000"


class Login(Struct, frozen=True, kw_only=True):
    """The URL of a service, and the key for it; None: it needs none."""

    url: str = DEFAULT_URL
    key: str | None = None


def login_path() -> Path:
    """Return the path of the file, below XDG_CONFIG_HOME."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(folder) if folder else Path.home() / ".config") / "crivo" / "login.json"


def read_login() -> Login:
    """Read the file; without one, the default. Raises UsageError."""
    path = login_path()
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read()
    except FileNotFoundError:
        return Login()
    if mode & 0o077:
        raise UsageError(f"{path} can be read by others; run: chmod 600 {path}")
    try:
        return json.decode(text, type=Login)
    except (DecodeError, ValidationError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is damaged ({error}); `crivo login URL` replaces it") from None


def write_login(login: Login) -> Path:
    """Replace the file. Raises OSError."""
    path = login_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.format(json.encode(login), indent=2) + b"\n")
    new.replace(path)
    return path


def delete_login() -> bool:
    """Delete the file; return whether there was one."""
    path = login_path()
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed


def effective_login(url: str | None, key: str | None) -> Login:
    """Combine arguments and the file; the file's key goes to no URL but its own."""
    stored = Login() if url and key else read_login()
    chosen = checked_url(url or stored.url)
    if key:
        return Login(url=chosen, key=key)
    return Login(url=chosen, key=stored.key if chosen == checked_url(stored.url) else None)
