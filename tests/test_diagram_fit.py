"""Planar diagrams fitted to sections whose diagram is known, with pixels missing, and to published maps."""

import time

import numpy as np
import pytest

from morpholith import generate, read, segment
from morpholith.errors import InputError
from morpholith.generate import _diagram_kernels as free
from morpholith.generate import _radial_kernels as radial
from morpholith.generate import label_points
from morpholith.generate._descent import descended
from morpholith.generate.diagram_fit import draw_plane, together
from morpholith.generate.radial_fit import planar_matrices
from morpholith.segment import Section, filled_labels

SHAPE = (84, 120)


def diagram(seed=0, n=90, power=2, shape=SHAPE, long=3.0):
    """Return labels of a planar diagram whose grains are longer along x, on pixels of 1."""
    rng = np.random.default_rng(seed)
    seeds = rng.uniform((0, 0), shape, (n, 2))
    value = np.exp(rng.normal(0, 0.2, (n, 2))) * [1.0, 1 / long**2] / 4
    turn = rng.normal(0, 0.3, n)
    axes = np.stack([np.stack([np.cos(turn), -np.sin(turn)], 1), np.stack([np.sin(turn), np.cos(turn)], 1)], 1)
    matrices = (axes * value[:, None]) @ axes.swapaxes(1, 2)
    matrices = (matrices + matrices.swapaxes(1, 2)) / 2
    return draw_plane(seeds, matrices, rng.normal(0, 0.5, n), power, shape, (1.0, 1.0), (0.0, 0.0, 0.0))


def needles(seed=0, n=110):
    """Return labels of a diagram of paper 001's kind around the middle, long along the radius."""
    rng = np.random.default_rng(seed)
    centre = np.array([40.0, 58.0])
    seeds = rng.uniform((-45, -62), (45, 62), (n, 2))
    entries = np.stack([rng.uniform(0.08, 0.25, n), rng.uniform(0.6, 1.6, n)], 1)
    labels = draw_plane(
        seeds, planar_matrices(seeds, entries), rng.uniform(4, 7, n), 1, SHAPE, (1.0, 1.0), (0.0, *-centre)
    )
    return labels, tuple(centre)


def boundary(labels):
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:-1] |= labels[1:] != labels[:-1]
    return edge


@pytest.mark.parametrize(("truth", "power", "least"), [(2, 2, 0.99), (1, 1, 0.97), (1, 2, 0.98)])
def test_a_diagram_is_found_again(truth, power, least):
    labels = diagram(power=truth)
    fit = generate.fit_diagram(labels, spacing=0.05, power=power)
    assert fit.power == power
    assert fit.accuracy >= least
    assert fit.accuracy == np.mean(fit.labels == labels)
    assert np.array_equal(fit.grains, np.unique(labels))
    assert np.linalg.eigvalsh(fit.matrices).min() > 0
    assert np.array_equal(fit.matrices, fit.matrices.swapaxes(1, 2))
    # grains are long along x, the second axis: small entries there
    assert np.median(fit.matrices[:, 0, 0] / fit.matrices[:, 1, 1]) > 4


def test_missing_pixels_of_boundaries_are_filled_better_than_by_the_nearest_grain():
    labels = diagram(seed=3)
    missing = boundary(labels) & (np.random.default_rng(1).random(SHAPE) < 0.4)
    seen = np.where(missing, 0, labels).astype(np.int32)
    fit = generate.fit_diagram(seen, spacing=0.05)
    known = np.isin(labels, fit.grains) & missing
    right = np.mean(fit.labels[known] == labels[known])
    nearest = filled_labels(Section(seen, np.ones(SHAPE, bool), 0.05, (0.0, 0.0)))
    assert right > 0.85
    assert right > np.mean(nearest[known] == labels[known]) + 0.1
    filled = fit.filled(seen)
    assert (filled > 0).all()
    assert np.array_equal(filled[seen > 0], seen[seen > 0])


def test_the_diagram_is_the_one_of_its_generators():
    labels = diagram(seed=4, n=40)
    inside = np.ones(SHAPE, bool)
    inside[:5] = False
    fit = generate.fit_diagram(labels * 3, spacing=(0.04, 0.05), inside=inside, centre=(30.0, 50.0))
    y, x = np.indices(SHAPE)
    points = np.stack([np.zeros(y.size), (y.ravel() - 30) * 0.04, (x.ravel() - 50) * 0.05], 1)
    n = len(fit.seeds)
    solid = np.tile(np.eye(3), (n, 1, 1))
    solid[:, 1:, 1:] = fit.matrices
    seeds = np.concatenate([np.zeros((n, 1)), fit.seeds], 1)
    drawn = fit.grains[label_points(points, seeds, solid, fit.radii, power=2) - 1].reshape(SHAPE)
    assert np.array_equal(fit.labels[inside], drawn[inside])
    assert not fit.labels[~inside].any()
    assert set(fit.grains) <= set(np.unique(labels * 3))


