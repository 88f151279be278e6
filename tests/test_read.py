"""Reading micrographs: pixels as stored, pixel size with its origin, and one clear sentence for what is wrong."""

import io
import subprocess
import sys
import zlib
from pathlib import Path

import _vendor_files as vendor
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from morpholith import read
from morpholith.errors import InputError
from morpholith.image import Image

GREY = vendor.powder()
UM = 0.05


def saved(path, array, **options):
    Picture.fromarray(array).save(path, **options)
    return path


# --- pixels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "lzw"},
        {"compression": "deflate", "predictor": True},
        {"tile": (64, 64), "compression": "lzw"},
        {"rowsperstrip": 7},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"photometric": "miniswhite"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_pixels_come_back_as_stored(tmp_path, options, dtype):
    array = GREY.astype(dtype) * (1 if dtype == np.uint8 else 201)
    path = tmp_path / "a.tif"
    stored = np.iinfo(dtype).max - array if "photometric" in options else array
    tifffile.imwrite(path, stored.astype(dtype), **options)
    image = read.image(path, pixel_size=UM)
    assert image.axes == "yx"
    assert image.array.dtype == dtype
    assert image.array.dtype.isnative
    np.testing.assert_array_equal(image.array, array)
    assert image.spacing == (UM, UM)
    assert image.provenance["pixel_size_from"] == "option"
    assert image.warnings == ()


def test_jpeg_inside_tiff(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, compression="jpeg", compressionargs={"level": 95})
    image = read.image(path, pixel_size=UM)
    assert image.array.dtype == np.uint8
    assert abs(image.array.astype(float) - GREY).mean() < 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint32, np.int8])
def test_other_types_become_float32(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", (GREY // 2).astype(dtype))
    image = read.image(tmp_path / "a.tif", pixel_size=UM)
    assert image.array.dtype == np.float32
    np.testing.assert_array_equal(image.array, GREY // 2)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_lossless_rasters(tmp_path, suffix):
    image = read.image(saved(tmp_path / f"a{suffix}", GREY), pixel_size=UM)
    np.testing.assert_array_equal(image.array, GREY)


def test_jpeg(tmp_path):
    image = read.image(saved(tmp_path / "a.jpg", GREY, quality=95), pixel_size=UM)
    assert abs(image.array.astype(float) - GREY).mean() < 3


def test_sixteen_bit_png(tmp_path):
    array = GREY.astype(np.uint16) * 257
    image = read.image(saved(tmp_path / "a.png", array), pixel_size=UM)
    assert image.array.dtype == np.uint16
    np.testing.assert_array_equal(image.array, array)


def test_colour_png_of_sixteen_bits_is_said_to_lose_half(tmp_path):
    import imagecodecs

    array = np.repeat((GREY.astype(np.uint16) * 257)[..., None], 3, axis=2)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    image = read.image(tmp_path / "a.png", pixel_size=UM)
    np.testing.assert_array_equal(image.array, GREY)
    assert any("read at 8" in w for w in image.warnings)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_one_bit(tmp_path, suffix):
    mask = GREY > 100
    path = tmp_path / f"a{suffix}"
    tifffile.imwrite(path, mask, photometric="minisblack") if suffix == ".tif" else saved(path, mask)
    image = read.image(path, pixel_size=UM)
    np.testing.assert_array_equal(image.array, mask * np.uint8(255))
    assert any("at two grey levels" in w for w in image.warnings)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_grey_palette(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        ramp = np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0)
        tifffile.imwrite(path, GREY, photometric="palette", colormap=ramp)
    else:
        picture = Picture.fromarray(255 - GREY, "P")
        picture.putpalette([v for k in range(256) for v in (255 - k,) * 3])
        picture.save(path)
    image = read.image(path, pixel_size=UM)
    np.testing.assert_array_equal(image.array, GREY)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_rgb_that_is_grey(tmp_path, suffix, alpha):
    array = np.dstack([GREY] * 3 + ([np.full_like(GREY, 255)] if alpha else []))
    path = tmp_path / f"a{suffix}"
    tifffile.imwrite(path, array, photometric="rgb") if suffix == ".tif" else saved(path, array)
    image = read.image(path, pixel_size=UM)
    np.testing.assert_array_equal(image.array, GREY)
    assert any("stored in colour but is grey" in w for w in image.warnings)


def test_planar_rgb_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY] * 3), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read.image(tmp_path / "a.tif", pixel_size=UM).array, GREY)


