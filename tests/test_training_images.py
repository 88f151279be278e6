"""From a campaign's files to views at their working pixels, on images whose pixels and discs are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from morpholith.errors import InputError, InputWarning
from morpholith.generate import TrainingImages, training_images
from morpholith.generate._training_grey import as_bytes, binned, grey_scale
from morpholith.image import Image
from morpholith.read import Campaign, write_tiff

COARSE, FINE = 0.1, 0.02  # pixels in um
DISC_UM = 6.0


def _discs(rng, *, pixel, shape=(220, 260), level=1.0):
    """Return discs of 6 um on a square grid, 9 um apart, with noise: grey levels of a uint8 micrograph."""
    y, x = np.indices(shape) * pixel
    step = 9.0
    r = np.hypot(np.mod(y, step) - step / 2, np.mod(x, step) - step / 2)
    array = 60 + 120 * np.clip((DISC_UM / 2 - r) / pixel, 0, 1) + rng.normal(0, 3, shape)
    return np.clip(array * level, 0, 255).astype(np.uint8)


def _campaign(folder, rows, *, columns=("condition", "magnification"), dtype=np.uint8):
    """Write images given as (condition, magnification, pixel size, array) and return their campaign."""
    table = []
    for i, (condition, magnification, pixel, array) in enumerate(rows):
        path = folder / f"{condition}_{magnification}_{i}.tif"
        write_tiff(path, Image(array.astype(dtype), "yx", (pixel, pixel)))
        table.append({"path": path, "condition": condition, "magnification": magnification, "lot": "l1"})
    table = pd.DataFrame(table)[["path", *columns]]
    return Campaign(table, pd.DataFrame(index=pd.Index(table["condition"].unique(), name="condition")))


def _rows(n=8, *, coarse=COARSE, fine=FINE, rng=None):
    rng = rng or np.random.default_rng(0)
    rows = []
    for c in range(n):
        rows.append((f"c{c + 1}", "3000x", coarse, _discs(rng, pixel=coarse)))
        rows.append((f"c{c + 1}", "15000x", fine, _discs(rng, pixel=fine, shape=(200, 200))))
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("campaign")


@pytest.fixture(scope="module")
def rows():
    return _rows()


@pytest.fixture(scope="module")
def two_views(folder, rows):
    return training_images(_campaign(folder, rows, columns=("condition", "magnification", "lot")))


def test_views_working_pixels_and_measures(two_views):
    coarse, fine = two_views.views
    assert (coarse.name, fine.name) == ("3000x", "15000x")
    assert coarse.pixel_um == pytest.approx(2 * COARSE)  # 6 um discs: 30 px at 0.2 um
    assert fine.pixel_um == pytest.approx(2 * FINE)  # the largest multiple of 0.02 that is not over 0.05
    assert coarse.measures == ("d50_um", "circularity_mean", "circularity_sd")
    assert fine.measures == ("texture_mean",)
    assert two_views.warnings == ()


def test_arrays_are_the_area_averages_of_the_files(two_views, rows):
    assert isinstance(two_views, TrainingImages)
    assert len(two_views) == len(rows) == 16
    for (condition, magnification, _, array), got, c, v in zip(
        rows, two_views.arrays, two_views.condition, two_views.view, strict=True
    ):
        assert two_views.conditions[c] == condition
        assert two_views.views[v].name == magnification
        h, w = array.shape[0] // 2, array.shape[1] // 2
        expected = np.array([[array[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(8)] for i in range(8)])
        assert got.shape == (h, w)
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got[:8, :8], np.rint(expected))
    assert two_views.lots == ("l1",) * 16
    assert two_views.grey["uint8"].low == 0
    assert two_views.grey["uint8"].high == 255


def test_images_of_a_condition_in_a_view(two_views):
    (got,) = two_views.of("c3", view="15000x")
    assert got is two_views.arrays[5]
    with pytest.raises(InputError, match="no condition 'c9' in view '3000x'; views are 3000x, 15000x"):
        two_views.of("c9", view="3000x")


def test_without_a_column_clear_groups_of_pixel_sizes_are_views(folder, rows):
    plan = _campaign(folder, rows, columns=("condition",))
    with pytest.warns(InputWarning, match=r"no column `magnification`; its 2 pixel sizes \(0.1 um, 0.02 um\)"):
        found = training_images(plan)
    assert [v.name for v in found.views] == ["0.1 um", "0.02 um"]
    assert found.lots == (None,) * 16
    mixed = [(c, m, p * (1.2 if c == "c4" else 1), a) for c, m, p, a in rows]
    with pytest.raises(InputError, match=r"pixels of 0.02 to 0.12 um .* give the campaign's table a column `magnif"):
        training_images(_campaign(folder, mixed, columns=("condition",)))


def test_pixel_sizes_within_a_magnification(folder, rows):
    close = [(c, m, p * (1.03 if (c, m) == ("c4", "3000x") else 1), a) for c, m, p, a in rows]
    with pytest.warns(InputWarning, match="within view 3000x differ by up to 3.0%"):
        assert training_images(_campaign(folder, close), median_um=DISC_UM).views[0].pixel_um == pytest.approx(0.2)
    wrong = [(c, m, 0.02 if (c, m) == ("c4", "3000x") else p, a) for c, m, p, a in rows]
    with pytest.raises(InputError, match=r"c4_3000x_6.tif has pixels of 0.02 um, but others of magnification '3000x'"):
        training_images(_campaign(folder, wrong), median_um=DISC_UM)


def test_a_finer_scan_of_the_same_field_is_binned_to_the_same_pixel(folder, rows):
    finer = [(c, m, p / 2, np.kron(a, np.ones((2, 2), np.uint8))) if c == "c4" else (c, m, p, a) for c, m, p, a in rows]
    found = training_images(_campaign(folder, finer), median_um=DISC_UM)
    plain = training_images(_campaign(folder, rows), median_um=DISC_UM)
    assert all(np.array_equal(a, b) for a, b in zip(found.arrays, plain.arrays, strict=True))


def test_too_few_conditions_are_refused(folder, rows):
    with pytest.raises(InputError, match="images of 8 conditions or more, got 5"):
        training_images(_campaign(folder, rows[:10]))
    assert training_images(_campaign(folder, rows[:10]), least=5, median_um=DISC_UM).condition.max() == 4


def test_conditions_without_a_view_are_said(folder, rows):
    with pytest.warns(InputWarning, match="1 of 8 conditions have no image in view 15000x, first c8"):
        found = training_images(_campaign(folder, rows[:-1]), median_um=DISC_UM)
    assert found.of("c8", view="15000x") == []


def test_small_images_are_left_out_and_all_small_ones_refused(folder, rows):
    cut = [(*row[:3], row[3][:100] if row[0] == "c2" else row[3]) for row in rows]
    extra = [*cut, ("c2", "3000x", COARSE, rows[0][3]), ("c2", "15000x", FINE, rows[1][3])]
    with pytest.warns(InputWarning, match="2 image.s. are smaller than 64 x 64 working pixels and are left out, first"):
        found = training_images(_campaign(folder, extra), median_um=DISC_UM)
    assert len(found) == 16
    assert min(min(a.shape) for a in found.arrays) >= 64
    with pytest.raises(InputError, match="got 7 after 2 image.s. smaller than 64 x 64 working pixels were left"):
        training_images(_campaign(folder, cut), median_um=DISC_UM)
    tiny = [(*row[:3], row[3][:60] if row[1] == "3000x" else row[3]) for row in rows]
    with pytest.raises(InputError, match="every image of view 3000x is smaller than a patch of 64 x 64 .* 60 x 260"):
        training_images(_campaign(folder, tiny), median_um=DISC_UM)


def test_one_view_serves_texture_and_shape_if_its_pixel_can(folder):
    rng = np.random.default_rng(1)
    fine = [(f"c{i}", "5000x", 0.04, _discs(rng, pixel=0.04, shape=(300, 300))) for i in range(8)]
    with pytest.warns(InputWarning, match="median particle is 150 working pixels across"):
        (view,) = training_images(_campaign(folder, fine), median_um=DISC_UM).views
    assert view.pixel_um == pytest.approx(0.04)
    assert view.measures == ("texture_mean", "d50_um", "circularity_mean", "circularity_sd")
    coarse = [(c, m, 0.15, a) for c, m, _, a in fine]
    with pytest.warns(InputWarning, match="texture is not learnt: its finest band needs pixels of 0.05 um or less"):
        (view,) = training_images(_campaign(folder, coarse), median_um=DISC_UM).views
    assert view.measures == ("d50_um", "circularity_mean", "circularity_sd")


def test_a_working_pixel_can_be_asked_for(folder, rows):
    plan = _campaign(folder, rows)
    with pytest.warns(InputWarning, match="median particle is 60 working pixels across"):
        found = training_images(plan, pixel_um={"3000x": 0.1, "15000x": 0.021}, median_um=DISC_UM)
    assert [v.pixel_um for v in found.views] == pytest.approx([0.1, 0.02])
    with pytest.raises(InputError, match="names the view '1x'; there are 3000x, 15000x"):
        training_images(plan, pixel_um={"1x": 0.1}, median_um=DISC_UM)
    with pytest.raises(InputError, match="positive length in um, got 0"):
        training_images(plan, pixel_um={"3000x": 0}, median_um=DISC_UM)


def test_sixteen_bit_images_share_one_scale(folder, rows):
    deep = [(c, m, p, 1000 + 10.0 * a) for c, m, p, a in rows]
    found = training_images(_campaign(folder, deep, dtype=np.uint16), median_um=DISC_UM)
    plain = training_images(_campaign(folder, rows), median_um=DISC_UM)
    scale = found.grey["uint16"]
    assert 1300 < scale.low < 1600
    assert 2700 < scale.high < 3100
    a, b = (np.concatenate([x.ravel() for x in t.arrays]).astype(float) for t in (found, plain))
    inside = (a > 0) & (a < 255)
    assert inside.mean() > 0.98
    line = np.polyfit(b[inside], a[inside], 1)
    assert line[0] == pytest.approx(2550 / (scale.high - scale.low), rel=0.01)
    assert np.abs(np.polyval(line, b[inside]) - a[inside]).max() < 2.5


@pytest.mark.parametrize(("value", "says"), [(7, "is constant"), (np.nan, "NaN or infinite")])
def test_an_image_without_information_is_refused_by_name(folder, rows, value, says):
    bad = [(*row[:3], np.full_like(row[3], value, dtype=float) if i == 4 else row[3]) for i, row in enumerate(rows)]
    with pytest.raises(InputError, match=f"c3_3000x_4.tif.*{says}"):
        training_images(_campaign(folder, bad, dtype=np.float32))


def test_a_pixel_size_for_each_magnification(folder, rows):
    plan = _campaign(folder, rows)
    paths = []
    for row, path in zip(rows, plan.images["path"], strict=True):
        paths.append(Path(path).with_suffix(".png"))
        Pillow.fromarray(row[3]).save(paths[-1])
    plan = Campaign(plan.images.assign(path=paths), plan.conditions)
    found = training_images(plan, pixel_size={"3000x": COARSE, "15000x": FINE}, median_um=DISC_UM)
    assert [v.pixel_um for v in found.views] == pytest.approx([0.2, 0.04])
    with pytest.raises(InputError, match="names the magnification '1x'; the campaign has 3000x, 15000x"):
        training_images(plan, pixel_size={"1x": 1.0})


def test_a_magnification_that_is_missing_or_doubled(folder, rows):
    plan = _campaign(folder, rows)
    gap = plan.images.assign(magnification=[None, *plan.images["magnification"][1:]])
    with pytest.raises(InputError, match="c1_3000x_0.tif has no magnification .1 such.; fill in that column"):
        training_images(Campaign(gap, plan.conditions), median_um=DISC_UM)
    odd = plan.images.assign(magnification=["3kx", *plan.images["magnification"][1:]])
    with pytest.warns(InputWarning) as said:
        training_images(Campaign(odd, plan.conditions), median_um=DISC_UM)
    assert any("'3kx' and '3000x' have the same pixel size" in str(w.message) for w in said)


def test_a_view_between_two_is_binned_as_often_as_the_coarsest(folder, rows):
    rng = np.random.default_rng(2)
    between = [(f"c{i + 1}", "8000x", 0.05, _discs(rng, pixel=0.05)) for i in range(8)]
    found = training_images(_campaign(folder, between + rows), median_um=DISC_UM)
    assert [v.name for v in found.views] == ["3000x", "8000x", "15000x"]
    assert [v.pixel_um for v in found.views] == pytest.approx([0.2, 0.1, 0.04])
    assert found.views[1].measures == ()


def test_a_field_keeps_a_patch_even_where_particles_are_large(folder, rows):
    with pytest.warns(InputWarning, match="median particle is 67 working pixels across"):
        found = training_images(_campaign(folder, rows), median_um=20.0)
    assert found.views[0].pixel_um == pytest.approx(0.3)


def test_a_coloured_photograph_is_refused(folder, rows):
    plan = _campaign(folder, rows)
    path = folder / "colour.png"
    Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)).save(path)
    paths = [path, *plan.images["path"][1:]]
    with pytest.raises(InputError, match="colour.png is a colour image"):
        training_images(Campaign(plan.images.assign(path=paths), plan.conditions), pixel_size=0.1)


def test_fields_without_particles_keep_their_pixel(folder, rows):
    rng = np.random.default_rng(3)
    empty = [(c, m, p, np.clip(100 + rng.normal(0, 3, a.shape), 0, 255)) for c, m, p, a in rows]
    with pytest.warns(InputWarning, match="whole particles were found in 8 images of the coarsest view, too few"):
        found = training_images(_campaign(folder, empty))
    assert found.views[0].pixel_um == pytest.approx(COARSE)


def test_averages_over_whole_pixels():
    array = np.arange(35, dtype=np.uint16).reshape(5, 7)
    got = binned(array, 3)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[array[:3, :3].mean(), array[:3, 3:6].mean()]])
    tall = np.random.default_rng(0).integers(0, 255, (1030, 8), dtype=np.uint8)
    np.testing.assert_array_equal(binned(tall, 2), np.rint(tall.reshape(515, 2, 4, 2).mean(axis=(1, 3))))
    np.testing.assert_array_equal(binned(tall, 1), tall)


def test_a_grey_scale_reaches_from_the_darkest_to_the_brightest_image():
    levels = np.linspace(0, 1000, 10001, dtype=np.float32)
    dark, bright, usual = levels + 100, levels + 500, levels + 300
    scale = grey_scale([usual, dark, bright, usual])
    assert (scale.low, scale.high) == pytest.approx((101, 1499), abs=0.5)  # 0.1 % of an image may be cut
    assert as_bytes(np.array([0, 101, 800, 1499, 2000], np.float32), scale).tolist() == [0, 0, 128, 255, 255]


def test_a_grey_scale_of_a_single_level_does_not_divide_by_zero():
    flat = np.full((4, 4), 3.0, np.float32)
    assert as_bytes(flat, grey_scale([flat])).tolist() == [[0] * 4] * 4
