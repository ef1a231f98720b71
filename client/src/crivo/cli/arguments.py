"""Arguments that several commands share."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, cast

from cyclopts import Group, Parameter, Token
from cyclopts.types import NonNegativeInt
from msgspec import DecodeError, json

from crivo.cli.exit_codes import UsageError
from crivo.cli.login_file import effective_login
from crivo.cli.output import Output
from crivo.options import LimitOptions, SchemaOptions, SubmitOptions
from crivo.retries import Retry
from crivo.sync.client import Crivo

SERVICE: Final = Group("Service", sort_key=2)
LIMITS: Final = Group("Limits", sort_key=1)

_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?P<slashes>/+)(?P<rest>.*)", re.DOTALL)
# By its beginning, or as long as a secret: no message repeats one that was given by mistake.
_API_KEY: Final = re.compile(r"crv_|.{43}", re.DOTALL)


def directory_argument(option: str, text: str) -> Path:
    """Read the path of a directory. Raises UsageError for a URL, and for an empty text."""
    if not text:
        raise UsageError(f"{option}: is empty, as a variable is that is not set; `.` is this one")
    if found := _URL.fullmatch(text):
        url = f"{found['scheme']}://{found['rest']}"
        if found["slashes"] == "/":
            raise UsageError(f"{option}: {text} is no URL, which has two slashes: {url}")
        raise UsageError(
            f"{option}: {text} is a URL, and here a directory of this machine is meant"
        )
    return Path(text)


def pointer_argument(option: str, text: str | None) -> str | None:
    """Make sure that a text, if it was given, is a JSON pointer. Raises UsageError."""
    if not text or text.startswith("/"):
        return text
    if _API_KEY.match(text):
        raise UsageError(f"{option}: is a JSON pointer such as /pk here; the API key is --api-key")
    meant = "/" + text.replace("~", "~0").replace("/", "~1")
    raise UsageError(f"{option}: {text} is not a JSON pointer; did you mean {meant}?")


def _directory(_type: object, tokens: Sequence[Token]) -> Path:
    [token] = tokens
    return directory_argument(token.keyword or "the directory", token.value)


# Of several commands.
Directory = Annotated[Path, Parameter(converter=_directory)]
Limit = Annotated[NonNegativeInt, Parameter(help="How many; 0 means all.")]
Timeout = Annotated[float | None, Parameter(help="Seconds to wait for the end.")]
WithLabels = Annotated[
    tuple[str, ...],
    Parameter(help="Only those with NAME:VALUE; repeatable.", show_default=False),
]
WithStatus = Annotated[
    str | None, Parameter(help="Only queued, running, succeeded, failed or cancelled ones.")
]

_KEY_HELP: Final = "API key; others can see it in the list of processes."

# A person waits: fewer attempts than a program makes.
_RETRY: Final = Retry(attempts=4)


@Parameter(name="*", group=SERVICE)
@dataclass(frozen=True, kw_only=True)
class Service:
    """The service to talk to, and the form of the output."""

    url: Annotated[str | None, Parameter(env_var="CRIVO_URL", help="URL of the service.")] = None
    key: Annotated[
        str | None,
        Parameter(name=["--key", "--api-key"], env_var="CRIVO_KEY", help=_KEY_HELP),
    ] = None
    as_json: Annotated[
        bool, Parameter(name="--json", show_default=False, help="Write JSON, one document a line.")
    ] = False

    @contextmanager
    def client(self) -> Iterator[Crivo]:
        """Open a client. Raises UsageError, InvalidUrl."""
        login = effective_login(self.url, self.key)
        with Crivo(login.url, login.key, retry=_RETRY) as client:
            yield client

    @property
    def output(self) -> Output:
        """The form of the output."""
        return Output(as_json=self.as_json)


@Parameter(name="*", group=SERVICE)
@dataclass(frozen=True, kw_only=True)
class SendService(Service):
    """The service of `crivo send`, whose --key is that of records."""

    key: Annotated[str | None, Parameter(name="--api-key", env_var="CRIVO_KEY", help=_KEY_HELP)] = (
        None
    )


@Parameter(name="*", group=LIMITS)
@dataclass(frozen=True, kw_only=True)
class LimitFlags:
    """Limits of a run; an omitted one is the version's or the installation's default."""

    wall_ms: Annotated[int | None, Parameter(help="Wall time, in ms.")] = None
    max_cpu_ms: Annotated[int | None, Parameter(help="CPU time, in ms.")] = None
    memory_bytes: Annotated[int | None, Parameter(help="Memory, in bytes.")] = None
    max_output_bytes: Annotated[int | None, Parameter(help="Size of the result, in bytes.")] = None

    def options(self) -> LimitOptions:
        """Return the limits that were given."""
        chosen: LimitOptions = {}
        if self.wall_ms is not None:
            chosen["wall_ms"] = self.wall_ms
        if self.max_cpu_ms is not None:
            chosen["max_cpu_ms"] = self.max_cpu_ms
        if self.memory_bytes is not None:
            chosen["memory_bytes"] = self.memory_bytes
        if self.max_output_bytes is not None:
            chosen["max_output_bytes"] = self.max_output_bytes
        return chosen


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SchemaFlags:
    """Schemas of what a script gets and returns."""

    input_schema: Annotated[
        str | None, Parameter(help="Schema of what the script gets, such as `events@3`.")
    ] = None
    output_schema: Annotated[str | None, Parameter(help="Schema of what it returns.")] = None

    def options(self) -> SchemaOptions:
        """Return the schemas that were given."""
        chosen: SchemaOptions = {}
        if self.input_schema is not None:
            chosen["input_schema"] = self.input_schema
        if self.output_schema is not None:
            chosen["output_schema"] = self.output_schema
        return chosen


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SubmitFlags:
    """Options of a submission."""

    params: Annotated[
        str | None, Parameter(help="JSON for the script's second argument, as context.params.")
    ] = None
    label: Annotated[
        tuple[str, ...],
        Parameter(help="NAME:VALUE to find the execution by; repeatable.", show_default=False),
    ] = ()
    seed: Annotated[int | None, Parameter(help="Seed of Math.random().")] = None
    priority: Annotated[
        int | None, Parameter(help="From -10 to 10: order among your own executions.")
    ] = None
    callback_url: Annotated[
        str | None, Parameter(help="URL that receives a signed POST at the end.")
    ] = None
    idempotency_key: Annotated[
        str | None, Parameter(help="Repeated with this text, the command submits once.")
    ] = None

    def options(self, limits: LimitFlags) -> SubmitOptions:
        """Return the options that were given. Raises UsageError."""
        chosen = cast(SubmitOptions, dict(limits.options()))
        if self.params is not None:
            chosen["params"] = json_argument("--params", self.params)
        if self.label:
            chosen["labels"] = labels_argument(self.label)
        if self.seed is not None:
            chosen["seed"] = self.seed
        if self.priority is not None:
            chosen["priority"] = self.priority
        if self.callback_url is not None:
            chosen["callback_url"] = self.callback_url
        if self.idempotency_key is not None:
            chosen["idempotency_key"] = self.idempotency_key
        return chosen


def json_argument(name: str, text: str) -> Any:  # noqa: ANN401 - any JSON
    """Parse an argument that is JSON. Raises UsageError."""
    try:
        return json.decode(text)
    except DecodeError as error:
        raise UsageError(f"""{name}: not JSON, such as '{{"rate":2}}': {error}""") from None


def labels_argument(texts: tuple[str, ...]) -> dict[str, str]:
    """Parse labels. Raises UsageError."""
    labels = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon:
            raise UsageError(f"--label: {text!r} is not NAME:VALUE")
        labels[name] = value
    return labels


def split_reference(reference: str) -> tuple[str, str]:
    """Return name and selector of a reference; without one, it is `latest`."""
    name, _, selector = reference.partition("@")
    return name, selector or "latest"


def two_versions(old: str, new: str | None) -> tuple[str, str, str]:
    """Return the name and both selectors of two references to one script. Raises UsageError."""
    name, before = split_reference(old)
    other, after = split_reference(new or name)
    if other != name:
        raise UsageError(f"{old} and {new} are versions of different scripts")
    return name, before, after
