"""`scripts/venv` creates an environment with Python alone, from empty lock files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEV = "requirements-dev.lock"
DASK = "requirements-dask.lock"
SQS = "requirements-sqs.lock"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a project"
    (folder / "scripts").mkdir(parents=True)
    for name in ("venv", "install_venv.py"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts" / name)
    for name in ("requirements.lock", DASK, SQS, DEV):
        (folder / name).write_text("# nothing\n")
    return folder


def environ_of(project: Path) -> dict[str, str]:
    # This Python comes first on PATH.
    programs = project / "programs"
    if not programs.exists():
        programs.mkdir()
        (programs / "python3.13").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    return {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


def venv(project: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "scripts" / "venv", *arguments],
        env={**environ_of(project), **({"PATH": path} if path else {})},
        capture_output=True,
        text=True,
        check=False,
    )


def programs_without_python(folder: Path) -> Path:
    folder.mkdir()
    for name in ("sh", "dirname", "cmp"):
        program = shutil.which(name)
        assert program is not None
        (folder / name).symlink_to(program)
    return folder


def test_an_interrupted_installation_is_repeated(project: Path) -> None:
    (project / "requirements.lock").write_text("not-a-package ==\n")
    assert venv(project).returncode == 1
    (project / "requirements.lock").write_text("# nothing\n")
    # As after a kill: a package is incomplete.
    (missing,) = (project / ".venv").glob("lib/python*/site-packages/pip/__init__.py")
    missing.unlink()
    assert venv(project).returncode == 0
    assert missing.exists()


def test_concurrent_starts_install_once_and_again_when_the_lock_changes(
    project: Path,
) -> None:
    environ = environ_of(project)
    first, second = (
        subprocess.Popen(
            [project / "scripts" / "venv", DEV], env=environ, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    )
    outputs = [process.communicate()[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert sum("installing" in text for text in outputs) == 1
    # A development environment is sufficient for a start.
    assert venv(project).stderr == venv(project, DEV).stderr == ""
    (project / "requirements.lock").write_text("# changed\n")
    assert "installing" in venv(project).stderr
    assert "installing" in venv(project, DEV).stderr


def test_what_dask_needs_is_added_to_what_is_installed(project: Path) -> None:
    assert "installing" in venv(project).stderr
    assert "installing" in venv(project, DASK).stderr
    assert venv(project).stderr == venv(project, DASK).stderr == ""


def test_a_missing_python_is_one_line(project: Path, tmp_path: Path) -> None:
    done = venv(project, path=str(programs_without_python(tmp_path / "bin")))
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert "Python 3.11 or newer" in line


def test_an_older_python_is_named(project: Path, tmp_path: Path) -> None:
    folder = programs_without_python(tmp_path / "bin")
    (folder / "python3").write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.10.12\nexit 0\n')
    (folder / "python3").chmod(0o755)
    done = venv(project, path=str(folder))
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert "found Python 3.10.12" in line


def test_a_failed_installation_is_reported_with_workarounds(project: Path) -> None:
    (project / "requirements.lock").write_text("not-a-package ==\n")
    done = venv(project)
    assert done.returncode == 1
    assert "PIP_INDEX_URL" in done.stderr.splitlines()[-1]


def test_a_python_without_venv_is_one_line_with_the_missing_package(
    project: Path, tmp_path: Path
) -> None:
    folder = programs_without_python(tmp_path / "bin")
    # As on Debian without python3-venv: ensurepip cannot be imported.
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "ensurepip.py").write_text("raise ImportError\n")
    version = f"python3.{sys.version_info.minor}"
    real = Path(sys.base_prefix) / "bin" / version
    path = f"import sys; sys.path.insert(0, {str(tmp_path / 'broken')!r}); "
    (folder / "python3").write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -c ] && case $2 in *realpath*) echo "{folder}/python3"; exit ;; esac\n'
        f'[ "$1" = -c ] && exec {real} -c "{path}$2"\n'
    )
    (folder / "python3").chmod(0o755)
    done = venv(project, path=str(folder))
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert f"apt install {version}-venv" in line