def test_rgb_jpeg_is_grey_within_noise(tmp_path):
    rng = np.random.default_rng(0)
    array = np.dstack([GREY] * 3).astype(int) + rng.integers(-2, 3, (*GREY.shape, 3))
    path = saved(tmp_path / "a.jpg", np.clip(array, 0, 255).astype(np.uint8), quality=85)
    image = read.image(path, pixel_size=UM)
    assert abs(image.array.astype(float) - GREY).mean() < 5


def test_a_few_coloured_pixels_are_an_annotation(tmp_path):
    array = np.dstack([GREY] * 3)
    array[50:53, 20:120] = (255, 255, 0)
    image = read.image(saved(tmp_path / "a.png", array), pixel_size=UM)
    assert any("apart from 0.61%" in w for w in image.warnings)


def test_a_coloured_photograph_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    array = np.dstack([GREY, GREY // 2, rng.permutation(GREY)])
    with pytest.raises(InputError, match="colour image"):
        read.image(saved(tmp_path / "a.png", array), pixel_size=UM)


def test_a_tinted_micrograph_is_refused(tmp_path):
    array = np.dstack([GREY, (GREY * 0.85).astype(np.uint8), (GREY * 0.6).astype(np.uint8)])
    with pytest.raises(InputError, match="colour image"):
        read.image(saved(tmp_path / "a.png", array), pixel_size=UM)


def test_transparent_pixels_are_refused(tmp_path):
    array = np.dstack([GREY] * 4)
    with pytest.raises(InputError, match="transparent"):
        read.image(saved(tmp_path / "a.png", array), pixel_size=UM)


# --- provenance -----------------------------------------------------------------------------------------------


def test_provenance(tmp_path):
    import hashlib

    path = saved(tmp_path / "a.png", GREY)
    given = read.image(path, pixel_size=UM).provenance
    assert given["path"] == str(path)
    assert given["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert given["format"] == "PNG, uint8"
    assert given["banner"] == "none cut"
    assert all(isinstance(v, str) for v in given.values())


def test_read_by_content_not_by_suffix(tmp_path):
    path = saved(tmp_path / "a.png", GREY).rename(tmp_path / "a.tif")
    image = read.image(path, pixel_size=UM)
    assert image.provenance["format"].startswith("PNG")
    assert any("PNG file although its name ends in .tif" in w for w in image.warnings)


def test_importing_the_stage_is_light():
    code = (
        "import sys, morpholith.read; print([m for m in ('torch', 'matplotlib', 'pandas', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- pixel size -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, -1, np.nan, np.inf, "x", (1, 2, 3), ()])
def test_bad_option(tmp_path, bad):
    with pytest.raises(InputError, match="`pixel_size` must be a positive length"):
        read.image(saved(tmp_path / "a.png", GREY), pixel_size=bad)


def test_option_as_a_pair(tmp_path):
    image = read.image(saved(tmp_path / "a.png", GREY), pixel_size=(0.1, 0.2))
    assert image.spacing == (0.1, 0.2)
    assert any("not square" in w for w in image.warnings)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("dpi", [72, 96, 300])
def test_a_print_resolution_is_never_believed(tmp_path, suffix, dpi):
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, GREY, resolution=(dpi, dpi), resolutionunit="inch", metadata=None)
    else:
        saved(path, GREY, dpi=(dpi, dpi))
    with pytest.raises(read.MissingPixelSize, match="is for printing.*give --pixel-size UM"):
        read.image(path)


def test_nothing_says_the_pixel_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, metadata=None)
    with pytest.raises(read.MissingPixelSize, match="give --pixel-size UM") as caught:
        read.image(tmp_path / "a.tif")
    assert isinstance(caught.value, InputError)


def test_centimetres_are_print_too(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, resolution=(118, 118), resolutionunit="centimeter", metadata=None)
    with pytest.raises(read.MissingPixelSize, match="118 px per cm"):
        read.image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("unit", "um"),
    [("um", 1), ("micron", 1), ("microns", 1), ("\\u00B5m", 1), ("nm", 1e-3), ("mm", 1e3), ("m", 1e6)],
)
def test_imagej_units(tmp_path, unit, um):
    path = tmp_path / "a.tif"
    metadata = {"unit": unit} if unit.isascii() else None
    tifffile.imwrite(path, GREY, imagej=True, resolution=(40.0 * um, 50.0 * um), metadata=metadata)
    image = read.image(path)
    assert image.spacing == pytest.approx((1 / 50, 1 / 40), rel=1e-6)
    assert image.provenance["pixel_size_from"] == f"ImageJ, unit={unit}, XResolution"


@pytest.mark.parametrize("mu", ["\u00b5m", "\u03bcm"])
def test_imagej_micro_signs(tmp_path, mu):
    description = f"ImageJ=1.54f\nunit={mu}\n".encode()
    extra = [(270, 2, len(description) + 1, description, True)]
    tifffile.imwrite(tmp_path / "a.tif", GREY, metadata=None, extratags=extra, resolution=(4, 4))
    assert read.image(tmp_path / "a.tif").spacing == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("unit", ["inch", "cm", "pixel", "", "arb"])
def test_imagej_units_that_are_no_scale(tmp_path, unit):
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, resolution=(300, 300), metadata={"unit": unit})
    with pytest.raises(read.MissingPixelSize):
        read.image(tmp_path / "a.tif")


