"""What a training run reads from the lake: which clips, which features, and what their fingerprints are."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raysee import emotions, lake, receipts, schema, storage
from raysee.config import RunConfig
from raysee.corpora import voices
from raysee.corpora.manifest import about, utterances_of
from raysee.errors import ConfigurationError, unknown
from raysee.evaluation.protocols import protocol
from raysee.features import front_end
from raysee.features.augmented import Augmented
from raysee.models import CLASSIFIERS, MODELS
from raysee.receipts import Receipt
from raysee.storage import join
from raysee.training.clips import Clips, load


@dataclass(frozen=True)
class Inputs:
    """The receipts behind a run, corpus by corpus, and its configuration in one canonical form."""

    root: str
    config: RunConfig
    labels: list[str]
    listed: dict[str, Receipt]  # manifests
    made: dict[str, Receipt]  # features
    altered: dict[str, Receipt]  # features of augmented copies, where the run trains on some
    initial: bytes | None  # the weights to start from

    @property
    def identity(self) -> dict[str, Any]:
        """What the run's fingerprint is made of."""
        told: dict[str, Any] = {
            "config": self.config.model_dump(mode="json"),
            "protocol": protocol(self.config.protocol).model_dump(),
            "labels": self.labels,
            "utterances": {name: receipt.fingerprint for name, receipt in self.listed.items()},
            "features": {name: receipt.fingerprint for name, receipt in self.made.items()},
        }
        if self.config.model in MODELS and (version := MODELS[self.config.model].version) > 1:
            told["network"] = version
        if len(self.listed) > 1 and (shared := {name: voices(name) for name in self.listed if voices(name) != name}):
            told["voices"] = shared
        if self.altered:
            told["augmented"] = {name: receipt.fingerprint for name, receipt in self.altered.items()}
        if self.initial is not None:
            told["initial"] = hashlib.sha256(self.initial).hexdigest()[:12]
        return told

    @property
    def synthetic(self) -> bool:
        return any(receipt.details["synthetic"] for receipt in self.made.values())

    def clips(self) -> Clips:
        """The clips with their features."""
        return self._load(self.config.features)

    def altered_clips(self) -> Clips | None:
        """The augmented copies, under the ids of their clips."""
        return self._load(self.config.augmented) if self.altered else None

    def utterances(self) -> pa.Table:
        """The corpora's clips (schema.UTTERANCES), with the scheme's classes for labels where there is a scheme."""
        several = len(self.listed) > 1
        tables = [utterances_of(self.root, corpus) for corpus in self.config.corpora]
        named = [_named(table, corpus) if several else table for table, corpus in zip(tables, self.listed, strict=True)]
        return _classes(pa.concat_tables(named), self.config.scheme)

    def measured(self) -> pa.Table:
        """Every clip with features, whatever its label: clip_id, duration_s and level_dbfs of schema.FEATURES."""
        return self._read(self.config.features, ["clip_id", "duration_s", "level_dbfs"])

    def _load(self, features: str) -> Clips:
        return load(self.utterances(), self._read(features), self.labels)

    def _read(self, features: str, columns: Sequence[str] | None = None) -> pa.Table:
        made_by, several = front_end(features), len(self.listed) > 1
        tables = []
        for corpus in self.config.corpora:
            place = join(lake.features(self.root, corpus, features, made_by, self.config.channel), "clips")
            table = storage.read_table(place, schema.FEATURES, columns)
            tables.append(_named(table, corpus) if several else table)
        return pa.concat_tables(tables)


def find(root: str, config: RunConfig) -> Inputs:
    """What `config` needs of the lake.

    Raises ConfigurationError for unknown names, features that the model does not take or that are not there, and
    labels that the corpora do not have.
    """
    _check_names(config)
    config = config.model_copy(update={"corpora": tuple(sorted(config.corpora)), "test": tuple(sorted(config.test))})
    listed = {corpus: about(root, corpus) for corpus in config.corpora}
    made = {corpus: _features(root, config, corpus, config.features, listed[corpus]) for corpus in config.corpora}
    altered = {}
    if config.augmented:
        altered = {
            corpus: _features(root, config, corpus, config.augmented, listed[corpus]) for corpus in config.corpora
        }
    all_labels = _all_labels(root, config, listed)
    labels = _labels(all_labels, config.labels)
    # The same labels and the same file are the same run, in whatever order and from wherever they were given.
    kept = () if len(labels) == len(all_labels) else tuple(labels)
    weights = storage.normalise(config.initial) if config.initial else ""
    config = config.model_copy(update={"labels": kept, "initial": weights})
    initial = storage.read_bytes(weights) if weights else None
    return Inputs(root, config, labels, listed, made, altered, initial)


