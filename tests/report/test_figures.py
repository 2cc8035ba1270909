import base64
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from raysee.errors import ConfigurationError
from raysee.report import figures, network_figures
from raysee.report.figures import Picture
from raysee.report.network_figures import (
    by_speaker,
    confusion_beside,
    filters,
    reliability,
)
from raysee.training.loop import Epoch

LABELS = ("anger", "neutral", "sadness")
COUNTS = [[8, 2, 0], [1, 2, 1], [0, 0, 5]]
PUBLISHED = [[50.0, 25.0, 25.0], [0.0, 90.0, 10.0], [30.0, 30.0, 40.0]]
UAR = {"03": 0.5, "08": 0.25, "09": 0.75, "10": 0.4}
GENDER = {"03": "male", "08": "female", "09": "female", "10": None}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures behind the pictures, the last one at the end."""
    made: list[Figure] = []

    def keep(figure: Figure) -> Picture:
        made.append(figure)
        return figures.as_picture(figure)

    monkeypatch.setattr(network_figures, "as_picture", keep)
    return made


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def shades(axes: Any) -> Any:
    (image,) = axes.images
    return image


@pytest.mark.parametrize(
    "draw",
    [
        lambda synthetic: confusion_beside(COUNTS, PUBLISHED, LABELS, "somebody", synthetic=synthetic),
        lambda synthetic: filters(np.eye(4, dtype=np.float32), synthetic=synthetic),
        lambda synthetic: by_speaker(UAR, GENDER, 1 / 3, synthetic=synthetic),
        lambda synthetic: reliability([0.5, 0.9], [True, False], synthetic=synthetic),
    ],
    ids=["confusion_beside", "filters", "by_speaker", "reliability"],
)
@pytest.mark.parametrize("synthetic", [False, True])
def test_a_picture_is_a_png_that_says_whether_it_is_of_a_synthetic_voice(
    draw: Callable[[bool], Picture], synthetic: bool, drawn: list[Figure]
) -> None:
    picture = draw(synthetic)
    assert drawn[0].get_suptitle() == ("synthetic" if synthetic else "")
    start = "data:image/png;base64,"
    assert picture.src.startswith(start)
    png = base64.b64decode(picture.src.removeprefix(start))
    size = struct.unpack(">II", png[16:24])
    assert size == pytest.approx((1.5 * picture.width, 1.5 * picture.height), abs=2), "144 dots to 96 CSS pixels"
    assert not pyplot.get_fignums()


def test_both_matrices_are_per_cent_of_the_true_class_on_one_scale(drawn: list[Figure]) -> None:
    confusion_beside(COUNTS, PUBLISHED, LABELS, "Somebody et al. 2020", synthetic=False)
    ours, theirs = drawn[0].axes[:2]
    assert texts(ours) == ["80.0", "20.0", "0.0", "25.0", "50.0", "25.0", "0.0", "0.0", "100.0"]
    assert texts(theirs) == ["50.0", "25.0", "25.0", "0.0", "90.0", "10.0", "30.0", "30.0", "40.0"]
    np.testing.assert_allclose(shades(ours).get_array(), [[0.8, 0.2, 0], [0.25, 0.5, 0.25], [0, 0, 1]])
    np.testing.assert_allclose(shades(theirs).get_array(), np.array(PUBLISHED) / 100)
    assert shades(ours).get_clim() == shades(theirs).get_clim() == (0, 1)
    assert shades(ours).get_cmap() == shades(theirs).get_cmap()
    assert ours.get_title(loc="left") == "raysee\nUAR 76.7 %"
    assert theirs.get_title(loc="left") == "Somebody et al. 2020\nUAR 60.0 %"
    assert [tick.get_text() for tick in ours.get_yticklabels()] == ["anger (10)", "neutral (4)", "sadness (5)"]
    assert [tick.get_text() for tick in theirs.get_xticklabels()] == list(LABELS)


def test_a_class_without_a_true_example_is_blank_and_not_in_the_uar(drawn: list[Figure]) -> None:
    confusion_beside([[8, 2, 0], [0, 0, 0], [0, 0, 5]], PUBLISHED, LABELS, "somebody", synthetic=False)
    ours = drawn[0].axes[0]
    assert texts(ours)[3:6] == ["", "", ""]
    assert ours.get_title(loc="left") == "raysee\nUAR 90.0 %"


@pytest.mark.parametrize(
    ("counts", "published", "whose"), [(COUNTS[:2], PUBLISHED, "our"), (COUNTS, [[1.0]], "published")]
)
def test_matrices_of_other_labels_are_refused(counts: Any, published: Any, whose: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"The {whose} confusion matrix .* 3 labels"):
        confusion_beside(counts, published, LABELS, "somebody", synthetic=False)


def test_filters_stand_in_the_order_of_their_norms_on_one_scale_around_zero(drawn: list[Figure]) -> None:
    weight_DFK = np.random.default_rng(0).normal(size=(6, 4, 3))
    weight_DFK[4] *= 10
    filters(weight_DFK, synthetic=False)
    axes = drawn[0].axes[0]
    mosaic = shades(axes).get_array()
    order = sorted(range(6), key=lambda one: -float(np.square(weight_DFK[one]).sum()))
    assert order[0] == 4
    np.testing.assert_array_equal(mosaic[:4, :3], weight_DFK[4, ::-1])  # the lowest band at the bottom
    np.testing.assert_array_equal(mosaic[:4, 4:7], weight_DFK[order[1], ::-1])
    low, high = shades(axes).get_clim()
    assert -low == high == np.abs(weight_DFK).max()
    assert np.isfinite(mosaic).sum() == weight_DFK.size
    assert axes.get_title(loc="left") == "all 6 filters, the strongest first"


@pytest.mark.parametrize("lowest_first", [False, True])
def test_the_channels_of_a_filter_stand_side_by_side(drawn: list[Figure], lowest_first: bool) -> None:
    weight_DCHW = np.arange(1.0, 13).reshape(1, 2, 3, 2)
    filters(weight_DCHW, lowest_first=lowest_first, synthetic=False)
    mosaic = shades(drawn[0].axes[0]).get_array()
    step = -1 if lowest_first else 1
    np.testing.assert_array_equal(mosaic[:, :2], weight_DCHW[0, 0, ::step])
    np.testing.assert_array_equal(mosaic[:, 3:], weight_DCHW[0, 1, ::step])
    assert np.isnan(np.ma.filled(mosaic[:, 2], np.nan)).all()


@pytest.mark.parametrize("shape", [(5, 7), (5, 1, 7)], ids=["linear layer", "convolution over samples"])
def test_filters_without_frequencies_are_rows(drawn: list[Figure], shape: tuple[int, ...]) -> None:
    weight = np.random.default_rng(0).normal(size=shape)
    filters(weight, synthetic=False)
    rows = weight.reshape(5, 7)
    order = np.argsort(-np.linalg.norm(rows, axis=1))
    np.testing.assert_array_equal(shades(drawn[0].axes[0]).get_array(), rows[order])


@pytest.mark.parametrize(("shape", "shown"), [((100, 2, 5, 3), 64), ((30, 250, 40), 10), ((2, 1000, 200), 1)])
def test_no_more_filters_are_drawn_than_can_be_seen(drawn: list[Figure], shape: tuple[int, ...], shown: int) -> None:
    filters(np.ones(shape, np.float32), synthetic=False)
    axes = drawn[0].axes[0]
    assert axes.get_title(loc="left") == f"{shown} of {shape[0]} filters, the strongest first"
    assert np.isfinite(shades(axes).get_array()).sum() == shown * np.prod(shape[1:])


def test_filters_of_zeros_are_white_and_other_shapes_refused(drawn: list[Figure]) -> None:
    filters(np.zeros((3, 2, 2)), synthetic=False)
    image = shades(drawn[0].axes[0])
    assert image.norm(0.0) == 0.5
    with pytest.raises(ConfigurationError, match=r"shape \(4,\)"):
        filters(np.zeros(4), synthetic=False)


def test_speakers_stand_in_order_with_a_colour_and_a_marker_for_each_gender(drawn: list[Figure]) -> None:
    by_speaker(UAR, GENDER, 1 / 4, synthetic=False)
    axes = drawn[0].axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["08", "10", "03", "09"]
    female, male, unknown = axes.collections
    assert female.get_offsets().tolist() == [[0, 25], [3, 75]]
    assert male.get_offsets().tolist() == [[2, 50]]
    assert unknown.get_offsets().tolist() == [[1, 40]]
    colours = {tuple(dots.get_facecolor()[0]) for dots in axes.collections}
    markers = {dots.get_paths()[0].vertices.tobytes() for dots in axes.collections}
    assert len(colours) == len(markers) == 3
    assert [line.get_ydata()[0] for line in axes.lines] == [50, 50, 40, 25]  # three means and chance
    (legend,) = drawn[0].legends
    said = [text.get_text() for text in legend.get_texts()]
    assert said == ["female (2), mean 50.0 %", "male (1), mean 50.0 %", "unknown (1), mean 40.0 %", "chance 25.0 %"]


def test_very_many_speakers_are_counted_and_not_named(drawn: list[Figure]) -> None:
    for number in (91, 1000):
        by_speaker({str(one): one / number for one in range(number)}, {}, 0.25, synthetic=False)
    named, counted = (figure.axes[0] for figure in drawn)
    assert len(named.get_xticklabels()) == 91
    assert named.get_xlabel() == "speaker"
    assert not counted.get_xticklabels()
    assert counted.get_xlabel() == "1,000 speakers"


def test_the_diagram_has_a_point_for_each_bin_with_answers(drawn: list[Figure]) -> None:
    reliability([0.9, 0.92, 0.5, 1.0], [True, False, True, True], synthetic=False)
    above, below = drawn[0].axes
    sure, right = above.lines[-1].get_data()
    np.testing.assert_allclose(sure, [0.5, 0.91, 1.0])
    np.testing.assert_allclose(right, [1.0, 0.5, 1.0])
    (bars,) = below.patches
    assert bars.get_data().values.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 1]
    assert above.get_title() == f"expected calibration error {100 * (2 * 0.41 + 0.5) / 4:.1f} %"


def test_no_answers_have_no_reliability() -> None:
    with pytest.raises(ConfigurationError, match="no answer"):
        reliability([], [], synthetic=False)


def test_learning_curves_of_a_run_that_delivers_nothing() -> None:
    curve = figures.Curve([Epoch(1, 1.0, 0.5, None, None), Epoch(2, 0.5, 0.7, None, None)], 2)
    assert figures.learning_curves([curve], None, synthetic=False).src.startswith("data:image/png")
