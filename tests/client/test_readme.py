"""The library's example in client/README.md runs as it is printed there."""

import re
import subprocess
import sys
from uuid import uuid4

from tests.conventions.documents import blocks
from tests.support.servers import ROOT
from tests.support.system import System


def test_the_example_prints_what_the_document_shows(system: System) -> None:
    shown = blocks(ROOT / "client" / "README.md")
    [example] = [each.text for each in shown if each.language == "python"]
    [output] = [each.text for each in shown if each.language == "text"]
    # Other tests may have a script of that name on this system.
    name = f"cards-{uuid4().hex[:8]}"
    example = re.sub(r'"cards(?=["@])', f'"{name}', example)

    done = subprocess.run(
        [sys.executable, "-c", example.replace("http://127.0.0.1:8000", system.url)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "client" / "src")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == (output, "")
