"""Whatever answers instead of Crivo, the client says so, and keeps the key to itself."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import crivo
from crivo import Crivo, Retry
from tests.support.certificates import Authority
from tests.support.faulty_server import FaultyServer, Scripted, faulty_server
from tests.support.servers import ROOT
from tests.support.system import System, free_port

ONCE: Final = Retry(attempts=1)
KEY: Final = "crv_secret"
READY: Final = b'{"ready":true,"missing":[],"access":"open"}'
MIB: Final = 1024 * 1024


@pytest.fixture
def other() -> Iterator[FaultyServer]:
    with faulty_server() as server:
        yield server


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Scripted(body=b"<html>"), "responded 200 with no content type"),
        (Scripted(headers={"Content-Type": "text/html"}, body=b"<h1>Login"), "200 with text/html"),
        (Scripted(headers={"Content-Type": "application/json"}, body=b"[]"), "200 with"),
        (Scripted(body=b'{"items": [{}], "next_cursor": null}'), "200 with"),
        (Scripted(status=500, body=b"{}"), "500 with"),
        (Scripted(status=403, body=b'{"error": "forbidden"}'), "403 with"),
        (Scripted(body=b"\xff\xfe"), "200 with"),
    ],
)
def test_an_answer_that_is_not_crivos_is_named(
    other: FaultyServer, answer: Scripted, message: str
) -> None:
    other.faults = [answer]
    with (
        Crivo(other.url, KEY, retry=ONCE) as client,
        pytest.raises(crivo.UnexpectedResponse, match=message) as error,
    ):
        next(client.scripts.list())
    assert error.value.status == answer.status
    assert KEY not in str(error.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(other: FaultyServer, status: int) -> None:
    with faulty_server() as elsewhere, Crivo(other.url, KEY, retry=ONCE) as client:
        other.faults = [Scripted(status=status, headers={"Location": f"{elsewhere.url}/x"})]
        with pytest.raises(crivo.UnexpectedResponse, match=f"redirects to {elsewhere.url}/x"):
            client.scripts.push("any", "source")
        assert elsewhere.seen == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "crivo.example",
        "ftp://crivo.example",
        "http://",
        "http://user:password@crivo.example",
        "http://crivo.example?key=1",
        "http://crivo.example:port",
        "http://[::1",
        "/scripts",
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(crivo.InvalidUrl):
        Crivo(url)


@pytest.mark.parametrize("key", ["crv_a b", "crv_a\n", "crv_é", "crv_\x00"])
def test_a_key_that_cannot_be_one_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(crivo.InvalidKey) as refusal:
        Crivo("http://127.0.0.1", key)
    assert "crv_" not in str(refusal.value)


def test_a_path_before_the_api_is_kept(other: FaultyServer) -> None:
    other.faults = [Scripted(body=READY)]
    with Crivo(f"{other.url}/behind/proxy/", KEY) as client:
        assert client.ready().ready
    assert other.seen[0].path == "/behind/proxy/health/ready"
    assert other.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_service_that_is_not_there_is_unreachable() -> None:
    with (
        Crivo(f"http://127.0.0.1:{free_port()}", retry=ONCE) as client,
        pytest.raises(crivo.Unreachable, match="Connection refused") as error,
    ):
        client.scripts.show("any")
    assert not error.value.may_have_arrived


def test_a_service_that_is_silent_is_unreachable(other: FaultyServer) -> None:
    other.faults = [Scripted(status=100)]
    with (
        Crivo(other.url, timeout=0.2, retry=ONCE) as client,
        pytest.raises(crivo.Unreachable, match="did not respond in time") as error,
    ):
        client.scripts.show("any")
    assert error.value.may_have_arrived


def test_a_certificate_must_be_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with faulty_server(tls=authority.server_context("127.0.0.1")) as server:
        server.faults = [Scripted(body=READY)]
        with (
            Crivo(server.url, KEY) as client,
            pytest.raises(crivo.Unreachable, match=r"is not trusted.*SSL_CERT_FILE") as error,
        ):
            client.ready()
        assert not error.value.may_pass
        assert server.seen == []
        with Crivo(server.url, KEY, ca_file=authority.file) as client:
            assert client.ready().ready


def test_an_authority_can_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    context = authority.server_context("127.0.0.1")
    with faulty_server(tls=context) as server, Crivo(server.url) as client:
        server.faults = [Scripted(body=READY)]
        assert client.ready().ready


def test_tls_and_plain_text_are_not_mixed_up(other: FaultyServer) -> None:
    with (
        Crivo(other.url.replace("http:", "https:"), retry=ONCE) as client,
        pytest.raises(crivo.Unreachable, match="does not speak TLS"),
    ):
        client.ready()


def test_no_proxy_is_asked_for_this_machine(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with Crivo(system.url) as client:
        assert client.ready().ready


def test_a_proxy_is_used_for_others(other: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", other.url)
    other.faults = [Scripted(body=READY)]
    with Crivo("http://crivo.example") as client:
        assert client.ready().ready
    assert other.seen[0].path == "http://crivo.example/health/ready"


_STREAMS: Final = """
import re, sys
from pathlib import Path
from crivo import Crivo
with Crivo(sys.argv[1]) as client:
    client._driver.session.keys.supported = False
    client.executions.submit("any", Path(sys.argv[2]))
    with open("/dev/null", "wb") as nothing:
        print(client.executions.save_result("any", nothing))
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def test_uploads_and_downloads_take_constant_memory(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(300 * MIB)
    queued = (
        b'{"id":"01a1fbeb-e349-7359-851e-28a65d1b7be4","status":"queued","url":"/executions/x"}'
    )
    with faulty_server(discard_bodies=True) as server:
        server.faults = [
            Scripted(status=202, body=queued),
            Scripted(headers={"ETag": '"a"'}, body=b"x", times=300 * MIB),
        ]
        done = subprocess.run(
            [sys.executable, "-c", _STREAMS, server.url, str(large)],
            env={"PYTHONPATH": str(ROOT / "client" / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        size, peak_mib = map(int, done.stdout.split())
    assert server.seen[0].headers["content-length"] == str(300 * MIB)
    assert size == 300 * MIB
    assert peak_mib < 120
