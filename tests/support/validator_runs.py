"""Run the validator of JSON Schema in a cell, as a part of a script."""

import json
from collections.abc import Sequence
from typing import Any, Final

from app.sandbox import validator
from app.sandbox.outcomes import Succeeded
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import run

_PROCESS: Final = """
const process = ({ cases, registry }) => {
  if (registry !== null) {
    for (let i = 0; i < cases.length; i++) cases[i].options.registry = registry;
  }
  first(cases);
  const results = [];
  for (let i = 0; i < cases.length; i++) {
    const { schema, documents, options } = cases[i];
    let validate;
    try {
      validate = compile(schema, options);
    } catch (thrown) {
      if (!hasOwn(thrown, "errors")) throw thrown;
      append(results, { __proto__: null, refused: thrown.errors });
      continue;
    }
    const all = plain([]);
    for (let j = 0; j < documents.length; j++) {
      append(all, validate(documents[j], options.excerpts));
    }
    append(results, { __proto__: null, errors: all });
  }
  return plain(results);
};
"""
# These work in a tampered world, as the validator must.
_PRELUDE: Final = """
const { defineProperty, setPrototypeOf } = Reflect;
const { hasOwn } = Object;
const plain = (list) => (setPrototypeOf(list, null), list);
const append = (list, value) => defineProperty(list, list.length, {
  __proto__: null, value, writable: true, enumerable: true, configurable: true,
});
"""


def case(schema: object, *documents: object, **options: object) -> dict[str, object]:
    """Return a case: a schema, documents, and the options of `compile`."""
    return {"schema": schema, "documents": documents, "options": {"excerpts": False, **options}}


async def check(
    pool: SandboxPool,
    cases: Sequence[dict[str, object]],
    *,
    registry: dict[str, Any] | None = None,
    first: str = "",
) -> list[dict[str, Any]]:
    """Return for each case `errors`, a list for each document, or `refused`, the schema's errors.

    `registry` serves all cases. `first` is JavaScript that runs between the loading of the
    validator and its first use.
    """
    load = f"const {{ compile }} = ({validator.source().decode()})();\n"
    source = f"{load}{_PRELUDE}const first = (cases) => {{ {first} }};\n{_PROCESS}"
    payload = json.dumps({"cases": cases, "registry": registry}).encode()
    ran = await run(pool, source, payload, wall_ms=60_000)
    assert isinstance(ran.outcome, Succeeded), ran.outcome
    results: list[dict[str, Any]] = json.loads(ran.output)
    return results


async def errors_of(
    pool: SandboxPool, schema: object, document: object, **options: object
) -> list[dict[str, Any]]:
    """Return the errors of one document."""
    [result] = await check(pool, [case(schema, document, **options)])
    assert "errors" in result, result
    errors: list[dict[str, Any]] = result["errors"][0]
    return errors
