"""Once a month: write the scores, send them to Crivo, and look one up."""

import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, task
from send_directory import send_directory

from crivo import Crivo, NotPublished

LOG = logging.getLogger(__name__)
# Shared by all workers: another one may run the next attempt.
SHARED = Path(os.environ.get("CRIVO_SHARED", "/srv/airflow/crivo"))


@dag(schedule="@monthly", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)
def scores() -> None:
    """Three tasks in a row."""

    @task
    def classify(ds: str = "") -> str:
        """Stand in for the job: each run writes a directory of its own."""
        directory = SHARED / "scores" / ds
        directory.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps({"pk": str(n), "score": str(n % 101)}) for n in range(1_000))
        (directory / f"{ds}.jsonl").write_text("".join(f"{each}\n" for each in lines))
        return str(directory)

    @task(retries=5, retry_delay=timedelta(minutes=1), retry_exponential_backoff=True)
    def send(directory: str) -> int:
        """Publish the directory as a snapshot of the dataset."""
        try:
            sent = send_directory(directory, "scores", state_folder=str(SHARED / "state"))
        except NotPublished as error:
            lines = [f"{each.path}:{each.line}: {each.message}" for each in error.bad_lines]
            # Another attempt would find the same.
            raise AirflowFailException("\n".join([str(error), *lines])) from None
        return sent.snapshot.number

    @task
    def check(snapshot: int) -> None:
        """Look up a record in the snapshot that was published."""
        with Crivo(os.environ["CRIVO_URL"], os.environ.get("CRIVO_KEY")) as client:
            LOG.info("%s", client.datasets.record(f"scores@{snapshot}", "7").json())

    check(send(classify()))


scores()
