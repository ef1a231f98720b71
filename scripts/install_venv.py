"""Install a lock file into .venv; started by scripts/venv, with the standard library only."""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

# Each with those that it includes. They agree on versions, so one adds to another.
LOCKS: Final = {
    "requirements.lock": (),
    "requirements-dask.lock": (),
    "requirements-sqs.lock": (),
    "requirements-dev.lock": (
        "requirements.lock",
        "requirements-dask.lock",
        "requirements-sqs.lock",
    ),
}


def main(root: Path, lock: str) -> int:
    """Install `lock` into `root/.venv`; concurrent installations wait for each other."""
    if lock not in LOCKS:
        sys.stderr.write(f"crivo: {lock}: not one of {', '.join(LOCKS)}\n")
        return 2
    folder = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write("crivo: waiting for another installation into .venv\n")
        fcntl.flock(folder, fcntl.LOCK_EX)
    target = root / ".venv"
    if _is_installed(root, target, lock):
        return 0
    sys.stderr.write(f"crivo: installing {lock} into .venv (once; about a minute)\n")
    return _install(root, target, lock)


def _is_installed(root: Path, target: Path, lock: str) -> bool:
    copy = target / lock
    return (
        (target / "bin/python").exists()
        and copy.exists()
        and copy.read_bytes() == (root / lock).read_bytes()
    )


def _install(root: Path, target: Path, lock: str) -> int:
    # Without a copy of a lock, the last installation was interrupted, and .venv is recreated: pip
    # takes a partly unpacked package for an installed one.
    is_complete = (target / "bin/python").exists() and any(
        (target / name).exists() for name in LOCKS
    )
    # One that is added leaves the others as they are; one that has changed may not.
    is_added = not (target / lock).exists()
    kept = {name for name in LOCKS if is_added and _is_installed(root, target, name)}
    for name in LOCKS:
        (target / name).unlink(missing_ok=True)
    if not is_complete:
        venv.create(target, clear=True, symlinks=True, with_pip=True)
    # The environment may choose an index for pip, but no target other than .venv.
    environ = {
        k: v for k, v in os.environ.items() if k not in {"PIP_USER", "PIP_TARGET", "PIP_PREFIX"}
    }
    command = [str(target / "bin/python"), "-m", "pip", "install"]
    command += [
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--require-hashes",
    ]
    done = subprocess.run([*command, "-r", str(root / lock)], check=False, env=environ)  # noqa: S603 - fixed argv
    if done.returncode != 0:
        sys.stderr.write(
            f"crivo: could not install {lock}; the reason is above. Without access to PyPI, set "
            "a mirror (PIP_INDEX_URL) or a proxy (PIP_PROXY), then start again\n"
        )
        return 1
    for name in sorted({lock, *LOCKS[lock], *kept}):
        shutil.copyfile(root / name, target / f"{name}.new")
        (target / f"{name}.new").rename(target / name)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
    except OSError as error:
        sys.stderr.write(f"crivo: .venv cannot be created: {error}\n")
        sys.exit(2)
