"""`morpholith sem measure` as a user runs it: files in, the contract's files and keys out, truth met."""

import json
import os
import tomllib

import _ampis
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as Picture

from morpholith.cli import main
from morpholith.image import Image
from morpholith.read import write_tiff
from morpholith.segment.matching import match
from morpholith.specimens import Habit, Microscope, Powder, micrograph, scene

KEYS = [
    "n_particles", "d10_um", "d50_um", "d90_um", "span", "d50_volume_um", "circularity_mean", "circularity_sd",
    "texture_mean", "texture_sd", "pixel_size_um",
]  # fmt: skip
COLUMNS = "label,image,y_um,x_um,area_um2,perimeter_um,diameter_um,circularity,texture,touches_edge".split(",")
POWDER = Powder(d50_um=3.0, geometric_sd=1.35, circularity_mean=0.93, habit=Habit("plate", 0.1, 0.5), coverage=0.4)


def _field(seed, powder=POWDER, **settings):
    microscope = Microscope(**settings)
    s = scene(powder, shape=microscope.shape, spacing=microscope.spacing, rng=9_000_000 + seed)
    return s, micrograph(s, microscope, rng=seed)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Two fields of one powder on disk, measured once."""
    folder = tmp_path_factory.mktemp("sample")
    truths = []
    for k in range(2):
        field, image = _field(k)
        write_tiff(folder / f"f{k}.tif", Image(image, "yx", field.spacing))
        truths.append(field.truth)
    out = folder / "out"
    assert main(["sem", "measure", str(folder / "f0.tif"), str(folder / "f1.tif"), "--out", str(out)]) == 0
    return folder, out, pd.concat(truths)


def _summary(out):
    return json.loads((out / "summary.json").read_text())


def test_the_contract_is_kept(sample):
    _, out, _ = sample
    summary = _summary(out)
    for key in KEYS:
        assert set(summary[key]) == {"value", "low", "high", "level", "n", "unit", "method"}
        assert summary[key]["method"]
    assert isinstance(summary["warnings"], list)
    assert all(isinstance(v, dict) for k, v in summary.items() if k != "warnings")
    table = pd.read_csv(out / "particles.csv")
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS
    assert set(table.image) == {"f0.tif", "f1.tif"}
    recipe = tomllib.loads((out / "recipe.toml").read_text())
    assert recipe["command"] == "sem measure"
    report = (out / "report.html").read_text()
    assert "data:image" in report
    assert "http" not in report.replace("http://www.w3.org", "")


def test_numbers_meet_the_truth(sample):
    _, out, truth = sample
    summary = _summary(out)
    inside = truth[(truth.y_um > 0) & (truth.x_um > 0) & (truth.y_um < 32) & (truth.x_um < 42.6)]
    assert summary["d50_um"]["value"] == pytest.approx(inside.diameter_um.median(), rel=0.04)
    assert summary["circularity_mean"]["value"] == pytest.approx(inside.circularity.mean(), abs=0.012)
    assert summary["d50_um"]["low"] < 3.0 < summary["d50_um"]["high"]
    assert summary["pixel_size_um"]["value"] == pytest.approx(0.1 / 3, rel=1e-4)


def test_rejected_particles_say_why(sample):
    _, out, _ = sample
    table = pd.read_csv(out / "particles.csv", keep_default_na=False)
    assert set(table.rejected) <= {"", "cut by the frame", "hidden by another", "too small for its shape"}
    assert (table.rejected[table.touches_edge == "True"] == "cut by the frame").all() or (
        table.rejected[table.touches_edge == True] == "cut by the frame"  # noqa: E712 - text or bool by pandas
    ).all()


def test_rerun_gives_the_same_numbers(sample, tmp_path):
    _, out, _ = sample
    assert main(["rerun", str(out / "recipe.toml"), "--out", str(tmp_path / "again")]) == 0
    assert _summary(tmp_path / "again") == _summary(out)
    assert (tmp_path / "again/particles.csv").read_bytes() == (out / "particles.csv").read_bytes()


def test_a_campaign_gives_conditions_and_trends(tmp_path):
    rows = []
    for k, (ph, d50) in enumerate([(10.0, 4.0), (10.5, 3.2), (11.0, 2.5), (11.5, 2.0)]):
        field, image = _field(100 + k, Powder(d50_um=d50, coverage=0.35), shape=(720, 960))
        write_tiff(tmp_path / f"{k}.tif", Image(image, "yx", field.spacing))
        rows.append(f"{k}.tif,{ph}")
    (tmp_path / "campaign.csv").write_text("image,ph\n" + "\n".join(rows) + "\n")
    assert main(["sem", "measure", str(tmp_path / "campaign.csv"), "--out", str(tmp_path / "out")]) == 0
    conditions = pd.read_csv(tmp_path / "out/conditions.csv")
    assert list(conditions.condition) == ["ph=10", "ph=10.5", "ph=11", "ph=11.5"]
    assert conditions.d50_um.is_monotonic_decreasing
    trends = pd.read_csv(tmp_path / "out/trends.csv").set_index(["variable", "descriptor"])
    assert trends.slope_high["ph", "d50_um"] < 0
    assert (tmp_path / "out/figures/trend_ph.png").exists()


def test_one_particle_and_none(tmp_path):
    lone = Powder(d50_um=6, geometric_sd=1.0, coverage=0.02)
    seed = next(s for s in range(50) if (~_truth(lone, s).touches_edge).sum() == 1 == len(_truth(lone, s)))
    field, image = _field(seed, lone, shape=(480, 640))
    assert main(["sem", "measure", _png(tmp_path / "one.png", image), *_scale(), "--out", str(tmp_path / "one")]) == 0
    summary = _summary(tmp_path / "one")
    assert summary["n_particles"]["value"] == 1
    assert summary["d50_um"]["low"] is None
    assert summary["d50_um"]["value"] == pytest.approx(6, rel=0.03)
    tape = np.random.default_rng(0).normal(60, 4, (480, 640)).clip(0, 255).astype(np.uint8)
    assert main(["sem", "measure", _png(tmp_path / "none.png", tape), *_scale(), "--out", str(tmp_path / "none")]) == 0
    summary = _summary(tmp_path / "none")
    assert summary["n_particles"]["value"] == 0
    assert summary["d50_um"]["value"] is None
    assert any("No particle was found" in w for w in summary["warnings"])
    assert field.truth is not None


def _truth(powder, seed):
    microscope = Microscope(shape=(480, 640))
    return scene(powder, shape=(480, 640), spacing=microscope.spacing, rng=9_000_000 + seed).truth


def _scale():
    return ["--pixel-size", "0.0333333"]


def _png(path, array):
    Picture.fromarray(array).save(path)
    return str(path)


def _truncated(path):
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 255, (400, 400), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:90_000])
    return str(path)


def _text(path):
    path.write_text("this is no image\n")
    return str(path)


def _huge(path):
    """A valid file of 30000 x 30000 pixels that weighs little: one bit each."""
    tifffile.imwrite(path, np.zeros((30000, 30000), bool), compression="deflate", rowsperstrip=30000, photometric=1)
    return str(path)


GREY = np.random.default_rng(1).integers(40, 200, (200, 260), dtype=np.uint8)
NOISE = np.random.default_rng(2).random((300, 300))
BAD = {
    "no pixel size": (lambda p: [_png(p / "a.png", GREY)], "--pixel-size"),
    "colour photograph": (
        lambda p: [_png(p / "a.png", np.stack([GREY, GREY[::-1], GREY[:, ::-1]], -1)), *_scale()],
        "colour",
    ),
    "empty file": (lambda p: [str(((p / "a.tif").write_bytes(b"") and "") or p / "a.tif"), *_scale()], "empty"),
    "constant": (lambda p: [_png(p / "a.png", np.full((99, 99), 7, np.uint8)), *_scale()], "constant|same"),
    "saturated": (
        lambda p: [_png(p / "a.png", np.where(NOISE < 0.95, 255, 255 * NOISE).astype(np.uint8)), *_scale()],
        "saturated",
    ),
    "truncated": (lambda p: [_truncated(p / "a.tif"), *_scale()], "truncated|cut off|damaged|incomplete|ends"),
    "text named .tif": (lambda p: [_text(p / "a.tif"), *_scale()], "not an image|no image|text"),
    "30000 x 30000": (lambda p: [_huge(p / "a.tif"), *_scale()], "30000"),
    "missing path": (lambda p: [str(p / "nowhere.tif"), *_scale()], "nowhere"),
    "folder without images": (lambda p: [str(p), *_scale()], "no image|holds no"),
    "negative pixel size": (lambda p: [_png(p / "a.png", GREY), "--pixel-size", "-1"], "pixel"),
    "sam without checkpoint": (lambda p: [_png(p / "a.png", GREY), *_scale(), "--method", "sam"], "--checkpoint"),
    "unknown method": (lambda p: [_png(p / "a.png", GREY), *_scale(), "--method", "magic"], "magic"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_and_exit_2(case, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    build, says = BAD[case]
    out = tmp_path / "out"
    assert main(["sem", "measure", *build(tmp_path / "in"), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    errors = [line for line in said.splitlines() if line.startswith("morpholith: ") and "warning" not in line]
    assert len(errors) == 1
    assert any(word in errors[0].lower() for word in says.lower().split("|")), errors[0]
    assert "Traceback" not in said
    assert not (out / "summary.json").exists()


def test_an_unwritable_folder_is_refused_before_the_work(tmp_path, capsys):
    target = tmp_path / "file"
    target.write_text("mine")
    assert main(["sem", "measure", _png(tmp_path / "a.png", GREY), *_scale(), "--out", str(target / "x")]) == 2
    assert "--out" in capsys.readouterr().err
    assert target.read_text() == "mine"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody may write to")
def test_a_read_only_folder_is_refused(tmp_path, capsys):
    assert main(["sem", "measure", _png(tmp_path / "a.png", GREY), *_scale(), "--out", "/proc/self/out"]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_masks_are_saved_with_the_labels_of_the_table(sample):
    _, out, _ = sample
    labels = tifffile.imread(out / "labels/f1_labels.tif")
    table = pd.read_csv(out / "particles.csv").query("image == 'f1.tif'").set_index("label")
    area = np.bincount(labels.ravel())[1:] * (0.1 / 3) ** 2
    np.testing.assert_allclose(area[table.index - 1], table.area_um2, rtol=1e-4)


def test_real_powder_is_outlined(data, tmp_path):
    """Gas-atomised metal powder, never used in training: the hand-drawn particles are found."""
    name = "Sc1Tile_001-002-000_0-000.png"
    image = data / "sem/ampis" / name
    assert main(["sem", "measure", str(image), "--pixel-size", "0.5", "--out", str(tmp_path / "out")]) == 0
    labels = tifffile.imread(tmp_path / "out/labels" / name.replace(".png", "_labels.tif"))
    agreement = match(_ampis.labels(data, name), labels, iou=0.5)
    assert agreement.recall > 0.88
    assert agreement.precision > 0.65
    table = pd.read_csv(tmp_path / "out/particles.csv")
    assert table.circularity[table.rejected.isna()].median() > 0.9


def test_pages_are_asked_for_and_chosen(tmp_path, capsys):
    pages = np.stack([_field(300 + k, shape=(480, 640))[1] for k in range(2)])
    tifffile.imwrite(tmp_path / "two.tif", pages, photometric="minisblack", metadata=None)
    command = ["sem", "measure", str(tmp_path / "two.tif"), *_scale(), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "page" in capsys.readouterr().err
    assert main([*command, "--page", "1"]) == 0
