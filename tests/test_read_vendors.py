"""Pixel sizes from microscope headers: the layouts the makers write, and the ways they go wrong."""

import _vendor_files as vendor
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from morpholith import read
from morpholith.errors import InputError
from morpholith.read import files, scale, vendors
from morpholith.read.scale import Header

GREY = vendor.powder()
ROWS, COLUMNS = GREY.shape


def said(image):
    return " ".join(image.warnings)


# --- lengths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "um"),
    [
        ("12.3 nm", 0.0123),
        ("558.2 pm", 0.0005582),
        ("1.5 µm", 1.5),
        ("1.5 μm", 1.5),
        ("10um", 10),
        ("2 mm", 2000),
        ("2.0345e-009 m", 0.0020345),
        ("12,3 nm", 0.0123),
        ("3 micron", 3),
        ("5 Å", 0.0005),
        ("7", 0.007),
        ("0 nm", None),
        ("-3 nm", None),
        ("12 kV", None),
        ("nan nm", None),
        ("", None),
        (None, None),
    ],
)
def test_lengths(text, um):
    found = scale.length_um(text, unit="nm")
    assert found == (None if um is None else pytest.approx(um))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp932"])
def test_text_in_any_encoding(encoding):
    text = "$CM_FIELD_OF_VIEW 128.0μm 96.0μm\r\n$CM_MAG 1000\r\n"
    raw = text.replace("μ", "µ" if encoding == "latin-1" else "μ").encode(encoding)
    assert files.text(raw).replace("µ", "μ") == text


@settings(deadline=None)
@given(st.text(), st.binary())
def test_no_text_makes_a_parser_fail(text, raw):
    for one in (
        text,
        files.text(raw),
        f"[Scan]\nPixelWidth={text}\nPixelSizeX={text}\n$$SM_MICRON_BAR {text}\nAP_WIDTH\nx={text}",
    ):
        for parse in (vendors.zeiss, vendors.thermo, vendors.tescan, vendors.jeol, vendors.hitachi):
            assert parse(one, (100, 200)) is not None
        assert isinstance(vendors.sidecar(one, (100, 200), name="a.txt"), Header | None)


# --- Zeiss ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "um"),
    [("12.30 nm", 0.0123), ("558.2 pm", 0.0005582), ("1.234 \u00b5m", 1.234), ("12,30 nm", 0.0123)],
)
def test_zeiss(tmp_path, size, um):
    path = vendor.tif(tmp_path / "a.tif", GREY, tag=34118, value=vendor.zeiss_text(size=size, screen=None))
    image = read.image(path)
    assert image.spacing == pytest.approx((um, um))
    assert image.provenance["pixel_size_from"] == "Zeiss tag 34118, AP_IMAGE_PIXEL_SIZE"
    assert image.provenance["magnification"] == "10000"
    assert image.provenance["voltage_kv"] == "5"
    assert image.provenance["instrument"] == "Sigma 300-82-11"
    assert image.warnings == ()


