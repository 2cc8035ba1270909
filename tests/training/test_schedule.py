import numpy as np
import pytest

from raysee.corpora import CORPORA
from raysee.evaluation.folds import Fold
from raysee.training.schedule import lower_bound, makespan, rows_of

#: Seconds a clip, one of another: what matters is that networks differ by a factor of fifty.
COLUMNS = {"A1": 0.4, "A2": 1.1, "A3": 3.0, "L": 2.4, "N": 20.0, "O": 0.7}
REPEATS = {"N": 1}  # Keesing et al. 2020, section 4.2; three for the others
#: Folds of each corpus (the same, section 4.1): speakers, sessions or languages, or six groups.
FOLDS = {
    **{"cafe": 12, "cremad": 6, "demos": 6, "emodb": 10, "emofilm": 3, "enterface": 6, "iemocap": 5, "jl": 4},
    **{"msp_improv": 6, "portuguese": 2, "ravdess": 6, "savee": 4, "shemo": 6, "smartkom": 6, "tess": 2},
}


def table_3() -> list[list[float]]:
    """The seconds of all trainings of Table 3, run by run, those with the longest first."""
    runs = []
    for corpus, num_folds in FOLDS.items():
        clips = sum(CORPORA[corpus].counts.values())
        rng = np.random.default_rng(num_folds)
        for column, seconds in COLUMNS.items():
            sizes = clips * (1 - rng.dirichlet(np.full(num_folds, 20.0)))
            runs.append([seconds * size for size in sizes.tolist()] * REPEATS.get(column, 3))
    return sorted(runs, key=lambda run: -max(run))


@pytest.mark.parametrize("num_workers", [1, 8, 64])
def test_all_trainings_of_table_3_end_within_a_tenth_of_the_lower_bound(num_workers: int) -> None:
    runs = table_3()
    assert sum(map(len, runs)) == 1344
    assert lower_bound(runs, num_workers) <= makespan(runs, num_workers) <= 1.1 * lower_bound(runs, num_workers)


def test_runs_in_another_order_end_later() -> None:
    """What the order is worth: the long ones at the end leave all workers but a few waiting."""
    runs = table_3()
    assert makespan(runs[::-1], 64) > 1.05 * makespan(runs, 64)


def test_by_hand() -> None:
    assert makespan([[3.0, 3.0, 2.0, 2.0, 2.0]], 2) == 7.0
    assert lower_bound([[3.0, 3.0, 2.0, 2.0, 2.0]], 2) == 6.0
    assert makespan([[5.0], [1.0, 4.0]], 2) == 5.0
    assert makespan([], 2) == makespan([[]], 2) == lower_bound([], 2) == 0.0


def test_no_worker_waits_for_the_end_of_a_run() -> None:
    runs = [[1.0]] * 100
    assert makespan(runs, 50) == 2.0


def test_rows_are_those_that_are_trained_on_and_a_third_of_those_that_are_asked_about() -> None:
    fold = Fold(0, np.array([0, 2]), np.array([1]), np.array([3]))
    assert rows_of(10, np.array([5, 3, 7, 100]), fold) == pytest.approx(10 * (12 + 1))
