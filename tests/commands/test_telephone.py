"""`--channel telephone`: features of their own, and a training that is of them and of no others."""

import json
import pathlib

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from raysee import lake as places
from raysee import schema, storage
from raysee.audio.decode import decode
from raysee.audio.resample import mono, resample
from raysee.audio.telephone import CHANNELS, CODECS, codec_of, through
from raysee.config import Channel
from raysee.corpora.manifest import manifest, utterances_of
from raysee.features import front_end
from raysee.features.table import arrays
from raysee.synthesis.layouts import LAYOUTS
from raysee.synthesis.layouts.layout import Layout
from raysee.synthesis.trees import write_layout
from raysee.training import card
from raysee.training.inputs import find
from raysee.training.store import find_parts

from .command_line import assert_said, raysee

LOGMEL40 = front_end("logmel40")
EXTRACT = "extract --corpus emodb --features logmel40"
TRAIN = "train --corpus emodb --size debug --epochs 1"


@pytest.fixture(scope="module")
def lake(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three speakers, two emotions, three clips each."""
    root, by_kind = tmp_path_factory.mktemp("telephone"), {}
    for clip in LAYOUTS["emodb"](3).clips:
        by_kind.setdefault((clip.speaker, clip.emotion), []).append(clip)
    clips = [clip for (_, emotion), of in by_kind.items() if emotion in ("anger", "sadness") for clip in of[:3]]
    write_layout(root / "audio", Layout(tuple(clips)))
    manifest(f"{root}/lake", "emodb", f"{root}/audio", allow_count_mismatch=True)
    return storage.normalise(f"{root}/lake")


def features(lake: str, channel: Channel) -> dict[str, npt.NDArray[np.float32]]:
    """The log-mels of each clip."""
    place = storage.join(places.features(lake, "emodb", "logmel40", LOGMEL40, channel), "clips")
    table = storage.read_table(place, schema.FEATURES)
    return dict(zip(table["clip_id"].to_pylist(), arrays(table), strict=True))


def test_a_model_is_trained_through_the_telephone(lake: str) -> None:
    assert raysee(f"{EXTRACT} --to {lake}").code == 0
    command = "raysee extract --corpus emodb --features logmel40 --channel telephone --to"
    missing = raysee(f"{TRAIN} --channel telephone --to {lake}")
    assert_said(missing, f"no finished logmel40 of emodb through the telephone: run `{command} .*` first")

    made = raysee(f"{EXTRACT} --channel telephone --to {lake}")
    assert (made.out.startswith("extract (synthetic): 18 of 18, "), made.err) == (True, "")
    clean, heard = features(lake, "clean"), features(lake, "telephone")
    assert clean.keys() == heard.keys()
    listed = utterances_of(lake, "emodb").select(["clip_id", "uri"]).to_pylist()
    for clip_id, uri in (clip.values() for clip in listed):
        audio = decode(storage.read_bytes(uri))
        samples = resample(mono(audio), audio.sample_rate_hz, LOGMEL40.sample_rate_hz)
        expected = LOGMEL40(through(samples, LOGMEL40.sample_rate_hz, codec_of(clip_id)))
        np.testing.assert_array_equal(heard[clip_id], expected)
        assert (heard[clip_id][:, -5:].max(axis=0) < clean[clip_id][:, -5:].max(axis=0)).all(), "above 4 kHz"
    assert {codec_of(clip_id) for clip_id in heard} == CODECS.keys()

    runs = {channel: raysee(f"{TRAIN} --channel {channel} --to {lake}").place for channel in CHANNELS}
    cards = {channel: card.load_card(run) for channel, run in runs.items()}
    assert [its.config.channel for its in cards.values()] == ["clean", "telephone"]
    assert cards["telephone"].front_end == cards["clean"].front_end, "what has come through a line is heard as it is"
    assert cards["telephone"].corpora[0].fingerprint != cards["clean"].corpora[0].fingerprint
    assert cards["telephone"].mean != cards["clean"].mean
    assert "aldeneh-debug-logmel40-telephone-strict-" in runs["telephone"]
    parts = find_parts(find(lake, cards["telephone"].config))
    assert parts, "what a training over several workers reads"
    assert all(part.uri.startswith(f"{lake}/features/emodb/logmel40-telephone-") for part in parts)


def test_the_file_itself_says_that_its_clips_came_through_a_telephone(lake: str) -> None:
    place = raysee(f"{EXTRACT} --channel telephone --to {lake}").place
    part = pathlib.Path(place.removeprefix("file://")) / "clips" / "part-00000.parquet"
    assert json.loads(pq.read_schema(part).metadata[b"telephone"]) == CHANNELS["telephone"]["telephone"]
