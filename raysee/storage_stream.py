"""A file or object of any size that is read where it is needed, a few blocks of it in memory."""

import collections
import concurrent.futures
import io
from collections.abc import Iterator, Sequence
from typing import Any

from raysee.audio.headers import File
from raysee.errors import MissingError, StorageError
from raysee.filesystems import etag_of, explained, filesystem, path_of
from raysee.storage import FileInfo

BLOCK_BYTES = 4 * 2**20  # two minutes of stereo telephone; one round trip to an object store
_SMALL_BYTES = 4 * 2**20
_AHEAD = 8
NUM_BLOCKS = 4  # a film's index, its end, and where it is being read


def open_stream(uri: str, etag: str | None = None) -> io.RawIOBase:
    """Open a file or object for reading at any place; at most 16 MiB of it are in memory, however large it is.

    All that is read is of one and the same object: that of `etag` (FileInfo's), else the one that is there now.

    Raises MissingError where it is not there, or is another one than it was, here or later in `read`; StorageError for
    everything else, after the retries of `raysee.storage`.
    """
    return _Stream(uri, etag)


def open_each(files: Sequence[FileInfo]) -> Iterator[File | StorageError]:
    """Open each file in turn, or give the error that says why it cannot be read: one that is small at once, ahead.

    Of every file that is read which it was when it was listed; one that was not there then has no tag.
    """
    with concurrent.futures.ThreadPoolExecutor(_AHEAD) as pool:
        waiting: collections.deque[concurrent.futures.Future[File | StorageError]] = collections.deque()
        for file in files:
            waiting.append(pool.submit(_open, file))
            if len(waiting) == _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _open(file: FileInfo) -> File | StorageError:
    try:
        if not file.etag:
            return MissingError(f"{file.uri} was not there when the list was read: it is scored when it has come.")
        opened = open_stream(file.uri, file.etag)
        if file.size_bytes > _SMALL_BYTES:
            return opened
        with opened:
            return io.BytesIO(opened.read())
    except StorageError as error:
        return error


class _Stream(io.RawIOBase):
    def __init__(self, uri: str, etag: str | None) -> None:
        self._uri = uri
        self._blocks: dict[int, bytes] = {}  # by number, the one that was used last at the end
        self._position = 0
        with explained(uri):
            self._files, self._path = filesystem(uri), path_of(uri)
            # The file system's own caches hold on to their blocks until the garbage is collected.
            self._object: Any = self._files.open(self._path, "rb", cache_type="none")
            now = self._object.details if uri.startswith("s3://") else self._files.info(self._path)
            self._etag, self._size = etag or etag_of(now), int(now["size"])
            self._compare(now)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        into = memoryview(buffer).cast("B")
        done = 0
        while done < len(into) and self._position < self._size:
            number, start = divmod(self._position, BLOCK_BYTES)
            part = self._block(number)[start : start + len(into) - done]
            into[done : done + len(part)] = part
            done += len(part)
            self._position += len(part)
        return done

    def close(self) -> None:
        self._blocks.clear()
        if not self.closed:
            self._object.close()
        super().close()

    def _block(self, number: int) -> bytes:
        block = self._blocks.pop(number, b"") or self._fetch(number)
        self._blocks[number] = block
        if len(self._blocks) > NUM_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        return block

    def _fetch(self, number: int) -> bytes:
        expected = min(BLOCK_BYTES, self._size - number * BLOCK_BYTES)
        with explained(self._uri):
            try:
                self._object.seek(number * BLOCK_BYTES)
                block = bytes(self._object.read(expected))
            except OSError:  # also s3fs's, which asks for the object that it opened and for no other
                self._compare(self._files.info(self._path))
                raise
            if not self._uri.startswith("s3://"):
                self._compare(self._files.info(self._path))
            if len(block) != expected:
                raise OSError(f"{len(block)} of {expected} bytes came at {number * BLOCK_BYTES}")
        return block

    def _compare(self, now: dict[str, Any]) -> None:
        if etag_of(now) != self._etag:
            raise MissingError(
                f"{self._uri} was replaced after it was listed: start again, and it is read as it is now."
            )
