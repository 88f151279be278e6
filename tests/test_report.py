"""The report: one file that stands alone, warnings first, numbers with the digits they carry."""

import base64
import math
import re
import tomllib
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morpholith.image import Quantity
from morpholith.report import render
from morpholith.report.html import embed, rounded, words
from morpholith.results import ReportFigure, Result

RECIPE = {
    "command": "sem measure",
    "line": "morpholith sem measure a.tif --pixel-size 0.1",
    "date": datetime(2025, 1, 2, 3, 4, tzinfo=UTC),
    "duration_s": 1.5,
    "not_given": ["checkpoint"],
    "options": {"images": ["a.tif"], "pixel_size": 0.1, "seed": 0},
    "versions": {"morpholith": "0.1.0", "numpy": "2.0"},
    "inputs": [{"path": "a.tif", "relative": "../a.tif", "sha256": "0" * 64}, {"path": "d", "relative": "d"}],
}


def png(width=40, height=30, *, noise=False):
    shape = (height, width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape) if noise else np.full(shape, 90)
    buffer = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, format="png", compress_level=1)
    return buffer.getvalue()


class Page(HTMLParser):
    """Collects what the tests ask for, and fails on tags that do not match."""

    VOID = ("meta", "img", "link", "br", "hr")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.hrefs, self.ids = [], [], "", [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.hrefs += [attrs["href"]] if "href" in attrs else []
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data


def page(result, *, figures=None, recipe=None):
    made = {name: png() for name in result.figures} if figures is None else figures
    return render(result, recipe=recipe or RECIPE, figures=made)


def full(**changes):
    table = pd.DataFrame({"diameter_um": np.arange(30) / 7, "edge": [True, False] * 15, "why": ["", None] * 15})
    table.index = pd.RangeIndex(1, 31, name="label")
    content = {
        "title": "Powder <script>alert(1)</script> & co",
        "summary": {
            "n_particles": Quantity(70, n=70, method="count"),
            "d50_um": Quantity(12.3456, 11.9, 12.8, n=70, unit="um", method="bootstrap <b>"),
            "texture": Quantity(math.nan, n=0, method="wavelet", warning="too coarse & blurred"),
        },
        "tables": {"particles": table},
        "figures": {
            "one": ReportFigure(b"", 'Caption "one" <i>', section="Particles", alt="outlines"),
            "two": ReportFigure(b"", "Caption two", section="Sizes"),
            "three": ReportFigure(b"", "Caption three", section="Particles"),
        },
        "files": {"labels.tif": lambda path: None},  # noqa: ARG005
        "warnings": ["only <70> particles"],
        "text": {"Summary": "First.\n\nSecond."},
    }
    return Result(**content | changes)


def test_page_is_well_formed_and_escapes_what_it_is_given():
    html = page(full())
    parsed = Page(html)
    assert "<script" not in html
    assert "<b>" not in html
    assert "Powder <script>alert(1)</script> & co" in parsed.text
    assert "only <70> particles" in parsed.text
    assert html.startswith("<!DOCTYPE html>")


def test_page_needs_nothing_from_outside():
    html = page(full())
    parsed = Page(html)
    sources = [attrs["src"] for tag, attrs in parsed.tags if "src" in attrs]
    assert sources
    assert all(s.startswith("data:image/") for s in sources)
    assert not re.search(r"https?://|@import|url\(|<link|<script", html)
    assert all(h.startswith("#") or not re.match(r"[a-z]+:|/", h) for h in parsed.hrefs)


def test_warnings_come_before_every_number_and_include_what_is_not_resolved():
    text = Page(page(full())).text
    assert "2 warnings" in text
    assert text.index("only <70> particles") < text.index("12.35")
    assert text.index("texture: too coarse & blurred") < text.index("12.35")
    assert "not resolved" in text


def test_numbers_have_interval_unit_count_and_method():
    text = " ".join(Page(page(full())).text.split())
    assert "12.35" in text
    assert "11.90 to 12.80 (95 %)" in text
    assert "µm" in text
    assert "70" in text
    assert "bootstrap <b>" in text


def test_pictures_have_alternative_text_captions_and_order():
    parsed = Page(page(full()))
    alts = [attrs["alt"] for tag, attrs in parsed.tags if tag == "img"]
    assert alts == ["outlines", "Caption three", "Caption two"]  # by section
    headings = ["Summary", "Particles", "Sizes", "Tables and files", "How it was made"]
    found = [parsed.text.rindex(f"\n{h}\n") for h in headings]
    assert found == sorted(found)
    assert "figures/one.png" in parsed.hrefs


def test_contents_lead_somewhere():
    parsed = Page(page(full()))
    anchors = [h[1:] for h in parsed.hrefs if h.startswith("#")]
    assert len(anchors) >= 6
    assert set(anchors) <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))


