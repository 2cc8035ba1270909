"""Starts with one model and another, killed anywhere, without a Ray: whatever is started, each call has one row.

`raysee score` is as it is, but for what is listed, for the cards of its models, and for its shards, which are done one
by one in this process.
"""

import collections
import json
import pathlib
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest

from raysee import schema, storage
from raysee.config import ScoreConfig, set_fingerprint
from raysee.distributed import metrics, shards
from raysee.distributed import score as scoring
from raysee.distributed.shards import Part, Shard, ShardResult
from raysee.errors import ConfigurationError
from raysee.receipts import Stage
from raysee.scoring import batches, ledger, listing
from raysee.scoring.listing import Listing
from raysee.training.card import Card

from ..report.report_nights import call
from ..scoring.test_score import scorer

NIGHT, NEXT, OTHER = "s3://calls/2026-11-19", "s3://calls/2026-11-20", "s3://branch/2026-11-19"
NEVER = float("inf")
#: What a source lists: two nights of an archive, another archive, and a list that has something of both nights.
SOURCES = {
    NIGHT: [f"a{number}" for number in range(6)],
    NEXT: [f"b{number}" for number in range(5)],
    OTHER: [f"c{number}" for number in range(4)],
    "s3://lists/some.csv": ["a1", "a4", "b0", "b1"],
}
EVERYTHING = sorted({name for names in SOURCES.values() for name in names})


class Killed(BaseException):
    """As SIGKILL ends a start."""


