"""Read the rest of a request's path as its client sent it."""

from typing import Final
from urllib.parse import unquote_to_bytes

from app.errors import MalformedRequest
from app.http.request_id import AnyConnection

_SLASH: Final = b"/"


def path_after(connection: AnyConnection, *, names: int) -> str:
    """Return what follows so many names of the path, percent-decoded.

    The router merges slashes, and the server replaces what is not UTF-8. Raises
    MalformedRequest for that, and for a name with a slash, which the router takes for two.
    """
    root = connection.scope.get("root_path", "").encode()
    rest = bytes(connection.scope["raw_path"]).removeprefix(root)
    for _ in range(names):
        name, _, rest = rest.lstrip(_SLASH).partition(_SLASH)
        if _SLASH in unquote_to_bytes(name):
            raise MalformedRequest("a name in the path has a %2F, before the part that may have it")
    try:
        return unquote_to_bytes(rest).decode()
    except UnicodeDecodeError:
        raise MalformedRequest("the path is not UTF-8 once it is percent-decoded") from None
