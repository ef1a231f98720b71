"""Errors of decoders are explained without the words of their libraries."""

import gzip

from tests.support.system import System


def test_nesting_that_is_too_deep_is_called_so(system: System) -> None:
    body = b'{"name": "deep", "source": ' + b"[" * 20_000
    response = system.client.post(
        "/scripts", content=body, headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 400
    assert "nested too deeply" in response.json()["detail"]
    assert "recursion" not in response.text


def test_a_body_that_is_not_gzip_is_refused_without_the_words_of_zlib(system: System) -> None:
    system.upload("unzipped", b"function process(data) { return data }")
    headers = {"Content-Encoding": "gzip"}
    response = system.client.post("/scripts/unzipped/executions", content=b"plain", headers=headers)

    assert response.status_code == 400
    assert response.json()["detail"] == "the body is not valid gzip"


def test_members_are_bounded_by_what_they_contain(system: System) -> None:
    dataset = "/datasets/of-blocks"
    system.client.put(dataset, json={"format": "text"})
    headers = {"Content-Encoding": "gzip"}
    block = b"x" * 4_095 + b"\n"

    large, empty = gzip.compress(block) * 10_500, gzip.compress(b"") * 10_500
    sent = system.client.put(f"{dataset}/files/a", content=large, headers=headers)
    refused = system.client.put(f"{dataset}/files/b", content=empty, headers=headers)

    assert (sent.status_code, sent.json()["file"]["lines"]) == (201, 10_500)
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "the body has 10000 members of less than 4096 bytes on average; compress it in fewer",
    )
