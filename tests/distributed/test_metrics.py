"""What Prometheus would read while raysee works, and what is made of it in infra/."""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
import yaml

from raysee.config import ScoreConfig, TrainingConfig
from raysee.distributed import metrics
from raysee.distributed.score import score
from raysee.distributed.train import train

from .conftest import TINY

INFRA = pathlib.Path(__file__).parents[2] / "infra"
RULES = INFRA / "prometheus" / "raysee.rules.yml"
RULES_TEST = pathlib.Path(__file__).parents[1] / "infra" / "raysee.rules.test.yml"
LONGEST_S = 60  # Ray's workers report every 10 s
FEW = 40  # series of a name and process: labels must not grow with the work
OF_RAY = {"Component", "NodeAddress", "SessionName", "Version", "WorkerId", "le"}

Series = dict[str, set[tuple[tuple[str, str], ...]]]


class Recorded:
    """In the place of Ray's counters, gauges and histograms."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, ...], float] = {}

    def of(self, name: str, *_: Any) -> Any:
        said = self.said

        class One:
            def inc(self, value: float, labels: dict[str, str]) -> None:
                assert value > 0, "Ray refuses it"
                key = (name, *labels.values())
                said[key] = said.get(key, 0) + value

            def set(self, value: float, labels: dict[str, str] | None = None) -> None:
                said[(name, *(labels or {}).values())] = value

            observe = inc

        return One()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, ...], float]:
    held = Recorded()
    for kind in ("_counter", "_gauge", "_histogram"):
        monkeypatch.setattr(metrics, kind, held.of)
    return held.said


def test_a_shard_of_calls(recorded: dict[tuple[str, ...], float]) -> None:
    receipt = {"in": 10, "out": 7, "rejects": {"TruncatedAudio": 2, "NoSpeech": 1}, "audio_s": 900.0}
    metrics.count_shard(["segments", "calls", "rejects"], [receipt], 4.0)
    assert recorded == {
        ("raysee_calls_total", "scored"): 7,
        ("raysee_calls_total", "rejected"): 3,
        ("raysee_rejects_total", "score", "TruncatedAudio"): 2,
        ("raysee_rejects_total", "score", "NoSpeech"): 1,
        ("raysee_audio_seconds_total", "score"): 900.0,
        ("raysee_work_seconds_total", "score"): 4.0,
        ("raysee_stage_seconds", "score"): 4.0,
    }


def test_a_shard_of_clips_for_two_front_ends_is_heard_once(recorded: dict[tuple[str, ...], float]) -> None:
    receipt = {"in": 10, "out": 10, "rejects": {}, "audio_s": 30.0}
    metrics.count_shard(["clips", "rejects"], [receipt, receipt], 2.0)
    assert recorded == {
        ("raysee_audio_seconds_total", "extract"): 30.0,
        ("raysee_work_seconds_total", "extract"): 2.0,
        ("raysee_stage_seconds", "extract"): 2.0,
    }


def test_a_shard_without_anything_in_it(recorded: dict[tuple[str, ...], float]) -> None:
    metrics.count_shard(["calls"], [{"in": 0, "out": 0, "rejects": {}, "audio_s": 0.0}], 0.5)
    assert set(recorded) == {("raysee_work_seconds_total", "score"), ("raysee_stage_seconds", "score")}


def parse(text: str) -> Series:
    """Name -> the labels of its series, without those that Ray adds."""
    found: Series = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+(?: \S+)?", line).groups()  # type: ignore[union-attr]
            pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
            ours = tuple(sorted(pair for pair in pairs if pair[0] not in OF_RAY and not pair[0].startswith("otel_")))
            found.setdefault(name, set()).add(ours)
    return found


def exporter() -> str:
    """Where the metrics of the session's only node are."""
    (node,) = ray.nodes()
    return f"127.0.0.1:{node['MetricsExportPort']}"


def until(found: Callable[[], Any], what: str) -> Any:
    """What `found` gives, as soon as it is something."""
    end = time.monotonic() + LONGEST_S
    while not (value := found()):
        assert time.monotonic() < end, what
        time.sleep(0.5)
    return value


