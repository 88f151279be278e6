"""The images of a campaign as a network trains on them: views, working pixels, one grey scale."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, InputWarning
from ..progress import progress
from . import _training_views as views_of
from ._process_columns import is_missing
from ._training_grey import GreyScale, as_bytes, binned, grey_scale
from .micrographs import View

if TYPE_CHECKING:
    from ..image import Image
    from ..read import Campaign

LEAST_CONDITIONS = 8
PATCH_PX = 64
ROOM = 256_000_000  # bytes of images that are kept between the two times that they are needed


@dataclass(frozen=True)
class TrainingImages:
    """The images of a campaign at their working pixels.

    Attributes
    ----------
    views : tuple of View
        The coarsest first.
    arrays : list of (h, w) uint8 array
        Sizes may differ from image to image; each is 64 px or more on both sides.
    condition : (n,) int array
        Row of `conditions` that each image is of.
    view : (n,) int array
        Place in `views`.
    conditions : tuple of str
        Every condition with an image, in the campaign's order.
    names : tuple of str
        File name of each image.
    lots : tuple of str or None
        Lot of each image, None where the campaign does not say.
    grey : mapping of str to GreyScale
        For each type of pixel that the files had, which grey levels became 0 and 255.
    warnings : tuple of str
        Sentences for the report; each was said as an InputWarning too.
    """

    views: tuple[View, ...]
    arrays: list[np.ndarray]
    condition: np.ndarray
    view: np.ndarray
    conditions: tuple[str, ...]
    names: tuple[str, ...]
    lots: tuple[str | None, ...]
    grey: Mapping[str, GreyScale] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.arrays)

    def of(self, condition: str, *, view: str) -> list[np.ndarray]:
        """Return the images of one condition in one view; none gives an empty list."""
        place = {v.name: i for i, v in enumerate(self.views)}
        if condition not in self.conditions or view not in place:
            raise InputError(
                f"there is no condition {condition!r} in view {view!r}; views are {', '.join(place)}, conditions "
                f"{', '.join(self.conditions[:8])}{', ...' if len(self.conditions) > 8 else ''}."
            )
        wanted = (self.condition == self.conditions.index(condition)) & (self.view == place[view])
        return [self.arrays[i] for i in np.flatnonzero(wanted)]


def training_images(
    campaign: Campaign, *, pixel_size: float | Mapping[str, float] | None = None, page: int | None = None,
    pixel_um: Mapping[str, float] | None = None, median_um: float | None = None, least: int = LEAST_CONDITIONS,
) -> TrainingImages:  # fmt: skip
    """Read the images of a campaign and bring each view to its working pixel.

    Parameters
    ----------
    campaign : Campaign
        As `read.campaign` returns it.
    pixel_size : float or mapping of magnification to float, optional
        Micrometres a pixel of the files, where they do not say it.
    page : int, optional
        Which image of multi-page files, from 0.
    pixel_um : mapping of view to float, optional
        Working pixels that are wanted; the nearest whole-number binning is taken.
    median_um : float, optional
        Median diameter of the particles in um. Without it, it is measured on up to 12 images of the coarsest view.
    least : int
        Conditions with images that there must be.

    Returns
    -------
    TrainingImages
        Images with fewer than 64 working pixels along an edge are left out, with an InputWarning.

    Raises
    ------
    InputError
        Fewer than `least` conditions, an image that `read.image` refuses (colours, NaN, constant, no pixel size),
        different pixel sizes within one magnification or without a column `magnification`, or no image that is
        large enough.

    Notes
    -----
    *Views* are the words of the column `magnification`; without it, groups of pixel sizes that differ by a factor of
    1.5 or more, each uniform within 5 %. *Working pixels* are whole multiples of the files' pixels and values are
    area averages. In the finest view the working pixel is the largest that keeps every wavelength of `measure.texture`
    (0.05 um); in the coarsest the median particle is 30 px across, as near as whole multiples allow; views between
    them are binned as often as the coarsest. One view alone has to serve both. *Grey levels* of uint8 stay as they
    are; those of other types are stretched so that the darkest and brightest 0.1 % of an image's pixels become 0 and
    255 at most: one line for all images, so that they stay comparable.
    """
    table = campaign.images
    _check_enough(table["condition"], least)
    said: list[str] = []
    load = _Loader(campaign, pixel_size, page)
    views, place, factor = _plan(table, load, dict(pixel_um or {}), median_um, said)
    raw = [binned(load(i).array, k) for i, k in enumerate(progress(factor, label="binning"))]
    kept = _large_enough(load.names, raw, place, views, said)
    table = table.iloc[kept]
    names = _check_enough(table["condition"], least, lost=len(raw) - len(kept))
    condition = np.array([names.index(c) for c in table["condition"]], int)
    said += _gaps(condition, place[kept], names, views)
    scale = {kind: grey_scale([raw[i] for i in kept if load.kinds[i] == kind]) for kind in sorted(set(load.kinds))}
    if len(scale) > 1:
        said.append(
            f"the images are of several types ({', '.join(scale)}), each stretched by itself; export them alike."
        )
    for sentence in said:
        warnings.warn(sentence, InputWarning, stacklevel=2)
    return TrainingImages(
        views=views,
        arrays=[as_bytes(raw[i], scale[load.kinds[i]]) for i in kept],
        condition=condition,
        view=place[kept],
        conditions=names,
        names=tuple(p.name for p in table["path"]),
        lots=tuple(_words(table, "lot")),
        grey=scale,
        warnings=tuple(said),
    )


class _Loader:
    """The images of a campaign, read once where there is room for them and again where there is none."""

    def __init__(self, campaign, pixel_size, page):
        from ..read import image

        self.paths = list(campaign.images["path"])
        self.names = [p.name for p in self.paths]
        self.read = partial(image, page=page)
        self.pixel_sizes = _pixel_sizes(campaign.images, pixel_size)
        self.kept: dict[int, Image] = {}
        self.room = ROOM
        self.kinds: list[str] = []  # type of pixel of each image

    def __call__(self, i: int) -> Image:
        if i in self.kept:
            return self.kept[i]
        return self.read(self.paths[i], pixel_size=self.pixel_sizes[i])

    def survey(self) -> tuple[np.ndarray, np.ndarray]:
        """Return pixel size in um (n,) and shorter side in pixels (n,) of every image."""
        pixel, side = np.empty(len(self.paths)), np.empty(len(self.paths), int)
        for i in progress(range(len(self.paths)), label="reading"):
            image = self(i)
            y, x = image.spacing
            if max(y, x) > views_of.AGREE * min(y, x):
                raise InputError(
                    f"{self.names[i]} has pixels of {y:.4g} x {x:.4g} um, which are not square; resample it first."
                )
            pixel[i], side[i] = np.sqrt(y * x), min(image.shape)
            self.kinds.append(str(image.array.dtype))
            if image.array.nbytes <= self.room:
                self.room -= image.array.nbytes
                self.kept[i] = image
        return pixel, side


def _words(table, column):
    """Return a column's words, None where there are none; pandas may have made them NaN."""
    values = table[column].tolist() if column in table else [None] * len(table)
    return [None if is_missing(x) else str(x) for x in values]


