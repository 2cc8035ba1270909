"""Writing a small file on a condition: of several that try at once, one succeeds."""

import os
import pathlib
import uuid

from raysee.errors import MissingError
from raysee.filesystems import explained, filesystem, path_of
from raysee.storage import read_bytes


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
    mine, old = (path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp") for _ in range(2))
    try:
        mine.write_bytes(data)
        if expected is not None:
            os.rename(path, old)  # by one alone: for the others it is gone
            if old.read_bytes() != expected:
                os.link(old, path)
                return False
        os.link(mine, path)
    except (FileExistsError, FileNotFoundError):
        return False
    finally:
        mine.unlink(missing_ok=True)
        old.unlink(missing_ok=True)
    return True
