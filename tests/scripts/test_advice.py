"""Errors in a source come with advice for common causes."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from app.lint.diagnostics import BUNDLE
from tests.support.system import System

COMMENTED: Final = """\
// Sums up.
function process(data) {
  return data.length // all of them
}
"""
TYPESCRIPT: Final = {
    "interface": "interface Card { amount: number }\nfunction process(data) { return data }",
    "type": "type Card = { amount: number }\nfunction process(data) { return data }",
    "parameter": "function process(data: number[]) {\n  return data\n}",
    "result": "function process(data): Card[] {\n  return data\n}",
    "variable": "const rate: number = 2\nfunction process(data) { return data * rate }",
    "assertion": "const all = ['a'] as const\nfunction process(data) { return all }",
    "enum": "enum Brand { A, B }\nfunction process(data) { return Brand.A }",
    "member": "class A {\n  private total: number = 0\n}\nfunction process(data) { return data }",
    "types only": "import type { Card } from './cards'\nfunction process(data: Card) { return 1 }",
}
JAVASCRIPT: Final = {
    "object": "function process(data) { return { kind: string other } }",
    "ternary": "function process(data) { return data ? a : b c }",
    "label": "function process(data) { outer: for (;;) { break outer } return 1 1 }",
    "comment": "/* interface of cards: number */\nfunction process(data) { return (1 }",
}


def _detail_of(system: System, source: str) -> str:
    answer = system.client.post("/scripts/check", json={"source": source})
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    return " ".join([problem["detail"], *(each["message"] for each in problem["errors"])])


@pytest.mark.parametrize("kind", TYPESCRIPT)
def test_typescript_gets_the_advice_to_compile_it(system: System, kind: str) -> None:
    assert BUNDLE in _detail_of(system, TYPESCRIPT[kind])


@pytest.mark.parametrize("kind", JAVASCRIPT)
def test_a_mistake_in_javascript_is_not_called_typescript(system: System, kind: str) -> None:
    assert "TypeScript" not in _detail_of(system, JAVASCRIPT[kind])


@pytest.mark.parametrize(
    "source",
    [
        "import total from './total.js'\nfunction process(data) { return total(data) }",
        "export function process(data) { return data }",
        "export default data => data",
        "const total = require('./total')\nfunction process(data) { return total(data) }",
    ],
)
def test_modules_get_the_advice_to_bundle_them(system: System, source: str) -> None:
    assert BUNDLE in _detail_of(system, source)


@pytest.mark.parametrize(
    "source",
    ["export default data => data", *TYPESCRIPT.values()],
)
def test_a_bundle_without_process_gets_the_advice_to_export_it(system: System, source: str) -> None:
    assert "script.ts must `export function process(…)`; an `export default`" in _detail_of(
        system, source
    )


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("", ""),
        ("const other = data => data\n", ""),
        ("function Process(data) { return data }", "`Process`"),
        ("const main = data => data", "`main`"),
        ("module.exports = data => data", "`module.exports`"),
        ("exports.process = data => data", "`exports`"),
    ],
)
def test_a_missing_process_gets_the_advice_to_write_it(
    system: System, source: str, named: str
) -> None:
    said = _detail_of(system, source)

    assert "there is no `process` at the top level" in said
    assert "write `function process(data) { … }`" in said
    assert named in said


def test_an_undefined_process_is_not_reported_as_missing(system: System) -> None:
    bundle = "var bundle = (() => ({ default: data => data }))();\n"

    said = _detail_of(system, f"{bundle}const process = bundle.process;\n")

    assert "there is no `process`" not in said
    assert "`process` is undefined once the top level has run" in said
    assert "script.ts must `export function process(…)`" in said


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("POST", "/scripts", True),
        ("POST", "/scripts/check", False),
        ("PUT", "/scripts/x", False),
        ("POST", "/scripts/x/versions", False),
    ],
)
def test_the_advice_to_send_a_file_fits_the_route(
    system: System, method: str, path: str, *, named: bool
) -> None:
    other = system.client.request(method, path, content="x", headers={"Content-Type": "a/b"})
    script = system.client.request(
        method, path, content=COMMENTED, headers={"Content-Type": "application/json"}
    )

    assert (other.status_code, script.status_code) == (415, 400)
    assert "-F file=@script.js" in other.json()["detail"]
    for answer in (other, script):
        assert "-H 'Content-Type: text/javascript'" in answer.json()["detail"]
        assert ("name=…" in answer.json()["detail"]) is named


def test_short_messages_of_v8_are_explained(system: System) -> None:
    said = _detail_of(system, "function process(data) {\n  retrun data\n}")

    assert "Unexpected identifier 'data'" in said
    assert "right before the caret" in said


@pytest.mark.parametrize("content_type", ["text/javascript", "application/json"])
def test_newlines_that_curl_dropped_are_detected(system: System, content_type: str) -> None:
    """`curl -d @script.js` sends a file without its newlines."""
    flat = COMMENTED.replace("\n", "")
    body = json.dumps({"source": flat}) if content_type == "application/json" else flat

    answer = system.client.post(
        "/scripts/check", content=body, headers={"Content-Type": content_type}
    )

    assert answer.status_code == 422
    assert "--data-binary @script.js" in answer.json()["detail"]
    assert "`//`" in answer.json()["detail"]


def test_dropped_newlines_without_a_comment_are_detected(system: System) -> None:
    lines = [*(f"const a{number} = {number}" for number in range(12)), "const process = d => d"]

    assert "--data-binary" in _detail_of(system, "".join(lines))


def test_a_short_line_gets_no_advice_about_newlines(system: System) -> None:
    assert "--data-binary" not in _detail_of(system, "const process = d => (d")


@pytest.mark.parametrize("path", ["/scripts", "/scripts/check", "/scripts/x/versions"])
def test_curls_default_media_type_gets_the_advice_about_newlines(system: System, path: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = system.client.post(path, content=COMMENTED.replace("\n", ""), headers=headers)

    assert answer.status_code == 415
    assert "--data-binary keeps" in answer.json()["detail"]


def test_the_bundlers_output_is_accepted_and_runs(system: System, tmp_path: Path) -> None:
    """Uses the output of esbuild 0.28 for the advised command, or esbuild if it is installed."""
    (tmp_path / "total.ts").write_text(
        "export interface Card { amount: number }\n"
        "export const total = (cards: Card[]): number =>\n"
        "  cards.reduce((sum, card) => sum + card.amount, 0)\n"
    )
    (tmp_path / "script.ts").write_text(
        'import { total, type Card } from "./total"\n'
        "export function process(data: Card[]): number { return total(data) }\n"
    )
    esbuild = shutil.which("esbuild")
    if esbuild is None:
        bundled = _BUNDLED
    else:
        command = [esbuild, *shlex.split(BUNDLE)[2:]]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=60, capture_output=True)
        bundled = (tmp_path / "script.js").read_text()
    system.upload("bundled", bundled)

    assert system.run("bundled", b'[{"amount": 1}, {"amount": 2}]')["result"] == 3


_BUNDLED: Final = """\
var bundle = (() => {
  var __defProp = Object.defineProperty;
  var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
  var __getOwnPropNames = Object.getOwnPropertyNames;
  var __hasOwnProp = Object.prototype.hasOwnProperty;
  var __export = (target, all) => {
    for (var name in all)
      __defProp(target, name, { get: all[name], enumerable: true });
  };
  var __copyProps = (to, from, except, desc) => {
    if (from && typeof from === "object" || typeof from === "function") {
      for (let key of __getOwnPropNames(from))
        if (!__hasOwnProp.call(to, key) && key !== except)
          __defProp(to, key, { get: () => from[key], enumerable: true });
    }
    return to;
  };
  var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

  // script.ts
  var script_exports = {};
  __export(script_exports, {
    process: () => process
  });

  // total.ts
  var total = (cards) => cards.reduce((sum, card) => sum + card.amount, 0);

  // script.ts
  function process(data) {
    return total(data);
  }
  return __toCommonJS(script_exports);
})();
const process = bundle.process
"""


def test_deep_nesting_is_not_taken_for_lost_newlines(system: System) -> None:
    detail = _detail_of(system, f"function process() {{ return {'[' * 50_000}")

    assert "nested too deeply" in detail
    assert "newlines" not in detail
