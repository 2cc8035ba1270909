"""Files by pattern, and what is known of files that somebody else names."""

import concurrent.futures
import glob
from collections.abc import Iterator, Sequence

from raysee.errors import MissingError, StorageError
from raysee.filesystems import etag_of, explained, filesystem, path_of, unquoted, uri_of
from raysee.storage import UNFINISHED, FileInfo, exists, join, list_files, normalise


def list_matching(place: str) -> tuple[str, list[FileInfo]]:
    """The folder that is looked through, and its files whose place fits a pattern, sorted by URI.

    `*` and `?` do not cross folders, `**` does. A place without any of `*?[`, or one that is there by this very name,
    is no pattern: all files below it fit. StorageError as `list_files`, or where the pattern begins with the bucket.
    """
    first = min((place.index(one) for one in "*?[" if one in place), default=None)
    above, _, pattern = place[:first].rpartition("/")
    if first is None or (above != "s3:/" and exists(normalise(place))):
        return normalise(place), list_files(place)
    if above in ("", "s3:/", "file://"):
        raise StorageError(f"{place} begins with a pattern: name at least a folder or a bucket before it.")
    root, pattern = normalise(above), pattern + place[first:]
    if place.startswith("file://"):
        pattern = unquoted(pattern)
    if any("**" in part and part != "**" for part in pattern.split("/")):
        raise StorageError(f"{place} is no pattern: ** stands for folders, so write /**/.")
    # Without being told, a file system passes over a folder that it may not read.
    strict = {} if root.startswith("s3://") else {"on_error": "raise"}
    with explained(root):
        found = filesystem(root).glob(join(glob.escape(path_of(root)), pattern), detail=True, **strict)
    return root, sorted(
        FileInfo(uri_of(root, name), int(info["size"]), etag_of(info))
        for name, info in found.items()
        if info["type"] == "file" and not name.endswith(UNFINISHED)
    )


def stat_each(uris: Sequence[str], *, ahead: int = 16) -> Iterator[FileInfo | None]:
    """Each file in turn, None where there is none. StorageError where a store refuses or does not answer."""

    def look(uri: str) -> FileInfo | None:
        try:
            with explained(uri):
                info = filesystem(uri).info(path_of(uri))
        except MissingError:
            return None
        if info["type"] != "file":
            return None
        return FileInfo(uri, int(info["size"]), etag_of(info))

    with concurrent.futures.ThreadPoolExecutor(ahead) as pool:
        yield from pool.map(look, uris)
