"""Make the verdicts of a cell about its jobs."""

from typing import Any, NoReturn

from app.sandbox.exception_parser import error_of
from app.sandbox.job_reader import NotUtf8


class Finished(Exception):
    """The verdict is known."""

    def __init__(self, kind: str, *, reusable: bool = True, **details: object) -> None:
        """Take the verdict; `reusable`: V8 is at rest, and the channel in step."""
        super().__init__(kind)
        self.reusable = reusable
        self.verdict: dict[str, object] = {"kind": kind, **details}


def refuse(found: dict[str, Any]) -> NoReturn:
    """Refuse a source that lacks what the harness looked for."""
    code, name = found["code"], found.get("name", "process")
    match code:
        case "no_process":
            message = "the script has no `process`: it runs over datasets (POST /runs)"
            error = error_of("ReferenceError", message)
        case "no_function":
            error = error_of("ReferenceError", f"{name} is not defined")
        case "incomplete_fold":
            missing = " and ".join(f"`{each}`" for each in found["missing"])
            message = f"a fold has `start`, `step` and `finish`; there is no function {missing}"
            error = error_of("TypeError", message)
        case _:
            error = error_of("TypeError", f"{code.removesuffix('_not_callable')} is not a function")
    raise Finished("refused", code=code, error=error)


def not_utf8(error: NotUtf8) -> dict[str, object]:
    """Return the verdict about a payload that is not UTF-8."""
    message = f"not UTF-8: {error.reason} at byte {error.byte_offset}"
    return {"kind": "invalid_input", "message": message, "byte_offset": error.byte_offset}
