import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.svm import SVC

from raysee.errors import ConfigurationError
from raysee.models import CLASSIFIERS
from raysee.models.classical import Classifier, Indices, Parameters, choose, fit_predict

Array = npt.NDArray[np.float32]

ALL = pytest.mark.parametrize("name", CLASSIFIERS)
#: Parameters with which each tells apart what lies apart, where the first of its grid are too weak.
APART: dict[str, Parameters] = {"svm": {"C": 4.0, "gamma": 1 / 64}, "linear-svm": {"C": 1.0}}


def data(num: int, num_classes: int, num_columns: int = 5, spread: float = 1.0, seed: int = 0) -> tuple[Array, Indices]:
    """Classes of unequal size whose middles are `spread` apart, about."""
    rng = np.random.default_rng(seed)
    classes = np.minimum(rng.geometric(0.4, num) - 1, num_classes - 1)
    classes[:num_classes] = np.arange(num_classes)
    middles = spread * rng.standard_normal((num_classes, num_columns))
    return (middles[classes] + rng.standard_normal((num, num_columns))).astype(np.float32), classes


def balanced(y_N: Indices) -> Array:
    """N / (K N_c) of each example's class."""
    _, number, counts = np.unique(y_N, return_inverse=True, return_counts=True)
    weights: Array = (len(y_N) / (len(counts) * counts))[number].astype(np.float32)
    return weights


def answers(name: str, x_ND: Array, y_N: Indices, x_test_MD: Array, parameters: Parameters | None = None) -> Array:
    classifier = CLASSIFIERS[name]
    point = parameters or classifier.grid[0]
    return fit_predict(classifier, point, x_ND, y_N, x_test_MD, seed=0, weights_N=balanced(y_N))


def test_the_grid_is_that_of_keesing_et_al() -> None:
    grid = CLASSIFIERS["svm"].grid
    assert sorted({point["C"] for point in grid}) == [1 / 64, 1 / 16, 1 / 4, 1, 4, 16, 64]
    assert sorted({point["gamma"] for point in grid}) == [1 / 4096, 1 / 1024, 1 / 256, 1 / 64, 1 / 16, 1 / 4]
    assert len(grid) == len({tuple(point.values()) for point in grid}) == 42


@ALL
@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_everyone_tells_apart_what_lies_apart(name: str, num_classes: int) -> None:
    x_ND, y_N = data(120, num_classes, spread=6.0)
    shares_NK = answers(name, x_ND, y_N, x_ND, APART.get(name))
    assert shares_NK.shape == (120, num_classes)
    assert shares_NK.dtype == np.float32
    np.testing.assert_allclose(shares_NK.sum(axis=1), 1, rtol=1e-5)
    assert shares_NK.min() >= 0
    assert (shares_NK.argmax(axis=1) == y_N).mean() > 0.97


@pytest.mark.parametrize("num_classes", [2, 3, 4, 7])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_most_votes_are_the_answer_of_the_support_vector_machine(num_classes: int, spread: float) -> None:
    x_ND, y_N = data(150, num_classes, spread=spread)
    x_test_MD, _ = data(500, num_classes, spread=spread, seed=1)
    parameters = {"C": 4.0, "gamma": 1 / 16}
    machine = SVC(**parameters, class_weight="balanced").fit(x_ND, y_N)
    expected = machine.predict(x_test_MD)
    assert len(set(expected)) == num_classes
    shares_MK = answers("svm", x_ND, y_N, x_test_MD, parameters)
    np.testing.assert_array_equal(shares_MK.argmax(axis=1), expected)
    num_pairs = num_classes * (num_classes - 1) // 2
    np.testing.assert_allclose(shares_MK * num_pairs, np.round(shares_MK * num_pairs), atol=1e-5)


def test_the_linear_machine_draws_straight_lines_through_pairs_of_classes() -> None:
    x_ND, y_N = data(150, 4)
    assert {point["C"] for point in CLASSIFIERS["linear-svm"].grid} >= {2.0**-10, 2.0**-4, 1.0}
    expected = SVC(kernel="linear", C=0.25).fit(x_ND, y_N).predict(x_ND)
    shares_NK = answers("linear-svm", x_ND, y_N, x_ND, {"C": 0.25})
    np.testing.assert_array_equal(shares_NK.argmax(axis=1), expected)


