"""A snapshot changes nothing that a script can see, and isolates work without one."""

from typing import Final

from tests.sandbox.native.engines import MISSING, evaluate

# All that can be reached from the global object: names in their order, attributes, prototypes.
_WALK: Final = """
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


def test_a_snapshot_changes_nothing_that_a_script_can_see() -> None:
    with_snapshot = evaluate(_WALK)
    without = evaluate(_WALK, missing=("snapshot._CREATE",))

    assert with_snapshot.states["snapshot"] == "on", "V8's snapshot functions have changed"
    assert without.states["snapshot"] == MISSING
    (world,) = with_snapshot.values
    assert world.count("\n") > 500
    assert without.values == [world]
