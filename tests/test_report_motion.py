"""Pictures of motion: each draws what it is given, also when that is little, and films keep their promises."""

from io import BytesIO

import numpy as np
import pytest

from morpholith import track
from morpholith.errors import InputError
from morpholith.report import film as films
from morpholith.report import motion as pictures
from morpholith.report.html import embed
from morpholith.report.style import style, to_png
from morpholith.results import ReportFigure

ENERGIES = np.linspace(8310.0, 8390.0, 24)
FIELD = (90, 140)
PLACES = np.array([[25.0, 30], [30, 100], [65, 60], [62, 115]])


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: FIELD[0], : FIELD[1]]
    place = PLACES[:, None] + rng.normal(0, 2, (1, 24, 2)) + rng.normal(0, 0.2, (4, 24, 2)).cumsum(axis=1)
    frames = np.stack(
        [sum(1 / (1 + np.exp(np.hypot(y - a, x - b) - 11)) for a, b in place[:, k]) for k in range(24)]
    ) + rng.normal(0, 0.1, (24, *FIELD))
    labels = np.zeros(FIELD, np.int32)
    for i, (a, b) in enumerate(PLACES):
        labels[np.hypot(y - a, x - b) < 11] = i + 1
    status = np.full((4, 24), "measured", dtype=object)
    status[0, 3:6], status[2, 0] = "predicted", "refused"
    sigma = np.where(ENERGIES < 8335, 0.3, 0.05) * np.ones((4, 1))
    motion = track.motion_table(place, energies_ev=ENERGIES, sigma_px=sigma, status=status)
    deformation = track.decompose(np.where((status == "measured")[..., None], place, np.nan), sigma_px=sigma)
    return {"frames": frames.astype(np.float32), "labels": labels, "motion": motion, "deformation": deformation}


def _axes(figure):
    assert isinstance(figure, ReportFigure)
    assert len(figure.caption) > 40
    with style():
        drawn = figure.picture()
    assert to_png(drawn).startswith(b"\x89PNG")
    return drawn.axes


def test_an_overlay_numbers_every_particle_in_every_frame(series):
    shown = {f"{ENERGIES[k]:.1f} eV": (series["frames"][k], series["labels"]) for k in (0, 8, 12, 23)}
    axes = [ax for ax in _axes(pictures.overlay(shown, spacing=0.04)) if ax.get_title(loc="left")]
    assert [ax.get_title(loc="left") for ax in axes] == list(shown)
    for ax in axes:
        assert {t.get_text() for t in ax.texts} >= {"1", "2", "3", "4"}
        where = {t.get_text(): t.get_position() for t in ax.texts}
        assert where["2"] == pytest.approx((100, 30), abs=0.5)  # (x, y)


def test_paths_draw_each_particle_and_the_field_in_black(series):
    motion, deformation = series["motion"], series["deformation"]
    path = track.path_table(motion, deformation.frames)
    first, second, *_ = _axes(pictures.paths(motion, path, deformation.frames))
    black = [line for line in first.lines if line.get_color() == "black"]
    assert len(black) == 1
    shift = deformation.frames[["shift_y_px", "shift_x_px"]].to_numpy()
    assert black[0].get_ydata()[-1] == pytest.approx(np.linalg.norm(np.diff(shift, axis=0), axis=1).sum())
    ends = sorted(line.get_ydata()[-1] for line in first.lines if line.get_label().startswith("particle"))
    assert ends == pytest.approx(sorted(path[path["frame"] == 23]["path_px"]))
    assert second.get_ylim()[1] < first.get_ylim()[1]
    alone = _axes(pictures.paths(motion, track.path_table(motion)))
    assert len([ax for ax in alone if ax.lines]) == 1


def test_velocities_are_horizontal_left_and_vertical_right(series):
    motion, deformation = series["motion"], series["deformation"].frames
    left, right, below, _ = _axes(pictures.velocities(motion, deformation))[:4]
    assert left.get_title(loc="left") == "horizontal"
    one = motion[motion["particle"] == 2]
    for ax, name in ((left, "vx_px"), (right, "vy_px")):
        drawn = next(line for line in ax.lines if line.get_label() == "particle 2")
        np.testing.assert_allclose(drawn.get_ydata(), one[name])
    first = next(line for line in below.lines if line.get_label() == "particle 1")
    assert np.isnan(first.get_ydata()[2:7]).all()  # beside what was not measured nothing is claimed
    beyond = next(line for line in below.lines if line.get_label() == "particle 2").get_ydata()
    assert np.nanstd(beyond) < 0.5 * one["vx_px"].std()  # the jitter of the stage is gone
    _axes(pictures.velocities(motion))


