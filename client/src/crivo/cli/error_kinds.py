"""The kinds of errors that filters take; another one would find nothing in silence."""

from typing import Literal, TypeAlias

ErrorKind: TypeAlias = Literal[
    "script_error",
    "timeout",
    "out_of_memory",
    "invalid_input",
    "invalid_result",
    "output_too_large",
    "unsettled_promise",
    "input_schema_mismatch",
    "output_schema_mismatch",
    "unknown_schema",
    "sandbox_crash",
    "worker_lost",
    "sink_refused",
]