def test_tables_show_first_rows_and_lead_to_the_rest():
    parsed = Page(page(full()))
    text = " ".join(parsed.text.split())
    assert "particles.csv 30 rows, the first 10 here" in text
    assert "particles.csv" in parsed.hrefs
    assert "1.286" in text  # row 10
    assert "1.429" not in text  # row 11
    assert "labels.tif" in parsed.hrefs


def test_provenance_is_told():
    text = " ".join(Page(page(full())).text.split())
    for part in (RECIPE["line"], "recipe.toml", "0" * 64, "numpy 2.0", "checkpoint", "2025-01-02 03:04 UTC"):
        assert part in text


def test_empty_result_is_a_page_too():
    recipe = {k: v for k, v in RECIPE.items() if k not in ("duration_s",)} | {
        "inputs": [],
        "options": {},
        "line": "",
    }
    parsed = Page(page(Result(tables={"t": pd.DataFrame({"a": []})}), recipe=recipe))
    assert "morpholith sem measure" in parsed.text
    assert "warning" not in parsed.text
    assert "0 rows" in parsed.text


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (Quantity(12.3456, 11.9, 12.8), ("12.35", "11.90", "12.80")),
        (Quantity(12.3456, 10.1, 14.9), ("12.3", "10.1", "14.9")),
        (Quantity(12345.6, 11000, 13800), ("12300", "11000", "13800")),
        (Quantity(0.93121, 0.9288, 0.9341), ("0.9312", "0.9288", "0.9341")),
        (Quantity(-0.38, -0.52, -0.21), ("-0.38", "-0.52", "-0.21")),
        (Quantity(0.0, -0.1, 0.1), ("0.00", "-0.10", "0.10")),
        (Quantity(6.41, 1.0, 999.0), ("6.4", "1.0", "999.0")),
        (Quantity(3.2e-5, 3.0e-5, 3.4e-5), ("3.20e-05", "3.00e-05", "3.40e-05")),
        (Quantity(70), ("70", "", "")),
        (Quantity(0.0333333), ("0.03333", "", "")),
        (Quantity(5.0, 5.0, 5.0), ("5", "5", "5")),
        (Quantity(math.nan, 1, 2), ("", "", "")),
        (Quantity(2.5, None, math.inf), ("2.5", "", "")),
    ],
)
def test_digits_follow_the_interval(quantity, text):
    assert rounded(quantity) == text


@pytest.mark.parametrize(
    ("key", "unit", "text"),
    [
        ("d50_volume_um", "um", "D50 volume"),
        ("n_particles", "", "Number of particles"),
        ("circularity_sd", "", "Circularity sd"),
        ("edge_ev", "eV", "Edge"),
        ("surface_um2_per_um3", "um2_per_um3", "Surface"),
    ],
)
def test_keys_as_words(key, unit, text):
    assert words(key, unit=unit) == text


def decoded(entry):
    kind, _, data = entry["address"].partition(";base64,")
    return kind, Image.open(BytesIO(base64.b64decode(data)))


def test_small_pictures_stay_as_they_are():
    original = png()
    entry = embed({"a": original})["a"]
    assert base64.b64decode(entry["address"].partition(";base64,")[2]) == original
    assert (entry["width"], entry["height"]) == (40, 30)


def test_wide_pictures_are_made_1600_wide():
    kind, picture = decoded(embed({"a": png(4000, 1000)})["a"])
    assert picture.size == (1600, 400)
    assert kind == "data:image/png"


def test_twenty_noisy_micrographs_stay_under_15_megabytes():
    noisy = png(1700, 1200, noise=True)  # noise is the worst there is to pack
    entries = embed({str(k): noisy for k in range(20)})
    assert sum(len(e["address"]) for e in entries.values()) < 15e6
    kind, picture = decoded(entries["0"])
    assert kind == "data:image/jpeg"
    assert picture.width >= 640


def test_transparent_pictures_lie_on_white():
    buffer = BytesIO()
    Image.new("RGBA", (2000, 10), (0, 0, 0, 0)).save(buffer, format="png")
    _, picture = decoded(embed({"a": buffer.getvalue()})["a"])
    assert picture.convert("RGB").getpixel((5, 2)) == (255, 255, 255)


def test_recipe_read_back_from_toml_renders_the_same():
    import tomli_w

    again = tomllib.loads(tomli_w.dumps(RECIPE))
    assert page(full(), recipe=again) == page(full())