@pytest.mark.parametrize(("columns", "factor"), [(512, 2), (1024, 1), (2048, 0.5), (3072, 1 / 3)])
def test_zeiss_stored_at_another_size_than_the_screen(columns, factor):
    """The screen pixel is 2x, 0.5x, 0.33x the stored one (hyperspy pull request 2056); the latter counts."""
    shape = (columns * 3 // 4, columns)
    text = vendor.zeiss_text(
        size=f"{10 * factor:.4g} nm", screen="10.00 nm", store=f"{shape[1]} * {shape[0]}", bare=10e-9
    )
    header = vendors.zeiss(text, shape)
    assert header.spacing == pytest.approx((0.01 * factor,) * 2, rel=1e-3)
    assert header.notes == ()
    older = vendors.zeiss(text.replace("AP_IMAGE_PIXEL_SIZE", "AP_OTHER"), shape)
    assert older.spacing == pytest.approx((0.01 * factor,) * 2, rel=1e-3)
    assert older.spacing_from == "unnamed header value 4"


def test_zeiss_field_width_stands_in():
    header = vendors.zeiss(vendor.zeiss_text(size=None, width="25.60 µm", store="2048 * 1536"), (1536, 2048))
    assert header.spacing == pytest.approx((0.0125, 0.0125))
    assert header.spacing_from == "AP_WIDTH"


def test_zeiss_contradicting_itself(tmp_path):
    text = vendor.zeiss_text(size="12.30 nm", width="6.30 µm")
    image = read.image(vendor.tif(tmp_path / "a.tif", GREY, tag=34118, value=text))
    assert image.spacing == pytest.approx((0.0123, 0.0123))
    assert "AP_IMAGE_PIXEL_SIZE says 0.0123 um a pixel but AP_WIDTH means 0.02461 um" in said(image)


def test_zeiss_screen_pixel_alone_is_not_believed_off_the_screen_size(tmp_path):
    text = vendor.zeiss_text(size=None, screen="10.00 nm", store=None)
    with pytest.raises(read.MissingPixelSize, match="only AP_PIXEL_SIZE, 0.01 um on a screen 1024 px wide.*0.04 um"):
        read.image(vendor.tif(tmp_path / "a.tif", GREY, tag=34118, value=text))
    assert vendors.zeiss(text, (768, 1024)).spacing == (0.01, 0.01)


def test_zeiss_image_resampled_after_saving(tmp_path):
    text = vendor.zeiss_text(store="1024 * 768", screen=None)
    image = read.image(vendor.tif(tmp_path / "a.tif", GREY, tag=34118, value=text))
    assert "scan 1024 px wide but the image is 256 px wide" in said(image)
    assert "pixels are 4 times as large" in said(image)
    quiet = read.image(tmp_path / "a.tif", pixel_size=0.0123)
    assert quiet.warnings == ()


# --- Thermo / FEI ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", [34680, 34682])
def test_thermo(tmp_path, tag):
    image = read.image(vendor.tif(tmp_path / "a.tif", GREY, tag=tag, value=vendor.thermo_text()))
    assert image.spacing == pytest.approx((0.0025, 0.0025))
    assert image.provenance["pixel_size_from"] == f"Thermo/FEI tag {tag}, [Scan] PixelWidth, PixelHeight"
    assert image.provenance["instrument"] == "Helios G4 UX"
    assert image.provenance["voltage_kv"] == "5"
    assert image.warnings == ()


def test_thermo_tilt_corrected_pixels_are_not_square(tmp_path):
    text = vendor.thermo_text(x=2.5e-9, y=3.17e-9)
    image = read.image(vendor.tif(tmp_path / "a.tif", GREY, tag=34682, value=text))
    assert image.spacing == pytest.approx((0.00317, 0.0025))
    assert "not square" in said(image)


@pytest.mark.parametrize("bar", ["", 24])
def test_thermo_scan_height_cuts_the_bar(tmp_path, bar):
    image = vendor.with_bar(GREY, 24)
    image = read.image(vendor.tif(tmp_path / "a.tif", image, tag=34682, value=vendor.thermo_text(bar=bar)))
    np.testing.assert_array_equal(image.array, GREY)
    assert image.provenance["banner"] == "24 rows at the bottom, scan height of Thermo/FEI tag 34682"
    assert "(24 rows at the bottom" in said(image)


def test_thermo_scan_height_is_not_used_on_specimen(tmp_path):
    """A header that no longer fits (rows appended by a stitcher) must not cut micrograph away."""
    text = vendor.thermo_text(rows=ROWS - 30)
    image = read.image(vendor.tif(tmp_path / "a.tif", GREY, tag=34682, value=text))
    np.testing.assert_array_equal(image.array, GREY)


def test_thermo_field_width_stands_in():
    text = vendor.thermo_text().replace("PixelWidth=2.5e-09", "PixelWidth=")
    header = vendors.thermo(text, GREY.shape)
    assert header.spacing == pytest.approx((0.0025, 0.0025))
    assert "HorFieldsize" in header.spacing_from


def test_thermo_scan_in_another_section():
    text = vendor.thermo_text().replace("[Scan]", "[EScan]")
    assert vendors.thermo(text, GREY.shape).spacing == pytest.approx((0.0025, 0.0025))


@pytest.mark.parametrize("value", ["", "0", "-1e-9", "nonsense", "1e9"])
def test_thermo_without_a_usable_size(tmp_path, value):
    text = "[System]\nSystemType=Quanta\n[Scan]\nPixelWidth=" + value
    with pytest.raises(read.MissingPixelSize, match="Thermo/FEI tag 34682 has no usable .Scan. PixelWidth"):
        read.image(vendor.tif(tmp_path / "a.tif", GREY, tag=34682, value=text))


# --- TESCAN ---------------------------------------------------------------------------------------------------


def test_tescan_tag(tmp_path):
    blob = vendor.tescan_blob(x=4.1e-8, y=4.2e-8)
    image = read.image(vendor.tif(tmp_path / "a.tif", GREY, tag=50431, value=blob))
    assert image.spacing == pytest.approx((0.042, 0.041))
    assert image.provenance["pixel_size_from"] == "TESCAN tag 50431, PixelSizeX, PixelSizeY"
    assert image.provenance["instrument"] == "MIRA3 LMH"
    assert image.provenance["magnification"] == "5000.0"
    assert image.provenance["voltage_kv"] == "15"


@pytest.mark.parametrize(
    ("image_name", "header_name"),
    [("a.tif", "a-tif.hdr"), ("a.png", "a-png.hdr"), ("a.tif", "A.HDR"), ("a.tif", "a.tif.hdr")],
)
def test_tescan_sidecar(tmp_path, image_name, header_name):
    from PIL import Image as Picture

    Picture.fromarray(vendor.with_bar(GREY, 28)).save(tmp_path / image_name)
    (tmp_path / header_name).write_text(vendor.tescan_text(strip=28))
    image = read.image(tmp_path / image_name)
    assert image.spacing == pytest.approx((0.041, 0.041))
    assert header_name in image.provenance["pixel_size_from"]
    np.testing.assert_array_equal(image.array, GREY)


# --- JEOL -----------------------------------------------------------------------------------------------------


def jeol(tmp_path, text, *, name="a.txt", image=GREY, encoding="utf-8"):
    tifffile.imwrite(tmp_path / "a.tif", image, metadata=None)
    (tmp_path / name).write_text(text, encoding=encoding)
    return read.image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.txt", "a.TXT", "A.Txt"])
@pytest.mark.parametrize(("marker", "um"), [("1um", 1), ("500nm", 0.5), ("10 um", 10), ("1µm", 1)])
def test_jeol_micron_bar(tmp_path, name, marker, um):
    image = jeol(tmp_path, vendor.jeol_text(bar=128, marker=marker), name=name)
    assert image.spacing == pytest.approx((um / 128, um / 128))
    assert image.provenance["pixel_size_from"] == f"JEOL sidecar {name}, $$SM_MICRON_BAR, $$SM_MICRON_MARKER"
    assert image.provenance["instrument"] == "JCM-6000"
    assert image.provenance["magnification"] == "3000"
    assert image.provenance["voltage_kv"] == "15"
    assert image.warnings == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_jeol_field_of_view(tmp_path, encoding):
    text = vendor.jeol_text(key="CM_IMAGE_SIZE", field=(12.8, 9.6), bar=20, marker="1um")
    image = jeol(tmp_path, text, encoding=encoding)
    assert image.spacing == pytest.approx((0.05, 0.05))
    assert image.provenance["pixel_size_from"] == "JEOL sidecar a.txt, $CM_FIELD_OF_VIEW, $CM_IMAGE_SIZE"
    assert image.warnings == ()


def test_jeol_field_of_view_against_the_bar(tmp_path):
    text = vendor.jeol_text(key="CM_IMAGE_SIZE", field=(12.8, 9.6), bar=40, marker="1um")
    assert "the field of view means 0.05 um a pixel but the micron bar 0.025 um" in said(jeol(tmp_path, text))


def test_jeol_short_bar_is_known_to_half_a_pixel(tmp_path):
    assert "25 px long, so the scale is known to 2 %" in said(jeol(tmp_path, vendor.jeol_text(bar=25)))


@pytest.mark.parametrize("pnu", [None, 32])
def test_jeol_bar_is_cut_by_the_scan_height(tmp_path, pnu):
    image = jeol(tmp_path, vendor.jeol_text(pnu=pnu), image=vendor.with_bar(GREY, 32))
    np.testing.assert_array_equal(image.array, GREY)
    assert image.provenance["banner"] == "32 rows at the bottom, scan height of JEOL sidecar a.txt"


def test_jeol_magnification_alone_is_no_scale(tmp_path):
    with pytest.raises(read.MissingPixelSize, match="a magnification alone is no scale"):
        jeol(tmp_path, vendor.jeol_text(bar=None))


def test_jeol_text_inside_the_tiff(tmp_path):
    text = vendor.jeol_text(key="CM_IMAGE_SIZE", field=(12.8, 9.6)).replace(" ", "=", 1)
    path = vendor.tif(tmp_path / "a.tif", GREY, tag=65000, value=text.encode("utf-16-le"))
    assert read.image(path).spacing == pytest.approx((0.05, 0.05))


# --- Hitachi --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp932"])
@pytest.mark.parametrize("suffix", [".tif", ".bmp", ".jpg"])
def test_hitachi(tmp_path, encoding, suffix):
    from PIL import Image as Picture

    Picture.fromarray(GREY).save(tmp_path / f"a{suffix}")
    (tmp_path / "a.txt").write_bytes(vendor.hitachi_text().encode(encoding))
    image = read.image(tmp_path / f"a{suffix}")
    assert image.spacing == pytest.approx((0.009921875, 0.009921875))
    assert image.provenance["pixel_size_from"] == "Hitachi sidecar a.txt, PixelSize"
    assert image.provenance["instrument"] == "SU8230"
    assert image.provenance["voltage_kv"] == "15"


def test_hitachi_without_pixel_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, metadata=None)
    (tmp_path / "a.txt").write_text(vendor.hitachi_text(size=None))
    with pytest.raises(read.MissingPixelSize, match="Hitachi sidecar a.txt has no usable PixelSize"):
        read.image(tmp_path / "a.tif")


