import html
import re

import pytest

from raysee import storage
from raysee.config import RunConfig, TrainingConfig
from raysee.distributed.train import train
from raysee.errors import ConfigurationError
from raysee.report.audit import audit

CONFIG = RunConfig(
    corpora=("emodb",),
    features="logmel40",
    model="aldeneh",
    size="debug",
    protocol="badshah2017",
    labels=("anger", "neutral"),
    deliver=False,
    training=TrainingConfig(epochs=1),
)


def text_of(uri: str) -> str:
    text = html.unescape(re.sub(r"<[^>]+>", " ", storage.read_bytes(uri).decode()))
    assert "synthetic" in text
    return " ".join(text.replace("synthetic", " ").split())


def test_a_corpus_under_every_protocol(lake: str) -> None:
    page = text_of(audit("emodb", lake))
    for leaky in ("badshah2017", "stanford2015", "conditions"):
        assert leaky in page
    assert re.search(r"strict 3 210 0 0 ", page), "no clip and no speaker of the test is trained on"


def test_a_run_under_its_own_with_what_the_leak_is_worth(lake: str) -> None:
    stage = train(lake, CONFIG)
    uri = audit(stage.place)
    assert uri == storage.join(stage.place, "audit.html")
    page = text_of(uri)
    assert re.search(r"badshah2017 leaks speakers and sentences 5 60 ", page)
    assert "speaker heard, sentence heard" in page
    assert "strict" not in page.partition("Provenance")[0]


def test_what_is_neither_is_said(lake: str) -> None:
    with pytest.raises(ConfigurationError, match="nothing is neither a corpus of s3.* nor a finished training run"):
        audit("nothing", lake)
