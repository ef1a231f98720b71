"""Send a directory to a dataset: what both clients share.

The files become parts of one upload, which is committed once all are held. Nothing is published
before, so a run that is killed leaves nothing half done. Another run finds the upload's id in the
journal, compares what the service holds with the files, and sends the rest.

A `Job` does the work on disk and processor that one request needs, in a thread, and returns the
flow that sends it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeAlias

from crivo import dataset_flows, upload_flows
from crivo.cutting import Cutter, Span
from crivo.dataset_models import HeldUpload, Sent, Snapshot, Upload, UploadPart
from crivo.errors import (
    InvalidRequest,
    NotFound,
    NothingNew,
    NothingToSend,
    Refused,
    TooLarge,
    UnexpectedResponse,
)
from crivo.folders import FileState, Found, SourceFile, check_name
from crivo.journal import Journal, journal_path
from crivo.options import SendOptions
from crivo.part_reader import FileChanged, open_unchanged, read_span
from crivo.retries import Flow
from crivo.send_report import Report
from crivo.session import Session
from crivo.zstandard import compress

Job: TypeAlias = Callable[[], Flow[None]]

PARALLEL: Final = 4
_OK: Final = 200
_APPEND: Final = "append"
# Of the paths that are left out.
_SHOWN: Final = 10
_PATH_POINTER: Final = "/path"
# Refusals of a part for what is in it.
_BAD: Final = frozenset({"invalid-part", "invalid-records", "part-too-large", "unusable-keys"})


class Sending:
    """One directory on its way to one dataset; threads may share it.

    Carry out, in this order: `begin`, the jobs of `comparisons`, `settle`, the jobs of `parts`,
    `check`, `finish`.
    """

    def __init__(
        self,
        session: Session,
        source: Path,
        dataset: str,
        *,
        found: Found,
        key: str | None,
        options: SendOptions,
    ) -> None:
        """Take the files that were found. Raises InvalidSource, NothingToSend, ValueError."""
        if options.get("only_new") and options.get("mode", _APPEND) != _APPEND:
            # The new files alone would become the dataset.
            raise ValueError("only_new=True adds to a dataset: it needs the mode append")
        if not found.files:
            patterns = " or ".join(map(repr, options.get("include", ())))
            matching = f" whose whole name matches {patterns}" if patterns else ""
            left_out = ", ".join(found.left_out[:_SHOWN])
            more = f" and {len(found.left_out) - _SHOWN:,} more" if found.left_out[_SHOWN:] else ""
            others = f", and {left_out}{more} are left out" if left_out else ""
            raise NothingToSend(f"{source}: holds no files{matching} to send{others}")
        for each in found.files:
            check_name(each.name)
        self._session = session.patient()
        self._source = source
        self._dataset = dataset
        self._key = key
        self._format = options.get("format")
        self._schema = options.get("schema")
        self._mode = options.get("mode", _APPEND)
        self._state_folder = options.get("state_folder")
        self._only_new = options.get("only_new", False)
        self._show = options.get("on_progress")
        self._report = Report(found, show=self._show)
        self._found = found
        # Those that this upload publishes.
        self._files = list(found.files)
        self._open = ExitStack()
        self._journal: Journal | None = None
        self._upload: Upload | None = None
        self._has_lines = True
        self._held: dict[str, dict[int, UploadPart]] = {}
        self._equal: set[str] = set()
        self._snapshot: Snapshot | None = None

    def __enter__(self) -> Self:
        """Return it; its journal is opened once the dataset is known."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the journal."""
        self._open.close()

    def begin(self) -> Flow[None]:
        """Begin an upload, or go on with one that an earlier run has left.

        Raises SendInProgress, NothingToSend, Conflict if the dataset has another key or schema.
        """
        dataset = yield from dataset_flows.ensure(
            self._session,
            self._dataset,
            key=self._key,
            format=self._format,
            schema=self._schema,
        )
        self._has_lines = dataset.format != "bytes"
        path = journal_path(
            self._state_folder, url=self._session.url, dataset=dataset.id, source=self._source
        )
        self._journal = journal = self._open.enter_context(Journal(path))
        if self._only_new:
            self._leave_out(journal.published)
        left = yield from self._left_by_an_earlier_run(journal)
        if left is None:
            yield from self._begin_upload()
        else:
            self._upload = left
            self._held = {each.path: {p.part: p for p in each.parts} for each in left.files}

    def comparisons(self) -> Iterator[Job]:
        """Compare each file that the service holds, and drop those that differ."""
        files = {each.name: each for each in self._files}
        for name in sorted(self._held):
            yield partial(self._compare, name, files.get(name))

    def settle(self) -> Flow[None]:
        """Find out what is left to publish, if an earlier run's upload was committed."""
        upload = self._begun()
        if upload.snapshot is None:
            return
        rest = [each for each in self._files if each.name not in self._equal]
        is_same = not rest and len(self._equal) == len(self._held)
        if not (is_same or self._mode == _APPEND):
            # What replaces a dataset is one snapshot.
            rest = self._files
        if not rest:
            try:
                self._snapshot = yield from dataset_flows.snapshot(
                    self._session, self._dataset, upload.snapshot
                )
            except NotFound:
                # It was published, and deleted since.
                rest = self._files
        published = [each for each in self._files if each not in rest]
        for file in published:
            for part in self._held[file.name].values():
                self._report.hold(file, part, is_new=False)
        self._files = rest
        if rest:
            self._held = {}
            yield from self._begin_upload()

    def parts(self) -> Iterator[Job]:
        """Send each part that the service does not hold."""
        for file in self._files:
            held = self._held.get(file.name, {})
            try:
                with open_unchanged(file) as handle:
                    for span in self._cut(handle, file):
                        if self._report.is_hopeless:
                            return
                        if self._report.has_changed(file):
                            break
                        if span.number in held:
                            self._report.hold(file, held[span.number], is_new=False)
                        else:
                            yield partial(self._pack, file, span)
            except FileChanged:
                self._report.change(file)

    def check(self) -> None:
        """Make sure that all files can be published. Raises NotPublished, OSError."""
        self._report.check(self._files)

    def finish(self) -> Flow[Sent]:
        """Commit the upload; a commit whose response is lost is repeated, and publishes once."""
        if self._snapshot is None:
            self._snapshot = yield from upload_flows.commit(
                self._session, self._begun().id, self._report.to_commit(self._files)
            )
        if self._journal is not None:
            self._journal.end(self._snapshot.number, self._found.files, remember=self._only_new)
        return self._report.sent(self._dataset, self._snapshot)

    def _leave_out(self, published: Mapping[str, FileState]) -> None:
        new = [each for each in self._files if published.get(each.name) != each.state]
        if not new:
            raise NothingNew(f"{self._source}: holds no new files to send")
        self._files = new
        self._found = self._found.only({each.name for each in new})
        self._report = Report(self._found, show=self._show)

    def _left_by_an_earlier_run(self, journal: Journal) -> Flow[HeldUpload | None]:
        if journal.upload is None:
            return None
        left = yield from upload_flows.find(self._session, journal.upload)
        if left is None or left.mode == self._mode:
            return left
        if left.snapshot is None:
            yield from upload_flows.abandon(self._session, left.id)
        return None

    def _begin_upload(self) -> Flow[None]:
        upload = yield from upload_flows.begin(self._session, self._dataset, mode=self._mode)
        if self._journal is not None:
            self._journal.begin(upload.id, dataset=self._dataset, source=self._source)
        self._upload = upload

    def _cut(self, handle: BinaryIO, file: SourceFile) -> Iterator[Span]:
        upload = self._begun()
        cutter = Cutter(
            part_bytes=upload.part_bytes,
            max_part_bytes=upload.max_part_bytes,
            has_lines=self._has_lines,
        )
        return cutter.cut(handle, file.state.size)

    def _begun(self) -> Upload:
        assert self._upload is not None  # noqa: S101 - `begin` came first
        return self._upload

    def _compare(self, name: str, file: SourceFile | None) -> Flow[None]:
        if file is not None and self._is_held(file):
            self._equal.add(name)
            return _nothing()
        return self._drop(name)

    def _is_held(self, file: SourceFile) -> bool:
        """Whether all parts that the service holds of a file are still the file's.

        An open upload may lack parts that are yet to be sent, a committed one may not.
        """
        held = dict(self._held[file.name])
        is_open = self._begun().snapshot is None
        try:
            with open_unchanged(file) as handle:
                for span in list(self._cut(handle, file)):
                    part = held.pop(span.number, None)
                    if part is None:
                        if is_open:
                            continue
                        return False
                    if part.raw_bytes != span.size:
                        return False
                    if hashlib.sha256(read_span(handle, span)).hexdigest() != part.sha256:
                        return False
        except FileChanged:
            self._report.change(file)
            return False
        return not held

    def _drop(self, name: str) -> Flow[None]:
        upload = self._begun()
        if upload.snapshot is None:
            yield from upload_flows.remove_file(self._session, upload.id, name)
            del self._held[name]

    def _pack(self, file: SourceFile, span: Span) -> Flow[None]:
        try:
            with open_unchanged(file) as handle:
                content = read_span(handle, span)
        except FileChanged:
            self._report.change(file)
            return _nothing()
        sha256 = hashlib.sha256(content).hexdigest()
        return self._send(file, span, sha256=sha256, packed=compress(content))

    def _send(self, file: SourceFile, span: Span, *, sha256: str, packed: bytes) -> Flow[None]:
        try:
            part = yield from upload_flows.put_part(
                self._session, self._begun().id, file.name, span.number, packed=packed
            )
        except (InvalidRequest, TooLarge) as error:
            if not _is_about_the_file(error):
                raise
            self._report.refuse(file, span, error)
            return
        if part.sha256 != sha256:
            message = f"the service holds other bytes of {file.name} than it was sent"
            raise UnexpectedResponse(message, status=_OK)
        self._report.hold(file, part, is_new=True)


def _is_about_the_file(error: Refused) -> bool:
    """Whether a part is refused for its content or for the file's path."""
    return error.code in _BAD or any(
        each.pointer == _PATH_POINTER for each in error.problem.errors or []
    )


def _nothing() -> Flow[None]:
    yield from ()
