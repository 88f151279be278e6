"""Tortuosity factors against closed forms, a direct solver, a peer and a published electrode; and how they are got."""

import runpy
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi
from scipy import sparse
from scipy.sparse.linalg import spsolve

from morpholith.errors import InputError
from morpholith.measure import _cycle, _diffusion, _lumps, steady
from morpholith.measure.tortuosity import geometric_tortuosity, percolating, tortuosity_factor
from morpholith.specimens import inclined_channels, laminate, sphere_packing, straight_channels


def gaussian_field(shape, fraction, sigma, seed=0):
    noise = np.random.default_rng(seed).standard_normal(shape)
    field = ndi.gaussian_filter(noise, sigma, mode="wrap")
    return field <= np.quantile(field, fraction)


def site_percolation(shape, fraction, seed=0):
    return np.random.default_rng(seed).random(shape) < fraction


def direct(mask, spacing):
    """D_eff / D_0 along axis 0 by assembling and factorising the matrix."""
    n, (dz, dy, dx) = int(mask.sum()), spacing
    number = np.where(mask, np.cumsum(mask).reshape(mask.shape) - 1, -1)
    area = dy * dx / dz, dz * dx / dy, dz * dy / dx
    pairs = [np.stack([np.moveaxis(number, a, 0)[s].ravel() for s in (np.s_[:-1], np.s_[1:])]) for a in range(3)]
    g = np.concatenate([np.full(p.shape[1], area[a]) for a, p in enumerate(pairs)])
    i, j = np.concatenate(pairs, axis=1)
    inside = (i >= 0) & (j >= 0)
    i, j, g = i[inside], j[inside], g[inside]
    ends = [2 * area[0] * np.bincount(number[k][number[k] >= 0], minlength=n) for k in (0, -1)]
    diagonal = np.bincount(i, g, n) + np.bincount(j, g, n) + sum(ends)
    upper = sparse.coo_matrix((-g, (i, j)), (n, n))
    x = spsolve((upper + upper.T + sparse.diags(diagonal)).tocsc(), ends[1])
    return float((ends[0] * x).sum() / (area[0] * mask[0].size / len(mask)))


# --- closed forms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(9, 14, 5), (1, 6, 7), (6, 1, 1), (1, 1, 1), (33, 2, 3)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.3, 1.7, 0.9), (5.0, 0.5, 1.0)])
def test_a_full_block_is_straight(shape, spacing):
    for axis in range(3):
        t = tortuosity_factor(np.ones(shape, bool), axis=axis, spacing=spacing)
        assert t.tau == pytest.approx(1, abs=1e-9)
        assert (t.fraction, t.percolating, t.conducting, t.converged) == (1, 1, 1, True)


def test_channels_and_parallel_layers_are_straight():
    channels = straight_channels((7, 12, 15), spacing=(0.7, 1.1, 0.9), width_voxels=2, wall_voxels=1)
    layers = laminate((12, 6, 9), spacing=(1, 2, 3), pore_voxels=2, solid_voxels=1, axis=2)
    for s in (channels, layers):
        t = tortuosity_factor(s.pore, spacing=s.spacing)
        assert t.tau == pytest.approx(1, abs=1e-9)
        assert t.effective == pytest.approx(s.porosity)


def test_layers_in_series_block():
    s = laminate((12, 6, 9), spacing=(1, 2, 3), pore_voxels=2, solid_voxels=1, axis=0)
    t = tortuosity_factor(s.pore, spacing=s.spacing)
    assert np.isinf(t.tau)
    assert (t.effective, t.percolating, t.converged) == (0, 0, True)
    assert t.fraction == pytest.approx(2 / 3)
    assert "no path" in t.to_quantity().warning
    assert tortuosity_factor(s.pore, axis=2, spacing=s.spacing).tau == pytest.approx(1)


def test_a_slit_at_45_degrees_tends_to_its_conformal_map_from_above():
    """Voxel staircases lengthen the path; the error is of the first order in voxels per width."""
    errors = []
    for n in (8, 16, 32):
        s = inclined_channels((4 * n, 5 * n, 1), spacing=(1 / n,) * 3, width_um=1.0, angle_deg=45)
        t = tortuosity_factor(s.pore, spacing=s.spacing, tolerance=1e-8)
        errors.append(t.effective / (s.porosity / s.tau) - 1)
    assert -0.15 < errors[0] < errors[1] < errors[2] < 0
    for coarse, fine in pairwise(errors):
        assert 1.7 < coarse / fine < 2.4
    assert abs(2 * errors[2] - errors[1]) < 0.005


