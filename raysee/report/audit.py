"""Audits of what lies in a lake: a corpus under every protocol, or a run under its own."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig
from raysee.corpora.manifest import about, utterances_of
from raysee.errors import ConfigurationError
from raysee.evaluation.folds import FINAL, Fold, Held, make_folds
from raysee.evaluation.protocols import PROTOCOLS, protocol
from raysee.features import front_end
from raysee.receipts import Receipt
from raysee.report.audit_page import Price, Split, write_audit
from raysee.report.provenance import provenance
from raysee.training import inputs
from raysee.training.clips import Indices
from raysee.training.work import prepare

_COMPARED = "logmel40"
_PIECES = 4  # that a clip is thought to have, where a protocol splits the pieces of clips


def audit_corpus(root: str, corpus: str, out: str = "") -> str:
    """Draw the page of what each protocol's split of a corpus leaks; by default beside the manifest. Returns its URI.

    Clips of the same sound are searched where the lake has the corpus's log-mels.
    """
    root = storage.normalise(root)
    receipt, clips = about(root, corpus), utterances_of(root, corpus)
    columns = {
        name: clips[name].to_pylist() for name in ("corpus", "group", "label", "gender", "sentence", "repetition")
    }
    held = Held(
        corpora=columns["corpus"],
        groups=columns["group"],
        labels=columns["label"],
        clip_of=np.repeat(np.arange(clips.num_rows), _PIECES),
        genders=columns["gender"],
        sentences=columns["sentence"],
        repetitions=columns["repetition"],
    )
    splits = []
    for name, rules in PROTOCOLS.items():
        if rules.split == "corpus":
            continue
        try:
            splits.append(_split(name, make_folds(rules, held, seed=0), clips["clip_id"].to_pylist(), held.clip_of))
        except ConfigurationError as error:
            splits.append(Split(name, f"not possible: {error}", [], []))
    return write_audit(
        storage.normalise(out) if out else storage.join(lake.utterances(root, corpus), "audit.html"),
        receipt.details["about"]["title"],
        clips,
        _log_mels(root, corpus),
        splits,
        synthetic=bool(receipt.details["synthetic"]),
        provenance=provenance(lake.utterances(root, corpus), receipt),
    )


def audit_run(place: str, receipt: Receipt, out: str = "") -> str:
    """Draw the page of what the split of a training run leaks, and what that was worth; by default in the run."""
    config = RunConfig.model_validate(receipt.config["config"])
    found = inputs.find(receipt.details["lake"], config)
    work, folds = prepare(found)
    (corpus,) = config.corpora if len(config.corpora) == 1 else (None,)
    heard = receipt.details["metrics"]["uar_by_heard"]
    clips = found.utterances()
    return write_audit(
        storage.normalise(out) if out else storage.join(place, "audit.html"),
        f"{config.corpus}: {config.model}, {config.heard}",
        clips,
        _log_mels(found.root, corpus) if corpus else None,
        [_split(config.protocol, folds, work.clips.clip_ids, work.seen.clip)],
        price=[Price(name, figures["uar"], int(figures["clips"])) for name, figures in heard.items()],
        synthetic=found.synthetic,
        provenance=provenance(place, receipt),
    )


def audit(what: str, root: str = "", out: str = "") -> str:
    """The page of a training run, where `what` is the place of one, or else of a corpus in the lake `root`."""
    if root and receipts.read(lake.utterances(storage.normalise(root), what)) is not None:
        return audit_corpus(root, what, out)
    place = storage.normalise(what)
    receipt = receipts.read(place)
    if receipt is None or receipt.stage != "train":
        raise ConfigurationError(
            f"{what} is neither a corpus of {root or 'a lake (--to)'} nor a finished training run: check the spelling."
        )
    return audit_run(place, receipt, out)


def _split(name: str, folds: Iterable[Fold], clip_ids: list[str], clip_of: Indices) -> Split:
    parts = [
        [[clip_ids[clip] for clip in np.unique(clip_of[part]).tolist()] for part in (fold.train, fold.test)]
        for fold in folds
        if fold.number != FINAL
    ]
    return Split(name, protocol(name).leaks, [train for train, _ in parts], [test for _, test in parts])


def _log_mels(root: str, corpus: str) -> pa.Table | None:
    place = lake.features(root, corpus, _COMPARED, front_end(_COMPARED))
    if receipts.read(place) is None:
        return None
    return storage.read_table(storage.join(place, "clips"), schema.FEATURES)
