"""A virtual nano-CT volume of loose particles whose shapes are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from .. import _checks, columns
from ..errors import InputError
from .cuts import spread_directions
from .star_shapes import RadiusTable, Shells, harmonics, star_coefficients, star_measures, star_radius

if TYPE_CHECKING:
    import pandas as pd

DIFFICULTIES = ("easy", "typical", "hard")
TRIES = 3000
SURFACE_POINTS = 800
PRESSED = 0.6  # voxels by which touching particles go into each other, so that their voxels meet


@dataclass(frozen=True)
class NanoCt:
    """What is imaged, and how.

    Parameters
    ----------
    size_um : (z, y, x)
        Edges of the volume.
    voxel_um : float
    touching : float
        Share of the particles that are put against another one.
    cut : bool
        Particles may be cut by the faces of the volume.
    blur_um, noise : float
        Standard deviation of the point spread, and of the noise over the contrast.
    density_sd : float
        Relative differences of the grey value between particles.
    air, active : float
        Grey values, 16 bit.
    """

    size_um: tuple[float, float, float] = (20.0, 24.0, 28.0)
    voxel_um: float = 0.128
    touching: float = 0.2
    cut: bool = True
    blur_um: float = 0.1
    noise: float = 0.12
    density_sd: float = 0.04
    air: float = 9000.0
    active: float = 30000.0

    def __post_init__(self):
        object.__setattr__(self, "size_um", _checks.spacing(self.size_um, 3, name="size_um"))
        _checks.positive(self.voxel_um, name="voxel_um")
        for name in ("blur_um", "noise", "density_sd"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"`{name}` must not be negative, got {getattr(self, name)!r}.")
        if not 0 <= self.touching <= 1:
            raise InputError(f"`touching` is a share, 0 to 1; got {self.touching!r}.")
        if min(self.shape) < 8:
            raise InputError(f"a volume of {self.shape} voxels is too small; at least 8 along each edge.")

    @classmethod
    def of(cls, difficulty: str, **changes) -> NanoCt:
        """Return an instrument of a stated difficulty ("easy", "typical", "hard"), some fields changed."""
        _checks.choice(difficulty, DIFFICULTIES, name="difficulty")
        voxel = changes.get("voxel_um", cls.voxel_um)
        blur, noise, sd = {"easy": (0.5, 0.03, 0.0), "typical": (0.8, 0.12, 0.04), "hard": (1.4, 0.3, 0.1)}[difficulty]
        return replace(cls(), **{"blur_um": blur * voxel, "noise": noise, "density_sd": sd, **changes})

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (z, y, x)."""
        z, y, x = (round(s / self.voxel_um) for s in self.size_um)
        return z, y, x


@dataclass(frozen=True)
class VirtualShells:
    """A tomogram and its truth.

    Parameters
    ----------
    grey : (z, y, x) uint16 array
    labels : (z, y, x) int32 array
        True particles, by where voxel centres lie; of two that touch, the one that is deeper there.
    coefficients : (n, (L + 1)^2) array
        um, about the centres; particle i has the label i + 1.
    centres_um : (n, 3) array
        From the centre of the first voxel.
    truth : DataFrame
        Index `label`: `z_um`, `y_um`, `x_um`, `radius_um` (mean over directions), `volume_um3`, `surface_um2`,
        `sphericity`, `d_max_um`, `d_min_um`, `n_voxels`, `n_contacts` (true neighbours whose voxels meet),
        `touches_edge`.
    params : Shells
    instrument : NanoCt
    """

    grey: np.ndarray
    labels: np.ndarray
    coefficients: np.ndarray
    centres_um: np.ndarray
    truth: pd.DataFrame
    params: Shells
    instrument: NanoCt


def virtual_shells(params: Shells, instrument: NanoCt, *, rng: np.random.Generator | int) -> VirtualShells:
    """Draw particles, place them and image them.

    Parameters
    ----------
    params : Shells
    instrument : NanoCt
    rng : Generator or int

    Returns
    -------
    VirtualShells
        With no particles, a volume of noise.

    Raises
    ------
    InputError
        The particles do not fit into the volume.
    """
    shape_rng, place_rng, image_rng = np.random.default_rng(rng).spawn(3)
    a = star_coefficients(params, rng=shape_rng)
    a = a[np.argsort(-a[:, 0], kind="stable")]  # large ones are placed first
    centres = _placed(a, instrument, place_rng)
    density = 1 + instrument.density_sd * image_rng.standard_normal(len(a))
    labels, filled = _drawn(a, centres, density, instrument)
    grey = instrument.air + (instrument.active - instrument.air) * _imaged(filled, instrument, image_rng)
    grey = np.clip(np.rint(grey), 0, 65535).astype(np.uint16)
    return VirtualShells(grey, labels, a, centres, _truth(a, centres, labels), params, instrument)


