"""The specimens' own answers: analytic where they say so, and honest about what the grid does."""

import numpy as np
import pytest
from scipy.integrate import quad

from morpholith import columns
from morpholith.errors import InputError
from morpholith.specimens.shapes import discs, ellipses, polygons, rectangle, regular_polygon

PIXELS = [(0.05, 0.05), (0.04, 0.07)]


@pytest.mark.parametrize("spacing", PIXELS)
def test_counted_area_agrees_with_analytic_area(spacing):
    s = ellipses(
        (300, 320),
        spacing=spacing,
        centres_um=[(3.013, 4.021), (8.0, 12.0)],
        semi_axes_um=[(2.5, 1.2), (3.0, 2.0)],
        angles_deg=[35.0, -20.0],
    )
    counted = np.bincount(s.labels.ravel())[1:] * np.prod(spacing)
    np.testing.assert_allclose(counted, s.truth[columns.AREA], rtol=0.005)
    y, x = np.nonzero(s.labels == 1)
    np.testing.assert_allclose([y.mean() * spacing[0], x.mean() * spacing[1]], [3.013, 4.021], atol=0.01)


def test_ellipse_points_where_it_says():
    """At +35 degrees the long axis runs to the upper right of the displayed image."""
    s = ellipses((101, 101), spacing=0.1, centres_um=[(5, 5)], semi_axes_um=[(4, 1)], angles_deg=[35])
    y, x = np.nonzero(s.labels)
    angle = 0.5 * np.arctan2(-2 * np.cov(y, x)[0, 1], x.var() - y.var())
    assert np.rad2deg(angle) == pytest.approx(35, abs=0.5)


def test_ellipse_perimeter_is_the_arc_length():
    s = ellipses((10, 10), spacing=1, centres_um=[(5, 5)], semi_axes_um=[(1, 3)], angles_deg=[0])
    arc = quad(lambda t: np.hypot(np.sin(t), 3 * np.cos(t)), 0, 2 * np.pi)[0]
    assert s.truth[columns.PERIMETER].iloc[0] == pytest.approx(arc, rel=1e-10)


def test_disc_and_its_circularity():
    s = discs((10, 10), spacing=1, centres_um=[(4.2, 5.1)], radii_um=[3])
    row = s.truth.iloc[0]
    assert row[columns.CIRCULARITY] == pytest.approx(1)
    assert row[columns.DIAMETER] == pytest.approx(6)
    assert s.truth.index.name == columns.LABEL


@pytest.mark.parametrize(("k", "circularity"), [(3, 0.6046), (4, 0.7854), (6, 0.9069)])
def test_regular_polygons(k, circularity):
    s = polygons(
        (120, 130),
        spacing=0.1,
        vertices_um=[regular_polygon(k, radius_um=5, centre_um=(6, 6.5), angle_deg=17)],
    )
    assert s.truth[columns.CIRCULARITY].iloc[0] == pytest.approx(circularity, abs=1e-4)
    assert (s.labels > 0).sum() * 0.01 == pytest.approx(s.truth[columns.AREA].iloc[0], rel=0.01)
    np.testing.assert_allclose(s.truth[[columns.Y, columns.X]].iloc[0], [6, 6.5])


def test_rectangle_and_concave_polygon():
    ell = np.array([(0, 0), (0, 4), (1, 4), (1, 1), (4, 1), (4, 0)], float)
    s = polygons((80, 80), spacing=0.1, vertices_um=[rectangle(3, 2, centre_um=(6, 6), angle_deg=30), ell + 0.52])
    np.testing.assert_allclose(s.truth[columns.AREA], [6, 7])
    np.testing.assert_allclose(s.truth[columns.PERIMETER], [10, 16])
    assert (s.labels == 2).sum() * 0.01 == pytest.approx(7, rel=0.02)


def test_overlap_and_frame_are_counted():
    s = discs((40, 60), spacing=1, centres_um=[(20, 20), (20, 26), (0, 50)], radii_um=[8, 8, 5])
    hidden = s.truth[columns.HIDDEN]
    assert 0.4 < hidden[1] < 0.7
    assert hidden[2] == 0
    assert s.truth[columns.TOUCHES_EDGE].tolist() == [False, False, True]
    assert s.truth.loc[3, columns.AREA] == pytest.approx(np.pi * 25)  # whole, although the frame cuts it
    assert s.truth.loc[3, columns.HEIGHT_PX] == 6
    assert s.truth.loc[1, columns.WIDTH_PX] == 17


def test_outside_the_frame_and_nothing_at_all():
    s = discs((20, 20), spacing=1, centres_um=[(-30, 5)], radii_um=[4])
    assert not s.labels.any()
    assert not s.truth[columns.TOUCHES_EDGE].iloc[0]
    empty = discs((20, 20), spacing=1, centres_um=[], radii_um=[])
    assert len(empty.truth) == 0
    assert list(empty.truth) == list(s.truth)


def test_wrong_input_is_told():
    with pytest.raises(InputError, match="one row for each shape"):
        discs((9, 9), spacing=1, centres_um=[(1, 1)], radii_um=[1, 2])
    with pytest.raises(InputError, match="positive"):
        discs((9, 9), spacing=1, centres_um=[(1, 1)], radii_um=[-1])
    with pytest.raises(InputError, match="three corners"):
        polygons((9, 9), spacing=1, vertices_um=[np.zeros((2, 2))])
    with pytest.raises(InputError, match="spacing"):
        discs((9, 9), spacing=0, centres_um=[(1, 1)], radii_um=[1])
