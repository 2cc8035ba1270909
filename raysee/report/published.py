"""Published figures that stand beside raysee's own."""

from raysee.config import RunConfig
from raysee.evaluation.protocols import protocol

SOURCE = "Keesing et al. 2020, Table 3 (UAR, mean over folds without a common speaker and over repeats)"

#: UAR by corpus, model and features. The column A1 of the table is Aldeneh's network on 40 log-mel bands.
KEESING_2020: dict[tuple[str, str, str], float] = {
    ("emodb", "aldeneh", "logmel40"): 0.732,
    ("ravdess", "aldeneh", "logmel40"): 0.325,
}


def published_uar(config: RunConfig, *, synthetic: bool) -> float | None:
    """The published UAR of what `config` describes; None for what it is not comparable with."""
    comparable = config.size == "published" and config.training.epochs == 50 and not protocol(config.protocol).leaks
    if synthetic or config.labels or not comparable:
        return None
    return KEESING_2020.get((config.corpus, config.model, config.features))