@pytest.mark.parametrize(("unit", "um"), [("µm", 1), ("nm", 1e-3), ("pm", 1e-6), ("mm", 1e3), ("Å", 1e-4)])
def test_ome(tmp_path, unit, um):
    sizes = {"PhysicalSizeX": 0.5 / um, "PhysicalSizeY": 1 / um}
    sizes |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, ome=True, metadata={"axes": "YX", **sizes})
    image = read.image(tmp_path / "a.ome.tif")
    assert image.spacing == pytest.approx((1, 0.5), rel=1e-9)
    assert image.provenance["pixel_size_from"] == "OME, PhysicalSizeX"


def test_ome_without_unit_means_micrometres_and_without_y_square(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 0.25})
    assert read.image(tmp_path / "a.ome.tif").spacing == (0.25, 0.25)


def test_ome_without_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, ome=True, metadata={"axes": "YX"})
    with pytest.raises(read.MissingPixelSize, match="OME has no usable PhysicalSizeX"):
        read.image(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(("given", "warned"), [(0.0125, False), (0.0127, False), (0.0131, True), (0.025, True)])
def test_the_option_wins_and_a_disagreement_is_said_with_both_numbers(tmp_path, given, warned):
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, resolution=(80, 80), metadata={"unit": "um"})
    image = read.image(tmp_path / "a.tif", pixel_size=given)
    assert image.spacing == (given, given)
    assert any(f"{given:.4g} um" in w and "0.0125 um" in w for w in image.warnings) == warned


# --- pages ----------------------------------------------------------------------------------------------------


def test_several_equal_pages_must_be_chosen(tmp_path):
    stack = np.stack([GREY, GREY.max() - GREY, GREY // 2])
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    assert [(p.index, p.shape, p.dtype) for p in read.pages(tmp_path / "a.tif")] == [
        (k, GREY.shape, "uint8") for k in range(3)
    ]
    with pytest.raises(InputError, match=r"holds 3 images \(0: 192 x 256 px, uint8; 1: .*choose one with `page`"):
        read.image(tmp_path / "a.tif", pixel_size=UM)
    for k in range(3):
        np.testing.assert_array_equal(read.image(tmp_path / "a.tif", pixel_size=UM, page=k).array, stack[k])


@pytest.mark.parametrize("page", [-1, 3])
def test_no_such_page(tmp_path, page):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY] * 3), photometric="minisblack")
    with pytest.raises(InputError, match=rf"3 page\(s\), counted from 0; there is no page {page}"):
        read.image(tmp_path / "a.tif", pixel_size=UM, page=page)


