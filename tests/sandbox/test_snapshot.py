"""Isolates are made with the harness in them, and are what they would be without that."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# All that can be reached from the global object: names in their order, attributes, prototypes.
LOOK = """
(() => {
  const seen = new Map([[globalThis, 0]])
  const word = value => {
    if (Object(value) !== value) return typeof value
    if (!seen.has(value)) seen.set(value, seen.size)
    return seen.get(value)
  }
  const lines = []
  for (const object of seen.keys()) {
    const parts = Reflect.ownKeys(object).map(key => {
      const { value, get, set, ...rest } = Reflect.getOwnPropertyDescriptor(object, key)
      return [String(key), word(value), word(get), word(set), JSON.stringify(rest)].join(' ')
    })
    const text = typeof object === 'function' ? Function.prototype.toString.call(object) : ''
    lines.push([word(Reflect.getPrototypeOf(object)), text, ...parts].join('|'))
  }
  return lines.join('\\n')
})()
"""
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from app.sandbox import snapshot, v8
if sys.argv[2] == "without":
    snapshot.install = lambda library, script: False
engine = v8.Engine()
print(engine.has_harness)
isolate = v8.Isolate(engine, on_bell=lambda: None)
print(isolate.evaluate(sys.stdin.read().encode()).text)
"""


def look(how: str) -> tuple[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(ROOT), how],
        input=LOOK,
        capture_output=True,
        check=True,
        text=True,
    )
    told, *lines = done.stdout.splitlines()
    return told, lines


def test_a_snapshot_changes_nothing_that_a_script_can_see() -> None:
    told, seen = look("with")
    assert told == "True", "the library no longer lets us make snapshots of our own"
    told, seen_without = look("without")
    assert told == "False"
    assert len(seen) > 500
    assert len(seen) > 500
    assert seen == seen_without
