"""Files by pattern, and what is known of files that somebody else names."""

import concurrent.futures
from collections.abc import Iterator, Sequence

from raysee.errors import MissingError, StorageError
from raysee.storage import (
    FileInfo,
    etag_of,
    exists,
    explained,
    filesystem,
    join,
    list_files,
    normalise,
    path_of,
    uri_of,
)


def list_matching(place: str) -> tuple[str, list[FileInfo]]:
    """The folder that is looked through, and its files whose place fits a pattern, sorted by URI.

    `*` and `?` do not cross folders, `**` does. A place without any of `*?[`, or one that is there by this very name,
    is no pattern: all files below it fit. StorageError as `list_files`, or where the pattern begins with the bucket.
    """
    first = min((place.index(one) for one in "*?[" if one in place), default=None)
    if first is None or exists(normalise(place)):
        return normalise(place), list_files(place)
    above, _, pattern = place[:first].rpartition("/")
    if not above or above.endswith(":/"):
        raise StorageError(f"{place} begins with a pattern: name at least a folder or a bucket before it.")
    root = normalise(above)
    with explained(root):
        found = filesystem(root).glob(join(path_of(root), pattern + place[first:]), detail=True)
    return root, sorted(
        FileInfo(uri_of(root, name), int(info["size"]), etag_of(info))
        for name, info in found.items()
        if info["type"] == "file" and not name.endswith(".tmp")
    )


def stat_each(uris: Sequence[str], *, ahead: int = 16) -> Iterator[FileInfo | None]:
    """Each file in turn, None where it is not there. StorageError where a store refuses or does not answer."""

    def look(uri: str) -> FileInfo | None:
        try:
            with explained(uri):
                info = filesystem(uri).info(path_of(uri))
        except MissingError:
            return None
        return FileInfo(uri, int(info["size"]), etag_of(info))

    with concurrent.futures.ThreadPoolExecutor(ahead) as pool:
        yield from pool.map(look, uris)
