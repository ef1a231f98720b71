"""HTTP routes of dead letters."""

from uuid import UUID

from litestar import Response, Router, delete
from litestar.response import Stream

from app.auth.callers import Caller
from app.auth.model import Scope
from app.dead_letters import reference, service
from app.dead_letters.downloads import write_events, write_letters
from app.dead_letters.model import DeadLetter, DeadLetterWithEvent, ErasedLetters, LetterCounts
from app.dead_letters.scanning import OLDEST
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_query
from app.http.methods import get, is_head
from app.pagination import Page
from app.payloads.downloads import begin_download
from app.payloads.reader import single_chunk
from app.payloads.responses import respond_with_payload
from app.resources import Resources

# User bytes: a browser must not render them as a page of this origin.
_HEADERS = {"X-Content-Type-Options": "nosniff"}


@get("/dead-letters", operation_class=reference.LIST_LETTERS, **needs(Scope.READ))
async def list_dead_letters(
    request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[DeadLetter]:
    """List dead letters.

    Events that pipes could not forward, newest first, a page at a time, with the reason and without
    the bytes. A letter is listed if it matches every filter. A request reads at most some 100,000
    letters, so a page can be short, or empty, where few match, while `next_cursor` leads on.
    """
    choices = read_query(request, reference.LetterListQuery)
    return await service.list_letters(
        resources,
        tenant,
        choices.conditions(),
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get("/dead-letters/counts", operation_class=reference.COUNT_LETTERS, **needs(Scope.READ))
async def count_dead_letters(
    request: AnyRequest, resources: Resources, tenant: UUID
) -> LetterCounts:
    """Count dead letters.

    By pipe and kind: how many are `dead`, `moved` or `dropped` by re-drives, and `erased`. The kind
    is that of the first failure. Deleted letters are not counted.
    """
    choices = read_query(request, reference.CountsQuery)
    return await service.count_letters(resources, tenant, choices.pipe or None)


@get(
    "/dead-letters/download",
    media_type=reference.NDJSON,
    operation_class=reference.DOWNLOAD_LETTERS,
    **needs(Scope.READ),
)
async def download_dead_letters(request: AnyRequest, resources: Resources, tenant: UUID) -> Stream:
    """Download dead letters.

    NDJSON, the oldest letters first: those that are `dead`, or in the state that `state` names,
    which can be `all`. A line is an event, byte for byte, and erased ones are left
    out; if an event that matches has a line feed, which no line can hold, the response is a 409.
    With `form=full` a line is a letter as `GET /dead-letters/{letter}` shows it, with `event`, or
    with `event_base64` where the event is not JSON, has a line feed or blanks around it. `after`
    goes on with a download that broke off.
    """
    choices = read_query(request, reference.DownloadQuery)
    write = write_letters if choices.form == "full" else write_events
    lines = write(resources, tenant, choices.conditions(), after=choices.after or OLDEST)
    # The first page is read now, so that what it raises has a status.
    body = await begin_download(request, lines)
    if is_head(request):
        await lines.aclose()
        body = single_chunk(b"")
    return Stream(body, headers=_HEADERS, media_type=reference.NDJSON)


@get("/dead-letters/{letter:str}", operation_class=reference.SHOW_LETTER, **needs(Scope.READ))
async def show_dead_letter(letter: str, resources: Resources, tenant: UUID) -> DeadLetterWithEvent:
    """Show a dead letter.

    With `event` as it is, if it is JSON without blanks around it, else with `event_base64`. Erased
    ones have neither.
    """
    return await service.show_letter(resources, tenant, letter)


@get(
    "/dead-letters/{letter:str}/event",
    media_type=reference.BYTES,
    operation_class=reference.SHOW_EVENT,
    **needs(Scope.READ),
)
async def show_dead_letter_event(
    letter: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[bytes] | Stream:
    """Download the event of a dead letter.

    The bytes as the pipe got them. With `Range`, one range of them. An erased event is a 410.
    """
    stored = await service.find_event(resources, tenant, letter)
    return await respond_with_payload(request, resources.blobs, stored, media_type=reference.BYTES)


@delete(
    "/dead-letters/{letter:str}",
    operation_class=reference.ERASE_LETTER,
    **needs(Scope.WRITE_PIPES),
)
async def erase_dead_letter(letter: str, resources: Resources, caller: Caller) -> None:
    """Erase a dead letter.

    Permanently erases the event and what its error says; the letter stays, as `erased`, with hash,
    size, kind and times. Re-drives leave it out. Erasing again changes nothing.
    """
    await service.erase_letter(resources, caller, letter)


@delete(
    "/dead-letters",
    status_code=200,
    operation_class=reference.ERASE_LETTERS,
    **needs(Scope.WRITE_PIPES),
)
async def erase_dead_letters(
    request: AnyRequest, resources: Resources, caller: Caller
) -> ErasedLetters:
    """Erase dead letters.

    Those that match every filter, of which there must be one: the oldest 10,000 that are not erased
    yet, in one transaction. Repeat it until it is `complete`.
    """
    choices = read_query(request, reference.LetterQuery)
    return await service.erase_letters(resources, caller, choices.conditions())


router = Router(
    path="/",
    tags=["dead letters"],
    route_handlers=[
        list_dead_letters,
        count_dead_letters,
        download_dead_letters,
        show_dead_letter,
        show_dead_letter_event,
        erase_dead_letter,
        erase_dead_letters,
    ],
)
