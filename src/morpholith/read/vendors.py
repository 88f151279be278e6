"""Microscope headers: the text each maker writes, and the pixel size in it.

Every function takes the text and the shape (rows, columns) of the image it belongs to, and returns a
`Header`. Text that lacks an entry, or holds nonsense in it, gives a header without it, never an exception.
"""

from __future__ import annotations

import re

from .scale import Header, differ, length_um, number, plausible

ZEISS_SCREEN_PX = 1024  # AP_PIXEL_SIZE and the bare header lines refer to a screen this wide


def zeiss(text: str, shape: tuple[int, int], *, source: str = "Zeiss tag 34118") -> Header:
    """Read a SmartSEM header: lines of bare SI numbers, then pairs of ``AP_KEY`` and ``Name = value unit``.

    ``AP_IMAGE_PIXEL_SIZE`` is the pixel of the stored image; ``AP_PIXEL_SIZE`` that of the 1024 px screen, 2
    or 3 times off for images stored at other sizes (hyperspy pull request 2056). The field width, the bare
    fourth number and the latter serve as checks, and stand in where the former is missing (older software).
    """
    entries, bare = _zeiss_entries(text)
    rows, columns = _pair(entries.get("DP_IMAGE_STORE")) or shape
    screen = length_um(entries.get("AP_PIXEL_SIZE"), unit="nm")
    width = length_um(entries.get("AP_WIDTH"))
    to_stored = ZEISS_SCREEN_PX / columns
    claims = {
        "AP_IMAGE_PIXEL_SIZE": length_um(entries.get("AP_IMAGE_PIXEL_SIZE"), unit="nm"),
        "AP_WIDTH": width / columns if width else None,
        "unnamed header value 4": bare * 1e6 * to_stored if bare else None,
    }
    if screen and (columns == ZEISS_SCREEN_PX or any(claims.values())):
        claims["AP_PIXEL_SIZE"] = screen * to_stored
    good = [(key, size) for key, size in claims.items() if size and plausible((size, size))]
    notes = list(_resized(source, (rows, columns), shape))
    if good:
        notes += _zeiss_doubts(source, good, screen)
    elif screen:
        notes.append(
            f"{source} has only AP_PIXEL_SIZE, {screen:.4g} um on a screen {ZEISS_SCREEN_PX} px wide, which "
            f"would make {screen * to_stored:.4g} um in an image {columns} px wide"
        )
    key, size = good[0] if good else ("", None)
    return Header(
        source,
        spacing=(size, size) if size else None,
        spacing_from=key,
        scan_shape=(rows, columns) if "DP_IMAGE_STORE" in entries else None,
        instrument=entries.get("DP_SEM") or entries.get("SV_SERIAL_NUMBER", ""),
        magnification=_zeiss_magnification(entries.get("AP_MAG", "")),
        voltage_kv=_kilovolts(entries.get("AP_ACTUALKV") or entries.get("AP_MANUALKV"), unit="kv"),
        notes=tuple(notes),
    )


def _zeiss_doubts(source, claims, screen):
    """Say which entries contradict the first; software that stores AP_PIXEL_SIZE unscaled does not."""
    key, size = claims[0]
    for other, value in claims[1:]:
        unscaled = other == "AP_PIXEL_SIZE" and not differ((size,), (screen,))
        if differ((size,), (value,)) and not unscaled:
            yield f"{source}: {key} says {size:.4g} um a pixel but {other} means {value:.4g} um."


def _zeiss_entries(text):
    entries: dict[str, str] = {}
    bare: list[float | None] = []
    key = None
    for line in map(str.strip, text.replace("\0", "\n").splitlines()):
        if re.fullmatch(r"[A-Z][A-Z0-9_]+", line):
            key = line
        elif key and re.search("[=:]", line):
            entries.setdefault(key, re.split("[=:]", line, maxsplit=1)[1].strip())
            key = None
        elif not entries and re.fullmatch(r"[-+.\deE]+", line):
            bare.append(number(line))
    value = bare[3] if len(bare) > 3 else None
    return entries, value if value and value > 0 else None


def _zeiss_magnification(value):
    amount = number(value)
    thousands = re.search(r"k\s*x", value, re.I)
    return "" if amount is None else f"{amount * (1000 if thousands else 1):g}"


