"""`raysee cross` and its job as a user calls them wrongly, and rightly as far as their options go."""

import pathlib
import re
import runpy
import sys
from typing import Any

import pytest
import typer

from raysee.cli import app
from raysee.config import RunConfig
from raysee.distributed.cross import Plan
from raysee.errors import ConfigurationError

from .command_line import assert_said, raysee

JOB = pathlib.Path(__file__).parents[2] / "jobs" / "cross_corpus.py"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--train emodb --test ravdess", "has no manifest of emodb"),
        ("--train emodb,ravdess --test ravdess", "ravdess cannot be trained on and tested by the same model"),
        ("--train emodb --matrix emodb,ravdess", "in one of three ways"),
        ("--matrix emodb,ravdess,ravdess_song", "ravdess and ravdess_song have the same speakers"),
        ("--matrix emodb", "emodb alone crosses nothing"),
        ("--matrix emodb,ravdess --scheme big9", "Unknown scheme 'big9'"),
        ("--matrix emodb,ravdess --model nobody", "Unknown model 'nobody'"),
        ("--matrix emodb,ravdess --set colour=red", "Unknown setting 'colour'"),
        ("--matrix emodb,ravdess --set balance=2", "balance: Input should be less than or equal to 1, not '2'"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_leaves_nothing(words: str, said: str, tmp_path: pathlib.Path) -> None:
    assert_said(raysee(f"cross {words} --to {tmp_path / 'lake'}"), said)
    assert not list(tmp_path.iterdir())


def test_the_job_is_the_command_with_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    documented = re.search(r"cross_corpus\.py (.+)", JOB.read_text())
    assert documented
    words = documented[1].split()
    called: list[list[str]] = []
    monkeypatch.setattr("raysee.cli.main", lambda: called.append(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", [str(JOB), *words])
    runpy.run_path(str(JOB), run_name="__main__")
    assert called == [["cross", *words]]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    taken = commands["cross"].make_context("cross", words).params
    assert (taken["matrix"], taken["to"]) == ("emodb,ravdess", "s3://bucket/lake")


@pytest.mark.parametrize(
    ("words", "protocol"),
    [
        ("", "cross-corpus"),
        ("--standardise none", "cross-corpus"),
        ("--standardise corpus", "cross-corpus-by-corpus"),
        ("--standardise speaker", "cross-corpus-by-speaker"),
    ],
)
def test_the_ways_to_standardise_are_protocols(words: str, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def crossed(to: str, plan: Plan, config: RunConfig, **_: Any) -> None:
        raise ConfigurationError(config.protocol)

    monkeypatch.setattr("raysee.report.cross.count", lambda *_: {})
    monkeypatch.setattr("raysee.distributed.cross.cross", crossed)
    assert_said(raysee(f"cross --matrix emodb,ravdess {words} --to lake"), f"^error: {protocol}$")
