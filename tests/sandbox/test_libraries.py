"""Scripts that bundle well-known pure libraries run unchanged, with the same results as in Node.

The builds in `libraries/vendor` came from npm; `libraries.json` has each package's version,
integrity and the hashes of what was taken from it, licences included.
"""

import json
from pathlib import Path
from typing import Final

import pytest

from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import run

pytestmark = pytest.mark.asyncio(loop_scope="module")

VENDOR: Final = Path(__file__).with_name("libraries") / "vendor"


@pytest.mark.parametrize(
    ("library", "before", "after", "payload", "value"),
    [
        pytest.param(
            "lodash/lodash.min.js",
            "",
            """function process(rows) {
              return _(rows).groupBy('card').mapValues(of => ({
                count: of.length, sum: _.sumBy(of, 'amount'), last: _.maxBy(of, 'at').at,
              })).value()
            }""",
            '[{"card":"a","amount":1.5,"at":3},{"card":"b","amount":2,"at":1},'
            '{"card":"a","amount":4,"at":2}]',
            {"a": {"count": 2, "sum": 5.5, "last": 3}, "b": {"count": 1, "sum": 2, "last": 1}},
            id="lodash",
        ),
        pytest.param(
            "lodash/lodash.min.js",
            "",
            """function process(d) {
              const copy = _.cloneDeep({ ...d, at: new Date(0), map: new Map([[1, { a: 2 }]]) })
              return [_.merge({ a: { b: 1 } }, d), _.isNative(Math.random), _.isDate(copy.at),
                      copy.map.get(1).a, _.isEqual(copy.at, new Date(0)), _.kebabCase('fooBar éa'),
                      typeof _.now(), _.get(d, 'a.c[0].d', 'none')]
            }""",
            '{"a":{"c":[{"d":7}]}}',
            [{"a": {"b": 1, "c": [{"d": 7}]}}, True, True, 2, True, "foo-bar-ea", "number", 7],
            id="lodash on objects",
        ),
        pytest.param(
            "date-fns/cdn.min.js",
            "var window = {};",
            """const { addMonths, differenceInCalendarDays, format, isValid, parse } =
              window.dateFns
            function process(rows) {
              return rows.map(text => {
                const day = parse(text, 'dd/MM/yyyy', new Date(0))
                return isValid(day) ? [format(day, 'yyyy-MM-dd EEEE'), addMonths(day, 1),
                                       differenceInCalendarDays(new Date(), day)] : null
              })
            }""",
            '["31/01/2024","29/02/2023"]',
            [["2024-01-31 Wednesday", "2024-02-29T00:00:00.000Z", -78], None],
            id="date-fns",
        ),
        pytest.param(
            "ramda/ramda.min.js",
            "",
            """const process = R.pipe(
              R.filter(R.propSatisfies(R.gt(R.__, 1), 'n')),
              R.groupBy(R.prop('k')), R.map(R.pipe(R.pluck('n'), R.sum)), R.toPairs,
              R.sortWith([R.descend(R.last)]))""",
            '[{"k":"a","n":2},{"k":"b","n":9},{"k":"a","n":3},{"k":"b","n":1}]',
            [["b", 9], ["a", 5]],
            id="ramda",
        ),
        pytest.param(
            "papaparse/papaparse.min.js",
            "",
            """function process(text) {
              const options = { header: true, dynamicTyping: true, skipEmptyLines: true }
              const read = Papa.parse(text, options)
              return [read.data, read.errors.length, Papa.unparse(read.data)]
            }""",
            json.dumps('id,name\r\n1,"a, ""b"""\r\n2,é\r\n'),
            [
                [{"id": 1, "name": 'a, "b"'}, {"id": 2, "name": "é"}],
                0,
                'id,name\r\n1,"a, ""b"""\r\n2,é',
            ],
            id="papaparse",
        ),
    ],
)
async def test_a_bundled_library_works(
    pool: SandboxPool, library: str, before: str, after: str, payload: str, value: object
) -> None:
    bundle = (VENDOR / library).read_text(encoding="utf-8")
    source = f"{before}\n{bundle}\n{after}"
    assert (await run(pool, source, payload.encode())).value == value


async def test_the_global_object_has_its_usual_names(pool: SandboxPool) -> None:
    source = """
    let names = [self === globalThis, this === globalThis, Object.keys(globalThis).includes('self')]
    const process = () => names"""
    assert (await run(pool, source)).value == [True, True, False]
    mine = "const self = 1\nconst process = () => self"
    assert (await run(pool, mine)).value == 1