def test_a_rare_class_weighs_as_much_as_a_frequent_one() -> None:
    rng = np.random.default_rng(0)
    y_N = np.repeat([0, 1], [190, 10])
    x_ND = (rng.standard_normal((200, 2)) + y_N[:, None]).astype(np.float32)
    parameters = {"C": 1.0, "gamma": 1 / 16}
    said = answers("svm", x_ND, y_N, x_ND, parameters).argmax(axis=1)
    plain = SVC(**parameters).fit(x_ND, y_N).predict(x_ND)
    assert not plain.any()
    assert said[y_N == 1].mean() > 0.5


@ALL
def test_a_class_of_one_example_is_an_answer_too(name: str) -> None:
    x_ND, y_N = data(40, 3, spread=6.0)
    x_ND = np.concatenate([x_ND[y_N < 2], np.full((1, 5), 50, np.float32)])
    y_N = np.append(y_N[y_N < 2], 2)
    shares_NK = answers(name, x_ND, y_N, x_ND, APART.get(name))
    assert np.isfinite(shares_NK).all()
    assert shares_NK[-1].argmax() == 2


@ALL
def test_fewer_examples_of_each_class_than_columns_and_mixtures(name: str) -> None:
    x_ND, y_N = data(12, 3, num_columns=40, spread=3.0)
    x_test_MD = x_ND + np.float32(0.01)
    shares_MK = answers(name, x_ND, y_N, x_test_MD, {"C": 4.0, "gamma": 1 / 64} if name == "svm" else None)
    np.testing.assert_allclose(shares_MK.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(shares_MK.argmax(axis=1), y_N)


@ALL
def test_nobody_to_judge(name: str) -> None:
    x_ND, y_N = data(30, 3)
    found = answers(name, x_ND, y_N, x_ND[:0])
    assert found.shape == (0, 3)
    assert found.dtype == np.float32


def test_quadratic_discriminants_are_normal_densities_and_bayess_rule() -> None:
    x_ND, y_N = data(300, 3)
    x_test_MD, _ = data(100, 3, seed=1)
    densities = []
    for one in range(3):
        members = x_ND[y_N == one].astype(np.float64)
        covariance = np.cov(members.T, bias=True) + 1e-3 * np.eye(5)
        densities.append(len(members) * multivariate_normal(members.mean(axis=0), covariance).pdf(x_test_MD))
    joint_MK = np.stack(densities, axis=1)
    found_MK = answers("qda", x_ND, y_N, x_test_MD)
    np.testing.assert_allclose(found_MK, joint_MK / joint_MK.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6)
    library = QuadraticDiscriminantAnalysis().fit(x_ND, y_N).predict_proba(x_test_MD)
    np.testing.assert_allclose(found_MK, library, atol=0.05)


def test_mixtures_hear_what_one_normal_density_cannot() -> None:
    """Each class has every other corner of a cube, so that means and covariances are alike."""
    rng = np.random.default_rng(0)
    x_ND = rng.choice([-1, 1], (200, 3))
    y_N = (x_ND.prod(axis=1) > 0).astype(np.int64)
    vectors = (x_ND + 0.2 * rng.standard_normal(x_ND.shape)).astype(np.float32)
    right = {name: (answers(name, vectors, y_N, vectors).argmax(axis=1) == y_N).mean() for name in ("gmm", "qda")}
    assert right["gmm"] > 0.9 > 0.75 > right["qda"]


def test_densities_are_reckoned_in_double_precision() -> None:
    """Columns that almost follow from each other: in float32 the logarithms of densities were 1 off."""
    rng = np.random.default_rng(0)
    x_ND = rng.standard_normal((60, 8)) @ rng.standard_normal((8, 60)) * 3 + 0.1 * rng.standard_normal((60, 60))
    x_ND, y_N = x_ND.astype(np.float32), np.arange(60) % 2
    found, exact = (answers("qda", x, y_N, x_ND) for x in (x_ND, x_ND.astype(np.float64)))
    np.testing.assert_array_equal(found, exact)


def folds_of(num: int, number: int) -> list[tuple[Indices, Indices]]:
    parts = np.array_split(np.random.default_rng(0).permutation(num), number)
    return [(np.setdiff1d(np.arange(num), part), np.sort(part)) for part in parts]


def test_the_chosen_point_is_that_of_a_search_by_hand() -> None:
    x_ND, y_N = data(80, 3)
    folds = folds_of(80, 2)
    values = [x_ND * np.float32(scale) for scale in (0.5, 1.5)]
    means = {}
    for point in CLASSIFIERS["svm"].grid:
        uars = []
        for (train, test), vectors in zip(folds, values, strict=True):
            said = SVC(**point, class_weight="balanced").fit(vectors[train], y_N[train]).predict(vectors[test])
            recalls = [(said[y_N[test] == one] == one).mean() for one in np.unique(y_N[test])]
            uars.append(sum(recalls) / len(recalls))
        means[point["C"], point["gamma"]] = sum(uars) / len(uars)
    best = max(means.values())
    winners = [point for point, mean in means.items() if mean > best - 1e-12]
    assert len(winners) < len(means) / 4
    found = choose(CLASSIFIERS["svm"], folds, values, y_N, lambda train: balanced(y_N[train]))
    assert tuple(found.values()) == winners[0]


@pytest.mark.parametrize("order", [1, -1])
def test_the_first_of_equally_good_points_wins(order: int) -> None:
    x_ND, y_N = data(90, 3, spread=9.0)
    points = ({"C": 64.0, "gamma": 1 / 64}, {"C": 16.0, "gamma": 1 / 64}, {"C": 4.0, "gamma": 1 / 64})
    bad = {"C": 1 / 64, "gamma": 64.0}
    searched = dataclasses.replace(CLASSIFIERS["svm"], grid=(bad, *points[::order]))
    assert choose(searched, folds_of(90, 3), [x_ND] * 3, y_N) == points[::order][0]


class Echo:
    """Says the first class that it was fitted on where the first column is below `edge`, elsewhere the last."""

    def __init__(self, edge: float) -> None:
        self.edge = edge

    def fit(self, x_ND: Array, y_N: Indices) -> "Echo":
        self.classes_ = np.unique(y_N)
        return self

    def predict_proba(self, x_ND: Array) -> Array:
        below = x_ND[:, 0] < self.edge
        shares_NK = np.zeros((len(x_ND), len(self.classes_)), np.float32)
        shares_NK[below, 0] = shares_NK[~below, -1] = 1
        return shares_NK


def test_classes_that_a_part_lacks_are_not_taken_for_others() -> None:
    """Nobody of class 1 is trained on, so the second column is class 2; nobody of class 0 is tested."""
    echo = Classifier("", lambda point, _: Echo(point["edge"]), grid=({"edge": 9.0}, {"edge": 1.5}, {"edge": -9.0}))
    x_ND = np.array([[0], [2], [0], [2], [2], [1]], np.float32)
    y_N = np.array([0, 2, 0, 2, 2, 1])
    folds = [(np.array([0, 1]), np.array([3, 4, 5])), (np.array([0, 1]), np.array([2, 3]))]
    # By hand: edge 9 has UARs 0 and 1/2, edge 1.5 has 1/2 and 1, edge -9 has 1/2 and 1/2.
    assert choose(echo, folds, [x_ND] * 2, y_N) == {"edge": 1.5}


def test_a_training_part_of_one_class_is_refused() -> None:
    x_ND, y_N = data(20, 2)
    fold = np.flatnonzero(y_N == 0), np.flatnonzero(y_N == 1)
    with pytest.raises(ConfigurationError, match=r"one class is left"):
        choose(CLASSIFIERS["svm"], [fold], [x_ND], y_N)
