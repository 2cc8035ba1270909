import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raysee.audio.segments import FRAME_S, Probabilities, Segment, SegmentConfig, Segmenter, cut
from raysee.errors import ConfigurationError

Run = tuple[float, int]
DEFAULT = SegmentConfig()
# Every stretch of speech is a segment, however short or long.
STRETCHES = SegmentConfig(pause_s=0.1, min_s=FRAME_S, min_speech_s=FRAME_S, max_s=1e6)
# Nothing is too little speech.
EVERYTHING = SegmentConfig(min_speech_s=FRAME_S, pause_s=1.0)


def runs_of(*probabilities: float) -> st.SearchStrategy[list[Run]]:
    return st.lists(st.tuples(st.sampled_from(probabilities), st.integers(1, 150)), max_size=14)


RUNS = runs_of(0.0, 0.2, 0.34, 0.4, 0.49, 0.5, 0.8, 1.0)
CONFIGS = st.sampled_from(
    [DEFAULT, EVERYTHING, STRETCHES, SegmentConfig(max_s=2.1), SegmentConfig(pause_s=0.5, min_s=0.6, max_s=3.0)]
)


def frames(*runs: Run) -> Probabilities:
    """Probabilities, each for so many frames."""
    return np.concatenate([np.zeros(0), *(np.full(number, value) for value, number in runs)]).astype(np.float32)


def spans(found: list[Segment]) -> list[tuple[int, int]]:
    """Starts and ends in frames."""
    return [(round(segment.start_s / FRAME_S), round(segment.end_s / FRAME_S)) for segment in found]


def talk(found: list[Segment]) -> int:
    """Frames of speech in all segments."""
    return sum(round(segment.speech_s / FRAME_S) for segment in found)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([(0.0, 50)], []),
        ([(0.49, 500)], []),  # never sure
        ([(0.0, 50), (0.5, 40), (0.0, 50)], [(49, 91)]),  # one frame around what is sure
        ([(0.0, 50), (1.0, 20), (0.4, 20), (0.0, 50)], [(49, 91)]),  # who spoke is silent only below 0.35
        ([(0.0, 50), (1.0, 20), (0.0, 3), (0.4, 1), (1.0, 20), (0.0, 50)], [(49, 95)]),
        ([(1.0, 40)], [(0, 40)]),  # from end to end
        ([(0.0, 10), (1.0, 40), (0.0, 2)], [(9, 51)]),
        # A pause begins a frame after what is sure: 24 frames of it are 0.75 s, and part two utterances.
        ([(0.0, 9), (1.0, 40), (0.0, 24), (1.0, 40), (0.0, 30)], [(8, 114)]),
        ([(0.0, 9), (1.0, 40), (0.0, 25), (1.0, 40), (0.0, 30)], [(8, 50), (73, 115)]),
    ],
)
def test_an_utterance_is_speech_between_pauses(runs: list[Run], expected: list[tuple[int, int]]) -> None:
    assert spans(cut(frames(*runs), DEFAULT)) == expected


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([(0.0, 50), (1.0, 10), (0.0, 50)], [(39, 71)]),  # in the middle of a second
        ([(0.0, 5), (1.0, 10), (0.0, 50)], [(0, 32)]),
        ([(0.0, 50), (1.0, 10), (0.0, 5)], [(33, 65)]),
        ([(0.0, 50), (1.0, 7), (0.0, 50)], []),  # a click
        ([(0.0, 50), (1.0, 4), (0.0, 10), (1.0, 4), (0.0, 50)], [(43, 75)]),  # two syllables of a word
        ([(1.0, 10)], [(0, 10)]),  # all that there is
        ([(1.0, 40), (0.0, 28), (1.0, 8)], [(0, 41), (44, 76)]),
        ([(1.0, 10), (0.0, 26), (1.0, 10), (0.0, 50)], [(0, 32), (32, 64)]),
        ([(1.0, 10), (0.0, 26), (1.0, 10)], [(0, 32), (32, 46)]),  # the one case of less
    ],
)
def test_a_short_utterance_is_widened_to_a_second_or_dropped(runs: list[Run], expected: list[tuple[int, int]]) -> None:
    assert spans(cut(frames(*runs), DEFAULT)) == expected


def test_a_long_utterance_is_cut_at_its_longest_pause() -> None:
    runs: list[Run] = [(1.0, 60), (0.0, 10), (1.0, 60), (0.0, 14), (1.0, 60), (0.0, 8), (1.0, 80)]
    assert spans(cut(frames(*runs), DEFAULT)) == [(0, 131), (143, 292)]
    assert spans(cut(frames(*runs[:-1], (1.0, 200)), DEFAULT)) == [(0, 131), (143, 205), (211, 412)]


def test_a_pause_that_would_leave_less_than_a_second_is_no_place_to_cut() -> None:
    early = frames((1.0, 20), (0.0, 14), (1.0, 60), (0.0, 10), (1.0, 200), (0.0, 50))
    assert spans(cut(early, DEFAULT)) == [(0, 95), (103, 305)]
    late = frames((1.0, 110), (0.0, 10), (1.0, 110), (0.0, 14), (1.0, 20), (0.0, 50))
    assert spans(cut(late, DEFAULT)) == [(0, 111), (119, 265)]


@pytest.mark.parametrize("length", [251, 270, 290, 306, 307, 350, 1000])
def test_without_a_pause_it_is_cut_where_speech_is_least_probable(length: int) -> None:
    probabilities_F = frames((0.9, length), (0.0, 50))
    probabilities_F[10] = 0.36  # less than a second from the beginning
    probabilities_F[100] = 0.7
    probabilities_F[150] = 0.6
    found = spans(cut(probabilities_F, DEFAULT))
    assert found[0] == (0, 150)
    assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]]
    assert found[-1][1] == length + 1


