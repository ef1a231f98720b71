"""Web APIs are the same whether V8 may compile their sources later or not."""

from typing import Final

import pytest

from tests.sandbox.native.engines import MISSING, evaluate

_USES: Final = """
[new URL('http://ü.example/a?b#c').href, new TextDecoder('sjis').encoding, btoa('a'),
 typeof setTimeout, structuredClone(new Set([1])).size, crypto.randomUUID().length,
 (() => { try { eval('1'); return 'on' } catch { return 'off' } })()].join()
"""
_ALLOW: Final = "code_generation._ALLOW"
_CREATE: Final = "snapshot._CREATE"


@pytest.mark.parametrize("missing", [(), (_ALLOW,), (_CREATE,), (_ALLOW, _CREATE)], ids=str)
def test_every_way_of_making_isolates_gives_the_same(missing: tuple[str, ...]) -> None:
    evaluated = evaluate(_USES, missing=missing)

    assert evaluated.states["code_generation"] == (MISSING if _ALLOW in missing else "on")
    assert evaluated.values == ["http://xn--tda.example/a?b#c,shift_jis,YQ==,function,1,36,off"]
