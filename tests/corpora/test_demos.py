import pytest

from raysee.corpora.corpus import Clip, LeftOut
from raysee.corpora.demos import DEMOS, parse

# Who has prototypical clips.
MEN = {
    2,
    3,
    4,
    5,
    8,
    9,
    10,
    11,
    12,
    14,
    15,
    16,
    18,
    19,
    23,
    24,
    25,
    26,
    27,
    28,
    30,
    33,
    34,
    39,
    41,
    50,
    51,
    52,
    53,
    58,
    59,
    63,
    64,
    65,
    66,
    67,
    68,
    69,
}
WOMEN = {1, 17, 21, 22, 29, 31, 36, 37, 38, 40, 43, 45, 46, 47, 49, 54, 55, 56, 57, 60, 61}


@pytest.mark.parametrize(
    ("name", "speaker", "label", "gender"),
    [
        ("PR_f_01_rab01a", "01", "anger", "female"),
        ("PR_f_61_tri12b", "61", "sadness", "female"),
        ("PR_m_02_gio03c", "02", "happiness", "male"),
        ("PR_m_69_pau99d", "69", "fear", "male"),
        ("PR_m_10_dis04z", "10", "disgust", "male"),
        ("PR_f_17_col05a", "17", "guilt", "female"),
        ("PR_f_60_sor06a", "60", "surprise", "female"),
    ],
)
@pytest.mark.parametrize("folder", ["", "DEMOS/", "wav_DEMoS/"])
def test_a_name_is_read_field_by_field(folder: str, name: str, speaker: str, label: str, gender: str) -> None:
    assert parse(f"{folder}{name}.wav") == Clip(clip_id=name, speaker=speaker, label=label, gender=gender)


@pytest.mark.parametrize(
    ("path", "clip_id", "reason"),
    [
        ("DEMOS/NP_f_01_rab01a.wav", "NP_f_01_rab01a", "prototypical"),
        ("DEMOS/NP_m_06_col01a.wav", "NP_m_06_col01a", "prototypical"),  # a speaker without prototypical clips
        ("NEU/f_01_neu01a.wav", "f_01_neu01a", "neutral"),
        ("NEU/PR_f_01_neu01a.wav", "PR_f_01_neu01a", "neutral"),
        ("NEU/NP_m_02_neu10b.wav", "NP_m_02_neu10b", "neutral"),
    ],
)
def test_what_is_not_prototypical_or_is_neutral_is_left_out(path: str, clip_id: str, reason: str) -> None:
    left = parse(path)
    assert isinstance(left, LeftOut)
    assert left.clip_id == clip_id
    assert reason in left.reason


@pytest.mark.parametrize(
    "path",
    [
        "DEMOS/f_01_rab01a.wav",  # neither PR nor NP
        "DEMOS/XX_f_01_rab01a.wav",
        "DEMOS/PR_x_01_rab01a.wav",
        "DEMOS/PR_f_1_rab01a.wav",
        "DEMOS/PR_m_06_rab01a.wav",  # no prototypical clip is of 06
        "DEMOS/PR_m_70_rab01a.wav",
        "DEMOS/PR_f_00_rab01a.wav",
        "DEMOS/PR_f_01_ans01a.wav",
        "DEMOS/PR_f_01_rab1a.wav",
        "DEMOS/PR_f_01_rab01.wav",
        "DEMOS/PR_f_01_rab01ab.wav",
        "DEMOS/_PR_f_01_rab01a.wav",
        "DEMOS/PR_f_01_rab01a.txt",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


def test_the_speakers_are_those_of_the_prototypical_clips() -> None:
    clips = [parse(f"PR_f_{number:02d}_rab01a.wav") for number in range(100)]
    found = {int(clip.speaker) for clip in clips if isinstance(clip, Clip)}
    assert found == MEN | WOMEN
    assert len(found) == DEMOS.num_speakers == 59


def test_counts_are_those_of_table_1() -> None:
    assert sum(DEMOS.counts.values()) == 1564
    assert len(DEMOS.labels) == len(DEMOS.counts) == 7
    assert "guilt" in DEMOS.labels
