"""Clients name a URL, verify what it receives, see its attempts, and send them again."""

from typing import Any
from uuid import uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.metrics_pages import read_page
from tests.support.receivers import Receiver
from tests.support.system import System, until

NOWHERE = "01900000-0000-7000-8000-000000000000"


def _url(receiver: Receiver, path: str = "/ok") -> str:
    return f"http://127.0.0.1:{receiver.port}{path}"


def _callback(system: System, location: str, status: str) -> dict[str, Any]:
    """Wait until the only callback of an execution has a status."""
    for _ in until(f"the callback of {location} is {status}"):
        callbacks = system.client.get(f"{location}/callbacks").json()["items"]
        if [each["status"] for each in callbacks] == [status]:
            return dict(callbacks[0])
    raise AssertionError


def _secret(system: System, **body: int) -> str:
    answer = system.client.post("/callbacks/secrets", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return str(answer.json()["secret"])


def test_a_raw_submission_and_an_envelope_take_a_url(calling: System, receiver: Receiver) -> None:
    secret = _secret(calling)
    raw = calling.submit("echo", b"[1]", callback_url=_url(receiver, "/ok?from=raw"))
    enveloped = calling.client.post(
        "/executions",
        json={"script": "echo", "data": 1, "callback_url": _url(receiver, "/ok?from=envelope")},
    ).json()["url"]

    for location, source in ((raw, "raw"), (enveloped, "envelope")):
        callback = _callback(calling, location, "delivered")
        shown = calling.client.get(location).json()
        [request] = [each for each in receiver.received if each.path.endswith(source)]
        message = Webhook(secret).verify(request.body, request.headers)
        assert shown["callback_url"] == callback["url"] == _url(receiver, request.path)
        assert message["data"]["receipt"] == shown["receipt"]
        assert request.headers["webhook-id"] == callback["id"]
        assert [each["status_code"] for each in callback["attempts"]] == [204]


def test_a_url_is_shown_with_its_execution_and_not_in_lists_and_events(
    calling: System, receiver: Receiver
) -> None:
    location = calling.submit("echo", b"1", callback_url=_url(receiver))
    shown = calling.finished(location)

    listed = calling.client.get("/executions").json()["items"]
    # Pages in browsers read events, and a URL can be a secret of the receiver.
    events = calling.client.get(f"{location}/events").text

    assert shown["callback_url"] == _url(receiver)
    assert all("callback_url" not in each for each in listed)
    assert shown["id"] in events
    assert "callback_url" not in events


def test_without_a_url_there_are_no_callbacks(calling: System) -> None:
    location = calling.submit("echo", b"1")

    assert "callback_url" not in calling.finished(location)
    assert calling.client.get(f"{location}/callbacks").json() == {"items": [], "next_cursor": None}
    assert calling.client.get(f"/executions/{NOWHERE}/callbacks").status_code == 404


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://receiver.example/", "begins with http://; use https://"),
        ("https://127.0.0.1/", "has an address that is not public"),
        ("https://[::ffff:10.0.0.1]/", "has an address that is not public"),
        ("https://0x7f000001/", "has an IPv4 address that is not four decimal numbers"),
        ("https://localhost/", "has a host name that is not public"),
        ("https://user:pass@receiver.example/", "holds a user name or a password"),
        ("https://receiver.example/#a", "has a fragment"),
        ("ftp://receiver.example/", "is not a URL that begins with https://"),
        ("", "is not a URL that begins with https://"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_where_it_stands(
    system: System, url: str, message: str
) -> None:
    raw = system.client.post("/scripts/any/executions", content=b"1", params={"callback_url": url})
    enveloped = system.client.post(
        "/executions", json={"script": "any", "data": 1, "callback_url": url}
    )

    for answer in (raw, enveloped):
        [error] = answer.json()["errors"]
        assert answer.status_code == 422
        assert error["pointer"] == "/callback_url"
        assert message in error["message"]
    assert enveloped.json()["detail"].startswith("/callback_url: ")
    assert raw.json()["detail"].startswith("query parameter callback_url: ")


def test_both_secrets_sign_during_the_overlap_of_a_rotation(
    calling: System, receiver: Receiver
) -> None:
    first = _secret(calling, overlap_seconds=0)
    second = _secret(calling)
    _callback(calling, calling.submit("echo", b"1", callback_url=_url(receiver)), "delivered")
    third = _secret(calling, overlap_seconds=0)
    _callback(calling, calling.submit("echo", b"1", callback_url=_url(receiver)), "delivered")

    during, after = receiver.received
    for secret in (first, second):
        Webhook(secret).verify(during.body, during.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(after.body, after.headers)
    Webhook(third).verify(after.body, after.headers)
    assert len(during.headers["webhook-signature"].split()) == 2
    assert len(after.headers["webhook-signature"].split()) == 1
    listed = calling.client.get("/callbacks/secrets").json()["items"]
    assert [each["expires_at"] for each in listed] == [None]


def test_at_most_three_secrets_sign(calling: System, receiver: Receiver) -> None:
    for _ in range(5):
        _secret(calling)
    _callback(calling, calling.submit("echo", b"1", callback_url=_url(receiver)), "delivered")

    [request] = receiver.received
    assert len(request.headers["webhook-signature"].split()) == 3
    listed = calling.client.get("/callbacks/secrets").json()["items"]
    assert [each["expires_at"] is None for each in listed] == [True, False, False]
    assert {"secret"} & {name for each in listed for name in each} == set()


def test_a_delivered_callback_can_be_sent_again_with_its_id(
    calling: System, receiver: Receiver
) -> None:
    location = calling.submit("echo", b"1", callback_url=_url(receiver))
    callback = _callback(calling, location, "delivered")

    answer = calling.client.post(f"{location}/callbacks/{callback['id']}/resend")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    again = _callback(calling, location, "delivered")

    assert [each["number"] for each in again["attempts"]] == [1, 2]
    assert {each.headers["webhook-id"] for each in receiver.received} == {callback["id"]}
    assert len(receiver.received) == 2
    unknown = calling.client.post(f"{location}/callbacks/{NOWHERE}/resend")
    assert unknown.json()["type"] == "urn:crivo:problem:callback-not-found"


def test_a_url_that_is_gone_is_listed_and_enabled_again(
    calling: System, receiver: Receiver
) -> None:
    url = _url(receiver, "/status/410")
    location = calling.submit("echo", b"1", callback_url=url)
    callback = _callback(calling, location, "disabled")
    resend = f"{location}/callbacks/{callback['id']}/resend"

    [disabled] = calling.client.get("/callbacks/disabled-urls").json()["items"]
    refused = calling.client.post(resend)
    enabled = calling.client.delete(f"/callbacks/disabled-urls/{disabled['id']}")
    resent = calling.client.post(resend)

    assert disabled["url"] == url
    assert refused.json()["type"] == "urn:crivo:problem:callback-url-disabled"
    assert (refused.status_code, enabled.status_code, resent.status_code) == (409, 204, 202)
    assert calling.client.delete(f"/callbacks/disabled-urls/{disabled['id']}").status_code == 404
    for _ in until("it is disabled again"):
        if _callback(calling, location, "disabled")["attempts"][1:]:
            break
    assert len(receiver.received) == 2
    target = f"/callbacks/disabled-urls/{disabled['id']}"
    [entry] = calling.client.get("/audit", params={"target": target}).json()["items"]
    assert entry["action"] == "callback.enabled"


def test_changes_are_audited_without_secrets(calling: System, receiver: Receiver) -> None:
    secret = _secret(calling, overlap_seconds=30)
    location = calling.submit("echo", b"1", callback_url=_url(receiver))
    callback = _callback(calling, location, "delivered")
    calling.client.post(f"{location}/callbacks/{callback['id']}/resend")

    entries = calling.client.get("/audit").json()["items"]

    [resent] = [each for each in entries if each["target"].startswith(f"{location}/callbacks")]
    created = next(each for each in entries if each["action"] == "secret.created")
    assert (resent["action"], resent["details"]) == ("callback.resent", {"status": "delivered"})
    assert created["details"] == {"overlap_seconds": 30}
    assert secret not in calling.client.get("/audit").text
    assert secret not in calling.logs_of_process("app.main")


def test_a_tenant_with_many_pending_callbacks_gets_no_more(
    calling: System, receiver: Receiver
) -> None:
    what: dict[str, Any] = {
        "content": b"1",
        "params": {"callback_url": _url(receiver, "/status/500")},
        "headers": {"Idempotency-Key": f"pending-{uuid4()}"},
    }
    location = calling.client.post("/scripts/echo/executions", **what).headers["Location"]
    _callback(calling, location, "pending")

    with calling.another_api(CRIVO_MAX_PENDING_CALLBACKS="1") as url:
        repeated = calling.client.post(f"{url}/scripts/echo/executions", **what)
        refused = calling.client.post(
            f"{url}/scripts/echo/executions", content=b"1", params={"callback_url": _url(receiver)}
        )
        accepted = calling.client.post(f"{url}/scripts/echo/executions", content=b"1")

    assert (refused.status_code, accepted.status_code) == (429, 202)
    # It adds none.
    assert repeated.headers["Location"] == location
    assert refused.json()["quota"] == "pending-callbacks"
    assert refused.headers["Retry-After"] == "60"


def test_callbacks_can_be_turned_off(calling: System, receiver: Receiver) -> None:
    with calling.another_api(CRIVO_CALLBACKS="false") as url:
        refused = calling.client.post(
            f"{url}/scripts/echo/executions", content=b"1", params={"callback_url": _url(receiver)}
        )

    assert refused.status_code == 422
    assert "turned off" in refused.json()["detail"]


def test_attempts_are_counted(calling: System, receiver: Receiver) -> None:
    before = read_page(calling.url)
    delivered = calling.submit("echo", b"1", callback_url=_url(receiver))
    failed = calling.submit("echo", b"1", callback_url=_url(receiver, "/status/404"))
    _callback(calling, delivered, "delivered")
    for _ in until("the other has an attempt"):
        if _callback(calling, failed, "pending")["attempts"]:
            break

    name = "crivo_callback_attempts_total"
    for _ in until("the page shows them"):
        page = read_page(calling.url)
        added = {
            outcome: page.value(name, outcome=outcome) - before.value(name, outcome=outcome)
            for outcome in ("delivered", "refused")
        }
        if min(added.values()) >= 1 and page.value("crivo_callbacks_pending") >= 1:
            return
