"""A file beside synthetic audio by which every later stage knows it, and says so beside its numbers."""

import pathlib
from collections.abc import Iterable

from raysee import storage
from raysee.storage import FileInfo

MARKER = "SYNTHETIC.txt"
_TEXT = "The sound below this folder was made by raysee.synthesis. Nobody spoke it and nobody felt it.\n"


def mark(folder: pathlib.Path) -> None:
    """Make a folder whose sound is synthetic; each has the mark, because any of them may be listed alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(_TEXT)


def is_synthetic(files: Iterable[FileInfo]) -> bool:
    """Whether a listing holds the mark."""
    return any(storage.basename(file.uri) == MARKER for file in files)


def lie_in_marked_folders(uris: Iterable[str]) -> bool:
    """Whether a folder of these sounds holds the mark."""
    folders = sorted({uri.rpartition("/")[0] for uri in uris})
    return any(storage.exists(storage.join(folder, MARKER)) for folder in folders)
