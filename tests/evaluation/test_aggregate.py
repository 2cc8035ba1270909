import numpy as np
import pytest

from raysee.evaluation.aggregate import by_clip

PROBABILITIES = np.array(
    [[0.6, 0.4, 0.0], [0.1, 0.2, 0.7], [0.2, 0.8, 0.0], [0.6, 0.1, 0.3], [0.0, 0.3, 0.7]], np.float32
)
CLIP_OF = np.array([7, 3, 7, 7, 3])


@pytest.mark.parametrize(
    ("how", "of_3", "of_7"),
    [
        ("mean", [0.05, 0.25, 0.7], [1.4 / 3, 1.3 / 3, 0.1]),
        ("median", [0.05, 0.25, 0.7], [0.6, 0.4, 0.0]),
        ("vote", [0.0, 0.0, 1.0], [2 / 3, 1 / 3, 0.0]),
    ],
)
def test_by_hand(how: str, of_3: list[float], of_7: list[float]) -> None:
    clips, found = by_clip(PROBABILITIES, CLIP_OF, how)  # type: ignore[arg-type]
    assert clips.tolist() == [3, 7]
    np.testing.assert_allclose(found, [of_3, of_7], atol=1e-6)
    assert found.dtype == np.float32


def test_medians_of_examples_that_disagree_entirely_are_no_answer() -> None:
    _, found = by_clip(np.eye(3, dtype=np.float32), np.zeros(3, np.int64), "median")
    np.testing.assert_allclose(found, [[1 / 3] * 3])


def test_one_example_a_clip_is_the_clip_in_ascending_order() -> None:
    clips, found = by_clip(PROBABILITIES, np.array([4, 2, 9, 0, 1]), "mean")
    assert clips.tolist() == [0, 1, 2, 4, 9]
    assert np.array_equal(found, PROBABILITIES[[3, 4, 1, 0, 2]])
