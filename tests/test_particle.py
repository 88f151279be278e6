"""Particles: shell and grains laid over each other."""

import numpy as np
import pytest

from morpholith.errors import InputError
from morpholith.generate import (
    Family,
    MarkerLaw,
    ParticleModel,
    ShellModel,
    draw_shell,
    fill_shell,
    fit_shell,
    icosphere,
    inside_shell,
    label_points,
    load_model,
    nmc811_like,
    particle,
    save_model,
    shell_volume,
    shipped_models,
)
from morpholith.generate.particle import near_shell

LAW = MarkerLaw(20.0, radial_ratio=1.8, ratio_spread=0.1, size_spread=0.1, regularity=0.2, radius_um=1.5)


def ball(radius_um, degree=4):
    return fit_shell(np.full(642, radius_um), degree=degree)


def oblong(long_um, short_um, degree=6):
    """A shell that is longer along z, so that swapped axes show."""
    u = icosphere()
    return fit_shell(1 / np.sqrt((u[:, 0] / long_um) ** 2 + (u[:, 1:] ** 2).sum(1) / short_um**2), degree=degree)


@pytest.fixture(scope="module")
def filled():
    return fill_shell(oblong(1.6, 1.0), LAW, voxel_um=0.05, rng=np.random.default_rng(3))


def test_labels_are_those_of_the_generators(filled):
    """Every voxel of a grain has its own generator nearest, but for loose pieces that were given away."""
    at = np.argwhere(filled.labels > 0)
    points = at * filled.voxel_um + filled.origin_um
    won = label_points(points, *filled.field[:3], power=1)
    differs = (won != filled.labels[tuple(at.T)]).sum()
    assert differs <= filled.loose_voxels
    assert set(np.unique(filled.labels)) == set(range(filled.n_grains + 1))


def test_grains_have_their_centre_inside(filled):
    for grain in range(1, filled.n_grains + 1):
        centre = np.argwhere(filled.labels == grain).mean(0) * filled.voxel_um + filled.origin_um
        assert inside_shell(centre[None] - filled.shell_centre_um, filled.shell_um)[0]


def test_no_grain_inside_is_missing(filled):
    """Grains left out have their centre outside: the shell's middle third is full."""
    z, y, x = np.indices(filled.labels.shape)
    points = np.stack([z, y, x], -1).reshape(-1, 3) * filled.voxel_um + filled.origin_um - filled.shell_centre_um
    deep = inside_shell(points / 0.5, filled.shell_um)
    assert (filled.labels.reshape(-1)[deep] > 0).all()
    assert deep.sum() > 5000


def test_volume_and_orientation_are_those_of_the_shell(filled):
    volume = (filled.labels > 0).sum() * filled.voxel_um**3
    assert volume == pytest.approx(4 / 3 * np.pi * 1.6, rel=0.12)
    there = np.argwhere(filled.labels > 0).std(0)
    assert there[0] > 1.3 * there[1]
    assert there[1] == pytest.approx(there[2], rel=0.12)


def test_the_origin_is_the_centre_of_mass(filled):
    there = np.argwhere(filled.labels > 0) * filled.voxel_um + filled.origin_um
    assert np.abs(there.mean(0)).max() < 1e-9


def test_cut_at_the_shell():
    """Exactly the voxels within the ball, when all is cut there."""
    made = fill_shell(ball(1.0), LAW, voxel_um=0.05, rng=np.random.default_rng(0), surface="shell")
    z, y, x = np.indices(made.labels.shape)
    points = np.stack([z, y, x], -1) * made.voxel_um + made.origin_um - made.shell_centre_um
    distance = np.linalg.norm(points, axis=-1)
    assert (made.labels[distance < 0.999] > 0).all()
    assert (made.labels[distance > 1.001] == 0).all()


def test_alone_or_among_others_it_is_the_same():
    model = ParticleModel("m", ShellModel((Family("normal", 0.3, 40.0), Family("normal", 0.5))), 0.1, LAW, 0.08)
    first = [particle(model, seed=5, number=k) for k in (1, 2, 3)]
    alone = particle(model, seed=5, number=3)
    np.testing.assert_array_equal(alone.labels, first[2].labels)
    np.testing.assert_array_equal(alone.field.seeds, first[2].field.seeds)
    assert first[0].labels.shape != first[1].labels.shape or (first[0].labels != first[1].labels).any()
    other = particle(model, seed=6, number=3)
    assert other.labels.shape != alone.labels.shape or (other.labels != alone.labels).any()


