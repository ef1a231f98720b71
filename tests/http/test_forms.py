"""Forms must be UTF-8 and have a bounded number of parts."""

import json
from typing import Final

import httpx
import pytest

from tests.support.system import System

SOURCE: Final = b"const process = data => data"
# Python has codecs for all of these; some take quadratic time, some produce lone surrogates.
FOREIGN: Final = (
    "punycode",
    "utf-7",
    "unicode_escape",
    "raw_unicode_escape",
    "idna",
    "utf-16",
    "latin-1",
    "rot13",
    "zip",
    "hex",
    "no-such",
    "",
)


def _part(name: str, content: bytes, *headers: str, filename: str = "") -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    lines = [f'Content-Disposition: form-data; name="{name}"{file}', *headers]
    return b"--x\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


def _send(system: System, *parts: bytes, boundary: str = "x") -> httpx.Response:
    media_type = f"multipart/form-data; boundary={boundary}"
    return system.client.post(
        "/scripts", content=b"".join(parts) + b"--x--\r\n", headers={"Content-Type": media_type}
    )


def _problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


@pytest.mark.parametrize("charset", FOREIGN)
@pytest.mark.parametrize("where", ["text", "file", "field"])
def test_a_part_in_another_character_set_is_refused(
    system: System, charset: str, where: str
) -> None:
    declared = f"Content-Type: text/plain; charset={charset or '_'}"
    of_form = [_part("_charset_", charset.encode())] if where == "field" else []
    answer = _send(
        system,
        *of_form,
        _part("name", b"foreign", *([declared] if where == "text" else [])),
        _part("file", SOURCE, *([declared] if where == "file" else []), filename="x.js"),
    )

    assert _problem(answer) == (415, "unsupported-media-type")
    assert "UTF-8" in answer.json()["detail"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "us-ascii"])
def test_a_part_that_declares_utf_8_is_accepted(system: System, charset: str) -> None:
    name = f"said-{charset.strip(chr(34)).lower()}-{len(charset)}-{charset.isupper()}".lower()
    declared = f"Content-Type: text/plain; charset={charset}"

    answer = _send(
        system,
        _part("_charset_", charset.strip('"').encode()),
        _part("name", name.encode(), declared),
        _part("description", "peneira à mão".encode(), declared),
        _part("file", SOURCE, declared, filename="x.js"),
    )

    assert answer.status_code == 201, answer.text
    assert answer.json()["description"] == "peneira à mão"


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "punycode"])
@pytest.mark.parametrize("media_type", ["application/json", "text/javascript"])
def test_a_body_in_another_character_set_is_refused(
    system: System, media_type: str, charset: str
) -> None:
    content = (
        SOURCE
        if media_type == "text/javascript"
        else json.dumps({"name": "foreign", "source": SOURCE.decode()}).encode()
    )
    answer = system.client.post(
        "/scripts",
        params={"name": "foreign"} if media_type == "text/javascript" else {},
        content=content,
        headers={"Content-Type": f"{media_type}; charset={charset}"},
    )

    assert _problem(answer) == (415, "unsupported-media-type")


def test_a_form_of_too_many_fields_is_refused(system: System) -> None:
    answer = _send(system, *(_part(f"field{number}", b"") for number in range(33)))

    assert _problem(answer) == (400, "malformed-request")
    assert "more than 32 fields" in answer.json()["detail"]


def test_a_form_of_a_hundred_thousand_fields_is_refused(system: System) -> None:
    answer = _send(system, _part("a", b"") * 100_000)

    assert _problem(answer) == (400, "malformed-request")


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x" * 1_000])
def test_a_part_in_a_transfer_encoding_is_refused(system: System, encoding: str) -> None:
    header = f"Content-Transfer-Encoding: {encoding}"

    answer = _send(system, _part("name", b"encoded"), _part("file", SOURCE, header, filename="x"))

    assert _problem(answer) == (415, "unsupported-media-type")


@pytest.mark.parametrize("boundary", ["", "y" * 71, "é"])
def test_an_invalid_boundary_is_refused(system: System, boundary: str) -> None:
    media_type = f"multipart/form-data; boundary={boundary}".encode("latin-1")
    answer = system.client.post("/scripts", content=b"--", headers={b"Content-Type": media_type})

    assert _problem(answer) == (400, "malformed-request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x--\r\n",
        b"--x\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n",
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc',
        b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nabc\r\n--x--\r\n',
        b"--x\r\n" + b"A: b\r\n" * 20 + b"\r\n\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="'
        + b"n" * 10_000
        + b'"\r\n\r\n\r\n--x--\r\n',
    ],
)
def test_an_invalid_form_is_refused(system: System, body: bytes) -> None:
    answer = system.client.post(
        "/scripts", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )

    assert answer.status_code in (400, 422), answer.text
    _problem(answer)
