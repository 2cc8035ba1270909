"""Frozen configurations and their fingerprints: two results are comparable where these are equal."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Channel = Literal["clean", "telephone"]  # what recordings come through before features are made of them


class Config(BaseModel):
    """Base of every configuration: cannot change, refuses unknown fields, has a fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with any field."""
        return fingerprint(self.model_dump(mode="json"))


def fingerprint(value: Any) -> str:
    """Twelve hexadecimal digits of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def set_fingerprint(values: Iterable[Any]) -> str:
    """Of JSON values in whatever order and however they are divided: see `merge_fingerprints`."""
    texts = (json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False) for value in values)
    return merge_fingerprints(hashlib.sha256(text.encode()).hexdigest() for text in texts)


def merge_fingerprints(parts: Iterable[str]) -> str:
    """The `set_fingerprint` of all values of several sets: the sum of the hashes of the values, modulo 2^256."""
    return f"{sum(int(part, 16) for part in parts) % 2**256:064x}"


#: bfloat16: mixed precision by torch.autocast.
Precision = Literal["float32", "bfloat16"]
Size = Literal["published", "debug"]  # of a network
Pooling = Literal["mean", "median", "vote"]  # of what is said of the windows of a clip
Aggregation = Literal["mean", "median", "vote", "lstm"]  # from the windows of a clip to the clip


class TrainingConfig(Config):
    """How one network is fitted. Defaults: Keesing et al. 2020, section 4.2 (Aldeneh's batch size)."""

    epochs: int = Field(50, ge=1)
    batch_size: int = Field(32, ge=1)
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(1e-4, gt=0)
    adam_eps: float = Field(1e-7, gt=0)  # Keras's default; PyTorch's is 1e-8
    momentum: float = Field(0.9, ge=0, lt=1)  # of sgd
    weight_decay: float = Field(0.0, ge=0)  # L2 penalty
    lr_step_epochs: int = Field(0, ge=0)  # every so many epochs the learning rate is multiplied; 0: never
    lr_step_factor: float = Field(0.1, gt=0)
    balance: float = Field(1.0, ge=0, le=1)  # exponent of the class weights; 0: all classes weigh the same
    patience: int = Field(0, ge=0)  # stop after so many epochs without a lower validation loss; 0: never
    seed: int = Field(0, ge=0, lt=2**32)
    precision: Precision = "float32"
    compile: Literal["no", "default", "cuda-graphs"] = "no"  # by torch.compile


class RunConfig(Config):
    """What a cross-validated training is."""

    corpora: tuple[str, ...] = Field(min_length=1)  # several: their clips together
    features: str
    model: str
    size: Size = "published"
    options: dict[str, int | float] = {}  # of the network's builder, otherwise than its size has them
    protocol: str = "strict"
    labels: tuple[str, ...] = ()  # empty: all
    scheme: str = ""  # classes by a scheme of emotions.SCHEMES; empty: the corpora's own labels
    test: tuple[str, ...] = ()  # under a protocol across corpora: those that are tested; empty: each in turn
    repeats: int = Field(1, ge=1)
    aggregation: Aggregation = "mean"
    hop_ms: int = Field(10, ge=1)  # between the windows of a network that slides over a clip
    augmented: str = ""  # features of altered copies of the clips, which are trained on too
    initial: str = ""  # a safetensors file with the weights that training starts from
    deliver: bool = True  # fit a model on everything besides the cross-validation
    # Left out where it is clean: runs that are older than telephones keep their fingerprints.
    channel: Channel = Field("clean", exclude_if=lambda channel: channel == "clean")
    training: TrainingConfig = TrainingConfig()

    @property
    def corpus(self) -> str:
        """The corpora in one name."""
        return "+".join(self.corpora)

    @property
    def heard(self) -> str:
        """The features, and what the recordings came through."""
        return self.features if self.channel == "clean" else f"{self.features}-{self.channel}"


class ScoreConfig(Config):
    """How a recording is cut and scored."""

    detector: str = ""  # of speech, by name; empty: the best that is installed; none: recordings are utterances already
    min_s: float = Field(1.0, ge=0.25)  # of a segment
    max_s: float = Field(8.0, ge=2.1)
    pause_s: float = Field(0.75, ge=0.1)  # that ends one
    room_s: float = Field(0.5, ge=0, le=5)  # of the pauses around one, which are heard with it as in a corpus's clips
    channels: tuple[tuple[str, ...], ...] = ()  # roles in the order of the channels, for each number of channels
    score_agents: bool = False  # also agents, and channels of which nobody has said who speaks there
    abstain: float = Field(0.0, ge=0, le=1)  # the label of what is less probable is "unsure"
    batch_size: int = Field(64, ge=1)
    precision: Precision = "float32"  # of the network
