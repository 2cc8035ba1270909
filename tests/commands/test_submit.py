"""What `raysee submit` sends; nothing is submitted."""

from typing import Any

import pytest

from raysee.distributed import submit as submitting
from raysee.distributed.submit import Job

from .command_line import raysee

TRAIN = "submit --address http://127.0.0.1:8265 train --corpus emodb"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    jobs: list[Job] = []

    def submit(job: Job, *_: Any, **__: Any) -> int:
        jobs.append(job)
        return 0

    monkeypatch.setattr(submitting, "submit", submit)
    return jobs


def test_a_lake_that_this_machine_knows_is_sent(sent: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    for lake in ("s3://lake", "s3://other"):
        monkeypatch.setenv("RAYSEE_LAKE", lake)
        ran = raysee(TRAIN)
        assert (ran.code, ran.place) == (0, f"results: {lake}")
    assert [list(job.words) for job in sent] == [
        ["--to", lake, "--corpus", "emodb"] for lake in ("s3://lake", "s3://other")
    ]
    assert len({job.submission_id for job in sent}) == 2


def test_the_positional_words_of_a_command_are_sent_too(sent: list[Job]) -> None:
    there = "--address http://127.0.0.1:8265"
    assert raysee(f"submit {there} reproduce keesing2020 --columns A1 --to s3://lake").place == "results: s3://lake"
    assert raysee(f"submit {there} manifest emodb s3://corpora/emodb --to s3://lake").place == "results: s3://lake"
    assert [(job.command, job.words[0]) for job in sent] == [("reproduce", "keesing2020"), ("manifest", "emodb")]


def test_a_lake_that_is_said_is_sent_as_it_is_said(sent: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYSEE_LAKE", "s3://other")
    assert raysee(f"{TRAIN} --to=s3://lake").place == "results: s3://lake"
    assert [list(job.words) for job in sent] == [["--corpus", "emodb", "--to=s3://lake"]]
