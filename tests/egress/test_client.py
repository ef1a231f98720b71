"""Requests reach the address that was checked, and nothing that is inward, whatever names say."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from app.egress import client as egress
from app.egress.addresses import Address, parse_networks
from app.egress.client import EgressClient, InvalidProxy, open_egress_client
from app.egress.connections import CheckedBackend
from app.egress.errors import InwardTarget, NoAnswer
from app.egress.resolver import LookupFailed, ThreadedResolver
from app.egress.targets import Policy, Target, parse_target
from tests.support.certificates import Authority
from tests.support.receivers import Receiver, open_receiver, open_tunnel

PUBLIC = Policy()
LOOPBACK = Policy(http=True, private_networks=parse_networks("", "127.0.0.0/8"))
NAME = "receiver.example"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with open_receiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Names:
    """A resolver that gives the next of several answers at each lookup."""

    def __init__(self, *answers: str) -> None:
        self._answers = answers
        self.asked: list[str] = []

    async def __call__(self, name: str) -> Sequence[Address]:
        answer = self._answers[min(len(self.asked), len(self._answers) - 1)]
        self.asked.append(name)
        return [ip_address(each) for each in answer.split()]


@asynccontextmanager
async def _client(
    policy: Policy = LOOPBACK, names: Names | None = None
) -> AsyncIterator[EgressClient]:
    async with open_egress_client(policy, connections=4, resolver=names) as client:
        yield client


def _target(receiver: Receiver, path: str = "/ok", host: str = "127.0.0.1") -> Target:
    return parse_target(f"http://{host}:{receiver.port}{path}", LOOPBACK)


async def test_a_request_arrives_as_it_was_sent(receiver: Receiver) -> None:
    async with _client() as client:
        answer = await client.post(
            _target(receiver, "/status/202?a=b%20c&retry_after=7"),
            headers={"Webhook-Id": "1"},
            body=b"{}",
        )

    [request] = receiver.received
    assert (answer.status, answer.retry_after) == (202, "7")
    assert (request.path, request.body) == ("/status/202?a=b%20c&retry_after=7", b"{}")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["webhook-id"] == "1"
    assert request.headers["content-length"] == "2"


async def test_a_name_is_resolved_once_and_its_address_is_the_one_connected_to(
    receiver: Receiver,
) -> None:
    # The second answer, for whoever would ask again, leads elsewhere.
    names = Names("127.0.0.1", "203.0.113.1")
    async with _client(names=names) as client:
        answer = await client.post(_target(receiver, host=NAME), headers={}, body=b"")

    assert answer.status == 204
    assert names.asked == [NAME]
    assert receiver.received[0].headers["host"] == f"{NAME}:{receiver.port}"


async def test_a_name_that_leads_inward_at_its_second_lookup_is_refused_then(
    receiver: Receiver,
) -> None:
    policy = Policy(http=True, private_networks=parse_networks("", "127.0.0.1"))
    async with _client(policy, Names("127.0.0.1", "127.0.0.2")) as client:
        first = await client.post(_target(receiver, host=NAME), headers={}, body=b"")
        with pytest.raises(InwardTarget):
            await client.post(_target(receiver, host=NAME), headers={}, body=b"")

    assert first.status == 204
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "addresses",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1%1",
        "64:ff9b::7f00:1",
        "93.184.215.14 127.0.0.1",
        "127.0.0.1 93.184.215.14",
    ],
)
async def test_a_name_with_any_inward_address_is_not_connected_to(
    receiver: Receiver, addresses: str
) -> None:
    policy = Policy(http=True)
    target = parse_target(f"http://{NAME}:{receiver.port}/", policy)
    names = Names(addresses)

    async with _client(policy, names) as client:
        with pytest.raises(InwardTarget):
            await client.post(target, headers={}, body=b"")

    # Absolute: never tried below a domain of this network.
    assert names.asked == [f"{NAME}."]
    assert receiver.received == []


async def test_a_literal_is_checked_again_when_it_is_connected_to(receiver: Receiver) -> None:
    async with _client(PUBLIC) as client:
        with pytest.raises(InwardTarget):
            await client.post(_target(receiver), headers={}, body=b"")

    assert receiver.received == []


async def test_an_address_of_this_very_host_is_inward(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the host's own address were a public one.
    monkeypatch.setattr(Policy, "allows", lambda *_: True)
    backend = CheckedBackend(PUBLIC, Names("127.0.0.1"))

    with pytest.raises(InwardTarget, match="address of this host"):
        await backend.connect_tcp(NAME, receiver.port)


async def test_the_next_address_is_tried_when_one_does_not_connect(receiver: Receiver) -> None:
    # Nothing listens on the first.
    async with _client(names=Names("127.0.0.99 127.0.0.1")) as client:
        answer = await client.post(_target(receiver, host=NAME), headers={}, body=b"")

    assert answer.status == 204


async def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    async with _client() as client:
        answer = await client.post(
            _target(receiver, f"/redirect?to=http://127.0.0.1:{receiver.port}/inner"),
            headers={},
            body=b"",
        )

    assert answer.status == 302
    assert len(receiver.received) == 1


@pytest.mark.parametrize("path", ["/huge", "/endless"])
async def test_the_body_of_an_answer_is_not_waited_for(
    receiver: Receiver, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "_DRAIN_SECONDS", 1.0)
    # The limit of the head ends while the body is read, and does not count for it.
    monkeypatch.setattr(egress, "REQUEST_SECONDS", 0.9)
    async with _client() as client:
        answer = await client.post(_target(receiver, path), headers={}, body=b"")

    assert answer.status == 200


async def test_heads_without_end_are_read_up_to_a_limit(receiver: Receiver) -> None:
    async with _client() as client:
        with pytest.raises(NoAnswer, match="longer than 32768 bytes"):
            await client.post(_target(receiver, "/heads"), headers={}, body=b"")


async def test_a_second_answer_is_not_taken_for_that_of_the_next_request(
    receiver: Receiver,
) -> None:
    async with _client() as client:
        first = await client.post(_target(receiver, "/twice"), headers={}, body=b"")
        second = await client.post(_target(receiver, "/ok"), headers={}, body=b"")

    assert (first.status, second.status) == (204, 204)


@pytest.mark.parametrize("path", ["/slow", "/cut"])
async def test_no_answer_is_an_error_within_the_time_limit(
    receiver: Receiver, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "REQUEST_SECONDS", 0.5)
    async with _client() as client:
        with pytest.raises(NoAnswer):
            await client.post(_target(receiver, path), headers={}, body=b"")

    # More than one: the client does not repeat a request by itself.
    assert len(receiver.received) == 1


async def test_what_does_not_listen_or_resolve_gives_no_answer(receiver: Receiver) -> None:
    class NoNames:
        async def __call__(self, name: str) -> Sequence[Address]:
            raise LookupFailed(name)

    async with open_egress_client(LOOPBACK, connections=1, resolver=NoNames()) as client:
        for host in (NAME, "127.0.0.98"):
            with pytest.raises(NoAnswer):
                await client.post(_target(receiver, host=host), headers={}, body=b"")


async def test_tls_verifies_the_name_while_the_connection_goes_to_the_address(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    with open_receiver(tls=authority.server_context(NAME)) as receiver:
        for host, trusted, answers in (
            (NAME, True, True),
            ("other.example", True, False),
            (NAME, False, False),
        ):
            target = parse_target(f"https://{host}:{receiver.port}/ok", LOOPBACK)
            context = authority.client_context() if trusted else None
            async with open_egress_client(
                LOOPBACK, connections=1, resolver=Names("127.0.0.1"), ssl_context=context
            ) as client:
                if answers:
                    assert (await client.post(target, headers={}, body=b"")).status == 204
                else:
                    with pytest.raises(NoAnswer):
                        await client.post(target, headers={}, body=b"")

    assert [each.headers["host"] for each in receiver.received] == [f"{NAME}:{receiver.port}"]


async def test_a_proxy_gets_the_request_and_resolves_the_name(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:pass%20word@127.0.0.1:{receiver.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    target = parse_target("http://elsewhere.example:8080/hook", LOOPBACK)
    names = Names("127.0.0.1")
    async with _client(names=names) as client:
        answer = await client.post(target, headers={}, body=b"{}")
        # NO_PROXY: directly.
        direct = await client.post(_target(receiver, "/direct"), headers={}, body=b"")

    through, past = receiver.received
    assert (answer.status, direct.status) == (204, 204)
    assert through.path == "http://elsewhere.example:8080/hook"
    assert through.headers["proxy-authorization"] == "Basic dXNlcjpwYXNzIHdvcmQ="
    assert (past.path, "proxy-authorization" in past.headers) == ("/direct", False)
    assert names.asked == []


async def test_a_proxy_that_is_no_http_proxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")

    with pytest.raises(InvalidProxy, match="ALL_PROXY"):
        async with _client():
            pass


async def test_names_are_looked_up_beside_the_event_loop() -> None:
    resolve = ThreadedResolver(2)

    found = await asyncio.gather(resolve("localhost"), resolve("127.0.0.1"))

    assert ip_address("127.0.0.1") in found[0]
    assert list(found[1]) == [ip_address("127.0.0.1")]
    with pytest.raises(LookupFailed):
        await resolve("no-such-name.invalid.")


async def test_a_proxy_tunnels_tls_to_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    # As an operator adds an authority of their own.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with (
        open_receiver(tls=authority.server_context(NAME)) as receiver,
        open_tunnel(receiver.port) as tunnel,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{tunnel.port}")
        target = parse_target(f"https://{NAME}/hook", LOOPBACK)
        async with _client(names=Names("10.0.0.1")) as client:
            answer = await client.post(target, headers={}, body=b"{}")

    assert answer.status == 204
    assert tunnel.asked == [f"{NAME}:443"]
    assert receiver.received[0].headers["host"] == NAME


async def test_a_proxy_that_refuses_gives_no_answer(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is no proxy: it answers CONNECT with an error.
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{receiver.port}")
    async with _client() as client:
        with pytest.raises(NoAnswer):
            await client.post(
                parse_target(f"https://{NAME}/hook", LOOPBACK), headers={}, body=b"{}"
            )


async def test_a_lookup_that_gets_no_thread_fails_and_takes_no_place() -> None:
    resolve = ThreadedResolver(1)
    size = threading.stack_size(2**46)
    try:
        with pytest.raises(LookupFailed, match="thread"):
            await resolve("localhost")
    finally:
        threading.stack_size(size)

    assert ip_address("127.0.0.1") in await resolve("localhost")
