import datetime
import functools
import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.figure import Figure

from raysee import receipts, schema, storage
from raysee.errors import ConfigurationError
from raysee.evaluation import drift
from raysee.evaluation.metrics import Summary
from raysee.evaluation.protocols import PROTOCOLS
from raysee.report import figures, night, night_figures
from raysee.report.figures import Picture
from raysee.report.page import write_report
from raysee.scoring import batches
from raysee.training.card import save

from .report_nights import DATE, LABELS, MODEL, a_night, call, reject, write_night
from .report_runs import trained
from .test_report_page import a_card, percent, text_of

Read = Callable[..., str]
Drawn = dict[str, list[Any]]


@pytest.fixture(autouse=True)
def few_segments_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raysee.scoring.watch.FEWEST_SEGMENTS", 1)


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """The figures of some model."""
    return trained(storage.normalise(tmp_path_factory.mktemp("lake")))[1]


@pytest.fixture
def scores(tmp_path: pathlib.Path) -> str:
    return storage.normalise(tmp_path / "scores")


@pytest.fixture
def read(scores: str, tmp_path: pathlib.Path) -> Read:
    """Write the report of the scores and give it as one line of HTML."""

    def report(**options: Any) -> str:
        uri = write_report([scores], str(tmp_path / "page.html"), **options)
        return re.sub(r"\s+", " ", storage.read_bytes(uri).decode())

    return report


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Nothing is drawn: what pictures would be made of, by the function's name."""
    calls: Drawn = {}

    def picture(name: str, *args: Any, **options: Any) -> Picture:
        calls.setdefault(name, []).append((*args, options))
        return Picture("data:image/png;base64,", 1, 1)

    for name in ("by_hour", "distributions", "over_nights", "over_time"):
        monkeypatch.setattr(night, name, functools.partial(picture, name))
    return calls


def test_the_headline_accounts_for_every_call(summary: Summary, scores: str, read: Read, drawn: Drawn) -> None:
    write_night(scores, summary, a_night(), rejects=[reject("a"), reject("b", "TruncatedAudio")], already=7)
    text = text_of(read(price_per_core_hour=0.4))
    assert f"Night of {DATE}: s3://archive/last-night" in text
    assert "12 calls in = 3 scored + 2 rejected (40.0 %) + 7 already done" in text
    assert "2.00 hours of audio 60.0 min wall time 2 audio hours an hour 2.5 h core time 1.00 cost" in text
    assert "2 of 5 calls were rejected (40.0%, limit 5.0%)" in text
    assert text.index("limit 5.0%") < text.index("calls in")
    assert "Nothing passes a limit" not in text
    assert "no recordings: 3 .txt" in text
    assert "cost" not in text_of(read())


def test_a_night_of_several_starts_has_no_throughput(summary: Summary, scores: str, read: Read, drawn: Drawn) -> None:
    """Its audio is of all starts, and its wall time of the last one."""
    receipt = write_night(scores, summary, a_night())
    cut_short = {"left": 1200, "work": "w2", "model": "s3://lake/runs/other"}
    for details, said in (
        ({"shards_found": 1}, "60.0 min wall time of the last start 2.5 h core time"),
        ({"shards_found": 1, "cut_short": cut_short}, "work w2 of the model s3://lake/runs/other: 1,200 of its calls"),
    ):
        told = receipt.model_copy(update={"details": receipt.details | details})
        receipts.write(scores, told, "nights/00000.json")
        text = text_of(read())
        assert said in text
        assert "audio hours an hour" not in text


