"""Where the stages of a lake lie below its root."""

from raysee.config import RunConfig
from raysee.features import FrontEnd
from raysee.storage import join


def utterances(lake: str, corpus: str) -> str:
    """The manifest of a corpus."""
    return join(lake, "utterances", corpus)


def features(lake: str, corpus: str, name: str, front_end: FrontEnd) -> str:
    """The features of a corpus: the front-end's fingerprint is in the path, so two versions never mix."""
    return join(lake, "features", corpus, f"{name}-{front_end.fingerprint()}")


def run(lake: str, config: RunConfig, fingerprint: str) -> str:
    """A training run."""
    size = "" if config.size == "published" else f"-{config.size}"
    return join(lake, "runs", config.corpus, f"{config.model}{size}-{config.features}-{config.protocol}-{fingerprint}")
