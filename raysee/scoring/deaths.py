"""Recordings that kill who opens them: a codec's library that crashes, or more memory than a worker has.

No exception tells of them. A shard leaves a note while it is worked on, so that an attempt that finds one knows that
its forerunner died; from then on the note says which recording is open. One at which several attempts died is not
opened again, and the others of its shard are scored. Only deaths within a start count: where that itself was killed,
with its machine or by somebody, what was open says nothing, and would mostly be the longest call.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from raysee import storage
from raysee.audio.headers import File
from raysee.errors import AudioError, MissingError, StorageError
from raysee.storage import FileInfo

#: Opens each file in turn, or gives the error that says why it is not opened.
OpenEach = Callable[[Sequence[FileInfo]], Iterator[File | AudioError | StorageError]]

# Not fewer: machines go for reasons of their own, and what they have open then is mostly a shard's first recording,
# because a worker that is new takes longest over that. Two such recordings are rejected within a shard's 9 attempts.
MOST = 3


class FatalRecording(AudioError):
    """A recording at which worker after worker died."""


@contextlib.contextmanager
def noted(note: str, start: str, open_each: OpenEach) -> Iterator[OpenEach]:
    """Within it the shard of this note is worked on; gives `open_each` that knows of the shard's earlier deaths.

    `start` is one for all workers of a start, and another one for each start.
    """
    try:
        earlier = json.loads(storage.read_bytes(note))
    except MissingError:
        earlier = None
        _write(note, start, "", {})
    try:
        yield open_each if earlier is None else lambda files: _open_each(files, note, start, earlier, open_each)
    finally:
        storage.remove(note)  # no exception is a death


def _open_each(
    files: Sequence[FileInfo], note: str, start: str, earlier: dict[str, Any], open_each: OpenEach
) -> Iterator[File | AudioError | StorageError]:
    deaths: dict[str, int] = earlier["deaths"]
    if earlier["open"] and earlier.get("start") == start:
        deaths[earlier["open"]] = deaths.get(earlier["open"], 0) + 1
    fatal = {uri for uri, its_deaths in deaths.items() if its_deaths >= MOST}
    opened = open_each([file for file in files if file.uri not in fatal])
    for file in files:
        if file.uri in fatal:
            yield FatalRecording(
                f"{file.uri}: {deaths[file.uri]} workers died while it was open: it breaks its decoder, or needs more "
                "memory than a worker has. Convert it, or give workers more memory, and score it with --replay."
            )
        else:
            _write(note, start, file.uri, deaths)
            yield next(opened)


def _write(note: str, start: str, uri: str, deaths: dict[str, int]) -> None:
    storage.write_bytes(note, json.dumps({"start": start, "open": uri, "deaths": deaths}).encode())
