"""Renderings: everything where it belongs, the right way round, and the light from above."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from morpholith.errors import InputError
from morpholith.report import render3d
from morpholith.report.render3d import by_value, electrode_figure, render, show, view

SPACING = (0.5, 0.4, 0.3)
SIZE = 160
RED = np.array([(0, 0, 0), (220, 40, 40), (40, 60, 220)])


def balls(shape, *centres_radii):
    """Labelled balls (z, y, x, radius) in um on the uneven grid; voxel i covers i .. i + 1 edges."""
    grid = np.meshgrid(*((np.arange(n) + 0.5) * s for n, s in zip(shape, SPACING, strict=True)), indexing="ij")
    labels = np.zeros(shape, np.uint16)
    for k, (*centre, r) in enumerate(centres_radii, start=1):
        labels[sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= r * r] = k
    return labels


def seen(picture, colour="red"):
    """Pixels of the red or the blue body: white and grey have no excess of a colour."""
    channel = {"red": 0, "blue": 2}[colour]
    return picture[..., channel].astype(int) - picture[..., 2 - channel] > 25


def test_ball_is_drawn_where_it_is_and_as_large_as_it_is():
    labels = balls((40, 60, 90), (7.0, 15.0, 18.0, 4.0))
    v = view(labels.shape, spacing=SPACING, size=SIZE)
    mask = seen(render(labels, spacing=SPACING, size=SIZE, colours=RED))
    assert mask.shape == v.shape
    assert mask.sum() * v.pixel_um**2 == pytest.approx(np.pi * 16, rel=0.04)
    row, column = np.argwhere(mask).mean(0)
    np.testing.assert_allclose((column, row), v.project((7.0, 15.0, 18.0)), atol=0.7)


@pytest.mark.parametrize("azimuth", [-130, 0, 35, 100, 215])
@pytest.mark.parametrize("elevation", [-20, 30])
def test_nothing_is_mirrored_and_z_points_up(azimuth, elevation):
    v = view((30, 40, 50), spacing=SPACING, azimuth=azimuth, elevation=elevation)
    x_y_z = np.stack([v.right, v.up, -v.into])[:, ::-1]
    np.testing.assert_allclose(x_y_z @ x_y_z.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(x_y_z) == pytest.approx(1)
    assert v.project((9, 5, 5))[1] < v.project((1, 5, 5))[1]
    assert np.sign(-v.into[0]) == np.sign(elevation)


def test_azimuth_zero_looks_from_the_far_end_of_y_and_ninety_from_that_of_x():
    for azimuth, axis in ((0, 1), (90, 2)):
        v = view((10, 10, 10), spacing=SPACING, azimuth=azimuth, elevation=0)
        np.testing.assert_allclose(-v.into, np.eye(3)[axis], atol=1e-12)


def test_whole_box_is_in_the_picture_with_a_margin():
    for azimuth, elevation in ((35, 28), (200, -60), (0, 0)):
        v = view((12, 80, 33), spacing=SPACING, size=300, azimuth=azimuth, elevation=elevation)
        corners = v.project(np.array(list(np.ndindex(2, 2, 2))) * v.size_um)
        assert max(v.shape) in (300, 301)
        assert corners.min() > 3
        assert (corners < np.array(v.shape[::-1]) - 4).all()


def test_what_is_in_front_hides_what_is_behind():
    """Two equal balls in a row along y, seen along y: only the near one shows."""
    labels = balls((40, 60, 90), (10, 6, 13, 4.0), (10, 18, 13, 4.0))
    from_far_y = render(labels, spacing=SPACING, size=SIZE, colours=RED, azimuth=0, elevation=0)
    assert seen(from_far_y, "blue").sum() > 200
    assert seen(from_far_y, "red").sum() == 0
    from_low_y = render(labels, spacing=SPACING, size=SIZE, colours=RED, azimuth=180, elevation=0)
    assert seen(from_low_y, "red").sum() > 200
    assert seen(from_low_y, "blue").sum() == 0


def test_cut_takes_the_corner_towards_the_viewer_and_shows_the_inside():
    labels = balls((40, 60, 90), (15, 18, 22, 4.5), (9, 12, 13, 3.0))
    look = {"spacing": SPACING, "size": SIZE, "colours": RED}
    whole, cut = (render(labels, **look, cut=c) for c in (None, (0.5, 0.5, 0.5)))
    assert seen(whole, "red").sum() > 300
    assert seen(cut, "red").sum() < 0.05 * seen(whole, "red").sum()
    assert seen(cut, "blue").sum() > 1.5 * seen(whole, "blue").sum()
    v = view(labels.shape, spacing=SPACING, size=SIZE, cut=(0.5, 0.25, 0.75))
    np.testing.assert_allclose(v.corner, [(10, 18, 6.75), (20, 24, 27)])


def test_cut_face_of_a_body_is_flat_and_surface_is_lit_from_above():
    labels = np.zeros((40, 60, 90), np.int32)
    labels[:] = 1
    full = render(labels, spacing=SPACING, size=SIZE, colours=RED)
    v = view(labels.shape, spacing=SPACING, size=SIZE)
    column, row = v.project((20, 12, 13.5)).round().astype(int)  # the middle of the top face
    patch = full[row - 4 : row + 5, column - 4 : column + 5].reshape(-1, 3)
    assert np.ptp(patch.astype(int), axis=0).max() <= 2
    ball = balls((40, 60, 90), (10, 12, 13, 6.0))
    picture = render(ball, spacing=SPACING, size=SIZE, colours=RED).astype(int)
    column, row = v.project((10, 12, 13)).round().astype(int)
    up = int(3.5 / v.pixel_um)
    assert picture[row - up, column].sum() > 1.25 * picture[row + up, column].sum()


def test_phase_is_drawn_as_one_body_and_zero_may_be_it():
    labels = balls((40, 60, 90), (10, 12, 13, 8.0))
    pore = render(labels, spacing=SPACING, size=SIZE, phase=0, colours=RED)
    column, row = view(labels.shape, spacing=SPACING, size=SIZE).project((20, 12, 13.5)).round().astype(int)
    assert seen(pore)[row, column]
    inside = render(labels, spacing=SPACING, size=SIZE, phase=0, colours=RED, cut=(0.5, 0.5, 0.5))
    assert not np.array_equal(pore, inside)
    assert seen(inside).sum() < seen(pore).sum() + 1


def test_colours_by_value():
    table = by_value({1: 2.0, 4: 6.0, 3: np.nan}, cmap="gray")
    assert table.shape == (5, 3)
    np.testing.assert_allclose(table[1], 0)
    np.testing.assert_allclose(table[4], 255)
    np.testing.assert_allclose(table[[2, 3]], 190)
    import pandas as pd

    np.testing.assert_array_equal(by_value(pd.Series([2.0, 6.0, np.nan], [1, 4, 3]), cmap="gray"), table)
    np.testing.assert_allclose(by_value({1: 4.0}, cmap="gray", limits=(0, 8))[1], 128, atol=1)
    assert by_value({}).shape == (1, 3)


def test_same_picture_again_and_the_volume_left_alone():
    labels = balls((40, 60, 90), (10, 12, 13, 6.0), (10, 6, 6, 4.0))
    before = labels.copy()
    one, two = (render(labels, spacing=SPACING, size=SIZE) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(labels, before)
    turned = render(labels.astype(np.int64), spacing=SPACING, size=SIZE)
    np.testing.assert_array_equal(one, turned)


def test_box_edges_are_those_that_can_be_seen():
    v = view((20, 30, 40), spacing=SPACING)
    edges = v.edges()
    assert len(edges) == 9
    for ends in edges:
        assert ((ends >= 0) & (ends <= v.size_um)).all()
        assert np.count_nonzero(np.diff(ends, axis=0)) == 1
    hidden = np.where(v.into < 0, 0, v.size_um)
    assert not any((ends == hidden).all(1).any() for ends in edges)
    cut = view((20, 30, 40), spacing=SPACING, cut=(0.5, 0.4, 0.3))
    low, high = cut.corner
    front = np.where(cut.into < 0, v.size_um, 0)
    for ends in cut.edges():
        assert not (ends == front).all(1).any()  # the corner is gone
        middle = ends.mean(0)
        assert not ((middle > low) & (middle < high)).all()
    assert len(cut.edges()) == 9 + 9


def test_figures_are_drawn_with_their_scale():
    labels = balls((40, 60, 90), (10, 12, 13, 6.0), (10, 4, 4, 3.0))
    look = {"spacing": SPACING, "size": SIZE, "cut": (0.5, 0.5, 0.5)}
    ax = Figure().subplots()
    show(ax, render(labels, **look), view(labels.shape, **look), title="particles")
    assert ax.texts[0].get_text() == "5 µm"
    (line,) = ax.lines
    assert np.ptp(line.get_xdata()) == pytest.approx(5 / view(labels.shape, **look).pixel_um)
    phases = (labels > 0).astype(np.uint8)
    fig = electrode_figure(phases, labels, spacing=SPACING, values={1: 12.0}, name="diameter (µm)", size=SIZE)
    assert [a.get_title() for a in fig.axes[:2]] == ["Particles", "Pores"]
    assert fig.axes[2].get_ylabel() == "diameter (µm)"
    assert len(electrode_figure(phases, labels, spacing=SPACING, size=SIZE).axes) == 2


def test_empty_and_tiny_volumes():
    empty = render(np.zeros((5, 6, 7), np.uint8), spacing=SPACING, size=SIZE)
    assert empty.min() > 225
    assert (empty[0, 0] == 255).all()
    one = render(np.ones((1, 1, 1), np.uint8), spacing=SPACING, size=SIZE, colours=RED)
    assert seen(one).mean() > 0.4
    assert electrode_figure(np.zeros((5, 6, 7), int), np.zeros((5, 6, 7), int), spacing=SPACING, values={}, size=60)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": np.zeros((4, 4))}, "3D array"),
        ({"labels": np.zeros((4, 4, 4))}, "integers"),
        ({"labels": -np.ones((4, 4, 4), int)}, "negative"),
        ({"spacing": (1, 1)}, "3 positive lengths"),
        ({"colours": [(1, 2, 3)]}, "one row for each label"),
        ({"cut": (0.5, 0.5)}, "`cut` must be three shares"),
        ({"cut": (0.5, 0.5, 1.0)}, "`cut` must be three shares"),
        ({"elevation": 90}, "`elevation`"),
    ],
)
def test_bad_input_is_a_sentence(change, says):
    given = {"labels": np.ones((4, 4, 4), int), "spacing": SPACING, "size": 40, **change}
    with pytest.raises(InputError, match=says):
        render3d.render(given.pop("labels"), **given)
