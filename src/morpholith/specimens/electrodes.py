"""Virtual electrode: particles, necks, binder bridges and cracks of which every number is known.

Parameters -> pack -> image: `electrode` draws the particles of an `Electrode` and packs them, the `Packing` holds
the bodies and rasterises them on any grid, and `tomograph.tomogram` images it.

Frame: the centre of voxel (i, j, k) lies at (i, j, k) * spacing, and positions of bodies are in the same
frame. The specimen occupies 0 .. size_um; a voxel image of it covers -spacing/2 .. size_um - spacing/2, the box
that `Packing.exact(spacing)` speaks about. Bodies go on beyond the faces, as in a tomogram cut from an electrode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..errors import InputError
from . import solids
from .assembly import Packing
from .exact import reaches
from .solids import Bodies

TAIL = 2.5  # standard deviations of ln(diameter) at which the law of sizes ends
HALO = 0.25  # of the median diameter: how far bodies outside the box are kept


@dataclass(frozen=True)
class Electrode:
    """Parameters of a porous electrode.

    Parameters
    ----------
    size_um : (float, float, float)
        Edges (z, y, x) of the specimen; z runs through the thickness.
    solid : float
        Volume fraction of the active particles, cracks included, 0.05 to 0.7.
    d50_um, geometric_sd : float
        Log-normal number distribution of the diameter of the sphere of equal volume, cut at 2.5 standard deviations.
    aspect, aspect_sd : float
        Median ratio of long to short axis and the standard deviation of its logarithm; 1 and 0 are spheres. Half of
        the particles are elongated, half are flat, all at random orientation.
    roughness : float
        Root mean square departure of the radius from the spheroid, relative; 0.04 looks lumpy.
    overlap : float
        By which share of their distance at contact neighbours may interpenetrate: necks.
    binder : float
        Volume fraction of the carbon-binder that bridges particles: where the distances to the nearest two add up to
        less than a length, which is chosen to give this fraction.
    cracked : float
        Share of the particles with a flat crack inside.
    crack_width_um : float
        Opening of the cracks.
    crack_extent : float
        Radius of the cracks over that of the largest ball which fits in the particle.
    gradient : float
        Change of `solid` from the bottom (z = 0) to the top, over its mean, -1 to 1.
    periodic : bool
        The phases (not the labels) continue at the opposite face.
    """

    size_um: tuple[float, float, float] = (64.0, 64.0, 64.0)
    solid: float = 0.5
    d50_um: float = 9.0
    geometric_sd: float = 1.3
    aspect: float = 1.15
    aspect_sd: float = 0.08
    roughness: float = 0.0
    overlap: float = 0.05
    binder: float = 0.06
    cracked: float = 0.0
    crack_width_um: float = 0.6
    crack_extent: float = 0.8
    gradient: float = 0.0
    periodic: bool = False

    def __post_init__(self):
        object.__setattr__(self, "size_um", _checks.spacing(self.size_um, 3, name="size_um"))
        ranges = {
            "solid": (0.05, 0.7), "geometric_sd": (1.0, 2.5), "aspect": (1.0, 4.0), "aspect_sd": (0.0, 0.5),
            "roughness": (0.0, 0.12), "overlap": (0.0, 0.3), "binder": (0.0, 0.3), "cracked": (0.0, 1.0),
            "crack_extent": (0.05, 1.0), "gradient": (-1.0, 1.0),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"`{name}` must lie in {low} .. {high}, got {getattr(self, name)!r}.")
        _checks.positive(self.d50_um, name="d50_um")
        _checks.positive(self.crack_width_um, name="crack_width_um")
        if self.gradient and self.periodic:
            raise InputError("a `gradient` through the thickness cannot be `periodic`; choose one of the two.")
        if self.solid + self.binder > 0.9:
            raise InputError(f"`solid` + `binder` must leave at least 0.1 of pore, got {self.solid + self.binder:.2f}.")

    def diameter_quantile(self, q, *, basis: str = "number") -> float:
        """Return the exact quantile of the diameter in um by number, area or volume (Hatch and Choate, cut tails)."""
        from scipy import stats

        sigma = np.log(self.geometric_sd)
        if sigma == 0:
            return self.d50_um
        shift = {"number": 0, "area": 2, "volume": 3}[basis] * sigma
        law = stats.truncnorm(-TAIL - shift, TAIL - shift)
        return float(self.d50_um * np.exp(sigma * (law.ppf(q) + shift)))

    def draw_diameters(self, volume_um3: float, rng) -> np.ndarray:
        """Draw independent diameters until their volumes add up to `volume_um3`; at least one."""
        from scipy import stats

        mean = np.pi / 6 * self.d50_um**3
        n = int(2 * volume_um3 / mean) + 20
        d = self.d50_um * self.geometric_sd ** stats.truncnorm(-TAIL, TAIL).rvs(n, random_state=rng)
        total = np.cumsum(np.pi / 6 * d**3)
        return d[: max(1, int(np.searchsorted(total, volume_um3)))]


def electrode(params: Electrode, *, rng=0) -> Packing:
    """Draw the particles of an electrode and pack them.

    Particles are drawn from the population before they are placed, in a periodic box larger than the specimen; the
    specimen is the place in it (of 400 tried at random) whose solid fraction is nearest to the one asked for.

    Parameters
    ----------
    params : Electrode
    rng : Generator or int

    Returns
    -------
    Packing
    """
    rng = np.random.default_rng(rng)
    size = np.array(params.size_um)
    largest = params.d50_um * params.geometric_sd**TAIL * (params.aspect * np.exp(2 * params.aspect_sd)) ** (2 / 3)
    halo = HALO * params.d50_um
    box = size if params.periodic else size + 2 * halo + (1 + 2 * params.roughness) * largest
    if box.min() < 2.1 * largest:
        if params.periodic:
            raise InputError(
                f"a periodic electrode must be at least {2.1 * largest:.3g} um on each edge for particles of up to "
                f"{largest:.3g} um; got {params.size_um}."
            )
        box = np.maximum(box, 2.1 * largest)
    bodies, excess = _fill_box(params, box, rng)
    if params.cracked:
        hit = np.flatnonzero(rng.random(len(bodies)) < params.cracked)
        bodies = solids.with_cracks(bodies, hit, width_um=params.crack_width_um, extent=params.crack_extent, rng=rng)
    if not params.periodic:
        bodies = bodies.replace(centre=(bodies.centre - _place(params, bodies, box, rng)) % box)
    bodies, origin = _images(bodies, box, -halo, size + halo)
    if params.gradient:
        keep = _thinned(params, bodies, rng)
        bodies, origin = bodies[keep], origin[keep]
    # those of the specimen come first, so that their labels are 1 .. n
    order = np.argsort(~reaches(bodies, np.zeros(3), size), kind="stable")
    return Packing(
        params, bodies[order], np.arange(1, len(bodies) + 1), _neck_length(params, bodies, rng),
        origin=origin[order], excess=excess,
    )  # fmt: skip


def _fill_box(params: Electrode, box: np.ndarray, rng):
    """Draw and relax until the union reaches the fraction asked for; overlaps make it fall short at first."""
    from .packing import relax, settle

    target = params.solid * (1 + 0.5 * abs(params.gradient))
    if target > 0.7:
        raise InputError(f"`gradient` {params.gradient} asks for a solid fraction of {target:.2f}; 0.7 is the limit.")
    missing, bodies = target, None
    for _ in range(4):
        more = _draw(params, missing * box.prod(), box, rng)
        if bodies is None:
            bodies, excess = settle(more, box, overlap=params.overlap)
        else:
            bodies, excess = relax(solids.join(bodies, more), box, overlap=params.overlap)
        missing = target - _union_fraction(bodies, box)
        if missing * box.prod() < 0.5 * np.pi / 6 * params.d50_um**3:
            break
    return bodies, excess


def _draw(params: Electrode, volume_um3: float, box, rng) -> Bodies:
    d = params.draw_diameters(volume_um3, rng)
    ratio = np.maximum(params.aspect * np.exp(params.aspect_sd * rng.standard_normal(len(d))), 1.0)
    if params.aspect == 1 and params.aspect_sd == 0:
        ratio = np.ones(len(d))
    ratio = np.minimum(ratio, params.aspect * np.exp(2 * params.aspect_sd))
    ratio = np.where(rng.random(len(d)) < 0.5, ratio, 1 / ratio)
    axis = solids.directions(len(d), rng)
    bump, lobe = solids.bumps(len(d), params.roughness, rng) if params.roughness else (None, None)
    return solids.spheroids(rng.uniform(0, 1, (len(d), 3)) * box, d, ratio, axis, bump=bump, lobe=lobe)


def _images(bodies: Bodies, box, low, high):
    """Return all periodic images that reach into low .. high, and which body each is an image of."""
    parts, origin = [], []
    for shift in np.ndindex(3, 3, 3):
        moved = bodies.replace(centre=bodies.centre + (np.array(shift) - 1) * box)
        near = np.flatnonzero(reaches(moved, np.broadcast_to(low, 3), np.broadcast_to(high, 3)))
        parts.append(moved[near])
        origin.append(near)
    order = np.argsort(np.concatenate(origin), kind="stable")
    return solids.join(*parts)[order], np.concatenate(origin)[order]


def _coarse(bodies: Bodies, box) -> tuple[np.ndarray, np.ndarray]:
    """Whether each voxel of a coarse grid of the periodic box is solid, and the voxel."""
    from .raster import owners

    step = np.clip(bodies.semi.min() / 2.5, (box.prod() / 4e6) ** (1 / 3), box.min() / 24)
    shape = np.ceil(box / step).astype(int)
    every, _ = _images(bodies, box, np.zeros(3), box)
    spacing = box / shape
    return owners(every, tuple(shape), spacing=spacing, origin=0.5 * spacing) != 0, spacing


def _union_fraction(bodies: Bodies, box) -> float:
    return float(_coarse(bodies, box)[0].mean())


def _place(params: Electrode, bodies: Bodies, box, rng) -> np.ndarray:
    """Return the corner of the window, of 400 drawn, whose solid fraction is nearest to the one asked for."""
    solid, spacing = _coarse(bodies, box)
    window = np.maximum(np.round(np.array(params.size_um) / spacing).astype(int), 1)
    total = np.pad(solid, [(0, w) for w in window], mode="wrap").astype(np.int32)
    for axis in range(3):
        total = np.cumsum(total, axis=axis)
    total = np.pad(total, [(1, 0)] * 3)
    corner = rng.integers(0, solid.shape, (400, 3))
    fraction = np.zeros(len(corner))
    for side in np.ndindex(2, 2, 2):
        at = corner + np.array(side) * window
        fraction += (-1) ** (3 - sum(side)) * total[at[:, 0], at[:, 1], at[:, 2]]
    fraction /= window.prod()
    target = params.solid * (1 + 0.5 * abs(params.gradient))
    return corner[np.argmin(np.abs(fraction - target))] * spacing


def _thinned(params: Electrode, bodies: Bodies, rng) -> np.ndarray:
    """Take particles out of a packing of even density, more at the thin end: a linear mean profile."""
    z = np.clip(bodies.centre[:, 0] / params.size_um[0], 0, 1)
    kept = (1 + params.gradient * (z - 0.5)) / (1 + 0.5 * abs(params.gradient))
    return np.flatnonzero(rng.random(len(bodies)) < kept)


def _neck_length(params: Electrode, bodies: Bodies, rng) -> float:
    """Return the sum of distances below which binder fills the fraction asked for: a quantile over a grid."""
    if params.binder == 0:
        return 0.0
    from .raster import bridges, owners

    size = np.array(params.size_um)
    step = (size.prod() / 3e6) ** (1 / 3)
    shape = np.ceil(size / step).astype(int)
    spacing = size / shape
    origin = spacing * rng.uniform(0, 1, 3)
    owner = owners(bodies, tuple(shape), spacing=spacing, origin=origin)
    within = 0.15 * params.d50_um
    for _ in range(6):
        near = bridges(bodies, owner, spacing=spacing, within_um=within, origin=origin)
        sums = near[np.isfinite(near)]
        wanted = int(params.binder * near.size)
        if sums.size > wanted:
            return float(np.partition(sums, wanted)[wanted])
        within *= 2
    raise InputError(
        f"`binder` {params.binder} cannot be placed as bridges between the particles; lower it or raise `solid`."
    )
