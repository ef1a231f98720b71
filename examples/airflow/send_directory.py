"""Send the directory that a job has written to a dataset."""

import os
from pathlib import Path

from crivo import Crivo, Sent


def send_directory(
    directory: str, dataset: str, *, key: str = "/pk", state_folder: str | None = None
) -> Sent:
    """Publish the files of a directory as one snapshot; CRIVO_URL and CRIVO_KEY name the service.

    A repeated call after a crash goes on where the first one stopped, also if that was between
    the publication and its response. `state_folder` keeps what it needs for that. Raises
    crivo.NotPublished for bad lines, which no repetition mends.
    """
    with Crivo(os.environ["CRIVO_URL"], os.environ.get("CRIVO_KEY")) as client:
        if state_folder is None:
            return client.datasets.send(directory, dataset, key=key)
        return client.datasets.send(directory, dataset, key=key, state_folder=Path(state_folder))