def test_spheres_in_a_cubic_array_come_from_below_at_first_order():
    phi, k = 0.3, []
    for n in (16, 32, 64):
        s = sphere_packing(n, solid=phi)
        k.append(tortuosity_factor(s.pore, spacing=1.0, tolerance=1e-8).effective)
    exact = 1 - 3 * phi / (2 + phi - 0.75 * 1.305 * phi ** (10 / 3))  # Sangani and Acrivos 1983, leading terms
    assert exact == pytest.approx(s.relative_diffusivity, rel=2e-4)
    assert k == pytest.approx([0.5814, 0.5921, 0.5984], abs=1e-4)
    assert k[0] < k[1] < k[2] < exact
    assert 2 * k[2] - k[1] == pytest.approx(exact, rel=0.005)


# --- other solvers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_equal_to_a_direct_solve(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(4, 15, 3))
    spacing = tuple(np.exp(rng.uniform(-1, 1, 3)))
    mask = rng.random(shape) < rng.uniform(0.5, 0.9)
    for axis in range(3):
        along = np.moveaxis(mask, axis, 0)
        path = percolating(along)
        if not path.any():
            continue
        expected = direct(path, (spacing[axis], *(s for a, s in enumerate(spacing) if a != axis)))
        t = tortuosity_factor(mask, axis=axis, spacing=spacing, tolerance=1e-10)
        assert t.effective == pytest.approx(expected, rel=1e-8)
        assert t.tau == pytest.approx(mask.mean() / expected, rel=1e-8)
        assert t.imbalance < 1e-10


def test_equal_to_taufactor():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taufactor = pytest.importorskip("taufactor")
        mask = gaussian_field((48, 40, 44), 0.45, 3.0, seed=5)
        solver = taufactor.Solver(mask.astype(np.uint8), device="cpu")
        peer = float(np.ravel(solver.solve(verbose=False, conv_crit=2e-4))[0])
        assert solver.converged
    ours = tortuosity_factor(mask, spacing=1.0, tolerance=1e-8)
    assert ours.tau == pytest.approx(peer, rel=2e-4)
    loose = tortuosity_factor(mask, spacing=1.0, tolerance=1e-3)
    assert abs(loose.tau / ours.tau - 1) < 1e-5  # the dissipation's error is of second order


def test_the_published_electrode(data):
    import tifffile

    volume = tifffile.imread(data / "xct" / "taufactor_reference" / "electrode.tiff")
    t = tortuosity_factor(volume == 0, spacing=1.0)
    assert t.tau == pytest.approx(2.0776, rel=1e-3)
    assert t.fraction == pytest.approx(0.44992, abs=1e-5)
    assert t.converged
    assert t.iterations <= 14


# --- laws ------------------------------------------------------------------------------------------------


def test_turning_and_mirroring_change_nothing():
    mask, spacing = gaussian_field((22, 17, 29), 0.5, 2.0), (0.5, 1.1, 0.8)
    tau = [tortuosity_factor(mask, axis=a, spacing=spacing, tolerance=1e-9).tau for a in range(3)]
    assert len({round(t, 3) for t in tau}) == 3
    for order in ((1, 2, 0), (2, 0, 1), (0, 2, 1)):
        turned, sizes = mask.transpose(order), tuple(spacing[a] for a in order)
        again = [tortuosity_factor(turned, axis=order.index(a), spacing=sizes, tolerance=1e-9).tau for a in range(3)]
        assert again == pytest.approx(tau, rel=1e-8)
    for a in range(3):
        mirrored = np.flip(mask, axis=a)
        assert tortuosity_factor(mirrored, spacing=spacing, tolerance=1e-9).tau == pytest.approx(tau[0], rel=1e-8)
    assert tortuosity_factor(mask, spacing=tuple(7 * s for s in spacing)).tau == pytest.approx(tau[0], rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    fraction=st.floats(0.2, 1),
    seed=st.integers(0, 2**32 - 1),
    spacing=st.tuples(*[st.floats(0.2, 3)] * 3),
)
def test_tau_is_never_below_one(shape, fraction, seed, spacing):
    mask = site_percolation(shape, fraction, seed)
    t = tortuosity_factor(mask, spacing=spacing, tolerance=1e-6)
    assert t.tau >= 1
    assert t.converged
    assert 0 <= t.conducting <= t.percolating <= 1
    assert np.isinf(t.tau) == (not percolating(mask).any())


