"""The data bar: cut to the row where one is drawn, and never cut from a micrograph that has none."""

import io

import _vendor_files as vendor
import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from morpholith import read
from morpholith.errors import InputError
from morpholith.read import banner

GREY = vendor.powder((480, 640), rng=1)
BLACK = vendor.powder((480, 640), rng=2, background=-40)  # clipped to black between the particles
COLOURS = {"black": (0, 255), "white": (255, 0), "dark": (40, 220), "light": (200, 10), "grey": (128, 255)}


def read_png(tmp_path, array, **options):
    Picture.fromarray(array).save(tmp_path / "a.png")
    return read.image(tmp_path / "a.png", pixel_size=1.0, **options)


# --- there is one ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["bottom", "top"])
@pytest.mark.parametrize("rule", [0, 2])
@pytest.mark.parametrize("cells", [0, 4])
@pytest.mark.parametrize("height", [24, 34, 60])
@pytest.mark.parametrize("colours", COLOURS)
def test_found_to_the_row(colours, height, cells, rule, side):
    ground, ink = COLOURS[colours]
    image = vendor.with_bar(GREY, height, side=side, ground=ground, ink=ink, cells=cells, rule=rule)
    strip = banner.find(image, side=side)
    assert strip is not None
    assert strip.sure
    assert strip.rows == height
    assert banner.find(image, side="top" if side == "bottom" else "bottom") is None


@pytest.mark.parametrize("size", [(960, 1280), (480, 640), (1024, 1536), (300, 400), (700, 500)])
def test_found_at_any_image_size(size):
    content = vendor.powder((size[0] // 2, size[1] // 2), rng=3).repeat(2, axis=0).repeat(2, axis=1)
    height = round(0.067 * size[0])
    strip = banner.find(vendor.with_bar(content, height))
    assert strip is not None
    assert strip.sure
    assert strip.rows == height


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_found_at_other_depths(dtype):
    content = (GREY.astype(np.float64) * 13.7 + 100).astype(dtype)
    strip = banner.find(vendor.with_bar(content, 40))
    assert strip is not None
    assert (strip.sure, strip.rows) == (True, 40)


@pytest.mark.parametrize("quality", [75, 90])
@pytest.mark.parametrize("colours", COLOURS)
def test_found_through_jpeg(colours, quality):
    ground, ink = COLOURS[colours]
    buffer = io.BytesIO()
    Picture.fromarray(vendor.with_bar(GREY, 40, ground=ground, ink=ink)).save(buffer, "JPEG", quality=quality)
    strip = banner.find(np.asarray(Picture.open(buffer)))
    assert strip is not None
    assert strip.sure
    assert abs(strip.rows - 40) <= 3


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.3])
def test_found_after_resampling(factor):
    image = vendor.with_bar(GREY, 48)
    small = Picture.fromarray(image).resize([round(s * factor) for s in image.shape[::-1]], Picture.BICUBIC)
    strip = banner.find(np.asarray(small))
    assert strip is not None
    assert strip.sure
    assert abs(strip.rows - 48 * factor) <= 1.5


def test_black_bar_under_particles_on_black():
    strip = banner.find(vendor.with_bar(BLACK, 40))
    assert strip is not None
    assert (strip.sure, strip.rows) == (True, 40)


def test_cut_and_said(tmp_path):
    image = read_png(tmp_path, vendor.with_bar(GREY, 40))
    np.testing.assert_array_equal(image.array, GREY)
    assert image.provenance["banner"] == "40 rows at the bottom, found in the pixels"
    assert image.warnings == ("a.png: the data bar (40 rows at the bottom, found in the pixels) was cut.",)


def test_top_and_bottom(tmp_path):
    image = read_png(tmp_path, vendor.with_bar(vendor.with_bar(GREY, 40), 30, side="top", ground=255, ink=0))
    np.testing.assert_array_equal(image.array, GREY)


def test_kept_on_request(tmp_path):
    whole = vendor.with_bar(GREY, 40)
    image = read_png(tmp_path, whole, cut_banner=False)
    np.testing.assert_array_equal(image.array, whole)
    assert image.warnings == ()


def test_coloured_marks_in_the_bar_do_not_make_a_photograph(tmp_path):
    whole = np.dstack([vendor.with_bar(GREY, 60)] * 3)
    whole[485:530, 300:] = (250, 200, 0)
    image = read_png(tmp_path, whole)
    np.testing.assert_array_equal(image.array, GREY)


# --- there is none --------------------------------------------------------------------------------------------


def _foil(rough, tilt, level):
    rng = np.random.default_rng(0)
    image = GREY.astype(float)
    edge = 420 + rng.normal(0, rough, 640) + np.linspace(0, tilt, 640)
    return np.where(np.arange(480)[:, None] > edge, level, image).astype(np.uint8)


def _vignette(power):
    falling = np.clip(1.2 - np.linspace(0, 1.1, 480) ** power, 0, 1)[:, None]
    return np.clip(GREY * falling - 8, 0, 255).astype(np.uint8)


def _debris():
    image = BLACK.copy()
    rng = np.random.default_rng(5)
    y, x = rng.integers(0, 480, 900), rng.integers(0, 640, 900)
    for dy in range(3):
        for dx in range(3):
            image[np.clip(y + dy, 0, 479), np.clip(x + dx, 0, 639)] = rng.integers(90, 256, 900)
    return image


