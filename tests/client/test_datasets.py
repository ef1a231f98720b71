"""Datasets and their records from the library and from the command line."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec import Raw

from crivo import AsyncCrivo, Conflict, Crivo, InvalidRequest, NotFound
from crivo.cli.exit_codes import ExitCode
from crivo.record_flows import Key
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import Scripted, faulty_server
from tests.support.system import System

ODD = b'{"pk":"a/b"}\n{"pk":""}\n{"pk":"/"}\n{"pk":".."}\n{"pk":"\xc3\xbc ?#%"}\n{"pk":1e5}\n'


@pytest.fixture
def scores(system: System, client: Crivo) -> str:
    """A dataset with three snapshots, in which the record `1` changes."""
    name = f"scores-{uuid4().hex[:8]}"
    client.datasets.put(name, key="/pk", description="of a test")
    for path, content in (
        ("a.jsonl", b'{"pk":"1","score":"old"}\n{"pk":1,"score":"number"}\n'),
        ("odd.jsonl", ODD),
        ("z/b.jsonl", b'{"pk": "1", "score": "new"}\n'),
    ):
        system.client.put(f"/datasets/{name}/files/{path}", content=content).raise_for_status()
    return name


def test_a_record_is_found_by_any_key(client: Crivo, scores: str) -> None:
    found = client.datasets.record(scores, "1")
    keys: list[Key] = ["a/b", "", "/", "..", "\u00fc ?#%", Raw(b"1e5"), Raw(b'"a/b"')]

    assert (found.content, found.snapshot) == (b'{"pk": "1", "score": "new"}', 3)
    assert client.datasets.record(f"{scores}@2", "1").json()["score"] == "old"
    assert client.datasets.record(scores, 1).json()["score"] == "number"
    assert [client.datasets.record(scores, key).json()["pk"] for key in keys] == [
        *("a/b", "", "/", "..", "\u00fc ?#%"),
        100_000,
        "a/b",
    ]
    history = client.datasets.history(scores, "1")
    assert [(each.json()["score"], each.snapshot) for each in history] == [("new", 3), ("old", 1)]
    for missing in ("2", "//", 1.5, 100_000):
        with pytest.raises(NotFound) as failure:
            client.datasets.record(scores, missing)
        assert failure.value.code == "record-not-found"
    with pytest.raises(TypeError):
        client.datasets.record(scores, None)  # type: ignore[arg-type] # refused at run time, too


async def test_many_records_are_read_from_one_snapshot(
    system: System, client: Crivo, scores: str
) -> None:
    keys: list[Key] = ["1", "none", 1] * 700
    found = client.datasets.records(scores, keys)
    first = next(found)
    change = system.client.put(f"/datasets/{scores}/files/c", content=b'{"pk":"1","score":"4th"}')
    change.raise_for_status()

    async with AsyncCrivo(system.url) as asynchronous:
        later = [pair async for pair in asynchronous.datasets.records(scores, ["1"])]

    pairs = [first, *found]
    assert [key for key, _ in pairs] == keys
    scored = [None if record is None else record.json()["score"] for _, record in pairs]
    assert scored == ["new", None, "number"] * 700
    assert [record.json()["score"] for _, record in later if record] == ["4th"]
    lines = list(client.datasets.lines(f"{scores}@3", start=1, page_size=2))
    assert b"\n".join([b'{"pk":"1","score":"old"}', *lines, b""]) == (
        b'{"pk":"1","score":"old"}\n{"pk":1,"score":"number"}\n'
        + ODD
        + b'{"pk": "1", "score": "new"}\n'
    )


def test_datasets_are_managed(client: Crivo, scores: str) -> None:
    changed = client.datasets.put(scores, key="/pk", keep_snapshots=9)

    assert (changed.description, changed.keep_snapshots) == ("", 9)
    assert scores in {each.name for each in client.datasets.list()}
    assert [each.number for each in client.datasets.snapshots(scores, page_size=1)] == [3, 2, 1]
    with pytest.raises(Conflict):
        client.datasets.put(scores, key="/id")
    with pytest.raises(Conflict):
        client.datasets.delete_snapshot(scores, 3)
    with pytest.raises(InvalidRequest):
        client.datasets.put("Not a name")
    client.datasets.delete_snapshot(scores, 1)
    assert client.datasets.show(f"{scores}@2").snapshot is not None
    client.datasets.delete(scores)
    with pytest.raises(NotFound):
        client.datasets.show(scores)


def test_records_and_datasets_from_the_command_line(crivo: CrivoCommand, scores: str) -> None:
    def out(*arguments: object) -> bytes:
        done = crivo(*arguments)
        assert done.code == 0, done.err
        return done.out

    assert out("get", scores, "1") == b'{"pk": "1", "score": "new"}\n'
    assert out("get", scores, "1", "--snapshot", 2) == b'{"pk":"1","score":"old"}\n'
    assert out("get", scores, "1e5", "--number") == b'{"pk":1e5}\n'
    history = [json.loads(line) for line in out("get", scores, "1", "--history").splitlines()]
    assert [each["snapshot"] for each in history] == [3, 1]
    missing = crivo("get", scores, "2")
    assert (missing.code, "has 9 records" in missing.err) == (ExitCode.REFUSED, True)
    assert "--number" in missing.err
    assert crivo("get", scores, "x", "--number").code == ExitCode.USAGE

    listed = [line.split("\t") for line in out("datasets", "list").decode().splitlines()]
    assert [row[1:4] for row in listed if row[0] == scores] == [["jsonl", "/pk", "3"]]
    assert b"description  of a test\n" in out("datasets", "show", scores)
    assert json.loads(out("datasets", "show", f"{scores}@1", "--json"))["snapshot"]["files"] == 1
    files = out("datasets", "files", scores).decode().splitlines()
    assert [line.split("\t")[0] for line in files] == ["a.jsonl", "odd.jsonl", "z/b.jsonl"]

    out("datasets", "download", scores, "--to", "copies")
    copies = crivo.home / "copies"
    assert (copies / "odd.jsonl").read_bytes() == ODD
    assert (copies / "z" / "b.jsonl").read_bytes() == b'{"pk": "1", "score": "new"}\n'
    assert len(list(copies.rglob("*"))) == 4
    assert crivo("datasets", "download", scores, "none").code == ExitCode.USAGE

    assert crivo("datasets", "delete", scores).code == ExitCode.USAGE
    out("datasets", "delete", scores, "--yes")
    assert crivo("datasets", "show", scores).code == ExitCode.REFUSED


def test_the_command_line_creates_what_it_asks_for(crivo: CrivoCommand) -> None:
    name = f"made-{uuid4().hex[:8]}"
    definition = {"from": {"http": {}}, "to": {"dataset": {"dataset": name}}}
    (crivo.home / "pipe.json").write_text(json.dumps(definition))

    missing = crivo("pipes", "put", name, "pipe.json")
    no_pipe = crivo("pipes", "show", name)
    made = crivo("datasets", "create", name, "--key", "/pk", "--keep-days", "3")
    no_snapshot = crivo("query", f'FROM "{name}"')
    shown = crivo("datasets", "show", name).text

    assert f"`crivo datasets create {name}` creates one" in missing.err
    assert f"`crivo pipes put {name} FILE` makes one" in no_pipe.err
    assert (made.code, made.text) == (0, f"{name}\n")
    assert no_snapshot.code == ExitCode.USAGE
    assert "key          /pk" in shown
    assert "keeps days   3" in shown
    assert crivo("pipes", "put", name, "pipe.json").code == 0


def test_a_file_with_a_long_name_is_downloaded(
    system: System, client: Crivo, scores: str, tmp_path: Path
) -> None:
    name = "x" * 250
    system.client.put(f"/datasets/{scores}/files/{name}", content=b"{}\n").raise_for_status()
    (tmp_path / "usual").touch()

    client.datasets.download(scores, name, tmp_path / name)

    assert (tmp_path / name).read_bytes() == b"{}\n"
    assert (tmp_path / name).stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert len(list(tmp_path.iterdir())) == 2


def test_no_download_leaves_its_folder(
    crivo: CrivoCommand, system: System, scores: str, tmp_path: Path
) -> None:
    listed = system.client.get(f"/datasets/{scores}/files").json()
    listed["items"][0]["path"] = "../outside"
    with faulty_server(system.url) as proxy:
        proxy.faults = [None, Scripted(body=json.dumps(listed).encode())]
        done = crivo("datasets", "download", scores, "--to", tmp_path / "in", "--url", proxy.url)

    assert (done.code, "'../outside'" in done.err) == (ExitCode.UNREACHABLE, True)
    assert not (tmp_path / "outside").exists()