def test_a_long_utterance_is_heard_further_before_it_is_cut() -> None:
    probabilities_F = frames((0.9, 400), (0.0, 50))
    probabilities_F[245] = 0.6  # that a second is left behind it is known a second later
    assert spans(cut(probabilities_F, DEFAULT)) == [(0, 245), (245, 401)]


def test_speech_does_not_count_pauses_nor_the_room_around() -> None:
    probabilities_F = frames((0.0, 50), (1.0, 10), (0.0, 10), (1.0, 10), (0.0, 50), (1.0, 12), (0.0, 50))
    assert talk(cut(probabilities_F, DEFAULT)) == 12 + 12 + 14


@given(runs=RUNS, config=CONFIGS)
def test_segments_lie_in_the_recording_in_order_and_have_their_length(runs: list[Run], config: SegmentConfig) -> None:
    probabilities_F = frames(*runs)
    found = cut(probabilities_F, config)
    at = spans(found)
    assert all(before <= after for (_, before), (after, _) in itertools.pairwise(at))
    for number, (segment, (start, end)) in enumerate(zip(found, at, strict=True)):
        assert 0 <= start < end <= len(probabilities_F)
        assert config.min_speech_s <= segment.speech_s + 1e-9 <= segment.end_s - segment.start_s + 2e-9
        assert (probabilities_F[start:end] >= config.begin).sum() * FRAME_S > config.min_speech_s - 1e-9
        assert segment.end_s - segment.start_s <= config.max_s + 1e-9
        if segment.end_s - segment.start_s < config.min_s - 1e-9:
            assert number == len(found) - 1
            assert end == len(probabilities_F)
            assert start == (at[-2][1] if number else 0)


@given(runs=RUNS, config=CONFIGS)
def test_with_a_segment_the_pauses_around_it_are_heard(runs: list[Run], config: SegmentConfig) -> None:
    probabilities_F = frames(*runs)
    before_s = 0.0
    for segment in cut(probabilities_F, config):
        assert max(before_s, segment.start_s - config.room_s) - 1e-9 <= segment.from_s <= segment.start_s
        assert segment.end_s <= segment.to_s <= segment.end_s + config.room_s + 1e-9
        after = probabilities_F[round(segment.end_s / FRAME_S) : round(segment.to_s / FRAME_S)]
        assert (after < config.begin).all(), "what comes next is heard by itself"
        assert len(after) == round((segment.to_s - segment.end_s) / FRAME_S), "it is there"
        before_s = segment.end_s


def test_half_a_second_of_a_pause_is_heard_on_either_side() -> None:
    (first, second) = cut(frames((0.0, 9), (1.0, 40), (0.0, 60), (1.0, 40), (0.0, 5)), DEFAULT)
    assert np.round(np.array([first.from_s, first.to_s, second.from_s, second.to_s]) / FRAME_S).tolist() == [
        0,
        50 + 15,
        108 - 15,
        154,
    ]


@given(runs=runs_of(0.0, 0.34, 0.5, 0.8, 1.0))
def test_nothing_sure_is_lost_and_talk_time_is_the_sum_of_speech(runs: list[Run]) -> None:
    probabilities_F = frames(*runs)
    found = cut(probabilities_F, EVERYTHING)
    covered = np.zeros(len(probabilities_F), np.bool_)
    for start, end in spans(found):
        covered[start:end] = True
    assert covered[probabilities_F >= 0.5].all()
    assert talk(found) == sum(end - start for start, end in spans(cut(probabilities_F, STRETCHES)))


@given(runs=RUNS, config=CONFIGS, sizes=st.lists(st.integers(0, 400), min_size=1, max_size=5))
def test_blocks_make_no_difference(runs: list[Run], config: SegmentConfig, sizes: list[int]) -> None:
    probabilities_F = frames(*runs)
    segmenter, found, rest = Segmenter(config), [], probabilities_F
    for size in itertools.chain(sizes, itertools.repeat(97)):
        found += segmenter.push(rest[:size])
        rest = rest[size:]
        if not len(rest):
            break
    assert found + segmenter.finish() == cut(probabilities_F, config)


@given(runs=RUNS, config=CONFIGS.filter(lambda config: config != STRETCHES))
@example(runs=[(0.5, 8), (0.0, 1), (0.4, 2000), (0.0, 1)], config=SegmentConfig(max_s=2.1))  # neither speech nor pause
def test_a_segment_is_not_waited_for(runs: list[Run], config: SegmentConfig) -> None:
    segmenter, probabilities_F = Segmenter(config), frames(*runs)
    for heard in range(len(probabilities_F)):
        for segment in segmenter.push(probabilities_F[heard : heard + 1]):
            assert (heard + 1) * FRAME_S - segment.from_s <= config.longest_wait_s


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"begin": 0.3}, "begin"),
        ({"begin": 1.1}, "begin"),
        ({"end": 0.0}, "end"),
        ({"min_silence_s": 0.0}, "min_silence_s"),
        ({"min_silence_s": 0.8}, "min_silence_s"),
        ({"pause_s": 0.7}, "pause_s"),
        ({"min_speech_s": 0.0}, "min_speech_s"),
        ({"min_s": 4.0, "min_speech_s": 3.5}, "max_s"),
    ],
)
def test_what_cannot_be_kept_is_refused(fields: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{named} .*choose"):
        SegmentConfig(**fields)