def test_similarity_says_the_means():
    before = {k: np.linspace(0.5, 0.7, 20) for k in (1, 2)}
    after = {k: np.full(20, 0.99) for k in (1, 2)}
    after[1][3] = np.nan
    left, right = _axes(pictures.similarity(before, after))[:2]
    text = [t.get_text() for t in left.get_legend().get_texts()]
    assert text == ["before: 0.6000 ± 0.0607", "after: 0.9900 ± 0.0000"]
    assert [t.get_text() for t in right.get_xticklabels()] == ["1", "2"]
    _axes(pictures.similarity({}, {}))


def test_trajectories_begin_where_the_particle_was_first_measured(series):
    motion, deformation = series["motion"], series["deformation"].frames
    image = series["frames"][-1]
    left, right = _axes(pictures.trajectories(motion, deformation, image=image, spacing=(0.04, 0.04)))[:2]
    assert "×" in left.get_title(loc="left")
    starts = [line.get_xydata()[0] for line in left.lines if line.get_marker() == "o"][::2]
    for k, start in zip(range(1, 5), starts, strict=True):
        rows = motion[(motion["particle"] == k) & (motion["status"] == "measured")]
        np.testing.assert_allclose(start, rows[["x_px", "y_px"]].iloc[0])
    assert float(right.get_title(loc="left").split("×")[1]) >= float(left.get_title(loc="left").split("×")[1])
    fixed = _axes(pictures.trajectories(motion, image=image, spacing=0.04, magnified=7.0))
    assert fixed[0].get_title(loc="left").endswith("× 7")


def test_differences_vanish_where_frames_match(series):
    frames = series["frames"]
    same = np.stack([frames[0], frames[5], 2.0 * frames[0] + 3.0])
    mask = series["labels"] == 1
    axes = _axes(pictures.differences({1: (frames, same), 2: (frames, same)}, {1: mask}))
    drawn = [np.asarray(ax.images[0].get_array()) for ax in axes if ax.images and ax.get_title(loc="left") != ""]
    assert len(drawn) == 2
    assert np.abs(drawn[0]).max() > 1
    after = [np.asarray(ax.images[0].get_array()) for ax in axes if ax.images][2:4]
    assert all(np.abs(a).max() < 1e-5 for a in after)  # gain and offset do not count as a difference
    dark = np.full((3, 10, 12), np.nan)
    _axes(pictures.differences({1: (dark, dark)}))
    _axes(pictures.differences({}))


def test_strains_show_what_is_determined(series):
    frames = series["deformation"].frames.assign(energy_ev=ENERGIES)
    shift, strain, rotation, left = _axes(pictures.strains(frames))[:4]
    np.testing.assert_allclose(shift.lines[0].get_ydata(), frames["shift_y_px"])
    np.testing.assert_allclose(strain.lines[1].get_ydata(), 100 * frames["strain_xx"])
    np.testing.assert_allclose(left.lines[0].get_xdata(), ENERGIES)
    assert len(rotation.lines) == 1
    pair = track.decompose(np.zeros((1, 5, 2)) + np.arange(5.0)[:, None]).frames
    axes = _axes(pictures.strains(pair))
    assert [t.get_text() for t in axes[1].texts] == ["not determined by these particles"]


def test_residuals_are_arrows_at_the_particles(series):
    motion, parts = series["motion"], series["deformation"].particles
    ax = _axes(pictures.residual_map(motion, parts, image=series["frames"][0], spacing=0.04))[0]
    assert "frames 22 to 23" in ax.get_title(loc="left")
    tips = [t for t in ax.texts if t.get_text() == "" and hasattr(t, "arrow_patch")]
    assert len(tips) == 8  # two a particle
    factor = float(ax.get_title(loc="left").split("×")[1])
    mean = parts[parts["frame"] >= 22].groupby("particle")[["residual_x_px", "residual_y_px"]].mean()
    for k in range(4):
        tip = tips[2 * k + 1]
        np.testing.assert_allclose(np.array(tip.xy) - tip.xyann, factor * mean.to_numpy()[k], atol=1e-6)
    nothing = parts.assign(residual_y_px=np.nan, residual_x_px=np.nan)
    _axes(pictures.residual_map(motion, nothing, image=series["frames"][0], spacing=0.04, frames=[3]))


