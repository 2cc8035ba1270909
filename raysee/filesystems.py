"""The file systems behind the places, and what they raise in one sentence with the next step."""

import contextlib
import errno
import os
import pathlib
import urllib.parse
from collections.abc import Iterator
from typing import Any

import aiohttp
import botocore.exceptions
import fsspec

from raysee.errors import MissingError, StorageError, UnreachableError

READ_TIMEOUT_S = 20.0  # without a byte


def filesystem(uri: str) -> Any:
    """That of a place, by fsspec."""
    if uri.startswith("s3://"):
        found = fsspec.filesystem(
            "s3",
            # Named here, because connections are kept by what they were made with.
            endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
            client_kwargs={"region_name": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")},
            use_listings_cache=False,  # other processes write while this one lists
            config_kwargs={
                "connect_timeout": 5,
                "read_timeout": READ_TIMEOUT_S,
                "retries": {"mode": "standard", "max_attempts": 3},
            },
        )
        # Around botocore's attempts, and twice where a body is read: with 5, a store that stalls would take 23 minutes.
        found.retries = 2
        return found
    return fsspec.filesystem("file")


def path_of(uri: str) -> str:
    """What a file system calls a place."""
    scheme, _, rest = uri.partition("://")
    if scheme == "s3":
        return rest
    return unquoted(rest)


def unquoted(path: str) -> str:
    """A file's path out of its URI: whatever bytes its name has, UTF-8 or not, as Python writes them."""
    return os.fsdecode(urllib.parse.unquote_to_bytes(os.fsencode(path)))


def printable(path: str) -> str:
    """A path as text that can be written into a table: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode(errors="replace")


def uri_of(root: str, path: str) -> str:
    """The URI of what the file system of `root` calls `path`."""
    return f"s3://{path}" if root.startswith("s3://") else pathlib.Path(path).as_uri()


def etag_of(info: dict[str, Any]) -> str:
    """The tag of a file system's answer about a file."""
    return str(info["ETag"]).strip('"') if "ETag" in info else f"{info['mtime']:.6f}"


@contextlib.contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn what a file system raises into one sentence with the next step."""
    try:
        yield
    except StorageError:
        raise
    except botocore.exceptions.NoCredentialsError as error:
        raise StorageError(
            f"No credentials for {uri}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role."
        ) from error
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError, aiohttp.ClientError) as error:
        raise UnreachableError(
            f"The object store of {uri} does not answer ({error}): check AWS_ENDPOINT_URL and the network."
        ) from error
    except botocore.exceptions.BotoCoreError as error:
        raise StorageError(f"The object store refuses {uri}: {error}. Check the AWS settings.") from error
    except FileNotFoundError as error:
        bucket = " or its bucket" if uri.startswith("s3://") else ""
        raise MissingError(
            f"{uri}{bucket} does not exist: check the spelling, and that the stage before has run."
        ) from error
    except PermissionError as error:
        raise StorageError(f"No permission for {uri} ({error}): check the credentials and their rights.") from error
    except ValueError as error:
        if "endpoint" not in str(error).lower():
            raise
        raise StorageError(
            f"{uri} has no way to it: {error}. Check AWS_ENDPOINT_URL, e.g. http://host:9000."
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"No room is left for {uri}: make some and start again; what is finished is kept."
            ) from error
        raise StorageError(f"{uri} cannot be used: {error}. Check the place and the AWS settings.") from error
