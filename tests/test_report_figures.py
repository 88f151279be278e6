"""Figures: the scale bar is as long as it says, outlines lie on the objects, nothing is left behind."""

import time
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morpholith.errors import InputError
from morpholith.image import Quantity
from morpholith.report.pictures import _grey_limits, _thinned, length_text, round_length
from morpholith.report.style import (
    contours,
    distribution,
    figure,
    histogram,
    log_axis,
    micrograph,
    micrograph_figure,
    outlines,
    scale_bar,
    scatter_matrix,
    style,
    to_png,
    trend,
)


def pixels(fig):
    return np.asarray(Image.open(BytesIO(to_png(fig))).convert("RGB")).astype(int)


def discs(shape, n, *, seed=0, radius=14):
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    y, x = np.ogrid[: shape[0], : shape[1]]
    for k in range(1, n + 1):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = k
    return labels


def longest_run(row):
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max()) if edges.size else 0


# --- scale bar -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [0, 128, 255])
@pytest.mark.parametrize(
    ("shape", "spacing"), [((96, 128), 0.1), ((960, 1280), (0.05, 0.0333)), ((300, 200), (2.0, 2.3))]
)
def test_scale_bar_is_as_long_as_it_says(shape, spacing, background):
    fig = micrograph_figure(shape)
    ax = fig.subplots()
    ax.imshow(np.full(shape, background), cmap="gray", vmin=0, vmax=255)
    ax.set_axis_off()
    with style():
        length = scale_bar(ax, spacing)
    image = pixels(fig)
    box = ax.get_window_extent()
    rows = slice(image.shape[0] - int(box.y0) - image.shape[0] // 4, image.shape[0] - int(box.y0))
    part = image[rows, int(box.x0) + 2 : int(box.x1) - 2].sum(axis=2) / 3
    plate = part.min(axis=1) < 100  # on white the bar stands on its dark plate
    run = max(longest_run(row > 230) if background < 255 else inner_run(row) for row in part[plate])
    dx = spacing if np.isscalar(spacing) else spacing[1]
    expected = length / dx * box.width / shape[1]
    assert abs(run - expected) <= 1.0


def inner_run(row):
    """Return the longest bright run with the dark plate on both sides."""
    dark = np.flatnonzero(row < 120)
    return longest_run(row[dark[0] : dark[-1]] > 230)


def test_scale_bar_of_known_length_and_bad_spacing():
    ax = figure().subplots()
    assert scale_bar(ax, 0.1, length_um=0.05) == 0.05
    with pytest.raises(InputError, match="positive"):
        scale_bar(ax, -1)


def test_without_a_pixel_size_bars_count_pixels():
    """A length in micrometres would be a guess."""
    ax = figure().subplots()
    micrograph(ax, np.zeros((60, 80)), spacing=None)
    [bar] = [a for a in ax.artists if hasattr(a, "txt_label")]
    assert bar.txt_label.get_text() == "20 px"
    known = figure().subplots()
    micrograph(known, np.zeros((60, 80)), spacing=0.1)
    [bar] = [a for a in known.artists if hasattr(a, "txt_label")]
    assert bar.txt_label.get_text() == "2 µm"


@pytest.mark.parametrize(
    ("at_most", "length"),
    [(25.0, 20), (19.99, 10), (5.0, 5), (4.99, 2), (0.5 - 1e-16, 0.5), (0.013, 0.01), (1e4, 1e4)],
)
def test_lengths_are_round(at_most, length):
    assert round_length(at_most) == pytest.approx(length, rel=1e-12)


@pytest.mark.parametrize(
    ("length", "text"), [(10, "10 µm"), (1, "1 µm"), (0.5, "500 nm"), (0.002, "2 nm"), (2000, "2 mm")]
)
def test_lengths_in_the_handy_unit(length, text):
    assert length_text(length) == text


# --- micrograph ------------------------------------------------------------------------------------------


def test_few_bright_pixels_do_not_darken_the_rest():
    image = np.random.default_rng(0).normal(100, 10, (200, 300))
    image[:2, :10] = 1e6
    image[5, 5] = np.nan
    low, high = _grey_limits(image)
    assert 65 < low < 85
    assert 115 < high < 140


@pytest.mark.parametrize("array", [np.full((20, 30), 7), np.zeros((20, 30)), np.full((4, 4), np.nan), np.eye(3) > 0])
def test_odd_images_are_drawn(array):
    fig = micrograph_figure(array.shape)
    with style():
        micrograph(fig.subplots(), array, spacing=1.0)
    assert pixels(fig).ndim == 3


def test_huge_images_are_thinned_by_means_and_keep_their_coordinates():
    image = np.arange(9 * 7, dtype=np.uint16).reshape(9, 7)
    thin = _thinned(image, 4)
    assert thin.shape == (3, 2)
    assert thin[0, 0] == image[:4, :4].mean()
    assert thin[2, 1] == image[8:, 4:].mean()
    ax = figure().subplots()
    with style():
        micrograph(ax, np.zeros((10, 9000), np.uint8), spacing=0.1)
    assert ax.get_xlim() == (-0.5, 8999.5)
    assert ax.get_images()[0].get_array().shape == (4, 3000)


# --- outlines --------------------------------------------------------------------------------------------


def test_contours_lie_half_way_between_pixels():
    labels = np.zeros((7, 9), int)
    labels[2:5, 3:7] = 4
    (line,) = contours(labels)[4]
    assert line.min(axis=0) == pytest.approx([2.5, 1.5])  # x, y
    assert line.max(axis=0) == pytest.approx([6.5, 4.5])
    assert (line[0] == line[-1]).all()


def test_contours_at_the_frame_touching_and_with_holes():
    labels = np.zeros((20, 20), int)
    labels[:6, :6] = 1
    labels[:6, 6:12] = 2
    labels[10:19, 10:19] = 7
    labels[13:16, 13:16] = 0
    found = contours(labels)
    assert {k: len(v) for k, v in found.items()} == {1: 1, 2: 1, 7: 2}
    assert contours(np.zeros((5, 5), int)) == {}


def test_outlines_say_who_counts_and_why_others_do_not():
    labels = np.zeros((60, 100), np.int32)
    for k in range(5):
        labels[20:35, 5 + 18 * k : 17 + 18 * k] = k + 1
    values = pd.Series([1.0, 2.0, 3.0, np.nan, 5.0], index=range(1, 6))
    rejected = {2: "cut by the frame", 3: "hidden", 1: "", 5: None}
    fig = micrograph_figure(labels.shape)
    ax = fig.subplots()
    micrograph(ax, labels > 0, spacing=0.1)
    drawn = outlines(ax, labels, values, label="diameter (µm)", rejected=rejected)
    assert list(drawn.get_array()) == [1.0, 5.0]
    assert drawn.get_clim() == (1.0, 5.0)
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    assert texts == ["measured (2)", "cut by the frame (1)", "hidden (1)", "not measured (1)"]
    assert ax.get_xlim() == (-0.5, 99.5)
    colours = [c.get_color()[0][:3] for c in ax.collections if c is not drawn and c.get_zorder() == 3]
    assert len({tuple(c) for c in colours}) == 3


def test_reason_looks_the_same_in_every_image_of_a_run():
    labels = discs((80, 80), 3)
    looks = []
    for rejected in ({1: "b"}, {1: "a", 2: "b"}):
        ax = figure().subplots()
        outlines(ax, labels, {1: 1.0, 2: 2.0, 3: 3.0}, label="d", rejected=rejected, reasons=("a", "b"))
        handle = next(h for h in ax.get_legend().legend_handles if h.get_label().startswith("b"))
        looks.append((handle.get_color(), handle.get_linestyle()))
    assert looks[0] == looks[1]


def test_outlines_of_nothing_and_of_one():
    for labels, values in ((np.zeros((30, 30), int), {}), (discs((60, 60), 1), {1: 0.0})):
        fig = figure()
        outlines(fig.subplots(), labels, values, label="d")
        assert to_png(fig)


def test_outlines_of_300_particles_take_less_than_half_a_second():
    labels = discs((960, 1280), 300)
    values = {k: float(k) for k in range(1, 301)}
    times = []
    for _ in range(2):
        ax = micrograph_figure(labels.shape).subplots()
        start = time.process_time()
        outlines(ax, labels, values, label="diameter (µm)")
        times.append(time.process_time() - start)
    assert min(times) < 0.5


# --- plots -----------------------------------------------------------------------------------------------


def test_distribution_draws_band_curve_and_quantiles():
    x = np.linspace(1, 10, 50)
    fig = figure()
    ax = fig.subplots()
    with style():
        marks = {"D50": Quantity(5.0, 4.5, 5.5), "D90": Quantity(np.nan), "D10": Quantity(2.0)}
        distribution(ax, x, np.exp(-x), 0.9 * np.exp(-x), np.where(x > 9, np.nan, 1.1 * np.exp(-x)), marks=marks)
        log_axis(ax)
    assert [t.get_text() for t in ax.texts] == ["D50", "D10"]
    assert ax.get_xlim() == pytest.approx((1, 10))
    assert to_png(fig)
    assert "5" in [t.get_text() for t in ax.get_xticklabels()]


def test_trend_sorts_numbers_keeps_names_and_draws_missing_bars():
    ax, other = figure().subplots(1, 2)
    trend(ax, [3, 1, 2], [30, 10, 20], [29, 9, np.nan], [31, 11, 22])
    line = ax.lines[0]
    assert list(line.get_xdata()) == [1, 2, 3]
    assert list(line.get_ydata()) == [10, 20, 30]
    trend(other, ["b", "a"], [1, 2])
    assert other.lines[0].get_linestyle() == "None"


def test_histogram_leaves_out_nan_and_says_when_nothing_is_left():
    ax, empty = figure().subplots(1, 2)
    histogram(ax, [0.1, np.nan, 0.3], mean=Quantity(0.2, 0.1, 0.3))
    assert sum(p.get_height() for p in ax.containers[0]) == 2
    histogram(empty, [np.nan])
    assert empty.texts[0].get_text() == "no objects"


def test_scatter_matrix_writes_correlations_with_intervals():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(40, 3)), columns=["a", "b", "c"])
    table.loc[3, "a"] = np.nan
    columns = {"a": "A (µm)", "b": "B", "c": "C"}
    with style():
        fig = scatter_matrix(table, columns=columns, correlations={("b", "a"): Quantity(-0.38, -0.5, -0.2)})
    texts = [t.get_text() for ax in fig.axes for t in ax.texts]
    assert sorted(texts) == ["-0.38", "[-0.50, -0.20]"]
    assert fig.axes[6].get_xlabel() == "A (µm)"
    assert to_png(fig)


# --- manners ---------------------------------------------------------------------------------------------


def test_style_and_drawing_leave_matplotlib_as_it_was():
    import sys

    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with style():
        assert mpl.rcParams["axes.spines.top"] is False
    fig = figure()
    fig.subplots().plot([0, 1])
    to_png(fig)
    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_same_figure_same_bytes():
    def draw():
        fig = figure(3, 2)
        fig.subplots().plot([0, 1, 2], [0, 1, 4])
        return fig

    assert to_png(draw) == to_png(draw)
    assert b"Software" not in to_png(draw)