@pytest.fixture(scope="module")
def worked(lake: str, call_archive: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Something of each kind has been done in the session."""
    # A run that no other test has made, and that is counted therefore.
    config = TINY.model_copy(update={"training": TrainingConfig(epochs=1, seed=7)})
    run = train(lake, config).place
    calls = tmp_path_factory.mktemp("metrics")
    shutil.copytree(call_archive, calls / "calls")
    (calls / "calls" / "cut.wav").write_bytes(b"RIFF")
    (stage,) = score(str(calls / "calls"), run, str(calls / "scores"), ScoreConfig(channels=(("agent", "customer"),)))
    assert stage.receipt.counts["rejected"] == 1
    metrics.count_trial(1.0)
    metrics.note_drift({"emotions": 0.1})


def wanted() -> set[str]:
    """The names of metrics.py, as Ray exports them."""
    names = {f"ray_{name}" for name in metrics._DESCRIPTIONS}
    histogram = "ray_raysee_stage_seconds"
    return names - {histogram} | {f"{histogram}_{kind}" for kind in ("bucket", "count", "sum")}


def test_every_metric_is_scraped_with_few_labels(worked: None) -> None:
    def scraped() -> Series | None:
        metrics.note_night(time.time())
        with urllib.request.urlopen(f"http://{exporter()}/metrics", timeout=10) as answer:
            found = parse(answer.read().decode())
        there = {stage for stage in ("extract", "score", "fold", "trial") for labels in found.get(
            "ray_raysee_stage_seconds_count", ()) if ("stage", stage) in labels}  # fmt: skip
        return found if wanted() <= set(found) and len(there) == 4 else None

    found = until(scraped, "not all metrics were exported")
    ours = {name: labels for name, labels in found.items() if name.startswith("ray_raysee_")}
    assert set(ours) == wanted(), "a name that nobody knows"
    assert {key for labels in ours.values() for one in labels for key, _ in one} == {
        "outcome",
        "stage",
        "error",
        "figure",
    }
    assert all(len(labels) <= FEW for labels in ours.values())
    assert ("outcome", "rejected") in {pair for one in ours["ray_raysee_calls_total"] for pair in one}


def expressions() -> Iterator[tuple[str, str]]:
    dashboard = json.loads((INFRA / "grafana" / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]


def test_rules_and_dashboard_name_what_there_is(worked: None) -> None:
    recorded = {rule["record"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
                if "record" in rule}  # fmt: skip
    known = wanted() | recorded | {"ray_tasks", "ray_node_cpu_utilization", "ray_node_mem_used", "ray_node_mem_total"}
    for title, expression in expressions():
        names = set(re.findall(r"\b(?:ray|raysee)[_:][\w:]+", re.sub(r'"[^"]*"', "", expression)))
        assert names, title
        assert names <= known, title


def test_the_dashboard_is_drawn_without_overlaps() -> None:
    dashboard = json.loads((INFRA / "grafana" / "dashboard.json").read_text())
    (variable,) = dashboard["templating"]["list"]
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == f"${{{variable['name']}}}", panel["title"]
        at = panel["gridPos"]
        its = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not its & cells, panel["title"]
        assert max(x for x, _ in its) < 24, panel["title"]
        cells |= its
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_a_gauge_is_read_before_it_goes() -> None:
    for name in ("prometheus.yml", "prometheus-kubernetes.yml"):
        config = yaml.safe_load((INFRA / "prometheus" / name).read_text())
        assert config["global"]["scrape_interval"] == "10s", "a gauge stays for 20 s"
        assert all("scrape_interval" not in one for one in config["scrape_configs"])
        assert config["rule_files"] == [RULES.name]


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
    assert len(alerts) == 5
    assert all(rule["labels"]["severity"] in ("page", "ticket") for rule in alerts.values())
    assert all(set(rule["annotations"]) == {"summary", "action"} for rule in alerts.values())
    tests = yaml.safe_load(RULES_TEST.read_text())["tests"]
    fires: dict[str, set[bool]] = {}
    for test in tests:
        for one in test["alert_rule_test"]:
            fires.setdefault(one["alertname"], set()).add(bool(one.get("exp_alerts")))
    assert set(fires) == set(alerts)


@pytest.mark.parametrize(
    "words",
    [
        f"check rules {RULES}",
        f"test rules {RULES_TEST}",
        f"check config {RULES.parent}/prometheus.yml",
        f"check config {RULES.parent}/prometheus-kubernetes.yml",
    ],
)
def test_promtool_agrees(words: str, tmp_path: pathlib.Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt install prometheus")
    check, what, path = words.split()
    ran = subprocess.run([promtool, check, what, path], capture_output=True, text=True)
    if "field kubernetes_sd_configs not found" in ran.stderr:  # Debian's is made without it: the rest can be checked
        config = yaml.safe_load(pathlib.Path(path).read_text())
        del config["scrape_configs"][0]["kubernetes_sd_configs"]
        rest = tmp_path / "prometheus.yml"
        rest.write_text(yaml.safe_dump({**config, "rule_files": [str(RULES)]}))
        ran = subprocess.run([promtool, check, what, rest], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_panel_shows_something_of_a_real_run(worked: None, tmp_path: pathlib.Path) -> None:
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        pytest.skip("Prometheus is not installed: apt install prometheus")
    config = yaml.safe_load((INFRA / "prometheus" / "prometheus.yml").read_text())
    # A scrape may take as long as it is from one to the next: Ray's exporter is slow on a machine with much to do.
    config["global"] = {"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    (scrape,) = config["scrape_configs"]
    del scrape["file_sd_configs"]
    scrape["static_configs"] = [{"targets": [exporter()]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = _free_port()
    words = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen([prometheus, *words, f"--web.listen-address=127.0.0.1:{port}"], stderr=log)
    try:
        for title, expression in expressions():
            if title.startswith("Raysee"):  # an alert, of which nothing is better
                continue
            question = urllib.parse.urlencode({"query": expression})

            def answered(question: str = question) -> Any:
                metrics.note_night(time.time())  # gauges go after 20 s, in which promtool above may have been at work
                metrics.note_drift({"emotions": 0.1})
                try:
                    with urllib.request.urlopen(
                        f"http://127.0.0.1:{port}/api/v1/query?{question}", timeout=5
                    ) as answer:
                        return json.load(answer)["data"]["result"]
                except OSError:
                    return None

            until(answered, f"{title}: {expression}")
    except AssertionError as error:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5) as answer:
            (target,) = json.load(answer)["data"]["activeTargets"]
        raise AssertionError(f"{error}; the last scrape: {target['health']} {target['lastError']}") from error
    finally:
        server.terminate()
        server.wait()
        log.close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
