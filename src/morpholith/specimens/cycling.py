"""The same electrode after cycling: every particle swollen and moved by a known amount."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import InputError
from . import solids
from .assembly import Packing
from .solids import Bodies

WAVES = 4  # of the smooth displacement field, along each direction


def cycled(
    packing: Packing,
    *,
    expansion: float = 0.07,
    expansion_sd: float = 0.02,
    rotation_deg: float = 1.5,
    shift_um: tuple[float, float, float] = (0.8, -0.5, 0.6),
    strain: tuple[float, float, float] = (0.01, 0.0, 0.0),
    wobble_um: float = 0.15,
    crack_fraction: float = 0.0,
    lost: float = 0.0,
    new: float = 0.0,
    rng=0,
) -> Packing:
    """Return an electrode after cycling, in which every particle keeps its label.

    Parameters
    ----------
    packing : Packing
        Before. Not changed.
    expansion, expansion_sd : float
        Mean and standard deviation, over particles, of the change of volume over the volume before.
    rotation_deg : float
        Turn of the whole electrode about an axis through its middle, drawn at random: how the second mount differs.
    shift_um : (float, float, float)
        Shift (z, y, x) of the whole electrode.
    strain : (float, float, float)
        Change of length of the electrode along z, y, x over the length before: centres move apart.
    wobble_um : float
        Root mean square (each direction) of a further smooth displacement, with wavelengths of 0.8 to 2 times the
        specimen.
    crack_fraction : float
        Share of the particles without a crack in which one opens, of the `crack_width_um` and `crack_extent` of the
        electrode's parameters.
    lost : float
        Share of the particles that are gone.
    new : float
        New particles that appear in the pores, over the number before; small, since they must fit.
    rng : Generator or int

    Returns
    -------
    Packing
        Same frame and size. `particles` has the further columns ``expansion`` (volume after over before, less 1;
        NaN for new ones), ``dz_um, dy_um, dx_um`` (displacement of the centre; NaN for new ones). Particles moved
        in from outside the faces come with labels that the first image does not show; new ones with the highest.

    Notes
    -----
    p' = c + T + Q (I + E) (p - c) + w(p), Q the rotation, E the diagonal strain, w the smooth field; orientations turn
    with Q. Binder bridges what is close after the motion, with the length before, so its fraction changes.
    """
    rng = np.random.default_rng(rng)
    for name, value in (("crack_fraction", crack_fraction), ("lost", lost), ("new", new)):
        if not 0 <= value <= 1:
            raise InputError(f"`{name}` must lie in 0 .. 1, got {value!r}.")
    if expansion - 4 * expansion_sd <= -1 or expansion_sd < 0:
        raise InputError(f"`expansion` {expansion} with SD {expansion_sd} would leave particles without volume.")
    before, size = packing.bodies, np.array(packing.size_um)
    growth = 1 + _same_for_images(expansion + expansion_sd * rng.standard_normal(len(before)), packing.origin)
    turn = _rotation(rotation_deg, rng)
    middle = 0.5 * size
    centre = (before.centre - middle) * (1 + np.asarray(strain, float)) @ turn.T
    centre += middle + np.asarray(shift_um, float) + _field(before.centre, size, wobble_um, rng)
    crack = before.crack.copy()
    crack[:, :3] = crack[:, :3] @ turn.T * np.cbrt(growth)[:, None]
    crack[:, 3:6] = crack[:, 3:6] @ turn.T
    crack[:, 6:] *= np.cbrt(growth)[:, None]
    bodies = before.replace(
        centre=centre, semi=before.semi * np.cbrt(growth)[:, None], rotation=before.rotation @ turn.T, crack=crack
    )
    bodies = _opened(packing, bodies, crack_fraction, rng)
    keep = np.flatnonzero(rng.random(len(bodies)) >= lost)
    move = centre - before.centre
    extra = {"expansion": growth - 1, "dz_um": move[:, 0], "dy_um": move[:, 1], "dx_um": move[:, 2]}
    after = replace(
        packing, bodies=bodies[keep], label=packing.label[keep], origin=packing.origin[keep],
        growth=packing.growth * float(np.median(np.cbrt(growth))),
        extra={k: v[keep] for k, v in {**packing.extra, **extra}.items()},
    )  # fmt: skip
    return _with_new(after, round(new * len(before)), int(packing.label.max(initial=0)), rng)


def _same_for_images(values: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Give periodic images of one particle one value."""
    _, first, back = np.unique(origin, return_index=True, return_inverse=True)
    return values[first][back]


def _rotation(angle_deg: float, rng) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.deg2rad(angle_deg) * solids.directions(1, rng)[0]).as_matrix()


def _field(points, size, rms_um, rng) -> np.ndarray:
    """Smooth displacements (n, 3): plane waves of random direction and phase."""
    move = np.zeros_like(points)
    for axis in range(3):
        waves = solids.directions(WAVES, rng) / (rng.uniform(0.8, 2, (WAVES, 1)) * size)
        phase = rng.uniform(0, 2 * np.pi, WAVES)
        move[:, axis] = np.sqrt(2 / WAVES) * np.sin(2 * np.pi * points @ waves.T + phase).sum(1)
    return rms_um * move


def _opened(packing: Packing, bodies: Bodies, share: float, rng) -> Bodies:
    whole = np.flatnonzero(bodies.crack[:, 7] == 0)
    hit = whole[rng.random(len(whole)) < share]
    p = packing.params
    return solids.with_cracks(bodies, hit, width_um=p.crack_width_um, extent=p.crack_extent, rng=rng)


def _with_new(packing: Packing, n: int, last_label: int, rng) -> Packing:
    """Put up to `n` spheres into the widest of the random places tried, each as large as fits and was drawn."""
    if n == 0:
        return packing
    b, size = packing.bodies, np.array(packing.size_um)
    place, radius = np.zeros((0, 3)), np.zeros(0)
    wanted = 0.5 * packing.params.d50_um * packing.params.geometric_sd ** rng.standard_normal(n)
    for r in wanted:
        tried = rng.uniform(0, 1, (400, 3)) * size
        # the sphere about the longest axis leaves the room that surely is free
        old = (np.linalg.norm(tried[:, None] - b.centre, axis=2) - (b.semi.max(1) * (1 + b.rise))).min(1)
        own = (np.linalg.norm(tried[:, None] - place, axis=2) - radius).min(1, initial=np.inf)
        room = np.minimum(old, own)
        best = int(np.argmax(room))
        if room[best] > 0.1 * packing.params.d50_um:
            place, radius = np.vstack([place, tried[best]]), np.append(radius, min(r, room[best]))
    spheres = solids.spheroids(place, 2 * radius, 1.0, np.tile([1.0, 0, 0], (len(place), 1)))
    more = len(place)
    return replace(
        packing,
        bodies=solids.join(b, spheres),
        label=np.concatenate([packing.label, last_label + 1 + np.arange(more)]),
        origin=np.concatenate([packing.origin, packing.origin.max(initial=-1) + 1 + np.arange(more)]),
        extra={k: np.concatenate([v, np.full(more, np.nan)]) for k, v in packing.extra.items()},
    )
