"""The end of an export is reported by a callback, which can be sent again."""

import json

import uuid_utils.compat as uuid

from tests.exports.stored_exports import StoredExport, StoredFile, store
from tests.support.receivers import Receiver
from tests.support.system import System, until


def test_the_end_of_an_export_is_reported_with_its_receipt(
    calling: System, receiver: Receiver
) -> None:
    export = StoredExport(
        id=uuid.uuid7(),
        files=[StoredFile(name="a.parquet")],
        callback_url=f"http://127.0.0.1:{receiver.port}/ok",
    )

    store(calling, export)

    for _ in until("the callback arrives"):
        if receiver.received:
            break
    message = json.loads(receiver.received[0].body)
    location = f"/exports/{export.id}"
    shown = calling.client.get(location).json()
    assert message["type"] == "export.succeeded"
    for name in ("receipt", "progress", "input", "duplicates", "rows_out", "files"):
        assert message["data"][name] == shown[name]
    [callback] = calling.client.get(f"{location}/callbacks").json()["items"]
    resent = calling.client.post(f"{location}/callbacks/{callback['id']}/resend")
    assert (resent.status_code, resent.json()["id"]) == (202, callback["id"])
    for _ in until("it arrives again"):
        if len(receiver.received) == 2:
            break
