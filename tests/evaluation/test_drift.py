import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from raysee.errors import ConfigurationError
from raysee.evaluation.drift import DURATIONS_S, LEVELS_DBFS, PROBABILITIES, distance, histogram


def test_bins_hold_their_lower_edges_and_the_ends_are_open() -> None:
    found = histogram([-100.0, -80.0, -75.1, -20.0, -0.1, 0.0, 12.0], LEVELS_DBFS)
    assert len(found) == 18
    assert {number: count for number, count in enumerate(found) if count} == {0: 1, 1: 2, 13: 1, 16: 1, 17: 2}
    found = histogram([0.0, 0.49, 0.5, 7.99, 8.0, 86_400.0], DURATIONS_S)
    assert len(found) == 17
    assert {number: count for number, count in enumerate(found) if count} == {0: 2, 1: 1, 15: 1, 16: 2}


def test_probabilities_have_ten_bins() -> None:
    assert histogram(np.arange(0.05, 1.0, 0.1, dtype=np.float32), PROBABILITIES) == [1] * 10
    assert histogram([0.0, 0.1, 0.5, 0.9], PROBABILITIES) == [1, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert histogram([1.0, 1 + 1e-7, -1e-9], PROBABILITIES) == [1, *[0] * 8, 2]


def test_nothing_has_bins_too() -> None:
    assert histogram([], DURATIONS_S) == [0] * 17


def test_equal_shares_have_no_distance_and_disjoint_ones_have_one() -> None:
    assert distance([1, 2, 0, 4], [1, 2, 0, 4]) == 0.0
    assert distance([1, 2, 0, 4], [300, 600, 0, 1200]) == pytest.approx(0.0, abs=1e-7)
    assert distance([5, 0, 1, 0], [0, 7, 0, 9]) == 1.0


def test_a_known_distance() -> None:
    """Of (1/2, 1/2) and (1, 0) the mean is (3/4, 1/4)."""
    bits = 0.5 * (0.5 * np.log2(2 / 3) + 0.5 * np.log2(2)) + 0.5 * np.log2(4 / 3)
    assert distance([3, 3], [8, 0]) == pytest.approx(np.sqrt(bits))


def test_the_distance_is_scipys_and_is_always_a_number_in_its_bounds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        first, second = rng.multinomial(rng.integers(1, 50), rng.dirichlet(np.full(10, 0.3)), size=2).tolist()
        found = distance(first, second)
        assert found == pytest.approx(jensenshannon(first, second, base=2), abs=1e-7)
        assert found == distance(second, first)
        assert found is not None
        assert 0 <= found <= 1
        assert distance(first, [7 * count for count in first]) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(("first", "second"), [([0, 0], [1, 2]), ([1, 2], [0, 0]), ([0, 0], [0, 0]), ([], [])])
def test_from_nothing_there_is_no_distance(first: list[int], second: list[int]) -> None:
    assert distance(first, second) is None


def test_other_bins_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="18 bins .* one of 17"):
        distance([1] * 18, [1] * 17)