def _placed(a, instrument, rng) -> np.ndarray:
    """Find a place for every particle: against another one or anywhere, never in another one."""
    voxel = instrument.voxel_um
    size = (np.array(instrument.shape) - 1) * voxel
    u = spread_directions(SURFACE_POINTS)
    radii = a @ harmonics(u, int(np.sqrt(a.shape[1])) - 1).T if len(a) else np.empty((0, len(u)))
    most = radii.max(1, initial=0.0)
    tables = [RadiusTable(one) for one in a]
    centres = np.empty((len(a), 3))
    for i in range(len(a)):
        margin = 0.0 if instrument.cut else most[i] + 2 * voxel
        if (size <= 2 * margin).any():
            raise InputError(f"a particle of radius {most[i]:.3g} um is too large for the volume; make it larger.")
        against = i > 0 and rng.uniform() < instrument.touching
        for attempt in range(TRIES):
            place = rng.uniform(margin, size - margin)
            if against and attempt < TRIES // 2:
                j = int(rng.integers(i))
                place = _against(tables[j], centres[j], radii[i], u, most[i] + most[j], PRESSED * voxel, rng)
                if ((place < margin) | (place > size - margin)).any():
                    continue
            near = np.flatnonzero(np.linalg.norm(centres[:i] - place, axis=1) < most[:i] + most[i] + 2 * voxel)
            room = -(PRESSED + 0.05) * voxel if against and attempt < TRIES // 2 else 1.5 * voxel
            if all(_gap(tables[j], radii[i], u, place - centres[j]) > room for j in near):
                centres[i] = place
                break
        else:
            raise InputError(f"only {i} of {len(a)} particles fit into the volume; ask for fewer or a larger volume.")
    return centres


def _gap(table, radii, u, offset) -> float:
    """Return how far surface points stay, along rays, from another particle; `offset` leads there from its centre."""
    points = offset + radii[:, None] * u
    length = np.linalg.norm(points, axis=1)
    apart = np.linalg.norm(offset)
    if apart < 1e-9 or (length < 1e-9).any() or apart < radii.min():
        return -np.inf
    return float((length - table.at(points, length)).min())


def _against(table, centre, radii, u, most, depth, rng) -> np.ndarray:
    """Return where a particle meets another one that it comes towards from a random side."""
    v = rng.standard_normal(3)
    v /= np.linalg.norm(v)
    low, high = 0.3 * most, most
    for _ in range(14):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _gap(table, radii, u, middle * v) > -depth else (middle, high)
    return centre + high * v


def _drawn(a, centres, density, instrument) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and how much of every voxel is filled, times the density."""
    shape, voxel = instrument.shape, instrument.voxel_um
    labels, filled = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    depth = np.zeros(shape, np.float32)
    for i in range(len(a)):
        reach = star_radius(a[i], spread_directions(SURFACE_POINTS)).max() * 1.02 + 2 * voxel
        low = np.maximum(np.floor((centres[i] - reach) / voxel), 0).astype(int)
        high = np.minimum(np.ceil((centres[i] + reach) / voxel) + 1, shape).astype(int)
        if (high <= low).any():
            continue
        box = tuple(slice(p, q) for p, q in zip(low, high, strict=True))
        at = np.stack(
            np.meshgrid(*(np.arange(p, q) * voxel for p, q in zip(low, high, strict=True)), indexing="ij"), -1
        )
        away = (at - centres[i]).reshape(-1, 3)
        length = np.maximum(np.linalg.norm(away, axis=1), 1e-9)
        deep = RadiusTable(a[i]).at(away, length) - length
        unsure = np.abs(deep) < voxel
        deep[unsure] = star_radius(a[i], away[unsure] / length[unsure, None]) - length[unsure]
        deep = deep.reshape(labels[box].shape).astype(np.float32)
        mine = (deep >= 0) & ((labels[box] == 0) | (deep > depth[box]))
        labels[box][mine], depth[box][mine] = i + 1, deep[mine]
        share = np.clip(0.5 + deep / voxel, 0, 1) * density[i]
        np.maximum(filled[box], share, out=filled[box])
    return labels, filled


def _imaged(filled, instrument, rng) -> np.ndarray:
    blurred = ndi.gaussian_filter(filled, instrument.blur_um / instrument.voxel_um) if instrument.blur_um else filled
    return blurred + instrument.noise * rng.standard_normal(filled.shape, dtype=np.float32)


def _truth(a, centres, labels) -> pd.DataFrame:
    import pandas as pd

    n = len(a)
    rows = [{columns.Z: c[0], columns.Y: c[1], columns.X: c[2], "radius_um": k[0] / np.sqrt(4 * np.pi),
             **star_measures(k)} for k, c in zip(a, centres, strict=True)]  # fmt: skip
    names = (columns.Z, columns.Y, columns.X, "radius_um", columns.VOLUME, columns.SURFACE, columns.SPHERICITY,
             "d_max_um", "d_min_um")  # fmt: skip
    table = pd.DataFrame(rows, index=pd.RangeIndex(1, n + 1, name=columns.LABEL), columns=list(names), dtype=float)
    table["n_voxels"] = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    pairs: set[tuple[int, int]] = set()
    for axis in range(3):
        one = np.moveaxis(labels, axis, 0)
        p, q = one[:-1], one[1:]
        meet = (p != q) & (p > 0) & (q > 0)
        found = np.unique(np.sort(np.stack([p[meet], q[meet]], 1), axis=1), axis=0)
        pairs |= {(int(i), int(j)) for i, j in found}
    table[columns.N_CONTACTS] = [sum(label in pair for pair in pairs) for label in table.index]
    faces = [np.take(labels, k, axis) for axis in range(3) for k in (0, -1)]
    table[columns.TOUCHES_EDGE] = table.index.isin(np.unique(np.concatenate([f.ravel() for f in faces])))
    return table