def test_finer_voxels_show_the_same_grains():
    """The diagram is drawn before the grid: the grains are those of the coarse one."""
    model = ParticleModel("m", ShellModel((Family("normal", 0.1, 40.0),)), 0.08, LAW, 0.08)
    coarse, fine = (particle(model, seed=1, number=1, voxel_um=v) for v in (0.08, 0.04))
    np.testing.assert_allclose(len(coarse.field.seeds), len(fine.field.seeds))
    assert coarse.n_grains == pytest.approx(fine.n_grains, abs=2)
    volumes = [(p.labels > 0).sum() * p.voxel_um**3 for p in (coarse, fine)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.03)


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_near_shell_misses_no_voxel(margin):
    shell = oblong(1.3, 0.8)
    half = 40
    marked = near_shell(shell, voxel_um=0.05, half=half, margin_um=margin)
    points = (np.stack(np.indices(marked.shape), -1).reshape(-1, 3) - half) * 0.05
    distance = np.linalg.norm(points, axis=1, keepdims=True)
    # within the margin along the radius
    nearer = points * np.maximum(distance - margin, 0) / np.maximum(distance, 1e-9)
    assert marked.reshape(-1)[inside_shell(nearer, shell)].all()
    assert marked.mean() < 0.9


def test_small_shells_are_drawn_anew():
    model = ShellModel((Family("normal", 3.0, 6.0),))
    rng = np.random.default_rng(0)
    drawn = [draw_shell(model, voxel_um=1.0, min_voxels=60.0, rng=rng) for _ in range(40)]
    assert min(shell_volume(a[None])[0] for a, _ in drawn) >= 60
    assert sum(n for _, n in drawn) > 40
    with pytest.raises(InputError, match="none of 1000 shells has"):
        draw_shell(ShellModel((Family("normal", 0.01, 1.0),)), voxel_um=1.0, min_voxels=10, rng=rng)


def test_a_shell_below_the_grains_is_said():
    with pytest.raises(InputError, match="holds no grain"):
        fill_shell(ball(0.02), MarkerLaw(0.01), voxel_um=0.02, rng=np.random.default_rng(1), surface="grains")


def test_too_many_voxels_are_said():
    with pytest.raises(InputError, match=r"larger voxels"):
        fill_shell(ball(1.0), LAW, voxel_um=1e-4, rng=np.random.default_rng(0))


class TestFile:
    def test_what_was_saved_comes_back(self, tmp_path):
        model = nmc811_like()
        save_model(tmp_path / "model", model)
        back = load_model(tmp_path)
        assert back.shells == model.shells
        assert back.architecture == model.architecture
        assert (back.name, back.voxel_um, back.shell_voxel_um) == (model.name, model.voxel_um, model.shell_voxel_um)
        assert load_model(tmp_path / "model.json").shells == model.shells

    def test_the_shipped_model_is_that_of_the_code(self):
        assert "nmc811-like" in shipped_models()
        shipped, made = load_model("nmc811-like"), nmc811_like()
        assert (shipped.shells, shipped.architecture, dict(shipped.about)) == (
            made.shells,
            made.architecture,
            dict(made.about),
        )
        assert "not published" in shipped.about["warnings"][0]

    def test_posterior_draws_travel(self, tmp_path):
        model = nmc811_like()
        draws = (MarkerLaw(1.0), MarkerLaw(2.0, regularity=0.3))
        save_model(tmp_path / "a", ParticleModel("x", model.shells, 0.1, LAW, 0.05, draws=draws))
        assert load_model(tmp_path / "a").draws == draws

    def test_another_version(self, tmp_path):
        save_model(tmp_path / "model", nmc811_like())
        text = (tmp_path / "model.json").read_text().replace('"format": 1', '"format": 7')
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(InputError, match=r"format 7 .* reads format 1"):
            load_model(tmp_path)

    def test_damaged_missing_or_of_another_kind(self, tmp_path):
        with pytest.raises(InputError, match="nmc811-like"):
            load_model(tmp_path / "nothing")
        save_model(tmp_path / "model", nmc811_like())
        whole = (tmp_path / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(whole[:-1])
        with pytest.raises(InputError, match="SHA-256"):
            load_model(tmp_path)
        (tmp_path / "model.safetensors").write_bytes(whole)
        text = (tmp_path / "model.json").read_text()
        (tmp_path / "model.json").write_text(text.replace('"kind": "particle model"', '"kind": "network"'))
        with pytest.raises(InputError, match="is a network"):
            load_model(tmp_path)
        (tmp_path / "model.json").write_text(text.replace('"intensity_per_um3"', '"density"'))
        with pytest.raises(InputError, match="learn it again"):
            load_model(tmp_path)
        (tmp_path / "model.json").write_text(text[: len(text) // 2])
        with pytest.raises(InputError, match="is damaged"):
            load_model(tmp_path)
