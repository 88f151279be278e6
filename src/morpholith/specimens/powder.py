"""Virtual powder: agglomerates strewn on carbon tape, with the exact outline of every one.

Table -> render -> observe: `powder` draws the particles of a population and lays them down, `Scene` holds the
resulting surface and its truth, and `microscope.micrograph` images it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numba import njit
from scipy import stats

from .primary import Habit, relief

N_ANGLES = 1024
N_HARMONICS = 14
CIRCULARITY_RANGE = (0.55, 0.985)
LIMB_ROUGHNESS = 0.006  # SD of the silhouette about the exact outline, at most, in radii


@dataclass(frozen=True)
class Powder:
    """A population of secondary particles.

    Parameters
    ----------
    d50_um, geometric_sd : float
        Log-normal number distribution of the diameter of the circle of equal projected area.
    circularity_mean, circularity_sd : float
        4 pi A / P^2 of the outlines: a normal law truncated to 0.55..0.985. The population's own mean and SD,
        after truncation, are `circularity_truth`.
    habit : Habit
        The primary particles.
    coverage : float
        Projected area of all particles over the area of the field; above about 0.8 they pile up.
    clustering : float
        0 for particles strewn at random, 1 for all in clumps.
    """

    d50_um: float = 5.0
    geometric_sd: float = 1.35
    circularity_mean: float = 0.93
    circularity_sd: float = 0.02
    habit: Habit = field(default_factory=Habit)
    coverage: float = 0.45
    clustering: float = 0.3

    def __post_init__(self):
        if self.d50_um <= 0 or self.geometric_sd < 1:
            raise ValueError(
                f"a powder needs d50_um > 0 and geometric_sd >= 1, got {self.d50_um} and {self.geometric_sd}."
            )
        if not CIRCULARITY_RANGE[0] < self.circularity_mean < CIRCULARITY_RANGE[1]:
            raise ValueError(f"`circularity_mean` must lie in {CIRCULARITY_RANGE}, got {self.circularity_mean}.")

    def diameter_quantile(self, q, *, basis: str = "number") -> float:
        """Return the exact quantile of the diameter in um; volume and area bases by the Hatch-Choate relation."""
        sigma = np.log(self.geometric_sd)
        moment = {"number": 0, "area": 2, "volume": 3}[basis]
        return float(self.d50_um * np.exp(moment * sigma**2 + sigma * stats.norm.ppf(q)))

    @property
    def circularity_truth(self) -> tuple[float, float]:
        """Mean and SD of the population's circularity."""
        law = self._circularity_law()
        return float(law.mean()), float(law.std())

    def _circularity_law(self):
        sd = max(self.circularity_sd, 1e-6)
        a, b = ((c - self.circularity_mean) / sd for c in CIRCULARITY_RANGE)
        return stats.truncnorm(a, b, loc=self.circularity_mean, scale=sd)

    def draw(self, n: int, rng) -> pd.DataFrame:
        """Draw `n` independent particles: diameter and circularity."""
        d = self.d50_um * np.exp(np.log(self.geometric_sd) * rng.standard_normal(n))
        return pd.DataFrame(
            {"diameter_um": d, "circularity": self._circularity_law().rvs(n, random_state=rng)},
            index=pd.RangeIndex(1, n + 1, name="label"),
        )


@dataclass(frozen=True)
class Scene:
    """What lies under the microscope, and the truth about it.

    Attributes
    ----------
    height : (y, x) float32 array
        Surface seen from above, um over the tape, with the relief of the primary particles.
    body : (y, x) float32 array
        The same without the relief.
    labels : (y, x) int32 array
        The visible part of every particle, rendered from the exact outline; 0 is tape.
    spacing : tuple of float
        Pixel size (y, x) in um.
    truth : DataFrame
        One row a particle that reaches into the field. `y_um, x_um, diameter_um, area_um2, perimeter_um,
        circularity` are those of the whole exact outline (area analytic, perimeter of its 1024-gon);
        `hidden_fraction` is counted on the grid: the share of the particle within the field that others cover.
    outlines : dict of int to (n, 2) array
        The exact outline (y, x) in um of every row of `truth`.
    powder : Powder
    """

    height: np.ndarray
    body: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float]
    truth: pd.DataFrame
    outlines: dict[int, np.ndarray]
    powder: Powder


