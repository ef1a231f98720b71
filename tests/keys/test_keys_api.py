"""API keys over HTTP: refusals, their challenges, and revocation at every API process."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.auth.model import Scope
from app.keys.model import new_key
from tests.support.system import System, open_system
from tests.support.system_with_keys import SystemWithKeys


def _problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


def test_a_request_without_a_key_gets_a_challenge_without_an_error(keyed: SystemWithKeys) -> None:
    answer = keyed.get("/scripts", "")

    assert _problem(answer) == (401, "key-required")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="crivo"'


def test_an_unknown_key_gets_an_invalid_token_challenge(keyed: SystemWithKeys) -> None:
    answer = keyed.get("/scripts", new_key())

    assert _problem(answer) == (401, "invalid-key")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (b"", "key-required"),
        (b"Bearer", "invalid-key"),
        (b"Basic dXNlcjpwYXNz", "key-required"),
        (b"Digest x", "key-required"),
        (b"Bearer a b", "invalid-key"),
        (b"Bearer \xff\xfe", "invalid-key"),
        (b"Bearer " + b"x" * 30_000, "invalid-key"),
    ],
)
def test_a_malformed_authorization_is_401(keyed: SystemWithKeys, header: bytes, kind: str) -> None:
    answer = keyed.system.client.get("/scripts", headers={b"Authorization": header})

    assert _problem(answer) == (401, kind)


def test_the_scheme_is_case_insensitive(keyed: SystemWithKeys) -> None:
    headers = {"Authorization": f"bEARER   {keyed.admin_key}"}

    assert keyed.system.client.get("/scripts", headers=headers).status_code == 200


def test_two_authorization_headers_are_refused(keyed: SystemWithKeys) -> None:
    headers = [("Authorization", f"Bearer {keyed.admin_key}")] * 2

    assert _problem(keyed.system.client.get("/scripts", headers=headers)) == (401, "invalid-key")


def test_no_scope_implies_another(keyed: SystemWithKeys) -> None:
    admin = keyed.key("default", [Scope.ADMIN]).key
    reader = keyed.key("default", [Scope.READ]).key

    assert [keyed.get(path, admin).status_code for path in ("/keys", "/scripts")] == [200, 403]
    assert [keyed.get(path, reader).status_code for path in ("/keys", "/scripts")] == [403, 200]


def test_a_secret_is_shown_only_at_creation(keyed: SystemWithKeys) -> None:
    keyed.tenant("shown-once")
    made = keyed.key("shown-once", name="pipeline")

    listed = keyed.get("/keys?tenant=shown-once")
    shown = keyed.get(f"/keys/{made.id}")

    assert [each["id"] for each in listed.json()["items"]] == [str(made.id)]
    assert shown.json() == listed.json()["items"][0]
    for answer in (listed, shown, keyed.get("/audit")):
        assert made.key[37:] not in answer.text
    assert made.key[37:] not in keyed.system.logs_of_process("app.main")


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["write"]}, "/scopes/0"),
        ({"scopes": ["read"], "tenant": "nobody-at-all"}, "/tenant"),
        ({"scopes": ["read"], "tenant": "\x00"}, "/tenant"),
        ({"scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"scopes": ["read"], "expires_at": "2020-01-01T00:00:00"}, "/expires_at"),
        ({"scopes": ["read"], "expires_at": "9999-12-31T23:59:59-12:00"}, "/expires_at"),
        ({"scopes": ["read"], "name": "\x00"}, "/name"),
        ({"scopes": ["read"], "key": "mine"}, "/key"),
    ],
)
def test_an_invalid_key_request_is_422(
    keyed: SystemWithKeys, wanted: dict[str, object], pointer: str
) -> None:
    answer = keyed.post("/keys", json=wanted)

    assert _problem(answer) == (422, "invalid-request")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_admin_is_for_the_operator_s_tenant_only(keyed: SystemWithKeys) -> None:
    keyed.tenant("no-admins")

    answer = keyed.post("/keys", json={"tenant": "no-admins", "scopes": ["admin"]})

    assert _problem(answer) == (422, "invalid-request")


def test_an_expired_key_is_refused_as_such(keyed: SystemWithKeys) -> None:
    made = keyed.key("default", expires_at="2100-01-01T00:00:00Z")
    assert keyed.get("/scripts", made.key).status_code == 200

    keyed.execute("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id = $1", made.id)

    answer = keyed.becomes(401, made.key)
    assert "expired" in answer.json()["detail"]


@pytest.fixture
def second(keyed: SystemWithKeys, tmp_path: Path) -> Iterator[System]:
    """Another API process on the same servers."""
    with open_system(
        database_url=keyed.system.environ["DATABASE_URL"],
        redis_url=keyed.system.environ["REDIS_URL"],
        folder=tmp_path,
    ) as system:
        system.environ |= {"CRIVO_AUTH": "keys"}
        system.start_api()
        system.await_api()
        yield system


def test_a_revocation_takes_effect_at_every_api_process(
    keyed: SystemWithKeys, second: System
) -> None:
    made = keyed.key("default", [Scope.READ])
    assert keyed.get("/scripts", made.key).status_code == 200
    assert keyed.get(f"{second.url}/scripts", made.key).status_code == 200

    revoked = keyed.request("DELETE", f"/keys/{made.id}")

    assert revoked.json()["revoked_at"] is not None
    for url in ("", second.url):
        assert "revoked" in keyed.becomes(401, made.key, url=url).json()["detail"]
    again = keyed.request("DELETE", f"/keys/{made.id}")
    assert again.json() == keyed.get(f"/keys/{made.id}").json()
    assert again.json()["revoked_at"] == revoked.json()["revoked_at"]


def test_an_admin_can_revoke_its_own_key(keyed: SystemWithKeys) -> None:
    made = keyed.key("default", [Scope.ADMIN, Scope.READ])

    assert keyed.request("DELETE", f"/keys/{made.id}", made.key).status_code == 200
    keyed.becomes(401, made.key)


@pytest.mark.parametrize("key", ["1", "nobody", "01900000-0000-7000-8000-000000000000", "%00"])
def test_an_unknown_key_id_is_404(keyed: SystemWithKeys, key: str) -> None:
    for method in ("GET", "DELETE"):
        assert _problem(keyed.request(method, f"/keys/{key}")) == (404, "key-not-found")


def test_readiness_shows_details_to_authorized_callers_only(keyed: SystemWithKeys) -> None:
    stranger = keyed.get("/health/ready", "")
    wrong = keyed.get("/health/ready", new_key())
    known = keyed.get("/health/ready")

    assert stranger.json() == wrong.json() == {"ready": True, "missing": [], "access": "keys"}
    assert known.json()["lockdown"]
    assert known.json()["workers"]


def test_with_keys_any_host_and_origin_is_accepted(keyed: SystemWithKeys) -> None:
    headers = {"Host": "crivo.example", "Origin": "https://elsewhere.example"}

    assert keyed.get("/scripts", headers=headers).status_code == 200
    assert keyed.get("/scripts", "", headers=headers).status_code == 401
