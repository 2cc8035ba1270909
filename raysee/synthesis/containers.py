"""Two containers that nothing here could write: sound in AVI, tables in an Office Open XML workbook."""

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt

_CHUNK_S = 0.5
_HAS_INDEX = 0x10  # AVIF_HASINDEX
_KEY_FRAME = 0x10  # AVIIF_KEYFRAME
_PCM = 1  # WAVE_FORMAT_PCM


def avi(samples: npt.NDArray[np.float32], sample_rate_hz: int) -> bytes:
    """Samples (num_samples,) in [-1, 1] as an AVI file with one stream, of 16-bit PCM sound, and no pictures.

    Microsoft, "AVI RIFF File Reference": a header, the chunks of the stream, and their index.
    """
    pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()
    size = 2 * round(_CHUNK_S * sample_rate_hz)
    pieces = [pcm[start : start + size] for start in range(0, len(pcm), size)]
    main = struct.pack(
        "<14I", round(1e6 * _CHUNK_S), 2 * sample_rate_hz, 0, _HAS_INDEX, len(pieces), 0, 1, size, 0, 0, 0, 0, 0, 0
    )
    stream = struct.pack(
        "<4s4sI2H8I4h", b"auds", b"", 0, 0, 0, 0, 2, 2 * sample_rate_hz, 0, len(pcm) // 2, size, 0, 2, 0, 0, 0, 0
    )
    wave = struct.pack("<2H2I3H", _PCM, 1, sample_rate_hz, 2 * sample_rate_hz, 2, 16, 0)
    header = _list(b"hdrl", _chunk(b"avih", main) + _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", wave)))
    index, offset = b"", 4  # counted from the name of the list of chunks
    for piece in pieces:
        index += struct.pack("<4s3I", b"00wb", _KEY_FRAME, offset, len(piece))
        offset += 8 + len(piece)
    movie = _list(b"movi", b"".join(_chunk(b"00wb", piece) for piece in pieces))
    return _chunk(b"RIFF", b"AVI " + header + movie + _chunk(b"idx1", index))


def xlsx(sheets: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
    """Sheets of text, row by row, as a workbook with its strings in one table, as Excel writes them.

    ECMA-376. The same sheets give the same bytes.
    """
    strings: dict[str, int] = {}
    names = list(sheets)
    parts = {
        "[Content_Types].xml": _xml(
            "Types",
            "http://schemas.openxmlformats.org/package/2006/content-types",
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            + _override("xl/workbook.xml", "sheet.main")
            + _override("xl/sharedStrings.xml", "sharedStrings")
            + "".join(_override(f"xl/worksheets/sheet{i}.xml", "worksheet") for i, _ in enumerate(names, start=1)),
        ),
        "_rels/.rels": _relations(["officeDocument xl/workbook.xml"]),
        "xl/_rels/workbook.xml.rels": _relations(
            [
                *(f"worksheet worksheets/sheet{number}.xml" for number, _ in enumerate(names, start=1)),
                "sharedStrings sharedStrings.xml",
            ]
        ),
        "xl/workbook.xml": _xml(
            "workbook",
            _MAIN,
            "<sheets>"
            + "".join(
                f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"/>'
                for number, name in enumerate(names, start=1)
            )
            + "</sheets>",
        ),
    }
    for number, name in enumerate(names, start=1):
        rows = "".join(_row(row, cells, strings) for row, cells in enumerate(sheets[name], start=1))
        parts[f"xl/worksheets/sheet{number}.xml"] = _xml("worksheet", _MAIN, f"<sheetData>{rows}</sheetData>")
    items = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in strings)
    parts["xl/sharedStrings.xml"] = _xml("sst", _MAIN, items)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in parts.items():
            archive.writestr(zipfile.ZipInfo(path), text)  # without a date: that of 1980
    return buffer.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _list(name: bytes, data: bytes) -> bytes:
    return _chunk(b"LIST", name + data)


_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def _xml(root: str, namespace: str, inside: str) -> str:
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return f'{head}\n<{root} xmlns="{namespace}" xmlns:r="{_OFFICE}">{inside}</{root}>'


def _override(path: str, kind: str) -> str:
    return f'<Override PartName="/{path}" ContentType="{_TYPE}.{kind}+xml"/>'


def _relations(targets: Sequence[str]) -> str:
    inside = ""
    for number, target in enumerate(targets, start=1):
        kind, path = target.split(" ")
        inside += f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{path}"/>'
    return _xml("Relationships", "http://schemas.openxmlformats.org/package/2006/relationships", inside)


def _row(number: int, cells: Sequence[str], strings: dict[str, int]) -> str:
    """A row of references into the table of strings, which grows as needed."""
    inside = "".join(
        f'<c r="{chr(ord("A") + column)}{number}" t="s"><v>{strings.setdefault(text, len(strings))}</v></c>'
        for column, text in enumerate(cells)
    )
    return f'<row r="{number}">{inside}</row>'
