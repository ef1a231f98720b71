"""Say what an address gives and takes, before its handler is asked."""

import re
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.utils import get_enum_string_value

from app.errors import Problem
from app.http.problems import MEDIA_TYPE


class NotAcceptable(Problem):
    """The client takes no form in which the answer exists."""

    status = 406
    code = "not-acceptable"
    title = "The answer does not exist in a form that Accept admits"


# Asynchronous though it waits for nothing: Litestar would call it in a thread.
async def negotiate(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Answer OPTIONS; refuse what can be answered in no form that the client takes.

    A problem document is what every address can give. Raises NotAcceptable.
    """
    if request.method == "OPTIONS":
        return _options(request)
    handler = request.route_handler
    if not handler.resolve_include_in_schema() or handler.status_code == HTTPStatus.NO_CONTENT:
        return None
    accept = ",".join(request.headers.getall("accept", []))
    gives = get_enum_string_value(handler.media_type)
    if not any(accepts(accept, media_type) for media_type in (gives, MEDIA_TYPE)):
        raise NotAcceptable(f"{gives} is what this address gives; Accept is {accept!r}")
    return None


def accepts(accept: str, media_type: str) -> bool:
    """Say whether an Accept header admits a media type: the most specific range decides.

    An empty header admits everything (RFC 9110, 12.5.1); parameters other than `q` are not
    looked at.
    """
    if not accept.strip():
        return True
    kind = media_type.partition("/")[0]
    weights: dict[str, bool] = {}
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weights[name] = not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", each) for each in parameters)
    ranges = (media_type, f"{kind}/*", "*/*")
    return next((weights[name] for name in ranges if name in weights), False)


def _options(request: Request[Any, Any, Any]) -> Response[None]:
    # Litestar's own answer names the methods of the first handler of a path only.
    template = request.scope["path_template"]
    methods = {
        method
        for route in request.app.routes
        if route.path_format == template
        for method in route.methods
    }
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})
