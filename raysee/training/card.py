"""A model as two files: weights (safetensors) and a card (JSON) that says all that is needed to use and to judge it."""

import datetime
import hashlib
import itertools
import json
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from torch import nn

from raysee import receipts, storage
from raysee.config import RunConfig
from raysee.errors import ConfigurationError
from raysee.evaluation import drift
from raysee.evaluation.calibration import Floats, mean_temperature
from raysee.evaluation.protocols import Protocol, protocol
from raysee.evaluation.standardise import Statistics
from raysee.features import FrontEnd, front_end
from raysee.models import build, network
from raysee.models.score_lstm import NAME, ScoreLstm
from raysee.training.clips import Clips
from raysee.training.finished import FoldReceipt
from raysee.training.inputs import Inputs


class CardCorpus(BaseModel):
    """A corpus that the model was trained on."""

    name: str
    title: str
    licence: str
    source: str
    num_clips: int
    num_speakers: int
    fingerprint: str  # of the features


class Card(BaseModel):
    """What a model is, what it was trained on, and how good it is on speakers whom it never heard."""

    model_config = ConfigDict(frozen=True)

    labels: list[str]  # the order of the outputs
    shape: list[int]  # of a row of features
    config: RunConfig
    protocol: Protocol
    chosen_epoch: int
    network_version: int = 1
    front_end: dict[str, Any]
    front_end_fingerprint: str
    mean: list[float] | None  # of the training part; None: each speaker's own, or no standardisation
    std: list[float] | None
    corpora: list[CardCorpus]
    synthetic: bool  # trained on a synthetic voice: good for trying raysee out, for nothing else
    metrics: dict[str, Any]  # of the cross-validation under `protocol`, not of this very model
    #: What its probabilities are calibrated by, see evaluation/calibration.py; 1 where nobody was there to fit it on.
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)
    calibrated: bool = False
    #: Histograms for drift.py: "level_dbfs" and "duration_s" of the clips that it was trained on, and for each label
    #: "probability:<label>", what the cross-validation says, calibrated. Cards of earlier versions have none.
    reference: dict[str, list[int]] = {}
    fingerprint: str  # of the weights
    versions: dict[str, str]
    written_at: str

    @model_validator(mode="after")
    def _statistics_fit(self) -> Self:
        lengths = [None if column is None else len(column) for column in (self.mean, self.std)]
        own = self.protocol.standardise != "train" or not network(self.config.model).standardise
        expected = None if own else self.shape[-1]
        if lengths != [expected, expected]:
            raise ValueError(f"mean and std have {lengths} columns, expected {expected}")
        return self

    @property
    def statistics(self) -> Statistics | None:
        if self.mean is None or self.std is None:
            return None
        return Statistics(np.array(self.mean), np.array(self.std))


class Judged(NamedTuple):
    """What trainings like that of the delivered model say of clips that these were not trained on."""

    metrics: dict[str, Any]
    temperatures: list[float]  # of those trainings that have one
    probabilities: Floats  # calibrated, (num_clips, num_labels)