def test_units_and_centre_only_scale_and_shift():
    labels = diagram(seed=5, n=30)
    one = generate.fit_diagram(labels, spacing=1.0, centre=(0.0, 0.0))
    other = generate.fit_diagram(labels, spacing=0.05, centre=(10.0, 20.0))
    assert other.seeds == pytest.approx((one.seeds - [10.0, 20.0]) * 0.05, abs=0.02)
    assert other.matrices * 0.05**2 == pytest.approx(one.matrices, rel=0.05, abs=0.02)
    assert one.accuracy == pytest.approx(other.accuracy, abs=2e-3)


def test_few_pixels_and_few_grains():
    one = generate.fit_diagram(np.full((6, 9), 4), spacing=0.1)
    assert one.accuracy == 1
    assert (one.labels == 4).all()
    labels = np.full((20, 31), 2)
    labels[9, 12] = 5  # a grain of one pixel
    two = generate.fit_diagram(labels, spacing=0.1)
    assert two.accuracy == 1
    assert two.lost == ()
    with pytest.raises(InputError, match="no labelled pixel"):
        generate.fit_diagram(np.zeros((5, 6), int))
    with pytest.raises(InputError, match="bool array of shape"):
        generate.fit_diagram(labels, inside=np.ones((31, 20), bool))
    with pytest.raises(InputError, match="power"):
        generate.fit_diagram(labels, power=3)


@pytest.mark.parametrize("power", [1, 2])
def test_candidates_are_those_of_a_full_search(power):
    rng = np.random.default_rng(3)
    n, k = 60, 6
    grains = np.concatenate([rng.uniform(0, 40, (n, 2)), rng.normal(0, 0.6, (n, 4)), rng.normal(0, 2, (n, 1))], 1)
    points = rng.uniform(0, 40, (400, 2)) * [1.0, 1.4]
    order, starts = together(points)
    points, own = np.ascontiguousarray(points[order]), rng.integers(0, n, 400)
    lists = np.empty((400, k), np.int64)
    right = free.best_candidates(points, own, starts, grains, power, lists)
    away = np.einsum("nij,mnj->mni", grains[:, 2:6].reshape(n, 2, 2), points[:, None] - grains[:, :2])
    score = grains[:, 6] - np.linalg.norm(away, axis=-1) ** power
    assert right == np.sum(score.argmax(1) == own)
    score[np.arange(400), own] = np.inf
    assert np.array_equal(lists, np.argsort(-score, axis=1)[:, :k])


@pytest.mark.parametrize("width", [2, 7])
def test_descent_finds_the_minimum_of_a_stretched_bowl(width):
    scale = np.logspace(0, 3, 5 * width).reshape(5, width)
    found = descended(lambda x: (float((scale * (x - 1) ** 2).sum()), 2 * scale * (x - 1)), np.zeros((5, width)), 200)
    assert found == pytest.approx(np.ones((5, width)), abs=1e-4)
    wall = descended(lambda x: (np.inf if x[0] > 0.5 else -float(x[0]), -np.ones(1)), np.zeros(1), 50)
    assert 0.4 < wall[0] <= 0.5


def slopes(function, at, logarithmic):
    """Return central differences of a function of an array; the columns named move in their logarithms."""
    out = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        for sign in (1, -1):
            moved = at.copy()
            if index[1] in logarithmic:
                moved[index] *= np.exp(sign * 1e-6)
            else:
                moved[index] += sign * 1e-6
            out[index] += sign * function(moved) / 2e-6
    return out


@pytest.mark.parametrize("count_errors", [False, True])
@pytest.mark.parametrize("power", [1, 2, "radial"])
def test_slopes_of_the_likelihood(power, count_errors):
    rng = np.random.default_rng(7)
    yx, lists = rng.normal(0, 5, (30, 2)), np.array([[*rng.permutation(6)[:4], -1] for _ in range(30)])
    if power == "radial":
        at = np.column_stack([rng.normal(0, 5, (6, 2)), rng.uniform(0.1, 2, (6, 2)), rng.uniform(1, 10, 6)])

        def loss(p, gradient):
            return radial.radial_likelihood(yx, lists, p, count_errors, gradient)

        logarithmic = (2, 3)
    else:
        frame = np.column_stack([rng.normal(0, 5, (6, 2)), np.tile([0.4, 0.1, 0.3], (6, 1))])
        at = rng.uniform(0.5, 1.5, (6, 6))

        def loss(p, gradient):
            return free.likelihood(yx, lists, frame, p, power, count_errors, gradient)

        logarithmic = (0, 2)
    gradient = np.zeros_like(at)
    loss(at, gradient)
    expected = slopes(lambda p: loss(p, np.zeros_like(p)), at, logarithmic)
    assert gradient == pytest.approx(expected, abs=2e-6)
    assert np.abs(expected).max() > 0.1


