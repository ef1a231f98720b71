"""Read the metrics page of a listener or of the API."""

import json

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.system import System, until


class Page:
    """The families and samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.families = {each.name: each for each in text_string_to_metric_families(text)}
        self.samples = [sample for each in self.families.values() for sample in each.samples]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name and these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values of a label."""
        return {sample.labels[label] for sample in self.samples if sample.name == name}


def read_page(url: str) -> Page:
    answer = httpx.get(f"{url}/metrics", trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Page(answer.text)


def listener_of(system: System, module: str, number: int = 0) -> str:
    """Wait until the module's process number `number` listens; return its address."""
    for _ in until("the listener is ready"):
        for line in (system.folder / f"{module}-{number}.log").read_text().splitlines():
            if '"metrics.listening"' in line:
                event = json.loads(line)
                return f"http://{event['host']}:{event['port']}"
    raise AssertionError
