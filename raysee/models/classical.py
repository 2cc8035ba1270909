"""Classical classifiers of vectors, by scikit-learn.

It is imported where it is used: that takes as long as half of PyTorch, and every worker process would wait for it.

N examples, D columns, K classes.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raysee.errors import ConfigurationError
from raysee.models.network import VECTORS

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Parameters = dict[str, float]

_NUM_MIXTURES = 7  # a student report of 2015 on CNNs and LSTMs, Table 3
_RIDGE = 1e-3  # added to variances of columns, so that few examples have a density too


@dataclass(frozen=True)
class Classifier:
    """How a classifier is built and what is searched. It maps vectors (N, D) to probabilities (N, K)."""

    source: str
    build: Callable[[Parameters, int], Any]  # parameters and a seed -> a scikit-learn estimator that is not fitted yet
    features: tuple[str, ...] = VECTORS
    grid: tuple[Parameters, ...] = ({},)  # the points that are searched; of equally good ones the first is taken
    weighs: bool = False  # examples, as their class is rare; else classes count as they come


def fit_predict(
    classifier: Classifier,
    parameters: Parameters,
    x_ND: Array,
    y_N: Indices,
    x_test_MD: Array,
    *,
    seed: int,
    weights_N: Array | None = None,
) -> Array:
    """Probabilities (M, K) of test vectors, a column for each class in `y_N`, in ascending order.

    `weights_N` are those of the examples, for a classifier that takes them; None: all weigh the same.
    A support vector machine has no probabilities of its own, and Platt's are another fit that may contradict the
    answer: here they are each class's share of the votes of all pairs, the first of the highest being the answer.
    """
    estimator = classifier.build(parameters, seed)
    if classifier.weighs:
        estimator.fit(x_ND, y_N, sample_weight=weights_N)
    else:
        estimator.fit(x_ND, y_N)
    if len(x_test_MD) == 0:
        return np.empty((0, len(estimator.classes_)), np.float32)
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(x_test_MD), np.float32)
    return _votes(estimator.decision_function(x_test_MD), len(estimator.classes_))


def _votes(scores: npt.NDArray[np.float64], num_labels: int) -> Array:
    """Shares of votes (M, K) by the scores of all pairs (M, K (K - 1) / 2), which are positive for the pair's first.

    Of two classes scikit-learn gives one score a vector, (M,), positive for the second.
    """
    scores_MP = -scores[:, None] if scores.ndim == 1 else scores
    votes_MK = np.zeros((len(scores_MP), num_labels), np.float32)
    for column, (first, second) in enumerate(itertools.combinations(range(num_labels), 2)):
        wins = scores_MP[:, column] > 0
        votes_MK[wins, first] += 1
        votes_MK[~wins, second] += 1
    return votes_MK / np.float32(scores_MP.shape[1])


def choose(
    classifier: Classifier,
    folds: Sequence[tuple[Indices, Indices]],
    values: Sequence[Array],
    y_N: Indices,
    weigh: Callable[[Indices], Array] | None = None,
) -> Parameters:
    """The point of the grid with the best mean over `folds` of the balanced accuracy on their test parts.

    `folds` are indices of training and test examples; `values` (N, D) are the vectors as each fold standardises them.
    `weigh` gives the weights of the examples of a training part. A class that a training part lacks is never the
    answer; one that a test part lacks does not count there.
    Raises ConfigurationError where a training part has one class only.
    """
    if any(len(np.unique(y_N[train])) < 2 for train, _ in folds):
        raise ConfigurationError(
            "Parameters are searched on speakers who are left out in turn, and without some of them one class is left: "
            "take a corpus whose speakers say more of the classes."
        )

    from sklearn.metrics import recall_score

    def mean_uar(parameters: Parameters) -> float:
        uars = []
        for (train, test), vectors in zip(folds, values, strict=True):
            weights = None if weigh is None else weigh(train)
            answers = fit_predict(
                classifier, parameters, vectors[train], y_N[train], vectors[test], seed=0, weights_N=weights
            )
            # Speakers are few: a class can be missing from a part, and a column is then not a class.
            answered = np.unique(y_N[train])[answers.argmax(axis=1)]
            uars.append(recall_score(y_N[test], answered, labels=np.unique(y_N[test]), average="macro"))
        return float(np.mean(uars))

    return max(classifier.grid, key=mean_uar)


class _ByClass:
    """A density for each class, a mixture of normal ones, and Bayes's rule: scikit-learn's mixtures are no classifiers.

    One normal density a class is quadratic discriminant analysis; that of scikit-learn refuses classes with fewer
    examples than columns.
    """

    def __init__(self, num_mixtures: int, seed: int) -> None:
        self._num_mixtures, self._seed = num_mixtures, seed

    def fit(self, x_ND: Array, y_N: Indices) -> "_ByClass":
        self.classes_, counts = np.unique(y_N, return_counts=True)
        self._priors = np.log(counts / counts.sum())
        self._mixtures = [self._mixture(x_ND[y_N == one].astype(np.float64)) for one in self.classes_]
        return self

    def _mixture(self, x_ND: npt.NDArray[np.float64]) -> Any:
        from sklearn.mixture import GaussianMixture

        number = min(self._num_mixtures, len(x_ND))
        # scikit-learn wants two examples: the only one twice has the same mean and covariance.
        twice_ND = np.repeat(x_ND, 2, axis=0) if len(x_ND) == 1 else x_ND
        return GaussianMixture(number, reg_covar=_RIDGE, random_state=self._seed).fit(twice_ND)

    def predict_proba(self, x_ND: Array) -> npt.NDArray[np.float64]:
        likelihoods = np.stack([mixture.score_samples(x_ND) for mixture in self._mixtures], axis=1)
        joint = likelihoods + self._priors
        shares = np.exp(joint - joint.max(axis=1, keepdims=True))
        probabilities: npt.NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
        return probabilities


def _svm(parameters: Parameters, seed: int) -> Any:
    from sklearn.svm import SVC

    return SVC(**parameters, decision_function_shape="ovo")


def _naive_bayes(parameters: Parameters, seed: int) -> Any:
    from sklearn.naive_bayes import GaussianNB

    return GaussianNB(var_smoothing=_RIDGE)


def _softmax(parameters: Parameters, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def _lda(parameters: Parameters, seed: int) -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis()


def _linear_svm(parameters: Parameters, seed: int) -> Any:
    from sklearn.svm import SVC

    return SVC(kernel="linear", **parameters, decision_function_shape="ovo")


#: C and gamma as the code of Keesing et al. 2020 searches them.
_SVM_GRID = tuple({"C": 2.0**c, "gamma": 2.0**gamma} for c in range(-6, 7, 2) for gamma in range(-12, -1, 2))
_STANFORD = "a student report of 2015 on CNNs and LSTMs, Tables 2 and 3"
_LINEAR_GRID = tuple({"C": 2.0**c} for c in range(-10, 1, 2))  # chosen here
_CHUNKS = ("chunk26", *(name for name in VECTORS if name != "chunk26"))

CLASSIFIERS: dict[str, Classifier] = {
    "svm": Classifier(
        source="Keesing et al. 2020, section 5: RBF kernel; examples weigh as their class is rare, as in its code",
        build=_svm,
        weighs=True,
        grid=_SVM_GRID,
    ),
    "linear-svm": Classifier(_STANFORD, features=_CHUNKS, build=_linear_svm, grid=_LINEAR_GRID),
    "naive-bayes": Classifier(_STANFORD, features=_CHUNKS, build=_naive_bayes),
    "softmax": Classifier(_STANFORD, features=_CHUNKS, build=_softmax),
    "lda": Classifier(_STANFORD, features=_CHUNKS, build=_lda),
    "qda": Classifier(_STANFORD, features=_CHUNKS, build=lambda parameters, seed: _ByClass(1, seed)),
    "gmm": Classifier(_STANFORD, features=_CHUNKS, build=lambda parameters, seed: _ByClass(_NUM_MIXTURES, seed)),
}