def test_more_phase_conducts_more():
    field = ndi.gaussian_filter(np.random.default_rng(3).standard_normal((30, 30, 30)), 2)
    effective = [tortuosity_factor(field <= np.quantile(field, f), spacing=1.0).effective for f in (0.2, 0.3, 0.5, 0.7)]
    assert 0 < effective[0] < effective[1] < effective[2] < effective[3]


def test_dead_ends_count_in_the_fraction_only():
    channel = np.zeros((20, 24, 9), bool)
    channel[:, 2:5, 2:5] = True
    t = tortuosity_factor(channel, spacing=1.0)
    with_ends = channel.copy()
    with_ends[:14, 7:10, 2:8] = True  # touches the first face alone
    with_ends[3:6, 0:2, 7:9] = True  # touches nothing
    u = tortuosity_factor(with_ends, spacing=1.0)
    assert u.effective == pytest.approx(t.effective, rel=1e-9)
    assert u.tau == pytest.approx(with_ends.sum() / channel.sum(), rel=1e-9)
    assert u.percolating == pytest.approx(channel.sum() / with_ends.sum())
    branched = channel.copy()
    branched[8:11, 5:24, 2:5] = True  # a dead end of the channel itself
    v = tortuosity_factor(branched, spacing=1.0)
    assert v.percolating == 1
    assert 0.7 < v.conducting < 0.75  # a current decays by exp(-pi) on a length of the branch's width
    assert v.effective >= t.effective


def test_voxels_that_touch_along_edges_do_not_conduct():
    z, y, x = np.indices((6, 6, 6))
    assert np.isinf(tortuosity_factor((z + y) % 2 == 0, spacing=1.0).tau)
    assert np.isinf(tortuosity_factor((z + y + x) % 2 == 0, spacing=1.0).tau)
    assert np.isinf(tortuosity_factor(np.zeros((3, 4, 5), bool), spacing=1.0).tau)


def test_potential_falls_between_the_faces():
    mask = gaussian_field((24, 20, 22), 0.6, 2.0)
    t = tortuosity_factor(mask, axis=1, spacing=1.0, tolerance=1e-9, keep_potential=True)
    path = np.moveaxis(percolating(np.moveaxis(mask, 1, 0)), 0, 1)
    assert np.array_equal(np.isfinite(t.potential), path)
    assert np.nanmin(t.potential) > 0
    assert np.nanmax(t.potential) < 1
    flux = np.nansum(np.diff(t.potential.astype(float), axis=1), axis=(0, 2))
    assert flux == pytest.approx(np.full(19, t.effective * mask[:, 0].size / 20), rel=1e-4)


# --- convergence -----------------------------------------------------------------------------------------


def iterations(mask, tolerance=1e-5):
    t = tortuosity_factor(mask, spacing=1.0, tolerance=tolerance)
    assert t.converged
    return t.iterations


def test_iterations_do_not_grow_with_the_image():
    assert max(iterations(gaussian_field((n,) * 3, 0.5, 3.0)) for n in (32, 64, 96)) <= 10
    assert max(iterations(gaussian_field((n,) * 3, 0.5, n / 20)) for n in (40, 80)) <= 10


def test_iterations_stay_few_where_the_phase_barely_percolates():
    assert max(iterations(site_percolation((n,) * 3, 0.34, seed=n)) for n in (32, 64)) <= 30
    z, y, x = np.indices((64, 24, 24))
    serpentine = np.where(z % 8 == 3, y > 21, np.where(z % 8 == 7, y < 2, True))
    assert iterations(serpentine) <= 15
    walls = (y % 2 == 0) & (x % 2 == 0)
    walls[32, ::4] = False  # threads of one voxel, some of them cut
    assert iterations(walls) <= 15


def test_long_voxels_take_no_more_iterations():
    mask = gaussian_field((48, 40, 44), 0.5, 2.0)
    for spacing in ((8.0, 1.0, 1.0), (1.0, 8.0, 1.0), (1.0, 4.0, 8.0)):
        assert max(tortuosity_factor(mask, axis=a, spacing=spacing).iterations for a in range(3)) <= 13


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-8, 1e-10])
def test_the_tolerance_is_met(tolerance):
    for mask in (gaussian_field((40, 32, 36), 0.3, 2.0), site_percolation((40, 32, 36), 0.4)):
        t = tortuosity_factor(mask, spacing=(1.0, 0.7, 1.3), tolerance=tolerance)
        assert t.converged
        assert t.imbalance < tolerance
        best = tortuosity_factor(mask, spacing=(1.0, 0.7, 1.3), tolerance=1e-11)
        assert abs(t.tau / best.tau - 1) < tolerance