def _check_names(config: RunConfig) -> None:
    front_end(config.features)
    rules = protocol(config.protocol)
    if config.model not in {**MODELS, **CLASSIFIERS}:
        raise unknown("model", config.model, [*MODELS, *CLASSIFIERS])
    takes = (MODELS[config.model] if config.model in MODELS else CLASSIFIERS[config.model]).features
    if config.features not in takes:
        raise ConfigurationError(f"{config.model} takes {', '.join(takes)}, not {config.features}: see --features.")
    if len(set(config.corpora)) < len(config.corpora):
        raise ConfigurationError(f"A corpus is named twice in {', '.join(config.corpora)}.")
    if strangers := sorted(set(config.test) - set(config.corpora)):
        raise ConfigurationError(f"{', '.join(strangers)} cannot be tested: it is none of {', '.join(config.corpora)}.")
    if config.test and rules.split != "corpus":
        raise ConfigurationError(f"Corpora are tested by name under a protocol across corpora, not under {rules.name}.")
    if config.aggregation == "lstm" and rules.split == "example":
        raise ConfigurationError(
            f"Protocol {rules.name} tears the examples of a clip apart, and an LSTM hears them in their order: take "
            "another --protocol, or --aggregation mean."
        )
    if config.initial and config.model in CLASSIFIERS:
        raise ConfigurationError(f"{config.model} starts from no weights: leave --initial out.")
    if config.model == "alexnet-fine-tuned" and not config.initial:
        raise ConfigurationError(
            "alexnet-fine-tuned starts from ImageNet weights: give torchvision's as a safetensors file by --initial, "
            "or train alexnet, which starts from none."
        )
    if config.augmented:
        _check_augmented(config.augmented, config.features)
        if rules.standardise != "train" or config.model in CLASSIFIERS:
            raise ConfigurationError(
                "Augmented copies are for networks, and for protocols that standardise by the training part: "
                f"not for {config.model} under {rules.name}."
            )


def _check_augmented(augmented: str, features: str) -> None:
    made_by = front_end(augmented)
    if not isinstance(made_by, Augmented) or made_by.front_end != front_end(features):
        raise ConfigurationError(
            f"{augmented} holds no altered copies of {features}: give chunks64-augmented with chunks64, or leave "
            "--augmented out."
        )


def _features(root: str, config: RunConfig, corpus: str, features: str, listed: Receipt) -> Receipt:
    what, option = f"{features} of {corpus}", ""
    if config.channel != "clean":
        what, option = f"{what} through the {config.channel}", f" --channel {config.channel}"
    command = f"run `raysee extract --corpus {corpus} --features {features}{option} --to {root}` first."
    made = receipts.read(lake.features(root, corpus, features, front_end(features), config.channel))
    if made is None:
        raise ConfigurationError(f"{root} has no finished {what}: {command}")
    if listed.fingerprint != made.inputs["utterances"]:
        raise ConfigurationError(f"The {what} in {root} were made from another manifest: {command}")
    return made


def _all_labels(root: str, config: RunConfig, listed: dict[str, Receipt]) -> list[str]:
    """The corpora's own labels, or the classes of the scheme that every model hears in what it is trained on."""
    if not config.scheme:
        return list(dict.fromkeys(label for one in listed.values() for label in one.details["about"]["labels"]))
    heard = {
        corpus: set(_classes(utterances_of(root, corpus), config.scheme)["label"].to_pylist()) for corpus in listed
    }
    common = set().union(*heard.values())
    if protocol(config.protocol).split == "corpus":
        for tested in config.test or config.corpora:
            common &= set().union(*(classes for corpus, classes in heard.items() if corpus != tested))
    return [one for one in emotions.scheme_classes(config.scheme) if one in common]


def _classes(utterances: pa.Table, scheme: str) -> pa.Table:
    """The clips with the scheme's classes for labels; those that it drops have none."""
    if not scheme:
        return utterances
    classes, _ = emotions.apply_scheme(scheme, utterances["label"].to_pylist(), utterances["emotion"].to_pylist())
    named = pa.array([one or "" for one in classes], pa.string())
    return utterances.set_column(utterances.schema.get_field_index("label"), "label", named)


def _labels(all_labels: Sequence[str], wanted: tuple[str, ...]) -> list[str]:
    if strangers := sorted(set(wanted) - set(all_labels)):
        raise ConfigurationError(f"Unknown labels {', '.join(strangers)}; this corpus has {', '.join(all_labels)}.")
    if len(set(wanted)) == 1:
        raise ConfigurationError(f"One label, {wanted[0]}, leaves nothing to tell apart: give two or more.")
    return [label for label in all_labels if not wanted or label in wanted]


def _named(table: pa.Table, corpus: str) -> pa.Table:
    """The table with the corpus before whatever could be the same in another one, and is not the same people's."""
    for name in ("clip_id", "speaker", "session", "group", "sentence"):
        if name in table.column_names:
            prefix = corpus if name == "clip_id" else voices(corpus)
            values = [None if value is None else f"{prefix}/{value}" for value in table[name].to_pylist()]
            place = table.schema.get_field_index(name)
            table = table.set_column(place, table.schema.field(name), pa.array(values, pa.string()))
    return table
