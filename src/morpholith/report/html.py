"""The report: one file, readable offline, warnings first, every number with its interval."""

from __future__ import annotations

import base64
import math
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..image import Quantity

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..results import Result

CARDS = 6
ROWS = 10
_WIDEST, _NARROWEST = 1600, 320
_PICTURES_MAX = 10_000_000  # bytes before base64 adds a third: the page stays under 15 MB
_SMALL = 250_000
_UNITS = {"um": "µm", "um2": "µm²", "um3": "µm³", "deg": "°", "percent": "%"}


def render(result: Result, *, recipe: dict[str, Any], figures: dict[str, bytes]) -> str:
    """Return the report of a result as one HTML page without outside parts.

    Parameters
    ----------
    result : Result
    recipe : mapping
        As written beside it: command, options, versions, inputs.
    figures : mapping of str to bytes
        The PNG of each of ``result.figures``. In the page they are at most 1600 pixels wide, and less
        when there are many.

    Returns
    -------
    str
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    quantities = [_row(key, q) for key, q in result.summary.items()]
    page = environment.get_template("template.html.j2").render(
        title=result.title or f"morpholith {recipe['command']}",
        recipe=recipe,
        warnings=result.all_warnings(),
        cards=[row for row in quantities if row["value"]][:CARDS],
        quantities=quantities,
        sections=_sections(result, figures),
        tables={name: _table(table) for name, table in result.tables.items()},
        files=list(result.files),
    )
    return page + "\n"


def _row(key: str, q: Quantity) -> dict[str, Any]:
    value, low, high = rounded(q)
    unit = _UNITS.get(q.unit, q.unit)
    interval = f"{low} to {high}" if low and high else ""
    return {
        "key": key,
        "name": words(key, unit=q.unit),
        "value": value,
        "unit": unit,
        "interval": interval,
        "level": f"{100 * q.level:.4g} %",
        "n": "" if q.n is None else str(q.n),
        "method": q.method,
        "warning": q.warning or "",
    }


def words(key: str, *, unit: str = "") -> str:
    """Return a key as words, without its unit: ``d50_volume_um`` is ``D50 volume``."""
    name = key.removesuffix(f"_{unit.lower()}") if unit else key
    first, _, rest = name.partition("_")
    if first == "n" and rest:
        first = "number of"
    first = first.upper() if first[1:].isdigit() else first.capitalize() if len(first) > 1 else first
    return f"{first} {rest.replace('_', ' ')}".strip()


def rounded(q: Quantity) -> tuple[str, str, str]:
    """Return value and ends as text with the digits that the interval carries; empty where there is none.

    Two significant digits of the half-width decide, as the Guide to the Expression of Uncertainty in
    Measurement has it.
    """
    if not math.isfinite(q.value):
        return "", "", ""
    ends = [x for x in (q.low, q.high) if x is not None and math.isfinite(x)]
    if len(ends) < 2 or ends[1] <= ends[0]:
        text = [_plain(x) if x is not None and math.isfinite(x) else "" for x in (q.value, q.low, q.high)]
        return text[0], text[1], text[2]
    half = (ends[1] - ends[0]) / 2
    # at least two digits of the value too, however wide the interval
    decimals = 1 - math.floor(math.log10(min(half, abs(q.value) or half)))
    largest = max(abs(q.value), *map(abs, ends))
    if largest >= 1e6 or largest < 1e-3:
        digits = max(1, decimals + math.floor(math.log10(largest)))
        return f"{q.value:.{digits}e}", f"{ends[0]:.{digits}e}", f"{ends[1]:.{digits}e}"
    text = [f"{round(x, decimals):.{max(decimals, 0)}f}" for x in (q.value, *ends)]
    return text[0], text[1], text[2]


def _plain(x: float) -> str:
    return f"{x:.0f}" if float(x).is_integer() and abs(x) < 1e9 else f"{x:.4g}"


def _sections(result: Result, figures: dict[str, bytes]) -> list[dict[str, Any]]:
    """Return headings with their paragraphs and pictures, in the order they are first named."""
    names = dict.fromkeys([*result.text, *(f.section for f in result.figures.values())])
    embedded = embed(figures)
    return [
        {
            "title": name,
            "paragraphs": [p.strip() for p in result.text.get(name, "").split("\n\n") if p.strip()],
            "figures": [
                {"name": key, "caption": f.caption, "alt": f.alt or f.caption, **embedded[key]}
                for key, f in result.figures.items()
                if f.section == name
            ],
        }
        for name in names
    ]


def embed(figures: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """Return each picture as a data address with its size, small enough together for one page.

    Line art stays PNG; a micrograph that would weigh much becomes a JPEG without colour subsampling, which
    keeps thin coloured outlines sharp. The full-size PNG lies in ``figures/``.
    """
    width = _WIDEST
    while True:
        shrunk = {name: _shrunk(png, width) for name, png in figures.items()}
        excess = sum(len(data) for data, *_ in shrunk.values()) / _PICTURES_MAX
        if excess <= 1 or width <= _NARROWEST:
            break
        # bytes go with the area; a little less, for small pictures pack worse
        width = max(_NARROWEST, int(0.93 * width / math.sqrt(excess)))
    return {
        name: {
            "address": f"data:image/{kind};base64,{base64.b64encode(data).decode()}",
            "width": size[0],
            "height": size[1],
        }
        for name, (data, kind, size) in shrunk.items()
    }


def _shrunk(png: bytes, width: int) -> tuple[bytes, str, tuple[int, int]]:
    from PIL import Image

    with Image.open(BytesIO(png)) as picture:
        if picture.width <= width and len(png) <= _SMALL:
            return png, "png", picture.size
        shown = _on_white(picture)
    if shown.width > width:
        height = max(1, round(shown.height * width / shown.width))
        shown = shown.resize((width, height), Image.Resampling.LANCZOS)
    kind, options = ("png", {}) if len(png) <= _SMALL else ("jpeg", {"quality": 85, "subsampling": 0})
    buffer = BytesIO()
    shown.save(buffer, format=kind, **options)
    return buffer.getvalue(), kind, shown.size


def _on_white(picture):
    from PIL import Image

    if picture.mode != "RGBA":
        return picture.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _table(table: DataFrame) -> dict[str, Any]:
    """Return the first rows of a table as text."""
    shown = table.head(ROWS)
    if table.index.name is not None:
        shown = shown.reset_index()
    return {
        "columns": [(str(c), "number" if shown[c].dtype.kind in "iuf" else "") for c in shown.columns],
        "rows": [[_cell(x) for x in row] for row in shown.itertuples(index=False, name=None)],
        "total": len(table),
    }


def _cell(x: Any) -> str:
    if x is None or (isinstance(x, float) and math.isnan(x)):
        return ""
    if isinstance(x, bool) or type(x).__name__ == "bool":
        return "yes" if x else "no"
    return f"{x:.4g}" if isinstance(x, float) else str(x)