def _pixel_sizes(table, given):
    """Return the pixel size that the user gives each image, None where the file is to say it."""
    if not isinstance(given, Mapping):
        return [given] * len(table)
    words = _words(table, "magnification")
    unknown = [name for name in given if name not in words]
    if unknown:
        has = ", ".join(dict.fromkeys(w for w in words if w)) or "no column `magnification`"
        raise InputError(f"`pixel_size` names the magnification {unknown[0]!r}; the campaign has {has}.")
    return [given.get(word) for word in words]


def _plan(table, load, wanted, median_um, said):
    """Return the views, the place of each image among them (n,), and its binning (n,)."""
    pixel, side = load.survey()
    column = _words(table, "magnification") if "magnification" in table else None
    names, place = views_of.group(load.names, column, pixel, said)
    views_of.check_wanted(wanted, names)
    if median_um is None and names[0] not in wanted:
        median_um = views_of.median_particle(load, np.flatnonzero(place == 0), said)
    groups = [np.flatnonzero(place == k) for k in range(len(names))]
    native = [float(np.median(pixel[g])) for g in groups]
    sides = [int(np.median(side[g])) for g in groups]
    asked = [wanted.get(name) for name in names]
    typical = views_of.binning(native, side=sides, patch=PATCH_PX, wanted=asked, median_um=median_um)
    views, factor = [], np.ones(len(pixel), int)
    for k, (name, group) in enumerate(zip(names, groups, strict=True)):
        target = native[k] * typical[k]
        factor[group] = views_of.factors([load.names[i] for i in group], pixel[group], target, view=name, said=said)
        views.append(View(name, target, views_of.measures_of(k, len(names), target, said)))
    said += views_of.particle_note(views[0].pixel_um, median_um)
    return tuple(views), place, factor


def _check_enough(conditions, least, *, lost=0):
    names = tuple(dict.fromkeys(conditions))
    if len(names) < least:
        small = f"{lost} image(s) smaller than {PATCH_PX} x {PATCH_PX} working pixels were left out"
        raise InputError(
            f"learning from a campaign needs images of {least} conditions or more, got {len(names)}"
            f"{f' after {small}' if lost else ''}; with fewer, no trend can be told from chance."
        )
    return names


def _large_enough(names, raw, place, views, said):
    """Return which images have a patch's size."""
    large = np.array([min(a.shape) >= PATCH_PX for a in raw])
    for k, view in enumerate(views):
        if not large[place == k].any():
            i = int(np.flatnonzero(place == k)[0])
            raise InputError(
                f"every image of view {view.name} is smaller than a patch of {PATCH_PX} x {PATCH_PX} pixels, such as "
                f"{names[i]} with {raw[i].shape[0]} x {raw[i].shape[1]}; give larger images."
            )
    small = np.flatnonzero(~large)
    if len(small):
        said.append(
            f"{len(small)} image(s) are smaller than {PATCH_PX} x {PATCH_PX} working pixels and are left out, first "
            f"{names[small[0]]}."
        )
    return np.flatnonzero(large)


def _gaps(condition, view, names, views):
    """Say which views some conditions have no image of."""
    said = []
    for k, v in enumerate(views):
        without = [name for i, name in enumerate(names) if not ((condition == i) & (view == k)).any()]
        if without:
            said.append(
                f"{len(without)} of {len(names)} conditions have no image in view {v.name}, first {without[0]}."
            )
    return said