def scene(powder: Powder, *, shape=(960, 1280), spacing: float, rng=0) -> Scene:
    """Lay a powder on tape and return its surface as seen from above, with the truth.

    Particles are drawn from the population independently of where they fall, over an area larger than the
    field, so neither their number near the frame nor their sizes are biased by the way they are laid down.

    Parameters
    ----------
    powder : Powder
    shape : tuple of int
        Pixels (y, x) of the field.
    spacing : float
        Pixel size in um.
    rng : Generator or int
    """
    rng = np.random.default_rng(rng)
    field_um = np.array(shape) * spacing
    table, margin = _draw_population(powder, field_um, rng)
    radius = 0.5 * table["diameter_um"].to_numpy()
    centre = _lay_down(radius, field_um + 2 * margin, powder, rng)
    centre[:, :2] -= margin
    outline = _outlines(radius, table["circularity"].to_numpy(), rng)

    repeat = int(np.clip(40 * powder.habit.length_um / spacing, 192, 1024))
    tile = relief(powder.habit, spacing=spacing, size=repeat, rng=rng)
    height = np.zeros(shape, np.float32)
    labels = np.zeros(shape, np.int32)
    body = np.zeros(shape, np.float32)
    whole = np.zeros(len(table) + 1, np.int64)
    _render(
        height, body, labels, whole,
        centre, radius, outline,
        rng.uniform(0, tile.shape[0], (len(table), 2)), rng.uniform(0, 2 * np.pi, len(table)),
        rng.uniform(0.85, 1.0, len(table)), tile, spacing,
    )  # fmt: skip
    return _with_truth(table, centre, outline, whole, (height, body, labels), spacing, powder)


def _draw_population(powder, field_um, rng):
    sigma = np.log(powder.geometric_sd)
    margin = 0.75 * powder.d50_um * np.exp(3 * sigma)
    mean_area = np.pi / 4 * powder.d50_um**2 * np.exp(2 * sigma**2)
    n = rng.poisson(powder.coverage * np.prod(field_um + 2 * margin) / mean_area)
    return powder.draw(max(int(n), 1), rng), margin


def _outlines(radius, circularity, rng):
    """Return each radius function in um on 1024 angles (n, 1024): exact area pi r^2, exact circularity."""
    angle = np.linspace(0, 2 * np.pi, N_ANGLES, endpoint=False)
    wave = np.stack([_wave(angle, rng) for _ in radius])
    low, high = np.zeros((len(radius), 1)), 0.9 / np.abs(wave).max(1, keepdims=True)
    for _ in range(40):
        mid = 0.5 * (low + high)
        too_round = _circularity(1 + mid * wave)[:, None] > circularity[:, None]
        low, high = np.where(too_round, mid, low), np.where(too_round, high, mid)
    shape = 1 + low * wave
    return radius[:, None] * shape / np.sqrt(_area(shape) / np.pi)[:, None]


def _wave(angle, rng):
    """Draw a departure from the circle: weak high harmonics, an elongation that may dominate."""
    k = np.arange(2, N_HARMONICS + 1)
    amplitude = rng.rayleigh(1.0, k.size) * k**-1.9
    amplitude[0] *= rng.uniform(0.4, 1.6)
    return amplitude @ np.cos(k[:, None] * angle + rng.uniform(0, 2 * np.pi, (k.size, 1)))


def _area(r):
    """Area of the polygon through the radius function's points, along the last axis."""
    return 0.5 * np.sin(2 * np.pi / N_ANGLES) * np.sum(r * np.roll(r, -1, -1), -1)


def _perimeter(r):
    q = np.roll(r, -1, -1)
    return np.sqrt(r * r + q * q - 2 * r * q * np.cos(2 * np.pi / N_ANGLES)).sum(-1)


def _circularity(r):
    return 4 * np.pi * _area(r) / _perimeter(r) ** 2