NONE = {
    "powder": GREY,
    "black background": BLACK,
    "sparse particles on black": vendor.powder((480, 640), rng=7, background=-40, noise=4)[:, ::-1],
    "fine debris on black": _debris(),
    "dark bottom": np.vstack([GREY[:380], vendor.powder((100, 640), background=5, noise=3, rng=4) // 8]),
    "smooth background": vendor.powder((480, 640), noise=0.6, rng=6),
    "vignette": _vignette(4),
    "sharp vignette": _vignette(24),
    "rough foil": _foil(2, 0, 255),
    "tilted foil": _foil(0, 25, 255),
    "noise": np.random.default_rng(0).normal(120, 30, (480, 640)).clip(0, 255).astype(np.uint8),
    "ramp": np.repeat(np.linspace(0, 255, 480)[:, None], 640, axis=1).astype(np.uint8),
    "checks": (np.indices((480, 640)) // 16).sum(axis=0).astype(np.uint8) % 2 * 200,
    "tiny": GREY[:60, :60],
}


@pytest.mark.parametrize("name", NONE)
def test_nothing_is_cut_where_there_is_none(name):
    for side in ("bottom", "top"):
        for image in (NONE[name], 255 - NONE[name], NONE[name].astype(np.uint16) * 201):
            strip = banner.find(image, side=side)
            assert strip is None or not strip.sure, (side, strip)


@pytest.mark.parametrize("name", ["powder", "black background", "smooth background", "fine debris on black", "noise"])
def test_nothing_is_reported_either(name):
    assert banner.find(NONE[name]) is None
    assert banner.find(NONE[name], side="top") is None


def test_no_false_cut_in_many_micrographs():
    rng = np.random.default_rng(11)
    for _ in range(40):
        image = vendor.powder(
            (rng.integers(200, 330), rng.integers(260, 420)),
            rng=rng,
            background=rng.uniform(-60, 120),
            noise=rng.uniform(0.5, 15),
        )
        assert banner.find(image) is None
        assert banner.find(image, side="top") is None


def test_no_false_cut_in_real_micrographs(data):
    rng = np.random.default_rng(0)
    images = [np.asarray(Picture.open(p)) for p in sorted((data / "sem" / "ampis").glob("*.png"))]
    assert len(images) == 3
    for image in images:
        assert banner.find(image) is None
        assert banner.find(image, side="top") is None
        for _ in range(40):  # any row may be the last
            rows, columns = rng.integers(300, image.shape[0]), rng.integers(300, image.shape[1])
            assert banner.find(image[:rows, :columns]) is None
            assert banner.find(image[-rows:, -columns:], side="top") is None


@pytest.mark.parametrize("colours", COLOURS)
def test_found_on_real_micrographs(data, colours):
    ground, ink = COLOURS[colours]
    for path in sorted((data / "sem" / "ampis").glob("*.png")):
        content = np.asarray(Picture.open(path))
        strip = banner.find(vendor.with_bar(content, 70, ground=ground, ink=ink, rule=2))
        assert strip is not None
        assert (strip.sure, strip.rows) == (True, 70)


# --- it cannot be said ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.4, 0.6])
def test_a_box_over_part_of_the_width_is_reported(tmp_path, share):
    image = GREY.copy()
    width = int(share * 640)
    image[-40:, :width] = vendor.data_bar(width, 40)
    whole = read_png(tmp_path, image)
    np.testing.assert_array_equal(whole.array, image)
    assert whole.provenance["banner"] == "none cut"
    assert len(whole.warnings) == 1
    assert "a strip with text covers" in whole.warnings[0]
    assert "not cut" in whole.warnings[0]


@pytest.mark.parametrize("level", [0, 255, 90])
def test_a_blank_strip_is_reported(tmp_path, level):
    image = np.vstack([GREY, np.full((30, 640), level, np.uint8)])
    whole = read_png(tmp_path, image)
    np.testing.assert_array_equal(whole.array, image)
    assert "without text, in 30 rows at the bottom; not cut" in whole.warnings[0]


def test_text_on_black_without_an_edge_is_reported(tmp_path):
    from scipy import ndimage

    content = vendor.powder((480, 640), rng=2, background=-40)
    particles, _ = ndimage.label(ndimage.binary_opening(content > 40))
    content[np.isin(particles, np.unique(particles[-12:])[1:]) | (particles == 0)] = 0
    whole = read_png(tmp_path, vendor.with_bar(content, 40))  # no particle is cut: the edge cannot be seen
    assert whole.array.shape == (520, 640)
    assert any("seems to be text, but no edge to cut at" in w for w in whole.warnings)


def test_a_strip_of_a_third_of_the_image_is_not_cut():
    strip = banner.find(vendor.with_bar(GREY, 220))
    assert strip is None or not strip.sure


# --- the header knows -----------------------------------------------------------------------------------------


def test_the_header_goes_before_the_pixels(tmp_path):
    """Two bars, one of the microscope and one of a viewer: the header tells of one, and that is cut."""
    image = vendor.with_bar(vendor.with_bar(GREY, 40), 30, ground=255, ink=0)
    text = vendor.thermo_text(columns=640, rows=520)
    found = read.image(vendor.tif(tmp_path / "a.tif", image, tag=34682, value=text))
    assert found.array.shape == (520, 640)


def test_flatness():
    assert banner.flatness(vendor.data_bar(640, 40)) > 0.85
    assert banner.flatness(GREY[-40:]) < 0.5


def test_a_bar_on_a_tiff_with_nan_is_left_to_the_check(tmp_path):
    image = vendor.with_bar(GREY, 40).astype(np.float32)
    image[3, 3] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", image)
    with pytest.raises(InputError, match="1 of"):
        read.image(tmp_path / "a.tif", pixel_size=1.0)