def test_emotions_roles_flags_and_stages(summary: Summary, scores: str, read: Read, drawn: Drawn) -> None:
    write_night(scores, summary, a_night())
    text = text_of(read())
    assert "Nothing passes a limit: rejects at most 5.0 %, drift at most 0.25." in text
    # 8 s each: two segments of five are angry, three neutral.
    assert " anger 0.00 40.0 " in text
    assert " neutral 0.01 60.0 " in text
    assert " sadness 0.00 0.0 " in text
    assert "unsure" not in text
    assert re.search(r"customer 3 0\.01 agent 1 1 0\.00", text)
    assert re.search(r"narrow_band recorded at a lower rate [a-z ]+ 2 ", text)
    assert re.search(r"quiet half [^.]+ 1 no_speech nobody speaks 1 ", text)
    assert "decode 3.0 0.0 model 6.0 0.0 the rest 17,991.0 100.0" in text or "the rest 17,991.0 99.9" in text
    assert "None: every new call was scored." in text
    assert f"UAR, pooled {percent(summary.uar_pooled)} %" in text
    assert "EMO-DB, 535 clips, 10 speakers; licence: free for research" in text
    assert not drawn.get("by_hour"), "nobody knows when the calls began"


def test_the_calls_most_worth_hearing_come_first(summary: Summary, scores: str, read: Read, drawn: Drawn) -> None:
    shards = [[call(f"call-{n}", [[n / 20 + 0.02, 0.98 - n / 20, 0.0]] * 3)] for n in range(8)] + a_night()
    rising = call("rising", [[0.5, 0.5, 0.0], [0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.9, 0.1, 0.0]])
    # Its passage is as bad to the digits that are printed, and then it falls.
    falling = call("falling", [[0.5, 0.5, 0.0], [0.9004, 0.0996, 0.0], [0.9, 0.1, 0.0], [0.1, 0.9, 0.0]])
    shards = [*shards, [falling], [rising]]
    write_night(scores, summary, shards)
    # Another start of the same night, whose rows are its own.
    write_night(scores, summary, [[call("other", [[1.0, 0.0, 0.0]] * 3)]], number=9)
    storage.remove(f"{scores}/nights/00009.json")
    page = read()
    found = re.findall(r'<td class="n">(\d+)</td><td class="any">([\w-]+)<small>', page)
    assert found == [
        (str(place), name)
        for place, name in enumerate(
            ["rising", "falling", "angry", *(f"call-{n}" for n in (7, 6, 5, 4, 3)), "calm", "call-2"], start=1
        )
    ]
    (row,) = re.findall(r"3 angry angry\.wav .*?(?= 4 call-7)", text_of(page))
    assert row == "3 angry angry.wav customer 0:40 0:10 to 0:28 85.0 +180.0 anger quiet, narrow_band"
    assert len(drawn["over_time"]) == night.MOST_TIMELINES
    (track,), labels, order, duration_s, _ = drawn["over_time"][2]
    assert (track.role, track.passage, duration_s) == ("customer", (10.0, 28.0), 40.0)
    assert [tuple(span[:2]) for span in track.spans] == [(0.0, 8.0), (10.0, 18.0), (20.0, 28.0)]
    assert track.spans[0].probabilities == pytest.approx([0.2, 0.7, 0.1])
    assert (labels, order) == (LABELS, ["anger", "sadness", "neutral"])


