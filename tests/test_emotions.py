import collections

import pytest

from raysee import emotions
from raysee.config import fingerprint
from raysee.corpora import CORPORA
from raysee.emotions import EMOTIONS, SCHEMES, SPECIFIC, apply_scheme, canonical, count_schemes, scheme_classes
from raysee.errors import ConfigurationError

BIG_SIX = {"anger", "happiness", "sadness", "fear", "surprise", "disgust"}


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("anger", "anger"),
        ("surprise", "surprise"),
        ("unknown", "unknown"),  # SmartKom's rest
        ("boredom", "other"),  # EMO-DB's own
        ("calm", "other"),  # RAVDESS's own
        ("guilt", "other"),  # DEMoS's own
        ("excited", "other"),  # JL's own
        ("pondering", "other"),  # SmartKom's own
        ("helplessness", "sadness"),
        ("frustration", "other"),
    ],
)
def test_a_category_has_its_canonical_emotion(label: str, expected: str) -> None:
    assert canonical(label) == expected


@pytest.mark.parametrize("label", ["", "Anger", "ang", "joy"])
def test_a_category_that_nobody_reviewed_is_an_error(label: str) -> None:
    with pytest.raises(ValueError, match=f"{label!r}"):
        canonical(label)


def test_the_emotions_are_those_of_table_1_in_its_order() -> None:
    assert EMOTIONS == (
        "anger",
        "happiness",
        "sadness",
        "fear",
        "surprise",
        "disgust",
        "neutral",
        "other",
        "unknown",
    )


@pytest.mark.parametrize("name", CORPORA)
def test_every_trained_category_of_a_corpus_is_mapped(name: str) -> None:
    corpus = CORPORA[name]
    assert {canonical(label) for label in corpus.labels} == set(corpus.counts)
    assert len(set(corpus.labels)) == len(corpus.labels)


def test_the_map_is_into_canonical_emotions_and_has_none_twice() -> None:
    assert set(SPECIFIC.values()) <= set(EMOTIONS)
    assert not set(SPECIFIC) & set(EMOTIONS)


def test_the_fingerprint_changes_with_the_map() -> None:
    assert fingerprint({"emotions": EMOTIONS, "specific": SPECIFIC}) == emotions.FINGERPRINT
    assert fingerprint({"emotions": EMOTIONS, "specific": {**SPECIFIC, "calm": "neutral"}}) != emotions.FINGERPRINT


@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_names_reviewed_categories_and_never_what_says_nothing(name: str) -> None:
    named = set(SCHEMES[name])
    assert named <= set(EMOTIONS) | set(SPECIFIC)
    assert not named & {"other", "unknown"}


@pytest.mark.parametrize(
    ("scheme", "classes"),
    [
        ("big6+neutral", ("anger", "happiness", "sadness", "fear", "surprise", "disgust", "neutral")),
        ("iemocap4", ("anger", "happiness", "sadness", "neutral")),
        ("arousal", ("high", "low")),
        ("valence", ("negative", "positive", "neutral")),
    ],
)
def test_the_classes_of_a_scheme_are_in_a_fixed_order(scheme: str, classes: tuple[str, ...]) -> None:
    assert scheme_classes(scheme) == classes


@pytest.mark.parametrize("scheme", ["big6+neutral", "arousal", "valence"])
def test_the_canonical_seven_are_never_dropped_there(scheme: str) -> None:
    classes, dropped = apply_scheme(scheme, sorted(BIG_SIX | {"neutral"}))
    assert None not in classes
    assert dropped == {}


@pytest.mark.parametrize(
    ("label", "big_six", "iemocap", "arousal", "valence"),
    [
        ("anger", "anger", "anger", "high", "negative"),
        ("happiness", "happiness", "happiness", "high", "positive"),
        ("sadness", "sadness", "sadness", "low", "negative"),
        ("fear", "fear", None, "high", "negative"),
        ("surprise", "surprise", None, "high", "positive"),
        ("disgust", "disgust", None, "low", "negative"),
        ("neutral", "neutral", "neutral", "low", "neutral"),
        ("boredom", None, None, "low", "negative"),
        ("calm", None, None, "low", "neutral"),
        ("guilt", None, None, None, "negative"),
        ("excited", None, "happiness", "high", "positive"),
        ("pondering", None, None, "low", "neutral"),
        ("helplessness", "sadness", "sadness", "high", "negative"),  # arousal is not sadness's
        ("other", None, None, None, None),
        ("unknown", None, None, None, None),
    ],
)
def test_a_label_has_its_class_in_every_scheme(
    label: str, big_six: str, iemocap: str, arousal: str, valence: str
) -> None:
    found = [apply_scheme(scheme, [label])[0][0] for scheme in ("big6+neutral", "iemocap4", "arousal", "valence")]
    assert found == [big_six, iemocap, arousal, valence]


def test_what_is_dropped_is_counted_by_label() -> None:
    labels = ["fear", "anger", "boredom", "anger", "fear", "neutral", "disgust"]
    classes, dropped = apply_scheme("iemocap4", labels)
    assert classes == [None, "anger", None, "anger", None, "neutral", None]
    assert dropped == {"boredom": 1, "disgust": 1, "fear": 2}
    assert apply_scheme("iemocap4", []) == ([], {})


def test_no_clip_gets_lost_between_classes_and_dropped() -> None:
    labels = [*EMOTIONS, *SPECIFIC] * 3
    for scheme in SCHEMES:
        classes, dropped = apply_scheme(scheme, labels)
        kept = collections.Counter(classes)
        assert kept[None] == sum(dropped.values())
        assert sum(kept.values()) == len(labels)


def test_a_label_that_nobody_reviewed_has_the_class_of_its_emotion() -> None:
    with pytest.raises(ValueError, match="'joy'"):
        apply_scheme("valence", ["joy"])
    classes, dropped = apply_scheme("valence", ["joy", "meh", "calm"], ["happiness", "other", "other"])
    assert classes == ["positive", None, "neutral"]
    assert dropped == {"meh": 1}


def test_a_manifest_that_reads_a_category_otherwise_is_believed() -> None:
    assert apply_scheme("arousal", ["boredom", "neutral"], ["anger", "other"]) == (["high", None], {"neutral": 1})
    with pytest.raises(ValueError, match="shorter"):
        apply_scheme("arousal", ["boredom", "neutral"], ["other"])


def test_an_unknown_scheme_is_answered_with_the_known_ones() -> None:
    for call in (lambda: apply_scheme("big7", ["anger"]), lambda: scheme_classes("big7")):
        with pytest.raises(ConfigurationError, match=r"scheme 'big7'.*arousal, big6, big6\+neutral, iemocap4, valence"):
            call()


def test_what_schemes_keep_and_drop_is_counted() -> None:
    labels = ["anger", "boredom", "boredom", "happiness", "unknown"]
    counted = count_schemes(labels, [canonical(label) for label in labels])
    assert list(counted) == list(SCHEMES)
    assert counted["big6+neutral"] == ({"anger": 1, "happiness": 1}, {"boredom": 2, "unknown": 1})
    assert counted["arousal"] == ({"high": 2, "low": 2}, {"unknown": 1})
    assert all(sum(kept.values()) + sum(dropped.values()) == 5 for kept, dropped in counted.values())