def test_imagej_stack_with_one_directory(tmp_path):
    stack = np.stack([GREY, GREY // 2, GREY // 3])
    with tifffile.TiffWriter(tmp_path / "a.tif", imagej=True) as file:
        file.write(stack, resolution=(80, 80), metadata={"unit": "um"}, contiguous=True)
    raw = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        end = page.offset + 2 + 12 * len(page.tags)
    raw[end : end + 4] = bytes(4)  # cut the chain after the first, as ImageJ does for large stacks
    (tmp_path / "a.tif").write_bytes(raw)
    assert len(read.pages(tmp_path / "a.tif")) == 3
    image = read.image(tmp_path / "a.tif", page=2)
    np.testing.assert_array_equal(image.array, stack[2])
    assert image.spacing == pytest.approx((0.0125, 0.0125))
    assert image.provenance["format"].endswith("page 2")


@pytest.mark.parametrize("smaller", [[(96, 128)], [(96, 128), (48, 64)], [(120, 160)]])
def test_thumbnails_after_the_image_are_left_out(tmp_path, smaller):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY, metadata=None)
        for rows, columns in smaller:
            file.write(GREY[:rows, :columns], metadata=None)
    image = read.image(tmp_path / "a.tif", pixel_size=UM)
    np.testing.assert_array_equal(image.array, GREY)
    assert any("others are smaller" in w for w in image.warnings)


def test_a_pyramid_in_sub_directories_is_one_page(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY, subifds=1)
        file.write(np.ascontiguousarray(GREY[::2, ::2]), subfiletype=1)
    image = read.image(tmp_path / "a.tif", pixel_size=UM)
    np.testing.assert_array_equal(image.array, GREY)
    assert image.warnings == ()


def test_a_larger_second_page_must_be_chosen(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY[:96, :128], metadata=None)
        file.write(GREY, metadata=None)
    with pytest.raises(InputError, match="holds 2 images"):
        read.image(tmp_path / "a.tif", pixel_size=UM)


def test_pages_of_a_png(tmp_path):
    assert [(p.index, p.shape) for p in read.pages(saved(tmp_path / "a.png", GREY))] == [(0, GREY.shape)]
    with pytest.raises(InputError, match="there is no page 1"):
        read.image(tmp_path / "a.png", pixel_size=UM, page=1)


# --- what is wrong with a file --------------------------------------------------------------------------------


def test_missing_path(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read.image(tmp_path / "a.tif", pixel_size=UM)


def test_folder(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read.image(tmp_path, pixel_size=UM)


def test_empty_file(tmp_path):
    (tmp_path / "a.tif").touch()
    with pytest.raises(InputError, match="is empty"):
        read.image(tmp_path / "a.tif", pixel_size=UM)


@pytest.mark.parametrize("content", [b"label,area\n1,2\n", "mesures en \u00b5m\n".encode("utf-16")])
def test_text_named_tif(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError, match="it is text"):
        read.image(tmp_path / "a.tif", pixel_size=UM)


def test_unsupported_type(tmp_path):
    saved(tmp_path / "a.gif", GREY)
    (tmp_path / "a.dm3").write_bytes(b"\0\0\0\x03" + bytes(200))
    for name in ("a.gif", "a.dm3"):
        with pytest.raises(InputError, match="is not a TIFF, PNG, JPEG or BMP image.*export it as TIFF"):
            read.image(tmp_path / name, pixel_size=UM)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize(
    "write",
    [
        lambda b: tifffile.imwrite(b, GREY, rowsperstrip=16),
        lambda b: tifffile.imwrite(b, GREY),
        lambda b: tifffile.imwrite(b, GREY, compression="lzw", rowsperstrip=16),
        lambda b: tifffile.imwrite(b, GREY, compression="jpeg", rowsperstrip=16),
        lambda b: tifffile.imwrite(b, GREY, tile=(64, 64), compression="deflate"),
        lambda b: Picture.fromarray(GREY).save(b, "TIFF"),
        lambda b: Picture.fromarray(GREY).save(b, "PNG"),
        lambda b: Picture.fromarray(GREY).save(b, "JPEG"),
        lambda b: Picture.fromarray(GREY).save(b, "JPEG", progressive=True),
        lambda b: Picture.fromarray(GREY).save(b, "BMP"),
    ],
    ids=["strips", "tiff", "lzw", "jpeg-tiff", "tiles", "pil-tiff", "png", "jpeg", "progressive", "bmp"],
)
def test_a_file_cut_off_gives_no_half_image(tmp_path, write, share):
    buffer = io.BytesIO()
    write(buffer)
    whole = buffer.getvalue()
    (tmp_path / "a.tif").write_bytes(whole[: max(16, int(share * len(whole)))])
    with pytest.raises(InputError, match="damaged or incomplete|cut off"):
        read.image(tmp_path / "a.tif", pixel_size=UM)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_an_input_error_or_harmless(tmp_path, data):
    kind = data.draw(st.sampled_from(["TIFF", "PNG", "JPEG", "BMP"]))
    buffer = io.BytesIO()
    Picture.fromarray(GREY[:80, :96]).save(buffer, kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {}))
    raw = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.tif").write_bytes(raw)
    try:
        outcome = read.image(tmp_path / "a.tif", pixel_size=UM, max_pixels=1e6)
    except InputError as error:
        outcome = str(error)
    assert outcome.endswith(".") if isinstance(outcome, str) else outcome.array.ndim == 2


def _chunk(name, body):
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


def _huge(kind, side):
    if kind == "PNG":
        header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
        return (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", header)
            + _chunk(b"IDAT", zlib.compress(bytes(99)))
            + _chunk(b"IEND", b"")
        )
    if kind == "BMP":
        head = (40).to_bytes(4, "little") + side.to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(24)
        return b"BM" + (54).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + head
    if kind == "JPEG":
        small = io.BytesIO()
        Picture.fromarray(GREY[:16, :16]).save(small, "JPEG")
        raw = bytearray(small.getvalue())
        at = raw.index(b"\xff\xc0") + 5
        raw[at : at + 4] = side.to_bytes(2, "big") * 2
        return bytes(raw)
    small = io.BytesIO()
    tifffile.imwrite(small, GREY[:16, :16], metadata=None)
    with tifffile.TiffFile(io.BytesIO(small.getvalue())) as file:
        tags = file.pages[0].tags
        offsets = [(tags[c].valueoffset, {3: 2, 4: 4}[int(tags[c].dtype)]) for c in (256, 257, 278)]
    raw = bytearray(small.getvalue())
    for offset, width in offsets:
        raw[offset : offset + width] = side.to_bytes(width, "little")
    return bytes(raw)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG", "TIFF"])
def test_thirty_thousand_squared_is_refused_before_decoding(tmp_path, kind):
    (tmp_path / "a.tif").write_bytes(_huge(kind, 30000))
    with pytest.raises(InputError, match=r"30000 x 30000 px \(900 million, 3.6 GB in memory\), over the limit of 400"):
        read.image(tmp_path / "a.tif", pixel_size=UM)


def test_pillow_does_not_warn_of_bombs(tmp_path):
    large = np.tile(GREY, (50, 50))[:9500, :9500]  # above Pillow's own 89 million
    path = saved(tmp_path / "a.png", large, compress_level=0)
    assert read.pages(path)[0].shape == large.shape
    with pytest.raises(InputError, match="over the limit of 50 million"):
        read.image(path, pixel_size=UM, max_pixels=50e6)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_constant(tmp_path, value):
    with pytest.raises(InputError, match=f"is constant: every pixel is {value}"):
        read.image(saved(tmp_path / "a.png", np.full((80, 90), value, np.uint8)), pixel_size=UM)


@pytest.mark.parametrize(("bad", "said"), [(7, "7 of 49152 pixels"), (None, "all pixels")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan(tmp_path, bad, said, value):
    array = GREY.astype(np.float32)
    array.flat[:bad] = value
    tifffile.imwrite(tmp_path / "a.tif", array)
    with pytest.raises(InputError, match=f"{said} are NaN or infinite"):
        read.image(tmp_path / "a.tif", pixel_size=UM)


@pytest.mark.parametrize(("share", "outcome"), [(0.2, None), (0.3, "warn"), (0.85, "warn"), (0.95, "refuse")])
@pytest.mark.parametrize("level", [0, 255])
def test_saturation(tmp_path, share, outcome, level):
    array = np.clip(GREY, 20, 235)
    rng = np.random.default_rng(0)
    array[rng.random(array.shape) < share] = level
    path = saved(tmp_path / "a.png", array)
    if outcome == "refuse":
        with pytest.raises(InputError, match="is saturated: 95%"):
            read.image(path, pixel_size=UM)
    else:
        warnings = read.image(path, pixel_size=UM).warnings
        assert any("detector was saturated" in w for w in warnings) == (outcome == "warn")


def test_zero_size(tmp_path):
    small = io.BytesIO()
    tifffile.imwrite(small, GREY[:16, :16], metadata=None)
    with tifffile.TiffFile(io.BytesIO(small.getvalue())) as file:
        tag = file.pages[0].tags[256]
        offset, width = tag.valueoffset, {3: 2, 4: 4}[int(tag.dtype)]
    raw = bytearray(small.getvalue())
    raw[offset : offset + width] = bytes(width)
    (tmp_path / "a.tif").write_bytes(raw)
    with pytest.raises(InputError, match="zero size|damaged or incomplete"):
        read.image(tmp_path / "a.tif", pixel_size=UM)


def test_a_volume_is_no_micrograph(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY[:64, :64]] * 16), volumetric=True, tile=(16, 16, 16))
    with pytest.raises(InputError, match="not an image"):
        read.image(tmp_path / "a.tif", pixel_size=UM)


# --- writing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("spacing", [(0.0123456, 0.0123456), (0.4, 0.1), (1e-4, 1e-4), (33.97, 33.97)])
def test_written_and_read_again(tmp_path, dtype, spacing):
    path = read.write_tiff(tmp_path / "a.tif", Image(GREY.astype(dtype), "yx", spacing))
    image = read.image(path)
    np.testing.assert_array_equal(image.array, GREY)
    assert image.array.dtype == dtype
    assert image.spacing == pytest.approx(spacing, rel=1e-6)
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        assert file.imagej_metadata["unit"] == "um"
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize(("top", "stored"), [(300, np.uint16), (2**20, np.float32)])
def test_labels_survive(tmp_path, top, stored):
    labels = np.random.default_rng(0).integers(0, top + 1, (60, 70)).astype(np.int32)
    labels.flat[0] = top
    path = read.write_tiff(tmp_path / "a.tif", Image(labels, "yx", (0.1, 0.1)))
    again = tifffile.imread(path)
    assert again.dtype == stored
    np.testing.assert_array_equal(again, labels)


def test_a_volume_keeps_its_slice_distance(tmp_path):
    volume = np.random.default_rng(0).random((5, 20, 30)).astype(np.float64)
    path = read.write_tiff(tmp_path / "a.tif", Image(volume, "zyx", (0.5, 0.2, 0.1)))
    with tifffile.TiffFile(path) as file:
        assert file.imagej_metadata["spacing"] == 0.5
        assert file.imagej_metadata["slices"] == 5
        np.testing.assert_allclose(file.asarray(), volume, rtol=1e-6)


def test_truth_values_are_black_and_white(tmp_path):
    path = read.write_tiff(tmp_path / "a.tif", Image(GREY > 100, "yx", (0.1, 0.1)))
    np.testing.assert_array_equal(tifffile.imread(path), (GREY > 100) * 255)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image(np.full((4, 4), 2**25, np.int64), "yx", (1, 1)), "cannot store exactly"),
        (Image(np.zeros((2, 4, 4)), "ezy", (1, 1)), "must have axes"),
        (Image(np.zeros((0, 4)), "yx", (1, 1)), "at least a pixel"),
        (Image(np.zeros((4, 4), complex), "yx", (1, 1)), "must be numeric"),
    ],
)
def test_what_cannot_be_written(tmp_path, image, said):
    with pytest.raises(InputError, match=said):
        read.write_tiff(tmp_path / "a.tif", image)
    assert list(tmp_path.iterdir()) == []


