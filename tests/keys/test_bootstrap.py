"""The API is open on loopback until the first key exists, and requires keys elsewhere."""

import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.auth.model import Scope
from app.keys.model import is_weak, new_key
from tests.support.launcher_process import LauncherProcess, free_port, launch_environ, refused_start
from tests.support.system import ROOT, System, until

ANYWHERE = "0.0.0.0"  # noqa: S104 - what is tested


def _check(system: System, **environ: str) -> tuple[int, str]:
    """Run the API's start-up check; return its exit code and its message."""
    done = subprocess.run(
        [sys.executable, "-m", "app.main", "--check"],
        cwd=ROOT,
        env={**system.environ, "CRIVO_AUTH": "auto", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == (done.returncode != 0), done.stderr
    return done.returncode, "".join(lines)


def _admin(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli.admin", *arguments],
        cwd=ROOT,
        env=system.environ,
        capture_output=True,
        text=True,
        check=False,
    )


def _made(system: System, *arguments: str) -> str:
    done = _admin(system, "key", "create", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("days", ["0", "-1", "36501", "0000365001", "ten", "1.5"])
def test_an_invalid_number_of_days_is_rejected_in_one_line(
    stopped_system: System, days: str
) -> None:
    done = _admin(stopped_system, "key", "create", "--all", f"--days={days}")

    assert done.returncode == 2
    assert "is not a number of days from 1 to 36500" in done.stderr
    assert len(done.stderr) < 1_000


def test_beyond_loopback_the_api_needs_a_key_or_an_explicit_setting(stopped_system: System) -> None:
    beyond = {"CRIVO_HOST": ANYWHERE}

    none_yet = _check(stopped_system, **beyond)
    asked_for = _check(stopped_system, **beyond, CRIVO_AUTH="keys")
    opened = _check(stopped_system, **beyond, CRIVO_AUTH="open")
    assert [none_yet[0], asked_for[0], opened[0]] == [2, 2, 2]
    assert none_yet[1] == asked_for[1]
    assert "there is none" in none_yet[1]
    assert "CRIVO_ADMIN_KEY" in none_yet[1]
    assert "CRIVO_INSECURE_LISTEN=true" in opened[1]
    assert _check(stopped_system, **beyond, CRIVO_INSECURE_LISTEN="true") == (0, "")
    assert _check(stopped_system, CRIVO_AUTH="keys") == (0, "")

    _made(stopped_system, "--all")
    assert _check(stopped_system, **beyond) == (0, "")
    assert _check(stopped_system, **beyond, CRIVO_AUTH="open")[0] == 2


@pytest.mark.parametrize("bind", [ANYWHERE, "::", "192.0.2.1"])
def test_a_port_published_beyond_loopback_needs_a_key(stopped_system: System, bind: str) -> None:
    container = {"CRIVO_HOST": ANYWHERE, "CRIVO_BIND": bind}

    code, refusal = _check(stopped_system, **container)
    assert code == 2
    assert refusal.startswith(f"api: CRIVO_BIND={bind}: beyond loopback the API needs keys")
    assert "./start.sh compose admin key create --all" in refusal
    assert _check(stopped_system, **container, CRIVO_AUTH="open")[0] == 2
    assert _check(stopped_system, **container, CRIVO_INSECURE_LISTEN="true") == (0, "")
    assert _check(stopped_system, **container, CRIVO_ADMIN_KEY=new_key()) == (0, "")


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1", "[::1]"])
def test_a_port_published_on_loopback_needs_no_key(stopped_system: System, bind: str) -> None:
    assert _check(stopped_system, CRIVO_HOST=ANYWHERE, CRIVO_BIND=bind) == (0, "")


def test_the_admin_key_is_read_from_the_setting_or_from_a_file(
    stopped_system: System, tmp_path: Path
) -> None:
    key, other = new_key(), new_key()
    file = tmp_path / "secret"
    file.write_text(f"{other}\n")

    assert _check(stopped_system, CRIVO_HOST=ANYWHERE, CRIVO_ADMIN_KEY=key) == (0, "")
    assert _check(stopped_system, CRIVO_HOST=ANYWHERE, CRIVO_ADMIN_KEY=str(file)) == (0, "")
    listed = _admin(stopped_system, "key", "list").stdout.splitlines()

    assert len(listed) == 2
    assert all("seeded by CRIVO_ADMIN_KEY" in line and "admin" in line for line in listed)


@pytest.mark.parametrize(
    "setting", ["hunter2", "crv_hunter2", "/nowhere/at/all", f"crv_{0:032}_{0:043}!"]
)
def test_an_invalid_admin_key_is_refused_and_not_repeated(
    stopped_system: System, setting: str
) -> None:
    code, line = _check(stopped_system, CRIVO_ADMIN_KEY=setting)

    assert code == 2
    assert "CRIVO_ADMIN_KEY" in line
    assert setting not in line


@pytest.mark.parametrize(
    "secret",
    ["a" * 43, "ab" * 22, "0123456789" * 5, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"],
)
def test_a_guessable_admin_key_is_refused_at_start(stopped_system: System, secret: str) -> None:
    code, line = _check(stopped_system, CRIVO_ADMIN_KEY=f"crv_{0:032}_{secret}")

    assert code == 2
    assert line.count("\n") <= 1
    assert "CRIVO_ADMIN_KEY" in line
    assert "guessed" in line
    assert secret not in line


def test_random_secrets_are_not_taken_for_guessable() -> None:
    digits = ("".join(secrets.choice("0123456789") for _ in range(43)) for _ in range(1_000))
    random = [new_key()[37:] for _ in range(1_000)] + [secrets.token_hex(32) for _ in range(1_000)]

    assert not [each for each in (*random, *digits) if is_weak(f"crv_{0:032}_{each}")]


def test_on_loopback_the_api_is_open_until_the_first_key(stopped_system: System) -> None:
    stopped_system.environ["CRIVO_AUTH"] = "auto"
    system = stopped_system.start()
    assert system.client.get("/health/ready").json()["access"] == "open"
    assert system.client.get("/scripts").status_code == 200
    assert "api.is_open" in system.logs_of_process("app.main")

    key = _made(system, "--all")

    for _ in until("a key is required"):
        if system.client.get("/scripts").status_code == 401:
            break
    authorized = {"Authorization": f"Bearer {key}"}
    assert system.client.get("/scripts", headers=authorized).status_code == 200
    assert system.client.get("/health/ready").json()["access"] == "keys"
    # Keys stay required after the last one is revoked: the operator creates another.
    _admin(system, "key", "revoke", key[4:36])
    for _ in until("the key is refused"):
        if system.client.get("/scripts", headers=authorized).status_code == 401:
            break
    assert system.client.get("/scripts").status_code == 401
    again = {"Authorization": f"Bearer {_made(system, '--scope', 'read')}"}
    assert system.client.get("/scripts", headers=again).status_code == 200


def test_an_open_api_applies_the_key_of_a_request(system: System) -> None:
    """A request with a key acts for that key's tenant, not for the one of the open API."""
    client = system.client
    client.post("/tenants", json={"name": "beside-the-open-one"})
    wanted = {"tenant": "beside-the-open-one", "scopes": [Scope.READ]}
    key = client.post("/keys", json=wanted).json()["key"]
    authorized = {"Authorization": f"Bearer {key}"}
    system.upload("seen-by-the-open-tenant", "const process = data => data")

    assert client.get("/scripts", headers=authorized).json()["items"] == []
    assert client.get("/keys", headers=authorized).status_code == 403
    wrong = {"Authorization": f"Bearer {new_key()}"}
    assert client.get("/scripts", headers=wrong).status_code == 401


def test_with_insecure_listen_the_first_key_still_ends_open_access(stopped_system: System) -> None:
    key = new_key()
    stopped_system.environ |= {
        "CRIVO_AUTH": "auto",
        "CRIVO_HOST": ANYWHERE,
        "CRIVO_INSECURE_LISTEN": "true",
        "CRIVO_ADMIN_KEY": key,
    }
    stopped_system.start_api()
    stopped_system.await_api()
    foreign = {"Host": "crivo.example"}

    assert stopped_system.client.get("/scripts", headers=foreign).status_code == 401
    authorized = {**foreign, "Authorization": f"Bearer {key}"}
    assert stopped_system.client.get("/scripts", headers=authorized).status_code == 200
    logs = stopped_system.logs_of_process("app.main")
    assert "api.needs_keys" in logs
    assert key[37:] not in logs


def test_the_command_manages_tenants_and_keys(stopped_system: System) -> None:
    made = _admin(stopped_system, "tenant", "create", "acme", "--weight", "7")
    assert made.returncode == 0, made.stderr
    key = _made(stopped_system, "--tenant", "acme", "--scope", "read", "--days", "90")
    suspended = _admin(stopped_system, "tenant", "suspend", "acme")

    listed = _admin(stopped_system, "tenant", "list").stdout
    keys = _admin(stopped_system, "key", "list", "--tenant", "acme").stdout

    assert "suspended" in suspended.stdout
    assert ["acme" in line for line in listed.splitlines()] == [True, False]
    assert "valid" in keys
    assert key[37:] not in keys
    assert "revoked" in _admin(stopped_system, "key", "revoke", key[4:36]).stdout
    assert "revoked" in _admin(stopped_system, "key", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("tenant", "create", "A b"), 2, "lower-case letters"),
        (("tenant", "create", "default"), 1, "is taken"),
        (("tenant", "suspend", "nobody"), 1, "no tenant"),
        (("tenant", "suspend", "default"), 1, "revoke keys instead"),
        (("key", "create"), 2, "--all --scope"),
        (("key", "create", "--scope", "write"), 2, "invalid choice"),
        (("key", "create", "--tenant", "nobody", "--scope", "read"), 1, "no tenant"),
        (("key", "revoke", "nobody"), 1, "not a key's id"),
        ((), 2, "usage"),
    ],
)
def test_the_command_explains_its_failures(
    stopped_system: System, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = _admin(stopped_system, *arguments)

    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_launcher_creates_the_first_key_then_listens_anywhere(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    line = refused_start(data, port, CRIVO_HOST=ANYWHERE)
    assert "loopback" in line
    assert not data.exists()
    made = subprocess.run(
        [ROOT / "start.sh", "admin", "key", "create", "--all"],
        env=launch_environ(data, port),
        capture_output=True,
        text=True,
        check=True,
    )
    key = made.stdout.strip()

    with LauncherProcess(data, port, environ={"CRIVO_HOST": ANYWHERE}) as launched:
        launched.wait_until_ready()
        assert "every request needs one" in launched.output
        assert httpx.get(f"{launched.url}/scripts", trust_env=False).status_code == 401
        authorized = {"Authorization": f"Bearer {key}", "Host": "crivo.example"}
        answer = httpx.get(f"{launched.url}/scripts", headers=authorized, trust_env=False)
        assert answer.status_code == 200
        # Beside the running system, on its database.
        listed = subprocess.run(
            [ROOT / "start.sh", "admin", "key", "list"],
            env=launch_environ(data, port),
            capture_output=True,
            text=True,
            check=True,
        )
        assert key[4:12] in listed.stdout
        demo = subprocess.run(
            [ROOT / "start.sh", "demo"],
            env={**launch_environ(data, port), "CRIVO_KEY": key},
            capture_output=True,
            text=True,
            check=False,
        )
        assert demo.stdout.endswith("demo: result as expected\n"), demo.stdout


def test_the_launcher_announces_open_access(tmp_path: Path) -> None:
    with LauncherProcess(tmp_path / "data", free_port()) as launched:
        launched.wait_until_ready()
        assert "open: every user of this machine has full access" in launched.output
        assert "tenant default" in launched.output
        ready = httpx.get(f"{launched.url}/health/ready", trust_env=False).json()
        assert ready["access"] == "open"


def test_admin_beside_a_system_in_containers_names_the_command_for_its_database(
    tmp_path: Path,
) -> None:
    secrets = tmp_path / "data" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "database_url").write_text("postgresql://crivo@database/crivo")

    done = subprocess.run(
        [ROOT / "start.sh", "admin", "key", "list"],
        env=launch_environ(tmp_path / "data", free_port()),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "./start.sh compose admin" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data" / "postgres").exists()


def test_the_command_names_commands_and_arguments(stopped_system: System) -> None:
    unknown = _admin(stopped_system, "key", "create", "--tenant", "nobody", "--scope", "read")
    invalid = _admin(stopped_system, "tenant", "create", "Not A Name")

    assert unknown.returncode == 1
    assert "./start.sh admin tenant list shows" in unknown.stderr
    assert "GET /" not in unknown.stderr
    assert "crivo-admin: name: " in invalid.stderr