def test_an_iteration_that_cannot_go_on_says_so():
    mask = site_percolation((32, 32, 32), 0.4)
    best = tortuosity_factor(mask, spacing=1.0, tolerance=1e-9)
    early = tortuosity_factor(mask, spacing=1.0, tolerance=1e-9, max_iterations=3)
    assert not early.converged
    assert early.iterations == 3
    assert early.imbalance > 1e-9
    assert 1 < early.tau < best.tau  # the flux is an upper bound
    assert "stopped at" in early.to_quantity().warning
    beyond = tortuosity_factor(mask, spacing=1.0, tolerance=1e-17)  # below rounding
    assert not beyond.converged
    assert beyond.iterations < 100
    assert beyond.tau == pytest.approx(best.tau, rel=1e-9)
    flat = tortuosity_factor(mask, axis=1, spacing=(1e-3, 1.0, 1.0), max_iterations=50)
    assert np.isfinite(flat.tau)
    assert flat.tau >= 1


def test_breakdown_stops_the_iterations():
    class Broken:
        rho, steps = 1.0, 0

        def restart(self):
            return np.ones(3), 1.0

        def dissipation(self):
            return 1.0

        def precondition(self):
            return self.rho

        def advance(self, beta):
            assert np.isfinite(beta)
            return 1.0

        def step(self, alpha):
            assert alpha == 1
            self.steps += 1
            self.rho = np.nan if self.steps == 4 else self.rho
            return np.ones(3)

    broken = Broken()
    imbalance, k = steady.iterate(broken, tolerance=1e-6, max_iterations=100)
    assert (k, broken.steps) == (4, 4)
    assert imbalance == pytest.approx(3 / 2.5)


def test_any_number_of_threads_gives_the_same_bits():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread here")
    mask = percolating(gaussian_field((80, 72, 76), 0.7, 2.0))
    before = numba.get_num_threads()
    found = []
    for n in (1, 2):
        numba.set_num_threads(n)
        found.append(_diffusion.solve(mask, conductance=(1.0, 1.3, 0.9), tolerance=1e-8))
    numba.set_num_threads(before)
    assert len(_lumps.hierarchy(mask, (1.0, 1.3, 0.9))[0][0]) > _cycle.PARALLEL_FROM
    one, two = found
    assert (one.flux, one.imbalance, one.iterations) == (two.flux, two.imbalance, two.iterations)
    assert np.array_equal(one.potential, two.potential)


# --- the lumps -------------------------------------------------------------------------------------------


def dense(level):
    n = len(level)
    matrix = np.zeros((n, n))
    matrix[np.repeat(np.arange(n), np.diff(level.start)), level.neighbour] = -level.conductance
    matrix[np.arange(n), np.arange(n)] = 1 / level.inverse.astype(float)
    return matrix


def test_pieces_of_a_block():
    count, piece = steady.pieces_of_blocks()
    assert (count[0], count[255], count[0b10000001], count[0b01101001]) == (0, 1, 2, 4)
    for bits in range(256):
        corners = np.array([bits >> c & 1 for c in range(8)]).reshape(2, 2, 2)
        labels, n = ndi.label(corners)
        assert n == count[bits]
        same = piece[bits].reshape(2, 2, 2)
        for a, b in zip(*np.triu_indices(8), strict=True):
            if corners.flat[a] and corners.flat[b]:
                assert (labels.flat[a] == labels.flat[b]) == (same.flat[a] == same.flat[b])


