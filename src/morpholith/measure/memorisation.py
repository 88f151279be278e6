"""Whether a generator returns its training images: patches that it draws against patches of images it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..image import Quantity
from ._patch_search import Place, nearest_images, turned

if TYPE_CHECKING:
    import pandas as pd

PATCH_PX = 48
NEXT = 10  # images after the nearest one, that say how near a patch lies to any image
TAIL = 0.05  # of held-out patches, nearest ones
DIM = 0.5  # of the median contrast: patches with less are background and match anything
FEWEST_IMAGES, FEWEST_PATCHES = 5, 40
MOST_PATCHES = 500  # more cost time and tell little
ALARM = 0.01
N_BOOT = 2000
SHOWN = 6

NONE, COPIES, UNKNOWN = "no sign of copying", "copies its training images", "cannot be said"


@dataclass(frozen=True)
class Memorisation:
    """What a comparison of drawn and held-out patches says.

    Attributes
    ----------
    verdict : str
        ``"no sign of copying"``, ``"copies its training images"`` or ``"cannot be said"``.
    sentence : str
        The verdict with its numbers.
    copied : Quantity
        Share of drawn patches that are copies, 0 to 1.
    share : Quantity
        Share of drawn patches whose relative distance is below the 5th percentile of that of held-out patches.
    expected : float
        That share for a generator that copies nothing.
    nearer : Quantity
        As `share`, with the plain distance: high without copying where drawn images are smoother than real ones.
    beyond : int
        Drawn images with a patch of less relative distance than every held-out patch.
    drawn, held_out : DataFrame
        One row a patch: `image` it is of, `row` and `column` of its corner, `distance` to the nearest training patch,
        `next_distance` (mean to the nearest patches of the next ten images), `relative` (their ratio), `training` image
        and `training_row`, `training_column` of the nearest patch.
    pairs : list of (patch, patch)
        Drawn patches of the least relative distance, each with its nearest training patch, turned alike; uint8 or as
        the images came.
    """

    verdict: str
    sentence: str
    copied: Quantity
    share: Quantity
    expected: float
    nearer: Quantity
    beyond: int
    drawn: pd.DataFrame
    held_out: pd.DataFrame
    pairs: list[tuple[np.ndarray, np.ndarray]] = field(repr=False, default_factory=list)


def memorisation(
    drawn: Sequence[np.ndarray],
    training: Sequence[np.ndarray],
    *,
    held_out: Sequence[np.ndarray] | None = None,
    per_condition: int | None = None,
    patch_px: int = PATCH_PX,
    patches: int = 4,
    rng: np.random.Generator | int = 0,
) -> Memorisation:
    r"""Compare how near drawn patches lie to training images with how near patches of unseen real images do.

    Parameters
    ----------
    drawn : sequence of (h, w) arrays
        Images of one view, drawn for the conditions of the training images in equal shares.
    training : sequence of (h, w) arrays
        Every image of that view that the generator was trained on.
    held_out : sequence of (h, w) arrays, optional
        Real images of the same conditions that it was not trained on. Without them, patches of the training images are
        compared with all training images but their own.
    per_condition : int, optional
        Training images of a condition. Without `held_out` a patch has one image of its own condition less to be near
        to than a drawn one, which raises the expected share by n / (n - 1).
    patch_px : int
        Edge of a patch: what a copy must reach to be noticed.
    patches : int
        Of each image, at random places that are not background; a random 500 of the drawn ones, and of the real ones,
        where there are more.
    rng : Generator or int

    Returns
    -------
    Memorisation
        With fewer than 5 drawn or real images, or 40 patches of either, the verdict is ``"cannot be said"``.

    Raises
    ------
    InputError
        Images smaller than a patch, fewer than three training images, or all of one grey.

    Notes
    -----
    Two patches are compared by the mean of two normalised correlations: of grey levels between about 4 and 40 px
    wavelength, and of the strength of edges; brightness, contrast and noise do not count, and a patch may be turned,
    mirrored and shifted anywhere over the training image. With $c_j$ the best of image j and $d_j = \sqrt{2 - 2 c_j}$,
    the relative distance is $\min_j d_j$ over the mean of the ten next smallest (as Carlini et al., USENIX Security
    2023, scale the distance by that to a neighbourhood): a copy is near to one image and not to others, while a plain
    patch is near to all. The share $s$ of drawn patches in the lowest 5 % of held-out ones gives the share of copies,
    $(s - s_0)/(1 - s_0)$; its interval is a bootstrap over drawn and over real images.
    """
    drawn, training = _images(drawn, "drawn", patch_px), _images(training, "training", patch_px)
    if len(training) < 3:
        raise InputError(f"copying can be told with three training images or more, got {len(training)}.")
    rng = np.random.default_rng(rng)
    least = DIM * _contrast(training, patch_px, rng)
    unseen = training if held_out is None else _images(held_out, "held-out", patch_px)
    ours = _places(drawn, patch_px, patches, least, rng)
    theirs = _places(unseen, patch_px, patches, least, rng)
    near = nearest_images(drawn, ours, training, patch_px=patch_px, count=NEXT + 1)
    base = nearest_images(
        unseen, theirs, training, patch_px=patch_px, count=NEXT + 1, own=held_out is None
    )  # fmt: skip
    one, two = _table(ours, near), _table(theirs, base)
    extra = per_condition / (per_condition - 1) if held_out is None and per_condition and per_condition > 1 else 1.0
    return _judged(one, two, TAIL * extra, _pairs(drawn, training, one, near, patch_px), rng)


def _judged(drawn, real, expected, pairs, rng):
    enough = all(t["image"].nunique() >= FEWEST_IMAGES and len(t) >= FEWEST_PATCHES for t in (drawn, real))
    n_drawn = len(drawn)
    nothing = Quantity(np.nan, n=n_drawn, method="share of drawn patches")
    if not enough:
        sentence = (
            f"Whether training images are copied cannot be said: {drawn['image'].nunique()} drawn and "
            f"{real['image'].nunique()} real images gave {n_drawn} and {len(real)} patches with contrast, and "
            f"{FEWEST_IMAGES} images with {FEWEST_PATCHES} patches of each are needed."
        )
        return Memorisation(UNKNOWN, sentence, nothing, nothing, expected, nothing, 0, drawn, real, pairs)
    share, chance = _share(drawn, real, "relative", expected, rng)
    nearer, _ = _share(drawn, real, "distance", expected, rng)
    beyond = int(drawn.loc[drawn["relative"] < real["relative"].min(), "image"].nunique())
    images = drawn["image"].nunique(), real["image"].nunique()
    # of images in random order, that the nearest `beyond` are all drawn ones
    outliers = (images[0] / sum(images)) ** beyond
    value, low, high = (float(np.clip((s - expected) / (1 - expected), 0, 1)) for s in
                        (share.value, share.low, share.high))  # fmt: skip
    copied = Quantity(value, low, high, n=n_drawn, method="share beyond what held-out patches give")
    verdict = COPIES if min(chance, outliers) < ALARM else NONE
    sentence = (
        f"{verdict[0].upper()}{verdict[1:]}: {share.value:.1%} [{share.low:.1%}, {share.high:.1%}] of drawn patches "
        f"lie as near to one training image as the nearest {TAIL:.0%} of unseen real patches do, where {expected:.1%} "
        f"are expected; {beyond} of {images[0]} drawn images have a patch nearer than any unseen one. Copies make up "
        f"{value:.1%} [{low:.1%}, {high:.1%}] of what is drawn."
    )
    return Memorisation(verdict, sentence, copied, share, expected, nearer, beyond, drawn, real, pairs)


def _share(drawn, real, column, expected, rng):
    """Share of drawn patches below the 5th percentile of real ones, and the chance that it is no more than expected."""
    value = float((drawn[column] < np.quantile(real[column], TAIL)).mean())
    groups = [[g.to_numpy() for _, g in t.groupby("image")[column]] for t in (drawn, real)]
    boot = np.empty(N_BOOT)
    for b in range(N_BOOT):
        one, two = (np.concatenate([g[i] for i in rng.integers(0, len(g), len(g))]) for g in groups)
        boot[b] = (one < np.quantile(two, TAIL)).mean()
    low, high = np.quantile(boot, [0.025, 0.975])
    n_images = len(groups[0])
    method = f"patches of {n_images} drawn and {len(groups[1])} real images; bootstrap over images"
    chance = float((np.sum(boot <= expected) + 1) / (N_BOOT + 1))
    return Quantity(value, min(low, value), max(high, value), n=len(drawn), method=method), chance


def _images(given, what, patch_px):
    images = [np.asarray(a) for a in given]
    for a in images:
        if a.ndim != 2 or min(a.shape) < patch_px:
            raise InputError(f"{what} images must be (h, w) arrays of {patch_px} px or more an edge, got {a.shape}.")
    return images


def _contrast(images, patch_px, rng):
    """Median standard deviation of random patches."""
    found = [cut(a, place, patch_px).std() for a in images for place in _corners(a, patch_px, 8, rng)]
    middle = float(np.median([s for s in found if s > 0] or [0.0]))
    if middle == 0:
        raise InputError("the training images are all of one grey; give micrographs.")
    return middle


def _corners(image, patch_px, count, rng):
    ends = [n - patch_px + 1 for n in image.shape]
    return np.stack([rng.integers(0, e, count) for e in ends], axis=1)


def _places(images, patch_px, patches, least, rng):
    """Return up to `patches` places of each image that are not background."""
    found = []
    for k, image in enumerate(images):
        tried = _corners(image, patch_px, 4 * patches, rng)
        good = [c for c in tried if cut(image, c, patch_px).std() >= least]
        found += [Place(k, int(r), int(c)) for r, c in good[:patches]]
    if len(found) <= MOST_PATCHES:
        return found
    return [found[i] for i in np.sort(rng.choice(len(found), MOST_PATCHES, replace=False))]


def cut(image: np.ndarray, corner: Sequence[int], edge: int) -> np.ndarray:
    """Return the (edge, edge) patch of an image at a corner (row, column)."""
    return image[corner[0] : corner[0] + edge, corner[1] : corner[1] + edge]


def _table(places, near):
    """One row a patch from the matches of `nearest_images`."""
    import pandas as pd

    following = near.distance[:, 1:].mean(axis=1) if near.distance.shape[1] > 1 else np.full(len(places), np.nan)
    first = near.distance[:, 0] if len(places) else np.empty(0)
    return pd.DataFrame(
        {
            "image": [p.image for p in places],
            "row": [p.row for p in places],
            "column": [p.column for p in places],
            "distance": first,
            "next_distance": following,
            "relative": first / np.maximum(following, 1e-12),
            "training": near.image[:, 0],
            "training_row": near.row[:, 0],
            "training_column": near.column[:, 0],
        }
    )


def _pairs(drawn, training, table, near, patch_px):
    """Drawn patches of the least relative distance, each from another image, beside the training patches."""
    first = table.sort_values("relative", kind="stable").drop_duplicates("image").index[:SHOWN]
    pairs = []
    for i in first:
        t = table.loc[i]
        mine = cut(drawn[int(t["image"])], (int(t["row"]), int(t["column"])), patch_px)
        match = cut(training[int(t["training"])], (int(t["training_row"]), int(t["training_column"])), patch_px)
        pairs.append((turned(mine, int(near.turn[i, 0])), match))
    return pairs
