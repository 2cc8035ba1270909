import pytest

from raysee.corpora import CORPORA
from raysee.emotions import EMOTIONS, canonical


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("anger", "anger"),
        ("surprise", "surprise"),
        ("unknown", "unknown"),
        ("boredom", "other"),  # EMO-DB's own
        ("calm", "other"),  # RAVDESS's own
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