def test_segments_are_read_only_of_the_parts_that_are_shown(
    summary: Summary, scores: str, read: Read, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_night(scores, summary, [[call(f"{n:02}", [[n / 40, 1 - n / 40, 0.0]] * 2)] for n in range(20)])
    opened: list[str] = []
    plain = storage.read_bytes
    monkeypatch.setattr(storage, "read_bytes", lambda uri: opened.append(uri) or plain(uri))
    read()
    parts = {uri.rpartition("part-")[2] for uri in opened if "/segments/" in uri}
    assert parts == {f"{n:05}.parquet" for n in range(14, 20)}
    assert len({uri for uri in opened if "/calls/" in uri}) == 20


def test_hours_are_drawn_where_it_is_known_when_calls_began(
    summary: Summary, scores: str, read: Read, drawn: Drawn
) -> None:
    start = datetime.datetime(2026, 11, 19, 8, 59, 45, tzinfo=datetime.UTC)
    write_night(scores, summary, [[call("a", [[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.9, 0.1, 0.0]], start=start)]])
    assert "2026-11-19 08:59 UTC" in read()
    ((hours, _),) = drawn["by_hour"]
    assert {label: {hour: s for hour, s in enumerate(its) if s} for label, its in hours.items()} == {
        "anger": {8: 8.0, 9: 8.0},
        "neutral": {8: 8.0},
    }


def test_drift_is_held_against_its_limit_and_the_card(
    summary: Summary, scores: str, read: Read, drawn: Drawn, tmp_path: pathlib.Path
) -> None:
    training = {"level_dbfs": drift.histogram([-20.0], drift.LEVELS_DBFS)}
    card = a_card(summary).model_copy(
        update={"fingerprint": MODEL, "reference": training, "temperature": 2.5, "calibrated": True}
    )
    model = storage.normalise(tmp_path / "model")
    save(model, {}, card)
    earlier = [[call("before", [[0.1, 0.1, 0.8]] * 3)]]
    before = write_night(scores, summary, earlier, date="2026-11-18", model=model, training=training)
    write_night(scores, summary, a_night(), number=1, model=model, before=[before], training=training)
    page = read()
    text = text_of(page)
    assert "Tonight differs from the nights before it (probability:anger" in text
    assert re.search(r" level 0\.00 0\.00 length of segments 0\.00 probability of anger \d\.\d\d ", text)
    assert len(re.findall(r'<span class="leak">\d\.\d\d</span>', page)) == 3
    assert "from the nights before (1)" in text
    assert "calibrated on validation speakers, temperature 2.50" in text
    ((level, duration), _) = drawn["distributions"][0]
    assert (sum(level.tonight), sum(level.before), level.training) == (5, 3, training["level_dbfs"])
    assert (sum(duration.before), duration.training) == (3, [])
    # Shares of the nights before stand beside those of tonight.
    assert " sadness 0.00 0.0 100.0 " in text
    # Another model lies there now: it says nothing of this night.
    save(model, {}, card.model_copy(update={"fingerprint": "other"}))
    assert "calibrated not known" in text_of(read())
    assert drawn["distributions"][1][0][0].training == []


def test_nights_of_another_model_are_listed_and_not_compared(
    summary: Summary, scores: str, read: Read, drawn: Drawn
) -> None:
    sad = [[call("a", [[0.0, 0.0, 1.0]])]]
    write_night(scores, summary, sad, date="2026-11-16", work="other")
    one = write_night(scores, summary, sad, number=1, date="2026-11-17", rejects=[reject("x")])
    write_night(scores, summary, [[call("a", [[0.0, 1.0, 0.0]])]], number=2, date="2026-11-18", before=[one])
    page = read()
    text = text_of(page)
    assert "Night of 2026-11-18" in text
    assert "The last 3 nights" in text
    table = text[text.index("The last 3 nights") :]
    assert re.search(r"2026-11-18 1 1 0\.0 2\.00 60\.0 min neutral 100\.0 % 0\.0 1\.00 drift ", table)
    assert re.search(r"2026-11-17 2 1 50\.0 2\.00 60\.0 min sadness 100\.0 % 100\.0 rejects ", table)
    assert re.search(r"2026-11-16 another model or configuration: not compared 1 1 0\.0", table)
    assert "from the nights before (1)" in text
    ((nights, _),) = drawn["over_nights"]
    assert [one.same for one in nights] == [False, True, True]


def test_only_the_last_nights_are_listed(summary: Summary, scores: str, read: Read, drawn: Drawn) -> None:
    for number in range(night.NIGHTS + 2):
        date = (datetime.date(2026, 10, 1) + datetime.timedelta(number)).isoformat()
        write_night(scores, summary, [], number=number, date=date, already=4)
    text = text_of(read())
    assert f"The last {night.NIGHTS} nights" in text
    assert "2026-10-02" not in text
    assert "2026-10-03" in text
    assert "4 calls in = 0 scored + 0 rejected (0.0 %) + 4 already done" in text
    assert "None: no call was new." in text


def test_rejects_are_counted_by_reason_and_their_list_ends(
    summary: Summary, scores: str, read: Read, drawn: Drawn
) -> None:
    many = [reject(f"bad-{number:03}") for number in range(night.MOST_REJECTS + 1)]
    write_night(scores, summary, a_night(), rejects=[*many, reject("cut", "TruncatedAudio", "It ends early.")])
    text = text_of(read())
    assert "NotAudio 201 It is no sound. TruncatedAudio 1 It ends early." in text
    assert "bad-199.wav" in text
    assert "bad-200.wav" not in text
    assert f"And 2 more in {scores}/rejects/date={DATE}" in text


def test_what_recordings_are_called_is_escaped(summary: Summary, scores: str, read: Read) -> None:
    name, role = '<script>alert("1")\n</script>$x_{', '<b>$\\frac"'
    shards = [[call(name, [[0.9, 0.1, 0.0]] * 3, role=role, flags=["<i>"])]]
    write_night(scores, summary, shards, rejects=[reject("<u>", "NotAudio", "<u>no</u>")])
    page = read()
    assert not re.search(r"<(script|b>\$|i>|u>)", page)
    assert page.count("&lt;script&gt;alert(&#34;1&#34;) &lt;/script&gt;$x_{") == 2, "in its row, and at its picture"


def test_a_night_without_speech_or_without_negative_emotions(
    summary: Summary, scores: str, read: Read, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_night(scores, summary, [[call("silent", [], flags=["no_speech"])]])
    text = text_of(read())
    assert "No speech was found on any channel that was to be scored." in text
    assert "most worth hearing" not in text
    receipt = write_night(scores, summary, a_night(), number=1)
    labels = {"labels": ["high", "low", "none"], "speech_s": {"high": 8.0}}
    storage.write_bytes(
        f"{scores}/nights/00001.json",
        receipt.model_copy(update={"details": receipt.details | labels}).model_dump_json().encode(),
    )
    assert "no negative emotion among its classes" in text_of(read())
    assert not drawn.get("over_time")


def test_what_the_model_was_not_sure_of_and_why_agents_were_scored(
    summary: Summary, scores: str, read: Read, drawn: Drawn
) -> None:
    receipt = write_night(scores, summary, a_night())
    changed = {"speech_s": {"anger": 900.0, "unsure": 2700.0}, "unscored": {}, "reason": "safety of <crews>"}
    storage.write_bytes(
        f"{scores}/nights/00000.json",
        receipt.model_copy(update={"details": receipt.details | changed}).model_dump_json().encode(),
    )
    page = read()
    assert re.search(r" anger 0\.25 25\.0 sadness 0\.00 0\.0 neutral 0\.00 0\.0 unsure 0\.75 75\.0 ", text_of(page))
    assert "the reason that was given is: safety of &lt;crews&gt;" in page
    assert "only listened to there is talk" not in page


@pytest.mark.parametrize(("calls", "model"), [(False, False), (True, False), (False, True)])
def test_made_calls_and_models_are_both_marked(
    summary: Summary, scores: str, read: Read, drawn: Drawn, calls: bool, model: bool
) -> None:
    for number in (0, 1):
        write_night(scores, summary, a_night(), number=number, synthetic=calls, synthetic_model=model)
    page = read()
    assert ("synthetic" in text_of(page).lower()) == (calls or model)
    assert ("trained on a synthetic voice" in page) == model
    expected = rf"{percent(summary.uar_pooled)} ?<span class=\"beside\">synthetic"
    assert bool(re.search(expected, page)) == model, "the model's own figure is synthetic where the model is"
    captions = re.findall(r"<figcaption>.*?</figcaption>", page)
    assert len(captions) == 4  # two timelines, distributions, nights
    assert all(("synthetic" in caption) == (calls or model) for caption in captions)


def test_what_an_earlier_version_has_written_is_one_sentence(summary: Summary, scores: str) -> None:
    receipt = write_night(scores, summary, a_night())
    del receipt.details["limits"]
    storage.write_bytes(f"{scores}/nights/00000.json", receipt.model_dump_json().encode())
    with pytest.raises(ConfigurationError, match="another version of raysee .* into another place"):
        write_report([scores])


def test_the_page_reads_what_is_below_a_prefix_of_a_bucket(summary: Summary, bucket: str) -> None:
    scores = storage.join(bucket, "a place")
    write_night(scores, summary, a_night(), rejects=[reject("a")])
    assert write_report([scores]) == f"{scores}/report.html"
    assert "angry" in storage.read_bytes(f"{scores}/report.html").decode()


@pytest.fixture
def figure(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    made: list[Figure] = []

    def keep(one: Figure) -> Picture:
        made.append(one)
        return figures.as_picture(one)

    monkeypatch.setattr(night_figures, "as_picture", keep)
    return made


def test_a_timeline_stacks_segments_in_the_order_it_is_told_and_is_blank_between(figure: list[Figure]) -> None:
    spans = [night_figures.Span(0, 2, [0.1, 0.2, 0.7]), night_figures.Span(3, 5, [0.3, 0.3, 0.4])]
    track = night_figures.Track("$customer", spans, (3, 5))
    night_figures.over_time([track], LABELS, ["sadness", "anger", "neutral"], 9.0, synthetic=True)
    (axes,) = figure[0].axes
    stacked = [patch.get_data() for patch in axes.patches if hasattr(patch, "get_data")]
    assert [one.edges.tolist() for one in stacked] == [[0, 2, 3, 5]] * 3
    tops = [one.values.tolist() for one in stacked]
    assert [top[0] for top in tops] == pytest.approx([0.7, 0.8, 1.0])
    assert [top[2] for top in tops] == pytest.approx([0.4, 0.7, 1.0])
    assert all(top[1] != top[1] for top in tops), "nothing is drawn where nothing was scored"
    assert axes.get_xlim() == (0, 9)
    assert axes.lines[0].get_xdata().tolist() == [3, 5]
    assert figure[0].get_suptitle() == "synthetic"


def test_hours_without_speech_are_empty_and_the_others_add_up(figure: list[Figure]) -> None:
    hours = {"anger": [0.0] * 8 + [1800.0] + [0.0] * 15, "neutral": [0.0] * 8 + [5400.0] + [0.0] * 15}
    night_figures.by_hour(hours, synthetic=False)
    above, below = figure[0].axes
    assert [bar.get_height() for bar in above.patches][8] == 2.0
    heights = [bar.get_height() for bar in below.patches]
    assert {number: height for number, height in enumerate(heights) if height} == {8: 0.25, 24 + 8: 0.75}
    assert below.patches[32].get_y() == 0.25


def test_the_protocol_of_the_model_is_named(summary: Summary, scores: str, read: Read, drawn: Drawn) -> None:
    receipt = write_night(scores, summary, a_night())
    receipt.details["model"]["protocol"] = PROTOCOLS["badshah2017"].model_dump()
    storage.write_bytes(f"{scores}/nights/00000.json", receipt.model_dump_json().encode())
    assert "too high for any new speaker: the test part shares speakers and sentences" in text_of(read())


def test_other_starts_of_a_night_have_files_of_their_own(summary: Summary, scores: str) -> None:
    one = write_night(scores, summary, a_night())
    other = write_night(scores, summary, [[call("late", [[1.0, 0.0, 0.0]])]], number=1)
    parts = [[storage.basename(uri) for uri in batches.parts(scores, receipt, "calls")] for receipt in (one, other)]
    assert parts == [["part-00000.parquet", "part-00001.parquet"], ["part-00010.parquet"]]
    columns = ["call_id"]
    (late,) = storage.read_tables(batches.parts(scores, other, "calls"), schema.CALLS, columns)
    assert late.to_pydict() == {"call_id": ["late"]}