def test_three_particles_leave_nothing_to_single_ones(series):
    """A field of strain goes through three particles whatever they do: arrows there were rounding, 200 times."""
    three = series["motion"].query("particle <= 3")
    place = three[["y_px", "x_px"]].to_numpy().reshape(3, -1, 2)
    found = track.decompose(place)
    ax = _axes(pictures.residual_map(three, found.particles, image=series["frames"][0], spacing=0.04))[0]
    assert "four particles are needed" in ax.get_title(loc="left")
    assert not [t for t in ax.texts if hasattr(t, "arrow_patch")]
    left = _axes(pictures.strains(found.frames))[3]
    assert [t.get_text() for t in left.texts] == ["not determined by these particles"]


def test_similarity_is_never_drawn_above_one():
    rng = np.random.default_rng(0)
    skew = {1: 1 - rng.exponential(0.03, 80)}
    bars = [line for line in _axes(pictures.similarity(skew, skew))[1].lines if len(line.get_ydata()) == 2]
    assert len(bars) == 2
    assert max(np.max(line.get_ydata()) for line in bars) <= 1


def test_sigmas_mark_what_was_refused(series):
    motion = series["motion"]
    above, below = _axes(pictures.sigmas(motion))[:2]
    median = next(line for line in above.lines if line.get_label() == "median")
    assert median.get_ydata()[[0, -1]].tolist() == pytest.approx([0.3, 0.05])
    refused = next(line for line in above.lines if line.get_label() == "refused")
    assert refused.get_xdata().tolist() == [8310.0]
    assert below.get_ylabel() == "measured (%)"
    bare = motion.assign(sigma_px=np.nan)
    assert [t.get_text() for t in _axes(pictures.sigmas(bare))[0].texts] == ["no position with a standard error"]


def test_many_particles_and_several_scans_are_drawn():
    place = np.random.default_rng(1).uniform(0, 100, (30, 1, 2)) + np.zeros((1, 20, 2))
    motion = track.motion_table(place, energies_ev=np.arange(10.0) + 8300, sigma_px=np.full((30, 20), 0.1))
    found = track.decompose(place)
    path = track.path_table(motion, found.frames)
    for figure in (
        pictures.paths(motion, path, found.frames),
        pictures.velocities(motion, found.frames),
        pictures.sigmas(motion),
    ):
        axes = _axes(figure)
        assert axes[0].get_legend() is None  # thirty names would hide the curves
    lines = _axes(pictures.paths(motion, path))[0].lines
    colours = {line.get_color() for line in lines if line.get_label().startswith("particle")}
    assert len(colours) == 30


def test_empty_tables_are_drawn():
    motion = track.motion_table(np.zeros((0, 5, 2)), energies_ev=np.arange(5.0))
    deformation = track.decompose(np.zeros((0, 5, 2)))
    assert len(_axes(pictures.paths(motion, track.path_table(motion), deformation.frames))) >= 1
    assert len(_axes(pictures.velocities(motion, deformation.frames))) >= 4
    assert len(_axes(pictures.sigmas(motion))) == 2
    assert len(_axes(pictures.trajectories(motion, image=np.zeros((20, 30)), spacing=0.04))) == 2
    assert len(_axes(pictures.residual_map(motion, deformation.particles, image=np.zeros((20, 30)), spacing=0.04))) == 1
    assert len(_axes(pictures.overlay({}, spacing=0.04))) == 1


# --- films ------------------------------------------------------------------------------------------------------


def _read(data):
    from PIL import Image

    with Image.open(BytesIO(data)) as picture:
        out = []
        for k in range(picture.n_frames):
            picture.seek(k)
            out.append(np.asarray(picture.convert("RGB")))
        return np.stack(out), picture.info


