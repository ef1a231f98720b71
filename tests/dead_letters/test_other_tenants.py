"""Dead letters of another tenant are in no list, count, download or erasure."""

from uuid import uuid4

from tests.dead_letters.letters import INSERT_LETTER
from tests.support.system_with_keys import SystemWithKeys


def test_what_has_no_id_in_its_path_is_the_callers_own(keyed: SystemWithKeys) -> None:
    keyed.tenant("letters-owner")
    keyed.tenant("letters-stranger")
    owner, stranger = keyed.key("letters-owner").key, keyed.key("letters-stranger").key
    letter = uuid4()
    # It names a pipe by the same id, which only the owner's letters have.
    keyed.execute(INSERT_LETTER, letter, "letters-owner")

    for query in ("", f"?pipe={letter}"):
        for path in ("", "/counts"):
            assert keyed.get(f"/dead-letters{path}{query}", stranger).json()["items"] == []
            assert len(keyed.get(f"/dead-letters{path}{query}", owner).json()["items"]) == 1
        assert keyed.get(f"/dead-letters/download{query}", stranger).content == b""
    erased = keyed.request("DELETE", f"/dead-letters?pipe={letter}", stranger)
    assert erased.json() == {"erased": 0, "complete": True}
    kept = keyed.get(f"/dead-letters/{letter}/event", owner)
    assert kept.content == b"secret"
