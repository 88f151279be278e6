"""Two grey volumes fitted onto each other: search by FFT, Gauss-Newton steps, one level of fineness at a time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage as ndi

from ..errors import InputError

POINTS = 120_000  # of a level that enter a step
ENOUGH = 0.6  # correlation at which no further rotation is tried
LEAST_OVERLAP = 0.25


@dataclass(frozen=True)
class Level:
    """A smoothed volume of near-cubic voxels, zero where nothing was seen."""

    grey: np.ndarray
    seen: np.ndarray
    spacing: np.ndarray
    origin: np.ndarray  # of its first voxel's centre, um

    @classmethod
    def of(cls, volume, spacing, edge):
        factor = np.maximum(np.rint(edge / spacing).astype(int), 1)
        factor = np.minimum(factor, np.maximum(np.array(volume.shape) // 4, 1))
        coarse, seen = _block_means(volume, factor)
        step = factor * spacing
        grey = _flattened(coarse, seen, 0.8 * max(edge, step.max()) / step)
        return cls(grey, seen, step, (factor - 1) / 2 * spacing)

    def points(self):
        """Physical positions of all voxels, (z, y, x) open grids."""
        axes = (o + s * np.arange(n) for o, s, n in zip(self.origin, self.spacing, self.grey.shape, strict=True))
        return np.meshgrid(*axes, indexing="ij", sparse=True)

    def at(self, points_um):
        """Index coordinates of points (3, n)."""
        return (points_um - self.origin[:, None]) / self.spacing[:, None]


def _block_means(volume, factor):
    """Means over blocks of voxels, read in slabs; and where more than half of the block was seen."""
    shape = np.array(volume.shape) // factor
    mean, seen = np.empty(shape, np.float32), np.empty(shape, bool)
    fz, fy, fx = factor
    for z in range(shape[0]):
        slab = np.asarray(volume[z * fz : (z + 1) * fz], np.float32)[:, : shape[1] * fy, : shape[2] * fx]
        blocks = slab.reshape(fz, shape[1], fy, shape[2], fx)
        there = np.isfinite(blocks)
        n = there.sum(axis=(0, 2, 4))
        mean[z] = np.where(there, blocks, 0).sum(axis=(0, 2, 4)) / np.maximum(n, 1)
        seen[z] = n > 0.5 * np.prod(factor)
    return mean, seen


def _flattened(grey, seen, sigma):
    """Smooth, take off the background, scale to unit variance; zero outside what was seen."""
    if not seen.any() or np.ptp(grey[seen]) == 0:
        raise InputError("a volume holds a single grey value; there is nothing to register.")
    filled = np.where(seen, grey, grey[seen].mean())
    smooth = ndi.gaussian_filter(filled, sigma, mode="nearest", truncate=3)
    smooth -= ndi.gaussian_filter(smooth, np.array(grey.shape) / 5, mode="nearest", truncate=2)
    smooth[~seen] = 0
    return smooth / (smooth[seen].std() or 1)


def search(a, b, max_rotation_deg):
    """Rotation matrix and offset of the best match of the coarsest level."""
    best, best_value = (np.eye(3), np.zeros(3)), -np.inf
    for angles in _rotations(max_rotation_deg):
        if best_value > ENOUGH:
            break
        found = max((_correlated(a, b, r) for r in angles), key=lambda f: f[0])
        if found[0] > best_value:
            best_value, best = found
    return best


def _rotations(most):
    """Rotation matrices in rounds: none, one step about each axis, then all up to the most."""
    from scipy.spatial.transform import Rotation

    def matrices(angles):
        turns = [t for t in product(angles, repeat=3) if any(t)]
        return [Rotation.from_rotvec(np.deg2rad(t)).as_matrix() for t in turns]

    yield [np.eye(3)]
    if most > 0:
        step = min(4.0, most)
        yield matrices([-step, 0.0, step])
        if most > step:
            n = int(np.ceil(most / 4.0))
            yield matrices(np.linspace(-most, most, 2 * n + 1).round(6).tolist())


def _correlated(a, b, rotation):
    """Largest normalised correlation of a with b turned, over all shifts that overlap enough; and that transform."""
    from scipy import fft

    # b on the grid of a's spacing, turned about its middle, so that a shift is all that is left
    h = a.spacing
    middle = b.origin + b.spacing * (np.array(b.grey.shape) - 1) / 2
    shape = np.ceil(np.array(b.grey.shape) * b.spacing / h).astype(int)
    corner = middle - rotation @ (h * (shape - 1) / 2)
    warp = rotation * h / b.spacing[:, None]
    at = (corner - b.origin) / b.spacing
    turned = ndi.affine_transform(b.grey, warp, at, output_shape=tuple(shape), order=1)
    there = ndi.affine_transform(b.seen.astype(np.float32), warp, at, output_shape=tuple(shape), order=1) > 0.99
    turned[~there] = 0

    full = [fft.next_fast_len(int(n), real=True) for n in np.array(a.grey.shape) + shape - 1]

    def forward(array):
        return fft.rfftn(array.astype(np.float32), full)

    fa, fm, fb, gm = forward(a.grey), forward(a.seen), forward(turned), forward(there)
    square_a, square_b = forward(a.grey**2), forward(turned**2)

    def slide(one, two):
        return fft.irfftn(np.conj(one) * two, full)

    count = slide(fm, gm)
    least = LEAST_OVERLAP * min(a.seen.sum(), there.sum())
    sums, others = slide(fa, gm), slide(fm, fb)
    n = np.maximum(count, 1)
    top = slide(fa, fb) - sums * others / n
    bottom = (slide(square_a, gm) - sums**2 / n) * (slide(fm, square_b) - others**2 / n)
    value = np.where(count > least, top / np.sqrt(np.maximum(bottom, 1e-6 * n**2)), -1)
    peak = np.unravel_index(np.argmax(value), value.shape)
    shift = np.array([p if p < n else p - f for p, n, f in zip(peak, shape, full, strict=True)])
    # index i of a meets index i + shift of the turned b
    offset = corner + rotation @ (h * shift) - rotation @ a.origin
    return float(value[peak]), (rotation, offset)


def _generators(model):
    """Matrices along which the linear part may move."""
    rotations = np.zeros((3, 3, 3))
    for k, (i, j) in enumerate(((1, 2), (0, 2), (0, 1))):
        rotations[k, i, j], rotations[k, j, i] = -1, 1
    if model == "rigid":
        return rotations
    if model == "similarity":
        return np.concatenate([rotations, np.eye(3)[None]])
    return np.eye(9).reshape(9, 3, 3)


def fit(a, b, matrix, offset, model):
    """Gauss-Newton with damping on one level; returns matrix, offset, correlation and overlap."""
    generators = _generators(model)
    value, points = _sampled(a)
    middle = points.mean(axis=1, keepdims=True)
    centre = matrix @ middle[:, 0] + offset
    slopes = [np.gradient(b.grey, s, axis=k).astype(np.float32) for k, s in enumerate(b.spacing)]
    there = b.seen.astype(np.float32)
    state = _compare(b, there, value, points - middle, matrix, centre)
    damping = 1e-3
    for _ in range(40):
        step, gradient_norm = _step(slopes, state, points - middle, matrix, generators, damping)
        if step is None:
            break
        trial = matrix @ (np.eye(3) + np.tensordot(step[: len(generators)], generators, 1))
        trial = _projected(trial, model)
        new = _compare(b, there, value, points - middle, trial, centre + step[-3:])
        if new.cost < state.cost:
            moved = np.abs(trial - matrix).max() * np.abs(points - middle).max() + np.abs(step[-3:]).max()
            matrix, centre, state, damping = trial, centre + step[-3:], new, max(damping / 10, 1e-9)
            if moved < 1e-3 * b.spacing.min():
                break
        elif damping > 1e4 or gradient_norm == 0:
            break
        else:
            damping *= 10
    return matrix, centre - matrix @ middle[:, 0], state.correlation, state.overlap


def _sampled(level):
    """Grey values and positions of up to `POINTS` seen voxels on a regular lattice."""
    grid = np.stack([g.ravel() for g in np.broadcast_arrays(*level.points())])
    keep = np.flatnonzero(level.seen.ravel())
    # an odd stride does not fall into step with rows of voxels
    stride = max(1, int(np.ceil(len(keep) / POINTS))) | 1
    keep = keep[::stride]
    return level.grey.ravel()[keep].astype(float), grid[:, keep]


@dataclass(frozen=True)
class _State:
    cost: float
    inside: np.ndarray  # which points the moving volume shows
    at: np.ndarray  # their index coordinates in it
    moved: np.ndarray  # grey values there
    residual: np.ndarray
    weight: np.ndarray
    gain: float
    correlation: float
    overlap: float


def _compare(b, there, value, relative, matrix, centre):
    """Residuals of a gain and an offset between the two at this transform, with Huber's weights."""
    at = b.at(matrix @ relative + centre[:, None])
    upper = np.array(b.grey.shape)[:, None] - 1
    inside = ((at >= 0) & (at <= upper)).all(axis=0)
    at = at[:, inside]
    if b.seen.all():
        seen = np.ones(at.shape[1], bool)
    else:
        seen = ndi.map_coordinates(there, at, order=1) > 0.99
        inside[np.flatnonzero(inside)[~seen]] = False
        at = at[:, seen]
    if inside.sum() < 100:
        return _State(np.inf, inside, at, np.zeros(0), np.zeros(0), np.zeros(0), 1, -1, 0)
    moved, own = ndi.map_coordinates(b.grey, at, order=1).astype(float), value[inside]
    weight, (gain, bias) = np.ones(len(own)), (1.0, 0.0)
    for _ in range(3):
        mean_m, mean_o = np.average(moved, weights=weight), np.average(own, weights=weight)
        dm, do = moved - mean_m, own - mean_o
        gain = float((weight * dm * do).sum() / max((weight * dm**2).sum(), 1e-12))
        bias = mean_o - gain * mean_m
        residual = own - gain * moved - bias
        limit = 1.345 * 1.4826 * np.median(np.abs(residual)) + 1e-9
        weight = np.minimum(1, limit / np.maximum(np.abs(residual), 1e-12))
    correlation = float(np.corrcoef(moved, own)[0, 1]) if own.std() > 0 and moved.std() > 0 else -1.0
    # one minus the squared weighted correlation: a smaller overlap or gain does not look like a better fit
    variance = np.average((own - np.average(own, weights=weight)) ** 2, weights=weight)
    cost = float(np.average(residual**2, weights=weight) / max(variance, 1e-12)) if gain > 0 else np.inf
    return _State(cost, inside, at, moved, residual, weight, gain, correlation, float(inside.mean()))


def _step(slopes, state, relative, matrix, generators, damping):
    """Damped Gauss-Newton step over the linear part and the shift, gain and offset fitted along."""
    if not np.isfinite(state.cost):
        return None, 0.0
    slope = np.stack([ndi.map_coordinates(s, state.at, order=1) for s in slopes]) * state.gain
    local = relative[:, state.inside]
    columns = [(slope * (matrix @ g @ local)).sum(axis=0) for g in generators]
    jacobian = np.stack([*columns, *slope, state.moved, np.ones_like(state.moved)])
    weighted = jacobian * state.weight
    normal, right = weighted @ jacobian.T, weighted @ state.residual
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-12))
    solved = np.linalg.lstsq(
        normal / np.outer(scale, scale) + damping * np.eye(len(scale)), right / scale, rcond=1e-10
    )[0]
    return (solved / scale)[:-2], float(np.abs(right[:-2]).max())


def _projected(matrix, model):
    """Nearest matrix of the model: rounding must not let a rigid one drift."""
    if model == "affine":
        return matrix
    u, s, vt = np.linalg.svd(matrix)
    return (u @ vt) * (1.0 if model == "rigid" else float(np.prod(s)) ** (1 / 3))