def test_a_film_shows_before_left_and_after_right(series, tmp_path):
    frames = series["frames"]
    after = np.repeat(frames[:1], 24, axis=0)
    films.film(tmp_path / "film.gif", frames, after, energies_ev=ENERGIES, outlines=series["labels"])
    shown, info = _read((tmp_path / "film.gif").read_bytes())
    assert len(shown) == 24
    assert info["loop"] == 0
    assert shown.shape[1:3] == (FIELD[0] + films.HEAD_PX, 2 * FIELD[1] + 8)
    left, right = shown[:, films.HEAD_PX :, : FIELD[1]], shown[:, films.HEAD_PX :, FIELD[1] + 8 :]
    assert np.ptp(left.astype(int), axis=0).max() > 100
    assert np.ptp(right.astype(int), axis=0).max() == 0
    orange = (left == [230, 159, 0]).all(axis=-1)
    assert orange[0].any()
    assert (orange == orange[0]).all()  # outlines stand still
    inside, outside = series["labels"] == 2, series["labels"] == 0
    grey = right[0].mean(axis=-1)
    assert grey[inside].mean() > grey[outside].mean() + 80


def test_a_film_keeps_to_its_size_and_its_frames(tmp_path):
    frames = np.random.default_rng(2).normal(0, 1, (40, 200, 300)).astype(np.float32)
    films.film(tmp_path / "noise.gif", frames, frames, max_bytes=700_000)
    size = (tmp_path / "noise.gif").stat().st_size
    assert 200_000 < size <= 700_000
    shown, _ = _read((tmp_path / "noise.gif").read_bytes())
    assert 12 < len(shown) <= 40


def test_frames_that_were_not_seen_are_pale_blue(series, tmp_path):
    frames = series["frames"].copy()
    frames[5] = np.nan
    frames[6, :10] = np.nan
    films.film(tmp_path / "film.gif", frames, frames)
    shown, _ = _read((tmp_path / "film.gif").read_bytes())
    pale = (shown == [214, 222, 230]).all(axis=-1)[:, films.HEAD_PX :, : FIELD[1]]
    assert pale[5].all()
    assert pale[6, :10].all()
    assert not pale[6, 10:].any()
    assert not pale[4].any()


def test_the_film_of_a_report_goes_into_the_page_as_it_is(series):
    figure = films.film_figure(series["frames"], series["frames"], energies_ev=ENERGIES, outlines=series["labels"])
    assert figure.picture.startswith(b"\x89PNG")
    assert b"acTL" in figure.picture  # animated
    assert len(figure.picture) <= films.PNG_BYTES
    shown, _ = _read(figure.picture)
    assert len(shown) == 24
    import base64

    page = embed({"film": figure.picture})["film"]
    assert page["address"] == "data:image/png;base64," + base64.b64encode(figure.picture).decode()


def test_a_montage_keeps_every_stack_whole():
    stacks = {3: np.full((5, 10, 20), 1.0), 1: np.full((5, 14, 8), 2.0), 7: np.full((5, 6, 6), 3.0)}
    both = films.montage(stacks)
    assert both.shape[0] == 5
    for value, stack in zip((1.0, 2.0, 3.0), stacks.values(), strict=True):
        assert (both[0] == value).sum() == stack[0].size
    assert np.isnan(both).any()
    assert films.montage({}).shape == (0, 1, 1)
    with pytest.raises(InputError, match="number of frames"):
        films.montage({1: np.zeros((2, 3, 3)), 2: np.zeros((3, 3, 3))})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"after": np.zeros((3, 20, 30))}, "same frames"),
        ({"energies_ev": np.arange(3.0)}, "whole number of scans"),
        ({"outlines": np.zeros((5, 5), int)}, "outlines"),
    ],
)
def test_films_of_what_does_not_fit_are_refused(options, words, tmp_path):
    frames = np.zeros((4, 20, 30))
    with pytest.raises(InputError, match=words):
        films.film(tmp_path / "film.gif", frames, **{"after": frames, **options})
    assert not list(tmp_path.iterdir())


def test_one_frame_makes_a_film(tmp_path):
    films.film(tmp_path / "film.gif", np.ones((1, 20, 300)), np.ones((1, 20, 300)))
    shown, _ = _read((tmp_path / "film.gif").read_bytes())
    assert len(shown) == 1
