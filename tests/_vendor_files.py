"""Tiny image files as microscopes write them, with known pixel size and known data bar."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont


def powder(shape=(192, 256), *, rng=0, background=60.0, noise=8.0, clip=(0, 255)):
    """Return a grey micrograph: bright discs with darker rims on a noisy background, uint8."""
    rng = np.random.default_rng(rng)
    grid = np.mgrid[: shape[0], : shape[1]]
    light = np.full(shape, background)
    for _ in range(max(6, shape[0] * shape[1] // 3000)):
        y, x, r = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(8, 24)
        distance = np.hypot(grid[0] - y, grid[1] - x) / r
        light = np.where(distance < 1, rng.uniform(110, 180) + 60 * distance**4, light)
    return np.clip(light + rng.normal(0, noise, shape), *clip).astype(np.uint8)


def data_bar(width, height, *, ground=0, ink=255, rule=0, cells=0, text="15.0kV x3,000 WD 9.7mm SEI 10um"):
    """Return a drawn data bar: text, a scale bar, `rule` px of line on top and `cells` vertical lines."""
    picture = Picture.new("L", (width, height), ground)
    draw = ImageDraw.Draw(picture)
    size = max(8, min(round(0.5 * height), round(width / 22)))
    draw.text((width // 40, (height - size) // 2), text, fill=ink, font=ImageFont.load_default(size))
    bar = (int(0.78 * width), int(0.7 * height), int(0.93 * width), int(0.7 * height) + max(2, height // 12))
    draw.rectangle(bar, fill=ink)
    for k in range(1, cells + 1):
        draw.line([(k * width // (cells + 1), 0), (k * width // (cells + 1), height)], fill=ink)
    if rule:
        draw.rectangle((0, 0, width, rule - 1), fill=ink)
    return np.asarray(picture)


def with_bar(content, height, *, side="bottom", **options):
    """Return content with a data bar appended, scaled to the type of the content."""
    strip = data_bar(content.shape[1], height, **options)
    if content.dtype != np.uint8:
        strip = (strip / 255 * float(content.max())).astype(content.dtype)
    return np.vstack([content, strip] if side == "bottom" else [strip, content])


def zeiss_text(*, size="12.30 nm", screen="12.30 nm", width=None, store="256 * 192", bare=None, extra=""):
    """Return a SmartSEM header; entries given as None are left out."""
    lines = ["", "0", "0", "0", f"{bare or 0:.6e}", "1.0e+000", ""]
    pairs = [
        ("DP_IMAGE_STORE", "Store resolution", store),
        ("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size", size),
        ("AP_PIXEL_SIZE", "Pixel Size", screen),
        ("AP_WIDTH", "Width", width),
        ("AP_MAG", "Mag", "10.00 K X"),
        ("AP_ACTUALKV", "EHT", "5.00 kV"),
        ("SV_SERIAL_NUMBER", "Serial No.", "Sigma 300-82-11"),
    ]
    for key, name, value in pairs:
        if value is not None:
            lines += [key, f"{name} = {value}"]
    return "\r\n".join([*lines, "AP_DATE", "Date :24 Mar 2017", extra, ""])


def thermo_text(*, x=2.5e-9, y=2.5e-9, columns=256, rows=192, bar="", field=None):
    """Return a Thermo/FEI header as Helios instruments write it."""
    field = columns * x if field is None else field
    return "\r\n".join(
        [
            "[User]", "Date=03/14/2022", "", "[System]", "Type=DualBeam", "SystemType=Helios G4 UX", "",
            "[Beam]", "HV=5000", "Beam=EBeam", "Scan=EScan", "", "[EBeam]", "HV=5000", "WD=0.00412", "",
            "[Scan]", "InternalScan=true", "Dwelltime=3e-006", f"PixelWidth={x:.6g}", f"PixelHeight={y:.6g}",
            f"HorFieldsize={field:.6g}", f"VerFieldsize={rows * y:.6g}", "",
            "[Image]", f"ResolutionX={columns}", f"ResolutionY={rows}", "",
            "[PrivateFei]", f"DatabarHeight={bar}", "",
        ]
    )  # fmt: skip


def tescan_text(*, x=4.1e-8, y=4.1e-8, strip=0):
    """Return a TESCAN header as it stands in ``name.hdr``."""
    return "\r\n".join(
        [
            "[MAIN]", "AccFrames=1", "Company=", "Device=MIRA3", "DeviceModel=MIRA3 LMH",
            f"ImageStripSize={strip}", "Magnification=5000.0", f"PixelSizeX={x:.9g}", f"PixelSizeY={y:.9g}",
            "[SEM]", "Detector=SE", "HV=15000.0", "WD=0.0100", "",
        ]
    )  # fmt: skip


def tescan_blob(**options):
    """Return tag 50431: blocks of size, type and data: a thumbnail, then MAIN, SEM and the closing block."""
    main, sem = tescan_text(**options).split("[SEM]")
    blocks = [(1, b"\xff\xd8\xff\x00\x01thumbnail"), (2, main.encode()[8:]), (3, sem.encode()), (0, b"")]
    return b"".join(struct.pack("<IH", len(data) + 2, kind) + data for kind, data in blocks)


def jeol_text(*, size=(256, 192), bar=128, marker="1um", field=None, pnu=None, key="CM_FULL_SIZE"):
    """Return a JEOL sidecar, older (micron bar) or recent (field of view) style; size is (width, height)."""
    lines = [
        "$CM_FORMAT JEOL/SEM", "$CM_VERSION 1.0", "$CM_INSTRUMENT JCM-6000", "$CM_MAG 3000",
        "$CM_ACCEL_VOLT 15.00", f"${key} {size[0]} {size[1]}",
    ]  # fmt: skip
    lines += [f"$CM_FIELD_OF_VIEW {field[0]}µm {field[1]}µm"] if field else []
    lines += [f"$$SM_PNU_HEIGHT {pnu}"] if pnu else []
    lines += [f"$$SM_MICRON_BAR {bar}", f"$$SM_MICRON_MARKER {marker}"] if bar else []
    return "\n".join([*lines, "$$SM_WD 9.7", ""])


def hitachi_text(*, size="9.921875", shape=(256, 192), name="a.tif"):
    """Return a Hitachi sidecar; shape is (width, height)."""
    lines = [
        "[SemImageFile]", "InstructName=SU8230", "SampleName=NMC811", "Format=tif", f"ImageName={name}",
        f"DataSize={shape[0]}x{shape[1]}", "SignalName=SE(U)", "AcceleratingVoltage=15000 Volt",
        "Magnification=10000", "WorkingDistance=8100 um",
    ]  # fmt: skip
    lines += [f"PixelSize={size}"] if size is not None else []
    return "\r\n".join([*lines, ""])


def tif(path, array, *, tag=None, value=b"", **options):
    """Write a TIFF with a private tag, as bytes."""
    import tifffile

    value = value.encode("latin-1") if isinstance(value, str) else value
    kind = 2 if tag in (34118, 34680, 34682) else 1
    extra = [(tag, kind, len(value) + (kind == 2), value, True)] if tag else []
    tifffile.imwrite(path, array, metadata=None, extratags=extra, **options)
    return path