@pytest.mark.parametrize("conductance", [(1.0, 1.0, 1.0), (0.5, 2.0, 1.0), (4.0, 0.25, 1.0)])
def test_lumps_keep_what_hangs_together(conductance):
    mask = percolating(site_percolation((18, 15, 21), 0.5, seed=2))
    levels, into = _lumps.hierarchy(mask, conductance, smallest=1)
    assert len(levels[-1]) == ndi.label(mask)[1]
    assert levels[-1].grid == (1, 1, 1)
    red = (np.indices(mask.shape).sum(0) % 2 == 0) & mask
    z, y, x = np.nonzero(red)
    assert np.array_equal(into[z + 1, y + 1, x // 2 + 1] < len(levels[0]), np.ones(len(z), bool))
    assert np.count_nonzero(into < len(levels[0])) == red.sum()
    for level in levels:
        matrix = dense(level)
        np.testing.assert_allclose(matrix, matrix.T, rtol=1e-6)
        colour = np.arange(len(level)) < level.reds
        within = matrix[colour][:, colour], matrix[~colour][:, ~colour]
        assert all(np.count_nonzero(m) == len(m) for m in within)
        assert matrix.sum(1).min() > -1e-5  # what is left leads to the electrodes


def test_the_cycle_is_symmetric_and_between_zero_and_one():
    mask = percolating(site_percolation((20, 20, 20), 0.36, seed=4))
    levels, _ = _lumps.hierarchy(mask, (1.0, 1.0, 1.0), smallest=20)
    assert len(levels) >= 4
    cycle = _cycle.Cycle(levels)
    n = len(levels[0])
    inverse = np.empty((n, n))
    for i, unit in enumerate(np.eye(n, dtype=np.float32)):
        cycle.b[0][:-1] = unit
        cycle.solve()
        inverse[i] = cycle.x[0][:-1]
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-5 * np.abs(inverse).max())
    values = np.linalg.eigvals((inverse + inverse.T) / 2 @ dense(levels[0])).real
    assert values.min() > 0.2
    assert values.max() < 1 + 1e-5


# --- bad input, and the geometric one --------------------------------------------------------------------


def test_bad_input_is_named():
    mask = np.ones((4, 5, 6), bool)
    for bad, said in (
        ({"mask": mask[0]}, "volume"),
        ({"mask": mask * 3}, "True in one phase"),
        ({"mask": mask[:0]}, "volume"),
        ({"axis": 3}, "axis"),
        ({"spacing": (1.0, 1.0)}, "spacing"),
        ({"spacing": (1.0, 0.0, 1.0)}, "spacing"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"device": "tpu"}, "device"),
    ):
        with pytest.raises(InputError, match=said):
            tortuosity_factor(**{"mask": mask, "spacing": 1.0} | bad)


def test_geometric_tortuosity_is_something_else():
    throat = np.ones((21, 11, 11), bool)
    throat[10] = False
    throat[10, 5, 5] = True
    paths = geometric_tortuosity(throat, spacing=1.0)
    assert 1 < paths.value < 1.15
    assert tortuosity_factor(throat, spacing=1.0).tau > 3


# --- the same on a card ----------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [1.0, (0.6, 1.0, 2.5)])
def test_torch_solves_alike(spacing, monkeypatch):
    from morpholith.nets import _lumps as torch_lumps
    from morpholith.nets.diffusion import solve

    monkeypatch.setattr(torch_lumps, "SMALLEST", 100)  # deeper than such small images would go
    for mask in (gaussian_field((30, 26, 33), 0.5, 2.0), site_percolation((28, 30, 25), 0.4)):
        path = percolating(mask)
        g = tuple(1 / s**2 for s in (spacing if isinstance(spacing, tuple) else (spacing,) * 3))
        ours = _diffusion.solve(path, conductance=g, tolerance=1e-8)
        theirs = solve(path, conductance=g, tolerance=1e-8, device="cpu")
        assert theirs.converged
        assert theirs.flux == pytest.approx(ours.flux, rel=1e-8)
        assert abs(theirs.iterations - ours.iterations) <= 2
        np.testing.assert_allclose(theirs.potential, ours.potential, atol=1e-6)
        assert theirs.conducting == pytest.approx(ours.conducting, abs=2)


def test_cuda_is_used_where_there_is_a_card():
    torch = pytest.importorskip("torch")
    mask = gaussian_field((40, 36, 38), 0.5, 2.0)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device"):
            tortuosity_factor(mask, spacing=1.0, device="cuda")
        return
    t = tortuosity_factor(mask, spacing=1.0, tolerance=1e-8, device="cuda")
    assert t.tau == pytest.approx(tortuosity_factor(mask, spacing=1.0, tolerance=1e-8).tau, rel=1e-7)


def test_the_bench_runs_as_a_toy(monkeypatch, capsys):
    path = Path(__file__).resolve().parents[1] / "bench" / "bench_tortuosity.py"
    monkeypatch.setattr(sys, "argv", [str(path), "--toy"])
    runpy.run_path(str(path), run_name="__main__")
    out = capsys.readouterr().out
    assert "not run" not in out
    assert out.count("1.00000") == 4
    assert "a = " in out