class World:
    """Starts that are killed at the n-th change of the place with scores."""

    def __init__(self, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place, self.card = place, scorer().card
        self.left: float = NEVER  # changes until it is killed
        for name in ("write_bytes", "remove"):
            monkeypatch.setattr(storage, name, self._dying(getattr(storage, name)))
        monkeypatch.setattr(scoring, "connect", lambda: None)
        monkeypatch.setattr(scoring, "load_card", self._card)
        monkeypatch.setattr(scoring, "run_shards", self._run_shards)
        monkeypatch.setattr(listing, "find", self._find)
        monkeypatch.setattr(metrics, "note_night", lambda when: None)
        monkeypatch.setattr(metrics, "note_drift", lambda distances: None)
        monkeypatch.setattr("raysee.scoring.plan.SHARD_CALLS", 2)

    def start(self, source: str = NIGHT, model: str = "A", *, kill_at: float = NEVER, **more: Any) -> list[Stage]:
        """What a start returns; nothing where it is killed."""
        self.left = kill_at
        config = ScoreConfig(detector="energy-v1", channels=(("customer",),))
        try:
            return scoring.score(source, f"s3://lake/{model}", self.place, config, **more)
        except Killed:
            return []
        finally:
            self.left = NEVER

    def rows(self) -> dict[str, list[str]]:
        """The names of calls, with the works of their rows."""
        found = collections.defaultdict(list)
        for row in batches.read(self.place, "calls", schema.CALLS).to_pylist():
            found[row["call_id"]].append(row["work"])
        return dict(sorted(found.items()))

    def _dying(self, change: Callable[..., None]) -> Callable[..., None]:
        def changed(uri: str, *args: Any) -> None:
            if not uri.endswith("lock.json"):
                self.left -= 1
                if self.left < 0:
                    raise Killed
            change(uri, *args)

        return changed

    def _card(self, run: str) -> Card:
        return self.card.model_copy(update={"fingerprint": run[-1] * 12})

    def _find(self, source: str) -> Listing:
        told = {"size_bytes": 1, "etag": "1", "roles": [], "carried": []}
        rows = [{"uri": f"s3://calls/{name}", "call_id": name, **told} for name in SOURCES[source]]
        return Listing(pa.Table.from_pylist(rows, schema=schema.RECORDINGS), {}, False)

    def _run_shards(
        self, works: Mapping[str, str], plan: pa.Table, worker: object, part: Part, on_progress: object
    ) -> dict[str, dict[str, Any]]:
        ((place, work),) = works.items()
        found = shards.done(place, work, plan, part)
        for number, rows in shards.by_shard(plan).items():
            if number not in found:
                keys = json.dumps({place: shards._key(work, shards._rows_key(rows))})
                shards._do({"shard": number, "keys": keys, "plan": shards._pack(rows)}, self._worker(work), part)
        done = shards.done(place, work, plan, part)
        return {place: {**shards.total(list(done.values())), "found": len(found)}}

    def _worker(self, work: str) -> Callable[[Shard], list[ShardResult]]:
        def worker(shard: Shard) -> list[ShardResult]:
            rows = [
                {**call(row["call_id"]).row, "key": row["key"], "work": work, "uri": row["uri"]}
                for row in shard.rows.to_pylist()
            ]
            tables = {
                "segments": (schema.empty(schema.SEGMENTS), schema.SEGMENTS),
                "calls": (pa.Table.from_pylist(rows, schema=schema.CALLS), schema.CALLS),
                "rejects": (schema.empty(schema.REJECTS), schema.REJECTS),
            }
            keys = shard.rows["key"].to_pylist()
            for key in keys:
                storage.write_bytes(storage.join(self.place, "json", part_of(shard), f"{key[:2]}/{key}.json"), b"{}")
            return [ShardResult(tables, len(keys), 10.0 * len(keys), set_fingerprint(keys))]

        return worker


def part_of(shard: Shard) -> str:
    """The night of a shard: its first call's."""
    return "date=2026-11-20" if shard.rows["call_id"][0].as_py().startswith("b") else "date=2026-11-19"


@pytest.fixture
def world(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with monkeypatch.context() as patched:
        yield World(storage.normalise(tmp_path / "scores"), patched)


def works_of(world: World) -> dict[str, str]:
    """Whose each row is, where each call has one."""
    found = world.rows()
    assert all(len(works) == 1 for works in found.values()), found
    return {name: works[0] for name, works in found.items()}


def kill_after(world: World, num_shards: int, **more: Any) -> None:
    """A start that is killed while it writes the shard after so many that are finished."""
    for kill_at in range(1, 200):
        world.start(kill_at=kill_at, **more)
        done = storage.join(world.place, "done", "00000")
        parts = storage.names(storage.join(world.place, "calls", "date=2026-11-19"))
        if len(storage.names(done)) == num_shards and len(parts) == num_shards + 1:
            return
        for name in storage.names(world.place):
            storage.remove(storage.join(world.place, name))
    raise AssertionError("no such moment")


def test_what_another_model_has_finished_is_settled_and_the_rest_is_scored(world: World) -> None:
    kill_after(world, 1, json_files=True)
    cut, rest = world.start(model="B")
    assert cut.receipt.counts == {"in": 2, "out": 2, "rejected": 0, "already": 0}
    assert cut.receipt.details["cut_short"] == {
        "left": 4, "work": rest.receipt.details["work"], "model": "s3://lake/B"
    }  # fmt: skip
    assert (cut.receipt.details["num_shards"], cut.receipt.details["shards_found"]) == (3, 1)
    assert rest.receipt.counts == {"in": 6, "out": 4, "rejected": 0, "already": 2}
    assert rest.receipt.details["cut_short"] == {}
    first, second = cut.receipt.details["work"], rest.receipt.details["work"]
    assert list(works_of(world).values()) == [first] * 2 + [second] * 4
    assert not storage.names(storage.join(world.place, "begun"))
    # There and back again nothing is scored twice.
    for model in "AB":
        (again,) = world.start(model=model)
        assert again.receipt.counts == {"in": 6, "out": 0, "rejected": 0, "already": 6}
    assert list(works_of(world).values()) == [first] * 2 + [second] * 4


def test_the_next_night_of_another_model_does_what_is_left_of_this_one(world: World) -> None:
    kill_after(world, 1)
    _, rest, tonight = world.start(NEXT, "B")
    assert (rest.receipt.details["date"], rest.receipt.inputs["source"]) == ("2026-11-19", NIGHT)
    assert (tonight.receipt.details["date"], tonight.receipt.counts["out"]) == ("2026-11-20", 5)
    assert list(works_of(world)) == sorted(SOURCES[NIGHT] + SOURCES[NEXT])


def test_another_archive_is_not_scored_by_a_configuration_that_is_not_its_own(world: World) -> None:
    kill_after(world, 1)
    (branch,) = world.start(OTHER, "B")
    assert branch.receipt.inputs["source"] == OTHER
    assert list(works_of(world)) == [*SOURCES[NIGHT][:2], *SOURCES[NIGHT][2:4], *SOURCES[OTHER]], "a shard is half done"
    finished, _ = world.start(model="A")
    assert finished.receipt.counts == {"in": 6, "out": 6, "rejected": 0, "already": 0}
    assert finished.receipt.details["shards_found"] == 1
    works_of(world)


def test_a_list_takes_over_what_it_names(world: World) -> None:
    kill_after(world, 1)
    cut, named = world.start("s3://lists/some.csv", "B", date="2026-11-21")
    assert cut.receipt.details["cut_short"]["left"] == 4
    assert named.receipt.counts == {"in": 4, "out": 3, "rejected": 0, "already": 1}
    assert list(works_of(world)) == ["a0", "a1", "a4", "b0", "b1"]
    world.start(model="A")
    assert list(works_of(world)) == ["a0", "a1", "a2", "a3", "a4", "a5", "b0", "b1"]


def test_a_night_of_an_earlier_version_is_refused_by_another_model(world: World) -> None:
    kill_after(world, 1)
    uri = storage.join(world.place, "batches", "00000.json")
    storage.write_bytes(
        uri, batches.unfinished(world.place)[0].model_copy(update={"about": {}}).model_dump_json().encode()
    )
    with pytest.raises(ConfigurationError, match=rf"night of 2026-11-19 was begun by an earlier .* \({NIGHT}\), then"):
        world.start(model="B")
    assert world.start(model="A")


def test_a_reason_for_what_is_not_done_is_not_kept(world: World) -> None:
    """The page would say that agents were scored."""
    with pytest.raises(ConfigurationError, match=r"A reason .*'safety'.*give --score-agents too, or no --reason"):
        world.start(reason="safety")
    assert storage.names(world.place) == set()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_started_and_wherever_it_is_killed_each_call_has_one_row(world: World, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(8):
        world.start(
            chance.choice(list(SOURCES)),
            chance.choice("AAB"),
            kill_at=chance.choice([chance.randrange(60), NEVER]),
            json_files=chance.random() < 0.5,
        )
    for source in SOURCES:
        world.start(source, "B")
    assert list(works_of(world)) == EVERYTHING
    nights = batches.nights(world.place, 10**6)
    assert len(nights) == len(storage.names(storage.join(world.place, "batches"))) / 2, "none is unfinished"
    assert sum(night.counts["out"] for night in nights) == len(EVERYTHING)
    settled = [key for part in ledger.parts(world.place) for key in part.to_pylist()]
    assert len(settled) == len(set(settled)) == len(EVERYTHING)
