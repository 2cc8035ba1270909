"""Writing a small file on a condition: of several that try at once, one succeeds."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from raysee.errors import MissingError
from raysee.filesystems import explained, filesystem, path_of
from raysee.storage import UNFINISHED, read_bytes, write_bytes


def read_if_there(uri: str) -> bytes | None:
    """The whole of a file, None where it is not there."""
    try:
        return read_bytes(uri)
    except MissingError:
        return None


def swap(uri: str, data: bytes, expected: bytes | None) -> bool:
    """Write a file only where it holds `expected`, or, for None, where there is none; whether it was written.

    An object store must know conditional writes, as S3 has since 2024.
    """
    with explained(uri):
        if uri.startswith("s3://"):
            return _swap_object(uri, data, expected)
        return _swap_file(pathlib.Path(path_of(uri)), data, expected)


def _swap_object(uri: str, data: bytes, expected: bytes | None) -> bool:
    store, path = filesystem(uri), path_of(uri)
    bucket, _, key = path.partition("/")
    try:
        condition = {"IfNoneMatch": "*"}
        if expected is not None:
            # First the tag: what is replaced from here on has another one, whether the bytes were seen before or after.
            condition = {"IfMatch": store.info(path)["ETag"]}
            if store.cat_file(path) != expected:
                return False
        store.call_s3("put_object", Bucket=bucket, Key=key, Body=data, **condition)
    except (FileExistsError, FileNotFoundError):
        return False
    except OSError as error:
        if "pre-condition" in str(error):
            return False
        raise
    return True


def _swap_file(path: pathlib.Path, data: bytes, expected: bytes | None) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.with_name(f".{path.name}{UNFINISHED}")):
        if read_if_there(path.as_uri()) != expected:
            return False
        write_bytes(path.as_uri(), data)
    return True


@contextlib.contextmanager
def _alone(guard: pathlib.Path) -> Iterator[None]:
    """Within it nobody else is, on this machine; the kernel lets go of the guard where its process is killed."""
    while True:
        with guard.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Who waited may have got a file that the one before has deleted: then another one is the guard by now.
            if not _is_at(file.fileno(), guard):
                continue
            try:
                yield
            finally:
                guard.unlink(missing_ok=True)
            return


def _is_at(descriptor: int, path: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
