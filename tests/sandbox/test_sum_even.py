"""The example of sums is exact in each style, wherever parts, chunks and numbers are cut."""

import json
import runpy
from itertools import pairwise
from typing import Final

import pytest

from app.sandbox.outcomes import Succeeded, Threw
from app.sandbox.parts import Format, Part, Task
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import job, run
from tests.support.sandbox_streams import stream
from tests.support.servers import ROOT

FOLDER: Final = ROOT / "examples" / "sum-even"
STYLES: Final = [Format.LINES, Format.TEXT, Format.BYTES]
SHARES: Final = [0.0, 0.1, 0.100_01, 0.100_02, 0.6, 1.0]
HARD: Final = (
    *(2**53 + 2, -(2**53) - 4, 10**40 + 6, -(10**40), -(10**29) - 1, 2**64),
    *(999_999_998, -999_999_998, 999_999_999, 10**9, -(10**9), 4_294_967_296, 0, -8, 7),
)


def source_of(style: Format) -> str:
    return (FOLDER / f"{style}.js").read_text(encoding="utf-8")


def sum_even(numbers: list[int]) -> str:
    return str(sum(number for number in numbers if number % 2 == 0))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.asyncio(loop_scope="module")
async def test_parts_of_a_generated_file_have_its_sum(pool: SandboxPool, style: Format) -> None:
    make_blocks = runpy.run_path(str(FOLDER / "make_numbers.py"))["blocks"]
    made = list(make_blocks(900_000, 7))
    hard = "".join(f"{number}\n" for number in HARD * 2).encode()
    text = made[0][0] + hard + b"".join(block[0] for block in made[1:])
    expected = str(sum(block[2] for block in made) + 2 * int(sum_even(list(HARD))))
    assert expected == sum_even([int(line) for line in text.split()])
    # Two of the cuts are close to each other, so that a part is a piece of a line.
    cuts = [int(share * len(text)) for share in SHARES]
    assert len(text[cuts[1] : cuts[2]]) == 9
    if style is Format.LINES:
        cuts = [0, *(text.rfind(b"\n", 0, cut) + 1 for cut in cuts[1:])]
    what = job(source_of(style))

    states = []
    for at, until in pairwise(cuts):
        ran = await stream(pool, what, Part(task=Task.FOLD, format=style), text[at:until])
        assert isinstance(ran.report.outcome, Succeeded), ran.report
        states.append(ran.output)
    early = await stream(pool, what, Part(task=Task.MERGE), states=states[1:4])
    states[1:4] = [early.output]
    merged = await stream(pool, what, Part(task=Task.MERGE, finish=True), states=states)
    assert merged.value == expected

    state: list[bytes] = []
    for at, until in pairwise(cuts):
        part = Part(task=Task.FOLD, format=style, finish=until == len(text))
        state = [(await stream(pool, what, part, text[at:until], states=state)).output]
    assert json.loads(state[0]) == expected


# A text in three parts, with many pairs of cuts, and in one, with chunks of every size.
EVERYWHERE = """
function process(text) {
  const fold = (from, to, size) => {
    let state = start({});
    for (let at = from; at < to; at += size) {
      const piece = text.slice(at, Math.min(at + size, to));
      state = step(state, BYTES ? new TextEncoder().encode(piece) : piece);
    }
    return state;
  };
  const results = new Set();
  const { length } = text;
  for (let size = 1; size <= length; size++) results.add(finish(fold(0, length, size)));
  for (let i = 0; i <= length; i++) {
    for (let j = i; j <= length; j += 5 + i % 7) {
      const parts = () => [fold(0, i, 50), fold(i, j, 7), fold(j, length, length)];
      let [a, b, c] = parts();
      results.add(finish(merge(merge(a, b), c)));
      [a, b, c] = parts();
      results.add(finish(merge(a, merge(b, c))));
    }
  }
  return [...results];
}
"""


def test_the_readme_shows_the_file_that_the_generator_makes() -> None:
    make_blocks = runpy.run_path(str(FOLDER / "make_numbers.py"))["blocks"]
    made = list(make_blocks(10**8, 1))
    total = str(sum(even_sum for _, _, even_sum in made))
    shown = {
        "file": "numbers.txt",
        "bytes": sum(len(text) for text, _, _ in made),
        "numbers": sum(count for _, count, _ in made),
        "sum_even": total,
    }
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert json.dumps(shown) in readme
    assert readme.count(f'"{total}"') == 4


@pytest.mark.parametrize("style", [Format.TEXT, Format.BYTES])
@pytest.mark.parametrize("end", ["\n", "", "\r\n\r\n"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_number_may_be_cut_anywhere(pool: SandboxPool, style: Format, end: str) -> None:
    text = (end or "\n").join(str(number) for number in HARD) + end
    source = source_of(style) + EVERYWHERE.replace("BYTES", json.dumps(style is Format.BYTES))
    ran = await run(pool, source, json.dumps(text).encode())
    assert ran.value == [sum_even(list(HARD))]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.asyncio(loop_scope="module")
async def test_an_empty_file_has_a_sum_and_a_wrong_line_an_error(
    pool: SandboxPool, style: Format
) -> None:
    part = Part(task=Task.FOLD, format=style, finish=True)
    assert (await stream(pool, job(source_of(style)), part, b"")).value == "0"
    for wrong in (b"1\n2x\n4\n", b"2\n-\n", b"7.5\n", b"4\n:\n2\n"):
        ran = await stream(pool, job(source_of(style)), part, wrong)
        assert isinstance(ran.report.outcome, Threw), (wrong, ran)
        assert ran.report.outcome.error.name == "SyntaxError"