def deliver(
    place: str,
    inputs: Inputs,
    data: bytes,
    fitted: FoldReceipt,
    clips: Clips,
    labels: list[str],
    judged: Judged,
) -> None:
    """Write the model that is to be used, `data` in safetensors, and its card with the cross-validation's figures."""
    config = inputs.config
    made_by = front_end(config.features)
    prefix = len(inputs.listed) > 1
    trained = []
    for corpus, listed in inputs.listed.items():
        about, synthetic = listed.details["about"], inputs.made[corpus].details["synthetic"]
        own = [not prefix or clip_id.startswith(f"{corpus}/") for clip_id in clips.clip_ids]
        trained.append(
            CardCorpus(
                name=corpus,
                title=f"a synthetic voice in the layout of {about['title']}" if synthetic else about["title"],
                licence="made by raysee, free" if synthetic else about["licence"],
                source="raysee synthesise" if synthetic else about["source"],
                num_clips=sum(own),
                num_speakers=len(set(itertools.compress(clips.speakers, own))),
                fingerprint=inputs.made[corpus].fingerprint,
            )
        )
    # Its own where it has one: the best temperature follows the epoch that was chosen, which differs between folds.
    fits = judged.temperatures if fitted.temperature is None else [fitted.temperature]
    card = Card(
        labels=labels,
        shape=list(clips.shape),
        config=config,
        protocol=protocol(config.protocol),
        chosen_epoch=fitted.chosen_epoch,
        network_version=network(config.model).version,
        front_end=made_by.model_dump(),
        front_end_fingerprint=made_by.fingerprint(),
        mean=fitted.mean,
        std=fitted.std,
        corpora=trained,
        synthetic=inputs.synthetic,
        metrics=judged.metrics,
        temperature=mean_temperature(fits),
        calibrated=bool(fits),
        reference=_reference(inputs, clips, labels, judged.probabilities),
        fingerprint=fingerprint_of(data),
        versions=receipts.versions(),
        written_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    save(place, safetensors.torch.load(data), card)


def _reference(inputs: Inputs, clips: Clips, labels: list[str], probabilities: Floats) -> dict[str, list[int]]:
    heard = inputs.measured()
    heard = heard.filter(pc.is_in(heard["clip_id"], pa.array(clips.clip_ids, pa.string())))
    by_label = zip(labels, probabilities.T, strict=True)
    return {
        "level_dbfs": drift.histogram(heard["level_dbfs"].drop_null(), drift.LEVELS_DBFS),
        "duration_s": drift.histogram(heard["duration_s"], drift.DURATIONS_S),
        **{f"probability:{label}": drift.histogram(column, drift.PROBABILITIES) for label, column in by_label},
    }


def save(run: str, weights: dict[str, torch.Tensor], card: Card) -> None:
    """Write `model.safetensors` and, last, `model.json` below `run`."""
    storage.write_bytes(storage.join(run, "model.safetensors"), safetensors.torch.save(weights))
    storage.write_bytes(storage.join(run, "model.json"), (card.model_dump_json(indent=2) + "\n").encode())


def load_card(run: str, fingerprint: str = "") -> Card:
    """The card of the model below `run`.

    ConfigurationError where it is not one, its front-end or its network has changed, or it is of another model than
    that of `fingerprint`, if one is given.
    """
    uri = storage.join(run, "model.json")
    try:
        card = Card.model_validate(json.loads(storage.read_bytes(uri)))
    except (ValidationError, ValueError) as error:
        raise ConfigurationError(
            f"{uri} is not a model card of this version of raysee: train the model again."
        ) from error
    if fingerprint and card.fingerprint != fingerprint:
        raise ConfigurationError(
            f"{run} holds the model {card.fingerprint} by now, and this start began with {fingerprint}: start again "
            "with the one that is wanted; what is finished is kept."
        )
    again = f"train it again, or use the version that it was trained with ({card.versions.get('raysee', 'unknown')})."
    current = front_end(card.config.features)
    if current.fingerprint() != card.front_end_fingerprint:
        raise ConfigurationError(
            f"The model was trained on {card.config.features} {card.front_end_fingerprint}, this version of raysee "
            f"makes {current.fingerprint()}: {again}"
        )
    version = network(card.config.model).version
    if version != card.network_version:
        raise ConfigurationError(
            f"The model is version {card.network_version} of {card.config.model}, this version of raysee has version "
            f"{version}: {again}"
        )
    return card


def load(run: str, fingerprint: str = "") -> tuple[nn.Module, Card, FrontEnd]:
    """The network in evaluation mode, with the LSTM that aggregates where one does, its card and its front-end.

    ConfigurationError where they don't fit; see also `load_card`.
    """
    card = load_card(run, fingerprint)
    uri = storage.join(run, "model.safetensors")
    data = storage.read_bytes(uri)
    if fingerprint_of(data) != card.fingerprint:
        raise ConfigurationError(
            f"{uri} does not fit its card: its fingerprint is {fingerprint_of(data)}, the card has {card.fingerprint}. "
            "Where it is just being trained again, wait for that; else train the model again."
        )
    model = build(card.config, tuple(card.shape), len(card.labels))
    if card.config.aggregation == "lstm":
        model.add_module(NAME, ScoreLstm(len(card.labels)))
    try:
        model.load_state_dict(safetensors.torch.load(data))
    except (SafetensorError, RuntimeError) as error:
        raise ConfigurationError(
            f"{uri} does not fit its card: {str(error).splitlines()[0]}. Train the model again."
        ) from error
    return model.eval(), card, front_end(card.config.features)


def fingerprint_of(data: bytes) -> str:
    """Of weights in safetensors."""
    return hashlib.sha256(data).hexdigest()[:12]
