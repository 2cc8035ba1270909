import collections

import pytest

from raysee.corpora.corpus import Clip, LeftOut
from raysee.corpora.enterface import ENTERFACE, parse

EMOTIONS = {
    "an": "anger",
    "di": "disgust",
    "fe": "fear",
    "ha": "happiness",
    "sa": "sadness",
    "su": "surprise",
}


def published() -> list[str]:
    """The database's paths with their defects, but for which two clips of subject 23's happiness there are."""
    paths = [f"subject 6/{emotion}/s6_{code}.avi" for code, emotion in EMOTIONS.items()]
    for subject in (number for number in range(1, 45) if number != 6):
        for code, emotion in EMOTIONS.items():
            for sentence in range(1, 3 if (subject, code) == (23, "ha") else 6):
                name = f"s{12 if subject == 11 else subject}_{code}_{sentence}"
                if subject == 3 and code in ("ha", "sa", "su"):
                    name = name.replace("s3", "s_3")
                if name == "s16_su_3":
                    name += "avi"
                paths.append(f"subject {subject}/{emotion}/sentence {sentence}/{name}.avi")
    return paths


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("subject 1/anger/sentence 1/s1_an_1.avi", ("s1_an_1", "s1", "anger", "an_1")),
        ("subject 19/disgust/sentence 2/s19_di_2.avi", ("s19_di_2", "s19", "disgust", "di_2")),
        ("subject 20/fear/sentence 3/s20_fe_3.avi", ("s20_fe_3", "s20", "fear", "fe_3")),
        ("subject 44/happiness/sentence 4/s44_ha_4.avi", ("s44_ha_4", "s44", "happiness", "ha_4")),
        ("enterface database/subject 8/sadness/sentence 5/s8_sa_5.avi", ("s8_sa_5", "s8", "sadness", "sa_5")),
        # the published defects
        ("subject 11/anger/sentence 2/s12_an_2.avi", ("s11_an_2", "s11", "anger", "an_2")),
        ("subject 12/anger/sentence 2/s12_an_2.avi", ("s12_an_2", "s12", "anger", "an_2")),
        ("subject 3/surprise/sentence 4/s_3_su_4.avi", ("s3_su_4", "s3", "surprise", "su_4")),
        ("subject 16/surprise/sentence 3/s16_su_3avi.avi", ("s16_su_3", "s16", "surprise", "su_3")),
        ("subject 2/anger/sentence 2/s2_an_1.avi", ("s2_an_1", "s2", "anger", "an_2")),
        # sound that was extracted, folders that were renamed
        ("subject 11/anger/sentence 2/s12_an_2.wav", ("s11_an_2", "s11", "anger", "an_2")),
        ("subject-1/anger/sentence-1/s1_an_1.wav", ("s1_an_1", "s1", "anger", "an_1")),
        ("subject_1/anger/sentence_1/s1_an_1.flac", ("s1_an_1", "s1", "anger", "an_1")),
    ],
)
def test_a_path_is_read_field_by_field(path: str, expected: tuple[str, ...]) -> None:
    clip_id, speaker, label, sentence = expected
    assert parse(path) == Clip(clip_id=clip_id, speaker=speaker, label=label, sentence=sentence)


@pytest.mark.parametrize(
    ("path", "clip_id"),
    [
        ("subject 6/anger/s6_an.avi", "s6_an"),
        ("subject 6/surprise/s6_su.wav", "s6_su"),
        ("subject 6/surprise/sentence 1/s6_su_1.avi", "s6_su_1"),
    ],
)
def test_subject_6_is_left_out(path: str, clip_id: str) -> None:
    assert parse(path) == LeftOut(clip_id, "subject 6 was not cut into sentences")


@pytest.mark.parametrize(
    "path",
    [
        "s1_an_1.avi",  # no folder, no speaker
        "subject 1/anger/s1_an_1.avi",
        "subject 1/anger/sentence 1/s1_an.avi",
        "subject 1/anger/sentence 1/s2_an_1.avi",  # only subject 11 has another's name
        "subject 12/anger/sentence 1/s11_an_1.avi",
        "subject 11/anger/sentence 1/s11_an_1.avi",
        "subject 1/anger/sentence 1/s1_di_1.avi",  # the folder says another emotion
        "subject 1/anger/sentence 1/s1_xx_1.avi",
        "subject 1/boredom/sentence 1/s1_bo_1.avi",
        "subject 1/anger/sentence 6/s1_an_6.avi",
        "subject 1/anger/sentence 1/s1_an_0.avi",
        "subject 0/anger/sentence 1/s0_an_1.avi",
        "subject 45/anger/sentence 1/s45_an_1.avi",
        "subject 1/anger/sentence 1/s1_an_1.txt",
        "",
    ],
)
def test_another_path_is_no_clip(path: str) -> None:
    assert parse(path) is None


def test_the_published_tree_is_that_of_table_1() -> None:
    outcomes = [parse(path) for path in published()]
    clips = [outcome for outcome in outcomes if isinstance(outcome, Clip)]
    assert len(outcomes) - len(clips) == sum(isinstance(outcome, LeftOut) for outcome in outcomes) == 6
    assert len(clips) == len({clip.clip_id for clip in clips}) == sum(ENTERFACE.counts.values()) == 1287
    assert ENTERFACE.missing_and_extra(clips) == []
    speakers = collections.Counter(clip.speaker for clip in clips)
    assert len(speakers) == ENTERFACE.num_speakers == 43
    assert {speaker: count for speaker, count in speakers.items() if count != 30} == {"s23": 27}
    assert set(ENTERFACE.labels) == {clip.label for clip in clips}