def _lay_down(radius, area_um, powder, rng):
    n = radius.size
    start = rng.uniform(0, 1, (n, 2)) * area_um
    n_clumps = max(1, n // 12)
    clump = rng.uniform(0, 1, (n_clumps, 2)) * area_um
    joins = rng.random(n) < powder.clustering
    near = clump[rng.integers(0, n_clumps, n)] + rng.normal(0, 1.6 * powder.d50_um, (n, 2))
    start[joins] = near[joins] % area_um
    xyz = np.zeros((n, 3))
    _settle(xyz, start, radius, rng.random(n) < 0.85)
    return xyz


@njit(cache=True)
def _settle(placed, start, radius, rolls):
    """Drop spheres one by one: onto the tape, or onto others and then (if it rolls) down beside them."""
    for i in range(radius.size):
        y, x = start[i]
        best_y, best_x, best_z = y, x, np.inf
        for _ in range(6):
            z, support = radius[i], -1
            for j in range(i):
                d2 = (placed[j, 0] - y) ** 2 + (placed[j, 1] - x) ** 2
                reach = radius[i] + radius[j]
                if d2 < reach * reach:
                    on_top = placed[j, 2] + np.sqrt(reach * reach - d2)
                    if on_top > z + 1e-9:
                        z, support = on_top, j
            if z < best_z:
                best_y, best_x, best_z = y, x, z
            if support < 0 or not rolls[i]:
                break
            # beside its support both rest on the tape when the centres are this far apart
            d = np.sqrt((placed[support, 0] - y) ** 2 + (placed[support, 1] - x) ** 2) + 1e-9
            rise = placed[support, 2] - radius[i]
            reach = radius[i] + radius[support]
            side = np.sqrt(max(reach * reach - rise * rise, 0.0)) * 1.0005
            y = placed[support, 0] + (y - placed[support, 0]) / d * side
            x = placed[support, 1] + (x - placed[support, 1]) / d * side
        placed[i, 0], placed[i, 1], placed[i, 2] = best_y, best_x, best_z


@njit(cache=True)
def _sample(tile, v, u):
    n = tile.shape[0]
    iv, iu = int(np.floor(v)), int(np.floor(u))
    fv, fu = v - iv, u - iu
    a, b, c, d = iv % n, (iv + 1) % n, iu % n, (iu + 1) % n
    top = tile[a, c] * (1 - fu) + tile[a, d] * fu
    return top * (1 - fv) + (tile[b, c] * (1 - fu) + tile[b, d] * fu) * fv


@njit(cache=True)
def _render(height, body, labels, whole, centre, radius, outline, offset, turn, flat, tile, spacing):
    """Highest surface wins: `labels` from the exact outlines, `height` with the primary particles' relief.

    The relief is laid on along the arc from the top, so it is foreshortened towards the limb as on a sphere;
    it also roughens the limb itself about the exact outline, by no more than a small share of the radius, so that
    the exact outline is what a fair eye would draw.
    """
    ny, nx = labels.shape
    n_angles = outline.shape[1]
    relief_sd = tile.std() + 1e-9
    for k in range(radius.size):
        reach = outline[k].max() + 0.3 * radius[k]
        y0 = max(int((centre[k, 0] - reach) / spacing), 0)
        y1 = min(int((centre[k, 0] + reach) / spacing) + 2, ny)
        x0 = max(int((centre[k, 1] - reach) / spacing), 0)
        x1 = min(int((centre[k, 1] + reach) / spacing) + 2, nx)
        b = radius[k] * flat[k]
        limb_share = min(0.35, LIMB_ROUGHNESS * radius[k] / relief_sd)
        for iy in range(y0, y1):
            for ix in range(x0, x1):
                dy, dx = iy * spacing - centre[k, 0], ix * spacing - centre[k, 1]
                rho = np.sqrt(dy * dy + dx * dx)
                if rho > reach:
                    continue
                angle = np.arctan2(dy, dx) % (2 * np.pi)
                f = angle / (2 * np.pi) * n_angles
                i = int(f) % n_angles
                f -= int(f)
                edge = outline[k, i] * (1 - f) + outline[k, (i + 1) % n_angles] * f
                t = rho / edge
                if t < 1:
                    z = centre[k, 2] + b * np.sqrt(1 - t * t)
                    whole[k + 1] += 1
                    if z > body[iy, ix]:
                        body[iy, ix], labels[iy, ix] = z, k + 1
                limb = radius[k] * 1.5707963 / spacing
                rough = _sample(
                    tile,
                    offset[k, 0] + limb * np.sin(angle + turn[k]),
                    offset[k, 1] + limb * np.cos(angle + turn[k]),
                )
                t = rho / (edge + limb_share * rough)
                if t < 1:
                    arc = radius[k] * np.arcsin(t) / spacing
                    bump = _sample(
                        tile,
                        offset[k, 0] + arc * np.sin(angle + turn[k]),
                        offset[k, 1] + arc * np.cos(angle + turn[k]),
                    )
                    z = centre[k, 2] + (b + bump) * np.sqrt(1 - t * t)
                    if z > height[iy, ix]:
                        height[iy, ix] = z


def _with_truth(table, centre, outline, whole, maps, spacing, powder):
    height, body, labels = maps
    seen = np.bincount(labels.ravel(), minlength=len(table) + 1)
    inside = np.flatnonzero(whole)
    relabel = np.zeros(len(table) + 1, np.int32)
    relabel[inside] = np.arange(1, inside.size + 1)
    index = pd.RangeIndex(1, inside.size + 1, name="label")
    rows = inside - 1
    r = outline[rows]
    angle = np.linspace(0, 2 * np.pi, N_ANGLES, endpoint=False)
    polygon = centre[rows, None, :2] + r[..., None] * np.stack([np.sin(angle), np.cos(angle)], -1)
    limit = (np.array(labels.shape) - 0.5) * spacing
    cut = (polygon < -0.5 * spacing).any((1, 2)) | (polygon > limit).any((1, 2))
    truth = pd.DataFrame(
        {
            "y_um": centre[rows, 0],
            "x_um": centre[rows, 1],
            "z_um": centre[rows, 2],
            "diameter_um": table["diameter_um"].to_numpy()[rows],
            "area_um2": np.pi / 4 * table["diameter_um"].to_numpy()[rows] ** 2,
            "perimeter_um": _perimeter(r),
            "circularity": _circularity(r),
            "touches_edge": cut,
            "hidden_fraction": 1 - seen[inside] / whole[inside],
        },
        index=index,
    )
    outlines = dict(zip(index, polygon, strict=True))
    return Scene(height, body, relabel[labels], (spacing, spacing), truth, outlines, powder)
