"""What a file's header says of its size, and headers of WAV files that say nothing of it or something wrong."""

import io
import struct

#: A file that can be read at any place. One read gives as many bytes as it is asked for, fewer only at the end.
File = io.RawIOBase | io.BufferedIOBase

_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"sidx", b"moof", b"mfra"}
_UNKNOWN_SIZE = 0x7FFFF000  # recorders that stream write 0, or something from here up
_32_BITS = 2**32  # a WAV's sizes have no more, and recorders go on beyond
_MOST_BEFORE_DATA = 2**20  # bytes of a WAV's chunks in front of its samples
_TO_THE_END = b"\xff" * 4


def declared_size(file: File, size: int) -> int:
    """The bytes that the header declares of a file that has `size`, which is the answer where it does not say."""
    head = _at(file, 0, 28)
    kind = head[:4]
    if kind == b"RIFF" and not _is_unsized(head, size):
        return int.from_bytes(head[4:8], "little") + 8
    if kind == b"RF64" and head[12:16] == b"ds64":
        return int.from_bytes(head[20:28], "little") + 8
    if kind == b"FORM":
        return int.from_bytes(head[4:8], "big") + 8
    if head[4:8] == b"ftyp":
        return _end_of_boxes(file, size)
    if kind == b".snd" and head[8:12] != _TO_THE_END:
        return int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:12], "big")
    return size


def sized(file: File, size: int) -> File:
    """`file`, or where a WAV's recorder could not fill in its sizes, the same with a header that libsndfile reads.

    A data chunk of size 0 reaches to the end. One of more than 4 GiB, whose size has lost its upper bits or is not
    known, becomes that of an RF64 (EBU Tech 3306).
    """
    head = _at(file, 0, 12)
    if head[:4] != b"RIFF" or not _is_unsized(head, size):
        return file
    start = 12
    while start + 8 <= min(size, _MOST_BEFORE_DATA):
        name, length = struct.unpack("<4sI", _at(file, start, 8))
        if name == b"data":
            break
        start += 8 + length + length % 2
    else:
        return file
    available = size - start - 8
    if available < _32_BITS:
        return file if length else _Spliced(_at(file, 0, start + 4) + _TO_THE_END, file, start + 8)
    unknown = length == 0 or length >= _UNKNOWN_SIZE
    length = available if unknown else available - (available - length) % _32_BITS
    sizes = b"ds64" + struct.pack("<IQQQI", 28, start + 36 + length, length, 0, 0)
    prefix = b"RF64" + _TO_THE_END + b"WAVE" + sizes + _at(file, 12, start - 8) + _TO_THE_END
    return _Spliced(prefix, file, start + 8)


def _is_unsized(head: bytes, size: int) -> bool:
    declared = int.from_bytes(head[4:8], "little")
    return declared == 0 or declared >= _UNKNOWN_SIZE or size > _32_BITS + 8


def _at(file: File, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length) or b""


def _end_of_boxes(file: File, size: int) -> int:
    """Where the last box of an MP4 ends, or where something that is no box begins."""
    end = 0
    while end + 8 <= size:
        head = _at(file, end, 16)
        if head[4:8] not in _BOXES:
            break
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0 reaches to the end of the file
            break
        end += length
    return end


class _Spliced(io.RawIOBase):
    """`prefix`, and behind it what `file` has from `start` on."""

    def __init__(self, prefix: bytes, file: File, start: int) -> None:
        self._prefix, self._file, self._moved = prefix, file, start - len(prefix)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            offset += self._file.seek(0, io.SEEK_END) - self._moved
        self._position = offset
        return offset

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        into = memoryview(buffer).cast("B")
        own = self._prefix[self._position : self._position + len(into)]
        into[: len(own)] = own
        self._file.seek(self._position + len(own) + self._moved)
        length = len(own) + (self._file.readinto(into[len(own) :]) or 0)
        self._position += length
        return length
