"""The options of `crivo run` over a dataset."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal, cast

from cyclopts import Group, Parameter
from cyclopts.types import NonNegativeInt

from crivo.cli.arguments import pointer_argument
from crivo.cli.exit_codes import UsageError
from crivo.options import RunOptions, SubmitOptions


@Parameter(name="*", group=Group("Over a dataset", sort_key=0))
@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """What a run reads, how its records reach the script, and what becomes of them."""

    dataset: Annotated[
        str | None, Parameter(help="The dataset, such as `numbers` or `numbers@2`.")
    ] = None
    upload: Annotated[
        Path | None,
        Parameter(
            name="--file",
            help="A file to send first, as the only one of --dataset, or of its own name.",
        ),
    ] = None
    format: Annotated[
        Literal["records", "lines", "text", "bytes"] | None,
        Parameter(help="What the script gets; by default as the dataset's format."),
    ] = None
    each: Annotated[Literal["record"] | None, Parameter(help="Run `process` for each record.")] = (
        None
    )
    emit: Annotated[
        Literal["one", "many"] | None, Parameter(help="`many`: `map` returns arrays of values.")
    ] = None
    on_error: Annotated[
        Literal["fail", "skip", "dead_letter"] | None,
        Parameter(help="What happens after a record fails; by default the run fails."),
    ] = None
    max_errors: Annotated[
        NonNegativeInt | None, Parameter(help="The run fails above as many failed records.")
    ] = None
    output: Annotated[
        str | None, Parameter(help="The dataset to publish; it is created if there is none.")
    ] = None
    pointer: Annotated[
        str | None,
        Parameter(
            name="--key",
            help="JSON pointer to the key of the output's records, such as `/pk`. With FILE it is "
            "the API key, as --api-key.",
        ),
    ] = None
    mode: Annotated[
        Literal["append", "replace"] | None,
        Parameter(help="`append` keeps the output's other files; by default they are replaced."),
    ] = None
    errors: Annotated[bool, Parameter(help="Print the records that failed, to standard error.")] = (
        False
    )

    @property
    def names_dataset(self) -> bool:
        """Whether it is a run over a dataset, and not over a document."""
        return self.dataset is not None or self.upload is not None

    def refuse_all_but_key(self) -> None:
        """Make sure that no option is given that only a run over a dataset has."""
        for field in fields(self):
            if field.name != "pointer" and getattr(self, field.name) not in (None, False):
                option = field.name.replace("_", "-")
                raise UsageError(f"--{option}: is for a run over --dataset or --file")

    def options(self, submit: SubmitOptions) -> RunOptions:
        """Return the options that were given. Raises UsageError."""
        key = pointer_argument("--key", self.pointer)
        if self.output is None and (self.pointer is not None or self.mode is not None):
            raise UsageError("--key, --mode: are those of --output, which is missing")
        given = {
            "format": self.format,
            "each": self.each,
            "emit": self.emit,
            "on_error": self.on_error,
            "max_errors": self.max_errors,
            "output": self.output,
            "key": key,
            "mode": self.mode,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        return cast(RunOptions, {**submit, **chosen})
