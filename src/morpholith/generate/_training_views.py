"""Which images are one view, and the working pixel of each view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from ..image import Image

TEXTURE = ("texture_mean",)
SHAPE = ("d50_um", "circularity_mean", "circularity_sd")
AGREE = 1.05  # ratio of pixel sizes that are one view
RESCANNED = 2.1  # ratio within one magnification that may be a finer scan of the same field
APART = 1.5  # ratio of pixel sizes that are clearly two magnifications
PARTICLE_PX = 30.0  # across the median particle, in the coarsest view
LEAST_PX, MOST_PX = 20.0, 40.0
SAMPLE, CROP = 12, 1024  # images that are measured for it, and pixels of their middle
SIZE_PX, LEAST_PARTICLES = 6.0, 10


def group(
    names: Sequence[str], magnification: Sequence[str | None] | None, pixel: np.ndarray, said: list[str]
) -> tuple[list[str], np.ndarray]:
    """Return the views' names, the coarsest first, and the place of each image among them.

    Parameters
    ----------
    names : sequence of str
        Of the images, for messages.
    magnification : sequence of str or None
        The campaign's column.
    pixel : (n,) array
        Pixel sizes in um.
    said : list of str
        Grows by what the report should say.
    """
    if magnification is None:
        return _by_pixel(pixel, said)
    empty = [name for name, word in zip(names, magnification, strict=True) if word is None]
    if empty:
        raise InputError(f"{empty[0]} has no magnification ({len(empty)} such); fill in that column of the table.")
    words = np.array([str(w) for w in magnification], object)
    size = {word: float(np.median(pixel[words == word])) for word in dict.fromkeys(words)}
    order = sorted(size, key=lambda word: -size[word])
    for a, b in pairwise(order):
        if size[a] < AGREE * size[b]:
            said.append(f"magnifications {a!r} and {b!r} have the same pixel size ({size[a]:.4g} um): are they one?")
    return order, np.array([order.index(w) for w in words], int)


def _by_pixel(pixel, said):
    order = np.argsort(-pixel, kind="stable")
    steps = pixel[order][:-1] / pixel[order][1:] >= APART
    place = np.empty(len(pixel), int)
    place[order] = np.concatenate([[0], np.cumsum(steps)])
    for k in range(place.max() + 1):
        of_it = pixel[place == k]
        if of_it.max() > AGREE * of_it.min():
            raise InputError(
                f"the images have pixels of {pixel.min():.4g} to {pixel.max():.4g} um and it is not clear which belong "
                f"together; give the campaign's table a column `magnification`."
            )
    views = [f"{np.median(pixel[place == k]):.4g} um" for k in range(place.max() + 1)]
    if len(views) > 1:
        said.append(
            f"the campaign has no column `magnification`; its {len(views)} pixel sizes ({', '.join(views)}) are taken "
            f"for as many views."
        )
    return views, place


def measures_of(view: int, n_views: int, pixel_um: float, said: list[str]) -> tuple[str, ...]:
    """Return the descriptors that a view gives: texture the finest, if its pixel resolves it; shape the coarsest."""
    from ..measure import Bands

    found = SHAPE if view == 0 else ()
    if view == n_views - 1:
        if pixel_um <= Bands().pixel_um * (1 + 1e-6):
            return (*TEXTURE, *found)
        said.append(
            f"texture is not learnt: its finest band needs pixels of {Bands().pixel_um:g} um or less, and those of the "
            f"finest view are {pixel_um:.3g} um."
        )
    return found


def binning(
    native: Sequence[float], *, side: Sequence[int], patch: int, wanted: Sequence[float | None], median_um: float | None
) -> list[int]:
    """Return for each view how many pixels are averaged along an edge.

    Parameters
    ----------
    native : sequence of float
        Pixel of each view in um, the coarsest first.
    side : sequence of int
        The shorter side of a typical image of each view, which keeps `patch` working pixels or more.
    wanted : sequence of float or None
        Working pixels in um that the user wants.
    median_um : float or None
        Median particle.
    """
    from ..measure import Bands

    last = len(native) - 1
    finest = int(Bands().pixel_um * (1 + 1e-6) / native[last])
    first = 1 if median_um is None else max(1, round(median_um / (PARTICLE_PX * native[0])))
    if last == 0 and finest:
        first = min(first, finest)
    best = [first] * last + [max(1, finest) if last else first]
    asked = [k if w is None else max(1, round(w / p)) for k, w, p in zip(best, wanted, native, strict=True)]
    return [min(k, max(1, n // patch)) for k, n in zip(asked, side, strict=True)]


def factors(
    names: Sequence[str], pixel: np.ndarray, target: float, *, view: str, said: list[str]
) -> list[int]:  # fmt: skip
    """Return the binning of each image of a view, whose working pixel is to be `target` um.

    Raises
    ------
    InputError
        An image's pixel is no whole fraction of the working pixel within 5 %, or is of another magnification.
    """
    native = float(np.median(pixel))
    found = [max(1, round(target / p)) for p in pixel]
    for name, p, k in zip(names, pixel, found, strict=True):
        ratio = max(p / native, native / p)
        if ratio > RESCANNED or max(k * p / target, target / (k * p)) > AGREE:
            raise InputError(
                f"{name} has pixels of {p:.4g} um, but others of magnification {view!r} have {native:.4g} um; "
                f"correct its magnification in the table, or its pixel size."
            )
    worst = max(abs(k * p / target - 1) for p, k in zip(pixel, found, strict=True))
    if worst > 0.005:
        said.append(f"pixel sizes within view {view} differ by up to {worst:.1%} and are taken for {target:.4g} um.")
    return found


def median_particle(load: Callable[[int], Image], images: Iterable[int], said: list[str]) -> float | None:
    """Return the median diameter in um, by projected area, of the particles in up to 12 of `images`; None without."""
    from ..segment import particles

    there = list(images)
    chosen = [there[i] for i in np.unique(np.linspace(0, len(there) - 1, SAMPLE).round().astype(int))]
    areas = []
    for i in chosen:
        image = load(i)
        middle = tuple(slice((n - CROP) // 2, (n + CROP) // 2) if n > CROP else slice(None) for n in image.shape)
        spacing = (image.spacing[0], image.spacing[1])
        labels = particles(image.array[middle], spacing=spacing, method="classical").labels
        edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        area = np.bincount(labels.ravel())
        area[np.unique(edges)] = 0
        area[0] = 0
        areas.append(area[area > SIZE_PX**2] * spacing[0] * spacing[1])
    area = np.sort(np.concatenate(areas))
    if len(area) < LEAST_PARTICLES:
        said.append(
            f"{len(area)} whole particles were found in {len(chosen)} images of the coarsest view, too few to choose a "
            f"working pixel: the files' own is kept."
        )
        return None
    half = int(np.searchsorted(np.cumsum(area), area.sum() / 2))
    return float(2 * np.sqrt(area[half] / np.pi))


def particle_note(pixel_um: float, median_um: float | None) -> list[str]:
    """Say where the median particle is not 20 to 40 working pixels across in the coarsest view."""
    if median_um is None or LEAST_PX <= median_um / pixel_um <= MOST_PX:
        return []
    return [
        f"the median particle is {median_um / pixel_um:.0f} working pixels across in the coarsest view, where 20 to 40 "
        f"are best."
    ]


def check_wanted(wanted: Mapping[str, float], views: Sequence[str]) -> None:
    """Refuse working pixels of views that are not there, or that are no lengths."""
    for name, value in wanted.items():
        if name not in views:
            raise InputError(f"`pixel_um` names the view {name!r}; there are {', '.join(views)}.")
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"`pixel_um` of {name!r} must be a positive length in um, got {value!r}.")