def test_nowhere_to_write(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        read.write_tiff(tmp_path / "absent" / "a.tif", Image(GREY, "yx", (1, 1)))


# --- files ----------------------------------------------------------------------------------------------------


def test_images_of_files_and_folders(tmp_path):
    names = [
        "a10.tif",
        "a2.TIF",
        "b.PNG",
        "c.Jpeg",
        "d.bmp",
        ".hidden.tif",
        "a2.txt",
        "notes.csv",
        "a2-tif.hdr",
    ]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "z.tif").touch()
    found = ["a2.TIF", "a10.tif", "b.PNG", "c.Jpeg", "d.bmp"]
    assert [p.name for p in read.images(tmp_path)] == found
    assert [p.name for p in read.images([tmp_path / "a10.tif", tmp_path, tmp_path / "a2.txt"])] == found
    assert read.images(str(tmp_path / "inner")) == [tmp_path / "inner" / "z.tif"]
    assert [p.name for p in read.images([tmp_path / "notes.csv"])] == ["notes.csv"]  # refused when it is read


def test_images_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"holds no image; looked for \.tif, \.tiff, \.png"):
        read.images(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read.images([tmp_path / "absent"])
    with pytest.raises(InputError, match="no image was named"):
        read.images([])


def test_real_micrographs(data):
    found = [p for folder in ("ampis", "porous_ceramic") for p in read.images(data / "sem" / folder)]
    assert len(found) == 12
    for path in found:
        image = read.image(path, pixel_size=1.0)
        assert image.provenance["banner"] == "none cut"
        np.testing.assert_array_equal(image.array, np.asarray(Picture.open(path)))
        assert all("at two grey levels" in w for w in image.warnings), image.warnings
        with pytest.raises(read.MissingPixelSize):
            read.image(path)


def test_path_may_be_text(tmp_path):
    assert read.image(str(saved(tmp_path / "a.png", GREY)), pixel_size=UM).provenance["path"] == str(
        Path(tmp_path / "a.png")
    )
