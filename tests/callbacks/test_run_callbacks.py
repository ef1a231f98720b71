"""The end of a run is reported by a callback, which can be sent again."""

import json

from tests.support.receivers import Receiver
from tests.support.system import System, until

COUNT = """
function start() { return 0 }
function step(state, records) { return state + records.length }
function finish(state) { return state }
"""


def test_the_end_of_a_run_is_reported_with_its_receipt(calling: System, receiver: Receiver) -> None:
    client, url = calling.client, f"http://127.0.0.1:{receiver.port}/ok"
    calling.upload("count", COUNT)
    assert client.put("/datasets/counted", json={}).is_success
    assert client.put("/datasets/counted/files/a", content=b"{}\n{}\n").is_success
    body = {"script": "count", "dataset": "counted", "callback_url": url}

    location = client.post("/runs", json=body).headers["Location"]

    run = client.get(location, params={"wait": 60}).json()
    assert (run["status"], run["result"], run["callback_url"]) == ("succeeded", 2, url)
    for _ in until("the callback arrives"):
        if receiver.received:
            break
    message = json.loads(receiver.received[0].body)
    assert message["type"] == "run.succeeded"
    assert message["data"]["receipt"] == run["receipt"]
    assert message["data"]["progress"] == run["progress"]
    [callback] = client.get(f"{location}/callbacks").json()["items"]
    resent = client.post(f"{location}/callbacks/{callback['id']}/resend")
    assert (resent.status_code, resent.json()["id"]) == (202, callback["id"])
    for _ in until("it arrives again"):
        if len(receiver.received) == 2:
            break