def test_hitachi_sidecar_of_another_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, metadata=None)
    (tmp_path / "a.txt").write_text(vendor.hitachi_text(shape=(1280, 960)))
    assert "scan 1280 px wide but the image is 256 px wide" in said(read.image(tmp_path / "a.tif"))


# --- several sources ------------------------------------------------------------------------------------------


def test_a_text_that_is_no_header_is_left_alone(tmp_path):
    (tmp_path / "a.txt").write_text("taken on Monday, charge was strong")
    tifffile.imwrite(tmp_path / "a.tif", GREY, metadata=None)
    with pytest.raises(read.MissingPixelSize):
        read.image(tmp_path / "a.tif")


def test_the_tag_goes_before_the_sidecar_and_they_must_agree(tmp_path):
    path = vendor.tif(tmp_path / "a.tif", GREY, tag=34682, value=vendor.thermo_text())
    (tmp_path / "a.txt").write_text(vendor.hitachi_text(size="2.51"))
    assert read.image(path).warnings == ()
    (tmp_path / "a.txt").write_text(vendor.hitachi_text(size="5"))
    image = read.image(path)
    assert image.spacing == pytest.approx((0.0025, 0.0025))
    assert "0.0025 um, differs from 0.005 um of Hitachi sidecar a.txt, PixelSize" in said(image)


def test_the_option_against_a_vendor_tag(tmp_path):
    path = vendor.tif(tmp_path / "a.tif", GREY, tag=34682, value=vendor.thermo_text())
    image = read.image(path, pixel_size=0.0026)
    assert image.spacing == (0.0026, 0.0026)
    assert image.provenance["pixel_size_from"] == "option"
    assert "the pixel size given, 0.0026 um, differs from 0.0025 um" in said(image)


def test_a_print_resolution_beside_a_vendor_tag_is_ignored(tmp_path):
    path = vendor.tif(
        tmp_path / "a.tif",
        GREY,
        tag=34682,
        value=vendor.thermo_text(),
        resolution=(96, 96),
        resolutionunit="inch",
    )
    assert read.image(path).spacing == pytest.approx((0.0025, 0.0025))


def test_missing_scale_is_an_input_error():
    assert issubclass(read.MissingPixelSize, InputError)
