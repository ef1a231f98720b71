"""Read the rest of a request's path as its client sent it."""

from urllib.parse import unquote_to_bytes

from app.errors import MalformedRequest
from app.http.request_id import AnyConnection


def path_after(connection: AnyConnection, marker: str) -> str:
    """Return what follows the first `marker` in the path, percent-decoded.

    The router merges slashes, and the server replaces what is not UTF-8. Raises
    MalformedRequest for that.
    """
    raw_path = bytes(connection.scope["raw_path"])
    _, _, rest = raw_path.partition(marker.encode())
    try:
        return unquote_to_bytes(rest).decode()
    except UnicodeDecodeError:
        raise MalformedRequest("the path is not UTF-8 once it is percent-decoded") from None
