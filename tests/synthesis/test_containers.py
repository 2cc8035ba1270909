import io
import struct
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest

from raysee.synthesis.containers import avi, xlsx

CELL = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a RIFF, one after the other, at even places."""
    found, place = [], 0
    while place < len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        assert place + 8 + size <= len(data)
        found.append((name, data[place + 8 : place + 8 + size]))
        place += 8 + size + size % 2
    return found


@pytest.mark.parametrize("num_samples", [1, 7_999, 8_000, 20_001])
def test_an_avi_holds_the_samples_and_its_index_finds_them(num_samples: int) -> None:
    wave = np.sin(np.arange(num_samples) / 10).astype(np.float32)
    data = avi(wave, 16_000)
    ((riff, inside),) = chunks(data)
    assert (riff, inside[:4]) == (b"RIFF", b"AVI ")
    (_, header), (_, movie), (_, index) = chunks(inside[4:])
    (main, stream_list) = chunks(header[4:])
    assert (main[0], len(main[1])) == (b"avih", 56)
    (_, stream), (_, form) = chunks(stream_list[1][4:])
    assert (stream[:4], len(stream)) == (b"auds", 56)
    scale, rate, _, length = struct.unpack_from("<4I", stream, 20)
    assert (rate / scale, length) == (16_000, num_samples)
    assert struct.unpack_from("<2H2I2H", form) == (1, 1, 16_000, 32_000, 2, 16)
    assert movie[:4] == b"movi"
    pieces = chunks(movie[4:])
    assert {name for name, _ in pieces} == {b"00wb"}
    sound = np.frombuffer(b"".join(piece for _, piece in pieces), "<i2")
    assert np.allclose(sound / 32767, wave, atol=2e-5)
    indexed = [struct.unpack_from("<4s3I", index, place) for place in range(0, len(index), 16)]
    assert [movie[place + 8 : place + 8 + size] for _, _, place, size in indexed] == [piece for _, piece in pieces]


def test_a_decoder_reads_the_avi() -> None:
    av = pytest.importorskip("av")
    wave = np.sin(np.arange(20_000) / 10).astype(np.float32)
    with av.open(io.BytesIO(avi(wave, 16_000))) as file:
        (stream,) = file.streams
        assert (stream.type, stream.rate, stream.channels) == ("audio", 16_000, 1)
        sound = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(stream)])
    assert np.allclose(sound / 32767, wave, atol=2e-5)


def test_a_workbook_holds_its_sheets() -> None:
    sheets = {"female": [["file", "film"], ["f_1", "A & B <2>"], ["f_2", " ?"]], "male": [["file"], ["f_1"]]}
    data = xlsx(sheets)
    assert data == xlsx(sheets)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        trees = {name: ElementTree.fromstring(archive.read(name)) for name in archive.namelist()}
    assert "[Content_Types].xml" in trees
    names = [sheet.attrib["name"] for sheet in trees["xl/workbook.xml"].iter(f"{CELL}sheet")]
    strings = [text.text for text in trees["xl/sharedStrings.xml"].iter(f"{CELL}t")]
    assert len(strings) == len(set(strings)) == 6
    found = {}
    for number, name in enumerate(names, start=1):
        rows = trees[f"xl/worksheets/sheet{number}.xml"].iter(f"{CELL}row")
        found[name] = [[strings[int(value.text or "")] for value in row.iter(f"{CELL}v")] for row in rows]
    assert found == sheets