def thermo(text: str, shape: tuple[int, int], *, source: str = "Thermo/FEI tag 34682") -> Header:
    """Read a Thermo Fisher / FEI header: ini text with ``[Scan] PixelWidth`` and ``PixelHeight`` in metres.

    Tilt correction makes them unequal. ``[Image] ResolutionY`` (or the vertical field over the pixel height)
    is the number of rows scanned; what the image has more is the data bar.
    """
    ini = _sections(text)
    active = ini.get("beam", {}).get("scan", "").lower()
    scans = [ini.get(name, {}) for name in ("scan", active, "escan", "iscan")]
    picture = ini.get("image", {})

    def first(key):
        return next((s[key] for s in scans if s.get(key)), None)

    x, y = length_um(first("pixelwidth"), unit="m"), length_um(first("pixelheight"), unit="m")
    origin = "[Scan] PixelWidth, PixelHeight"
    columns, rows = number(picture.get("resolutionx")), number(picture.get("resolutiony"))
    wide, high = length_um(first("horfieldsize"), unit="m"), length_um(first("verfieldsize"), unit="m")
    if x is None and wide and columns:
        x, y = wide / columns, high / rows if high and rows else None
        origin = "[Scan] HorFieldsize, [Image] ResolutionX"
    if not rows and high and y:
        rows, columns = round(high / y), columns or shape[1]
    scan_shape = (int(rows), int(columns)) if rows and columns else None
    spacing = plausible((y if y else x, x))
    notes = list(_resized(source, scan_shape, shape))
    if spacing is None:
        notes.append(f"{source} has no usable [Scan] PixelWidth")
    elif wide and columns and differ((spacing[1],), (wide / columns,)):
        field = wide / columns
        notes.append(f"{source}: PixelWidth says {spacing[1]:.4g} um but the field width means {field:.4g} um.")
    system, beam = ini.get("system", {}), ini.get(ini.get("beam", {}).get("beam", "ebeam").lower(), {})
    return Header(
        source,
        spacing=spacing,
        spacing_from=origin,
        scan_shape=scan_shape,
        bar_rows=_count(ini.get("privatefei", {}).get("databarheight")),
        instrument=system.get("systemtype") or system.get("type", ""),
        voltage_kv=_kilovolts(beam.get("hv") or ini.get("beam", {}).get("hv"), unit="v"),
        notes=tuple(notes),
    )


def tescan(text: str, shape: tuple[int, int], *, source: str = "TESCAN tag 50431") -> Header:
    """Read a TESCAN header (tag 50431 or ``name.hdr``): ``PixelSizeX``, ``PixelSizeY`` in metres.

    In the tag the same ``key=value`` lines stand in binary blocks, so they are searched for, not parsed.
    ``ImageStripSize`` is the height of the appended data bar.
    """
    del shape

    def find(key):
        match = re.search(rf"(?:^|[^\w]){key}[ \t]*=[ \t]*([^\r\n\0]*)", text)
        return match.group(1).strip() if match else None

    x, y = (length_um((find(f"PixelSize{a}") or "").lstrip("-"), unit="m") for a in "XY")
    spacing = plausible((y if y else x, x))
    return Header(
        source,
        spacing=spacing,
        spacing_from="PixelSizeX, PixelSizeY",
        bar_rows=_count(find("ImageStripSize")),
        instrument=find("DeviceModel") or find("Device") or "",
        magnification=find("Magnification") or "",
        voltage_kv=_kilovolts(find("HV"), unit="v"),
        notes=() if spacing else (f"{source} has no usable PixelSizeX",),
    )


def jeol(text: str, shape: tuple[int, int], *, source: str = "JEOL sidecar") -> Header:
    """Read a JEOL header: lines ``$CM_KEY value`` and ``$$SM_KEY value``.

    Recent software writes the field of view (``$CM_FIELD_OF_VIEW 128.0µm 96.0µm``, ``$CM_IMAGE_SIZE``); all
    versions give the micron bar, ``$$SM_MICRON_BAR`` whole pixels long for ``$$SM_MICRON_MARKER`` (``10um``),
    so known to half a pixel. ``$CM_PIXEL_SIZE`` is not used: sources disagree on its unit.
    """
    entries = dict(re.findall(r"^\s*\$+(\w+)[ \t=]+([^\r\n\0]*?)\s*$", text, re.M))
    size = _pair(entries.get("CM_IMAGE_SIZE")) or _pair(entries.get("CM_FULL_SIZE"))
    lengths = re.findall(r"[\d.,]+\s*[^\W\d]*", entries.get("CM_FIELD_OF_VIEW", ""))
    field = [length_um(text, unit="um") for text in lengths]
    bar = number(entries.get("SM_MICRON_BAR")) or 0.0
    marker = length_um(entries.get("SM_MICRON_MARKER"), unit="um")
    notes = list(_resized(source, size, shape))
    by_bar = plausible((marker / bar, marker / bar)) if bar > 0 and marker else None
    by_field = None
    if size and len(field) == 2 and field[0] and field[1]:
        by_field = plausible((field[1] / size[0], field[0] / size[1]))
    spacing = by_field or by_bar
    origin = "$CM_FIELD_OF_VIEW, $CM_IMAGE_SIZE" if by_field else "$$SM_MICRON_BAR, $$SM_MICRON_MARKER"
    if spacing is None:
        notes.append(f"{source} has no usable micron bar or field of view (a magnification alone is no scale)")
    elif by_field and by_bar and differ(by_field, by_bar):
        notes.append(
            f"{source}: the field of view means {by_field[1]:.4g} um a pixel but the micron bar {by_bar[1]:.4g} um."
        )
    elif not by_field and bar < 100:
        notes.append(f"{source}: the micron bar is {bar:g} px long, so the scale is known to {50 / bar:.1g} %.")
    return Header(
        source,
        spacing=spacing,
        spacing_from=origin,
        scan_shape=size,
        bar_rows=_count(entries.get("SM_PNU_HEIGHT")),
        instrument=entries.get("CM_INSTRUMENT", ""),
        magnification=entries.get("CM_MAG", ""),
        voltage_kv=_kilovolts(entries.get("CM_ACCEL_VOLT"), unit="kv"),
        notes=tuple(notes),
    )