def test_the_radial_form_keeps_the_bounds_of_the_paper():
    labels, centre = needles()
    seen = np.where(np.random.default_rng(2).random(SHAPE) < 0.05, 0, labels)
    fit = generate.fit_diagram(seen, spacing=0.05, centre=centre)
    form = generate.restricted(fit, seen)
    assert form.power == 1
    assert form.accuracy > 0.95
    assert np.mean(form.labels == labels) > 0.94
    entries = form.diagonal * 0.05**2
    assert entries.min() >= 0.01 * (1 - 1e-9)
    assert entries.max() <= 50 * (1 + 1e-9)
    assert form.radii.min() >= 1
    assert form.radii.max() <= 10
    # along the radius first
    assert np.median(form.diagonal[:, 0] / form.diagonal[:, 1]) < 0.4
    out = form.seeds / np.linalg.norm(form.seeds, axis=1, keepdims=True)
    along = np.einsum("ni,nij->nj", out, form.matrices)
    assert along == pytest.approx(form.diagonal[:, :1] * out, rel=1e-6, abs=1e-6 * form.diagonal.max())
    narrow = generate.restricted(fit, seen, diagonal=(0.2, 0.9), radii=(2.0, 3.0))
    assert narrow.accuracy < form.accuracy
    assert narrow.diagonal.max() * 0.05**2 <= 0.9 * (1 + 1e-9)
    with pytest.raises(InputError, match="increasing positive bounds"):
        generate.restricted(fit, diagonal=(0.0, 50.0))
    with pytest.raises(InputError, match="shape of the fitted section"):
        generate.restricted(fit, labels.T)


def test_planar_matrices_are_a_metric_of_the_radius_first():
    seeds = np.array([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0], [1.0, 1.0]])
    found = planar_matrices(seeds, np.tile([4.0, 9.0], (4, 1)))
    expected = [np.diag([4.0, 9.0]), np.diag([9.0, 4.0]), np.diag([4.0, 9.0]), [[6.5, -2.5], [-2.5, 6.5]]]
    assert found == pytest.approx(np.array(expected))


@pytest.mark.parametrize("form", ["free", "radial"])
def test_augmentation_changes_sizes_within_the_share(form):
    labels, centre = needles(seed=1, n=60)
    fit = generate.fit_diagram(labels, spacing=0.05, centre=centre)
    fit = generate.restricted(fit) if form == "radial" else fit
    other = generate.augmented(fit, rng=np.random.default_rng(0))
    assert np.array_equal(other.seeds, fit.seeds)
    ratio = other.radii / fit.radii
    assert ratio.min() >= 0.8
    assert ratio.max() <= 1.2
    assert np.ptp(ratio) > 0.3
    assert np.linalg.eigvalsh(other.matrices).min() > 0
    grown = np.trace(other.matrices, axis1=1, axis2=2) / np.trace(fit.matrices, axis1=1, axis2=2)
    assert grown.min() > 0.8
    assert grown.max() < 1.2
    same = generate.augmented(fit, rng=np.random.default_rng(0), share=0.0)
    assert same.matrices == pytest.approx(fit.matrices, rel=1e-6, abs=1e-6 * fit.matrices.max())
    with pytest.raises(InputError, match="share"):
        generate.augmented(fit, rng=np.random.default_rng(0), share=1.0)


def test_progress_is_told():
    seen = []
    generate.fit_diagram(diagram(n=12), progress=seen.append)
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


@pytest.mark.parametrize(("name", "least"), [("defdap/testDataEBSD.ctf", 0.97), ("mtex/twins.ctf", 0.97),
                                             ("mtex/DC06_2uniax.ang", 0.97),
                                             ("duplex_steel/sdss_ferrite_austenite.ang", 0.97)])  # fmt: skip
def test_published_maps_are_met_in_most_pixels(data, name, least):
    one = read.orientations(data / "ebsd" / name)
    labels = segment.grains(one, min_pixels=10).labels
    begin = time.perf_counter()
    fit = generate.fit_diagram(labels, spacing=one.spacing)
    assert fit.accuracy >= least
    assert np.linalg.eigvalsh(fit.matrices).min() > 0
    assert (fit.labels > 0).all()
    assert fit.lost == ()
    assert time.perf_counter() - begin < 30
