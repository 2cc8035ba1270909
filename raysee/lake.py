"""Where the stages of a lake lie below its root."""

from raysee.audio.telephone import CHANNELS
from raysee.config import Channel, RunConfig, fingerprint
from raysee.features import FrontEnd
from raysee.storage import join


def utterances(lake: str, corpus: str) -> str:
    """The manifest of a corpus."""
    return join(lake, "utterances", corpus)


def features(lake: str, corpus: str, name: str, front_end: FrontEnd, channel: Channel = "clean") -> str:
    """The features of a corpus: the fingerprint of what made them is in the path, so two versions never mix."""
    made_by = front_end.fingerprint()
    if channel != "clean":
        made_by = f"{channel}-{fingerprint([made_by, CHANNELS[channel]])}"
    return join(lake, "features", corpus, f"{name}-{made_by}")


def run(lake: str, config: RunConfig, identity: str) -> str:
    """A training run; `identity` is its fingerprint."""
    size = "" if config.size == "published" else f"-{config.size}"
    return join(lake, "runs", config.corpus, f"{config.model}{size}-{config.heard}-{config.protocol}-{identity}")
