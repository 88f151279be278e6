"""How large a pixel is: what a file's header says, what the user says, and what to do when they differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError

UM = {"m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "å": 1e-4, "a": 1e-4}
PLAUSIBLE_UM = (1e-6, 1e3)  # 1 pm to 1 mm: outside it a header is broken, not a microscope unusual
AGREE = 0.02  # headers print three or four digits, micron bars are whole pixels


class MissingPixelSize(InputError):
    """The image is fine but nothing says how large its pixels are."""


@dataclass(frozen=True)
class Header:
    """What one header (a tag, a sidecar) says about an image.

    Parameters
    ----------
    source : str
        Its name: ``"Zeiss tag 34118"``.
    spacing : tuple of float or None
        Pixel size (y, x) in um; None when it says none that can be believed.
    spacing_from : str
        Which entry gave it.
    scan_shape : tuple of int or None
        Rows and columns the beam scanned, without a data bar.
    bar_rows : int or None
        Rows of the data bar that the microscope appended.
    instrument, magnification, voltage_kv : str
        As printed in the header; empty when absent.
    notes : tuple of str
        Sentences: why there is no spacing, what does not agree.
    """

    source: str
    spacing: tuple[float, float] | None = None
    spacing_from: str = ""
    scan_shape: tuple[int, int] | None = None
    bar_rows: int | None = None
    instrument: str = ""
    magnification: str = ""
    voltage_kv: str = ""
    notes: tuple[str, ...] = ()


def number(value: str | None) -> float | None:
    """Return the first number in a text (a comma may be the decimal point), or None."""
    match = re.search(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?", value or "")
    return float(match.group().replace(",", ".")) if match else None


def length_um(value: str | None, *, unit: str | None = None) -> float | None:
    """Return a length such as ``"12.3 nm"`` in um; `unit` is what a bare number means.

    None for a missing, unreadable, non-positive or non-finite length, and for a unit that is no length.
    """
    match = re.search(r"([-+]?[\d.,]+(?:[eE][-+]?\d+)?)\s*([^\W\d_]*)", value or "")
    amount = number(match.group(1)) if match else None
    factor = unit_um(match.group(2) or unit) if match else None
    if amount is None or factor is None or not np.isfinite(amount) or amount <= 0:
        return None
    return amount * factor


def unit_um(unit: str | None) -> float | None:
    """Return a unit of length in um: nm, µm (either mu, or escaped), micron, Å, ...; None if it is none."""
    name = (unit or "").strip().strip("\"'").replace("\\u00B5", "u").replace("\\u00b5", "u").lower()
    name = name.replace("µ", "u").replace("μ", "u")
    if name.startswith(("micron", "micromet")):
        name = "um"
    if name.startswith("nanomet"):
        name = "nm"
    return UM.get(name)


def plausible(spacing: Sequence[float | None]) -> tuple[float, float] | None:
    """Return (y, x) if both are lengths a microscope can have."""
    y, x = spacing
    low, high = PLAUSIBLE_UM
    return (y, x) if y is not None and x is not None and low <= y <= high and low <= x <= high else None


def differ(a: Sequence[float], b: Sequence[float]) -> bool:
    """Return whether two pixel sizes differ by more than 2 %."""
    return any(abs(p / q - 1) > AGREE for p, q in zip(a, b, strict=True))


def option(pixel_size) -> tuple[float, float] | None:
    """Return a user's pixel size as (y, x) in um, or say what is wrong with it."""
    if pixel_size is None:
        return None
    try:
        pair = tuple(float(v) for v in np.atleast_1d(pixel_size))
    except (TypeError, ValueError):
        pair = ()
    pair = pair * 2 if len(pair) == 1 else pair
    if len(pair) != 2 or not all(np.isfinite(v) and v > 0 for v in pair):
        raise InputError(f"`pixel_size` must be a positive length in um (or a pair y, x); got {pixel_size!r}.")
    return pair


def choose(
    given: tuple[float, float] | None, headers: Sequence[Header], *, name: str, resolution: str
) -> tuple[tuple[float, float], str, list[str]]:
    """Decide the pixel size: the user's first, then the first header that has one.

    Parameters
    ----------
    given : tuple of float or None
        The user's (y, x) in um.
    headers : sequence of Header
        In order of trust.
    name : str
        File name, for messages.
    resolution : str
        What a print-resolution tag says, to be named when nothing else is there.

    Returns
    -------
    spacing : tuple of float
        (y, x) in um.
    origin : str
        Which tag or option it came from.
    warnings : list of str
        Disagreements, with both numbers.

    Raises
    ------
    MissingPixelSize
        When neither the user nor a header gives one.
    """
    claims = [h for h in headers if h.spacing is not None]
    if given is not None:
        spacing, origin = given, "option"
    elif claims:
        assert claims[0].spacing is not None
        spacing, origin = claims[0].spacing, f"{claims[0].source}, {claims[0].spacing_from}"
        claims = claims[1:]
    else:
        raise MissingPixelSize(_missing(headers, name=name, resolution=resolution))
    used = f"the pixel size {'given' if given else 'of ' + origin}, {show(spacing)},"
    warnings = [] if given else [f"{name}: {note}" for h in headers if h.spacing for note in h.notes]
    warnings += [
        f"{name}: {used} differs from {show(h.spacing)} of {h.source}, {h.spacing_from}; the former is used."
        for h in claims
        if h.spacing is not None and differ(spacing, h.spacing)
    ]
    if differ(spacing[:1], spacing[1:]):
        warnings.append(f"{name}: pixels are not square, {show(spacing)} (y x x).")
    return spacing, origin, warnings


def _missing(headers, *, name, resolution):
    reasons = [note for h in headers for note in h.notes]
    if resolution:
        reasons.append(f"its resolution tag ({resolution}) is for printing and says nothing about the sample")
    why = "".join(f"; {reason.rstrip('.')}" for reason in reasons)
    return f"{name} does not say how large its pixels are{why}: give --pixel-size UM (micrometres a pixel)."


def show(spacing: Sequence[float]) -> str:
    """Return a pixel size as a person reads it: one number when both are the same."""
    y, x = spacing
    return f"{x:.4g} um" if abs(y / x - 1) < 1e-4 else f"{y:.4g} x {x:.4g} um"
