import pathlib

import pytest

from raysee import storage
from raysee.errors import ConfigurationError
from raysee.scoring import batches

from ..scoring.test_batches import batch, plan
from .command_line import assert_said, raysee


@pytest.fixture
def scores(tmp_path: pathlib.Path) -> str:
    """Two nights with a recording of the same name."""
    place = storage.normalise(tmp_path)
    for number, uri in enumerate(("s3://calls/2026-11-19/1.wav", "s3://calls/2026-11-20/1.wav")):
        rows = plan(uri)
        for name, value in (("key", f"{number:032x}"), ("call_id", "1.wav")):
            rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), [[value]])
        batches.begin(place, batch(number), rows)
    return place


def test_it_says_which_recordings_have_the_name_and_erases_those_that_are_meant(scores: str) -> None:
    assert_said(raysee(f"forget 1.wav --to {scores}"), "2 recordings are called '1.wav': s3://calls/2026-11-19/1.wav, ")
    ran = raysee(f"forget 1.wav --to {scores} --uri s3://calls/2026-11-20/1.wav")
    assert (ran.code, "plans 1" in ran.out) == (0, True), ran
    assert raysee(f"forget 1.wav --to {scores} --all").code == 0
    assert_said(raysee(f"forget 1.wav --to {scores} --all"), "knows no call '1.wav'")


def test_a_night_whose_receipt_cannot_be_read_is_not_overwritten(scores: str) -> None:
    """`raysee score` has no --overwrite."""
    storage.write_bytes(storage.join(scores, "nights", "00000.json"), b"{}")
    with pytest.raises(
        ConfigurationError, match=r"00000\.json is not a receipt .*: delete it and start its night again"
    ):
        batches.nights(scores, 1)