def hitachi(text: str, shape: tuple[int, int], *, source: str = "Hitachi sidecar") -> Header:
    """Read a Hitachi header: ``[SemImageFile]`` with ``PixelSize=`` in nm and ``DataSize=1280x960``.

    Older instruments write a magnification only; that is no scale, since it depends on a print width.
    """
    entries = _sections(text).get("semimagefile", {})
    size = length_um(entries.get("pixelsize"), unit="nm")
    spacing = plausible((size, size))
    scan_shape = _pair(entries.get("datasize"))
    notes = list(_resized(source, scan_shape, shape))
    if spacing is None:
        notes.append(f"{source} has no usable PixelSize (a magnification alone is no scale)")
    return Header(
        source,
        spacing=spacing,
        spacing_from="PixelSize",
        scan_shape=scan_shape,
        instrument=entries.get("instructname") or entries.get("instrumentname", ""),
        magnification=entries.get("magnification", ""),
        voltage_kv=_kilovolts(entries.get("acceleratingvoltage"), unit="v"),
        notes=tuple(notes),
    )


def sidecar(text: str, shape: tuple[int, int], *, name: str) -> Header | None:
    """Recognise a sidecar by its own words, and read it; None for a text that is no microscope's."""
    if re.search(r"^\s*\$+(CM|SM)_\w+", text, re.M):
        return jeol(text, shape, source=f"JEOL sidecar {name}")
    if re.search(r"^\s*\[SemImageFile\]", text, re.M | re.I):
        return hitachi(text, shape, source=f"Hitachi sidecar {name}")
    if "PixelSizeX" in text:
        return tescan(text, shape, source=f"TESCAN sidecar {name}")
    return None


def _sections(text):
    """Parse ini text without its pitfalls: any encoding, repeated or missing sections, `%`, stray lines."""
    found: dict[str, dict[str, str]] = {}
    section = found.setdefault("", {})
    for line in map(str.strip, text.replace("\0", "\n").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = found.setdefault(line[1:-1].strip().lower(), {})
        elif "=" in line:
            key, value = line.split("=", 1)
            section.setdefault(key.strip().lower(), value.strip())
    return found


def _pair(value):
    """Return (rows, columns) from ``"1280 960"``, ``"1280x960"`` or ``"1024 * 768"`` (width first)."""
    match = re.match(r"\s*(\d+)\s*[x*, ]\s*(\d+)", value or "", re.I)
    columns, rows = (int(v) for v in match.groups()) if match else (0, 0)
    return (rows, columns) if rows and columns else None


def _count(value):
    amount = number(value)
    return int(amount) if amount and amount > 0 else None


def _kilovolts(value, *, unit):
    amount = number(value)
    if amount is None:
        return ""
    kilo = re.search(r"\d\s*kv", value, re.I) or (unit == "kv" and not re.search(r"\d\s*v", value, re.I))
    return f"{amount if kilo else amount / 1000:g}"


def _resized(source, scan_shape, shape):
    """Say so when the image is not as wide as the scan: it was cropped or resampled afterwards."""
    if scan_shape and scan_shape[1] != shape[1]:
        yield (
            f"{source} describes a scan {scan_shape[1]} px wide but the image is {shape[1]} px wide: its "
            f"pixel size holds for a cropped image; in a resampled one pixels are "
            f"{scan_shape[1] / shape[1]:.3g} times as large: give --pixel-size then."
        )
