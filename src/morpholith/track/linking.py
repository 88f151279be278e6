"""Who is who from frame to frame: detections of a deforming monolayer linked into particles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ._link_frames import Rules, Tracks, follow
from ._link_looks import patches
from ._link_tracks import filled, numbered, only_particles, stitched, strays

if TYPE_CHECKING:
    import pandas as pd

MEASURED, PREDICTED, MERGED, OUTSIDE = "measured", "predicted", "merged", "outside"
STATUS = (MEASURED, PREDICTED, MERGED, OUTSIDE)
NEEDED = ("y_px", "x_px", "area_px")


def detections(labels: ArrayLike) -> pd.DataFrame:
    """Return where the particles of one frame are, as `link` wants them.

    Parameters
    ----------
    labels : (y, x) int array
        0 is background.

    Returns
    -------
    DataFrame
        One row a label, ascending: ``label``, ``y_px``, ``x_px`` (centre of mass of the region, not of its grey
        values, which follow the chemistry), ``area_px``, ``touches_edge``. No rows for an empty frame.
    """
    import pandas as pd

    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "uib":
        raise InputError(f"labels must be whole numbers over (y, x); these are {labels.dtype} of {labels.ndim} axes.")
    y, x = np.nonzero(labels)
    value = labels[y, x].astype(np.int64)
    count = np.bincount(value) if len(value) and 0 <= value.min() and value.max() < labels.size else None
    if count is None:
        name, row = np.unique(value, return_inverse=True)
    else:  # small numbers need no sorting
        name = np.flatnonzero(count)
        row = (np.cumsum(count > 0) - 1)[value]
    area = np.bincount(row, minlength=len(name))
    edge = (y == 0) | (x == 0) | (y == labels.shape[0] - 1) | (x == labels.shape[1] - 1)
    return pd.DataFrame(
        {
            "label": name,
            "y_px": np.bincount(row, y, len(name)) / np.maximum(area, 1),
            "x_px": np.bincount(row, x, len(name)) / np.maximum(area, 1),
            "area_px": area.astype(float),
            "touches_edge": np.bincount(row, edge, len(name)) > 0,
        }
    )


def link(
    frames: Sequence[pd.DataFrame] | pd.DataFrame,
    *,
    images: Sequence[ArrayLike] | None = None,
    shape: tuple[int, int] | None = None,
    max_shift_px: float | None = None,
    min_frames: int = 5,
    min_share: float = 0.25,
    n_frames: int | None = None,
) -> pd.DataFrame:
    r"""Link the detections of all frames into particles, and carry each through the frames where it is not found.

    Parameters
    ----------
    frames : sequence of DataFrame, or DataFrame with a column ``frame``
        The detections of each frame: ``y_px``, ``x_px``, ``area_px``, and ``touches_edge`` where known (see
        `detections`). A frame may have none.
    images : sequence of (y, x) array, optional
        The frames themselves (a lazy stack will do: each is read once). Where two
        candidates compete, the one that looks more alike by SSIM is preferred.
    shape : (int, int), optional
        Size of the field; particles carried beyond it have the status "outside".
    max_shift_px : float, optional
        Largest global jump between neighbouring frames. Half of the usual spacing of the particles, at least 30,
        unless given.
    min_frames : int
        What is seen in fewer frames is noise (half of the frames where there are fewer than twice as many).
    min_share : float
        What is seen in a smaller share of the frames from its first to its last sighting is noise too, as is what
        is seen no more often than chance puts stray detections into its reach.
    n_frames : int, optional
        Number of frames where `frames` is one table: trailing frames without detection are not in it.

    Returns
    -------
    DataFrame
        One row a particle and frame, by frame, then particle: ``frame``, ``particle`` (from 1, by its first
        measured position: y, then x), ``detection`` (row in that frame's table; -1 where none), ``y_px``,
        ``x_px``, ``area_px`` (NaN where none), ``status``: "measured"; "predicted" (position carried with the
        motion of the others and bent so that it meets the next measurement); "merged" (in one region with
        another particle: position as predicted); "outside". Detections that are in no row are noise.

    Raises
    ------
    InputError
        A table lacks a column, or holds positions that are not finite or areas that are not positive.

    Notes
    -----
    Between two frames: the global shift is voted for by all pairs of old and new positions; a motion field is
    read from the linked neighbours, never from the particle itself (local straight-line trend); then

    .. math:: C_{ij} = |x_j - \hat x_i|^2 / \sigma_i^2 + (\ln(A_j/A_i) / 0.35)^2 + w (\max_k S_{ik} - S_{ij})

    is assigned optimally (scipy's linear_sum_assignment) with births and deaths at the price of the gate.
    :math:`\sigma_i` follows the scatter that is seen and grows with the frames a particle was missed. Frames are
    followed from the longest quiet run forwards, then all backwards, then all forwards with the particles found.
    """
    tables = _tables(frames, n_frames)
    quorum = min(min_frames, max(1, (len(tables) + 1) // 2))
    rules = Rules.of(tables, max_shift_px=max_shift_px, quorum=quorum, share=min_share)
    if rules is None:
        return _empty()
    _look_at(tables, images, rules)
    detection, merged = _passes(tables, rules, quorum)
    if detection.shape[1] == 0:
        return _empty()
    position, area = filled(tables, detection)
    order = numbered(position, detection)
    return _rows(position[:, order], area[:, order], detection[:, order], merged[:, order], shape)


def link_scans(
    scans: Sequence[pd.DataFrame], *, images: Sequence[ArrayLike] | None = None, max_shift_px: float | None = None
) -> pd.DataFrame:
    """Find the same particles in several scans: `link` with one table a scan and room for what moved in between.

    Parameters
    ----------
    scans : sequence of DataFrame
        The particles of each scan: ``y_px``, ``x_px``, ``area_px``, as their means over the scan.
    images : sequence of (y, x) array, optional
        One picture a scan, such as the frame of best contrast.
    max_shift_px : float, optional
        Twice the usual spacing of the particles, at least 60, unless given: a cell is put back by hand.

    Returns
    -------
    DataFrame
        As of `link` with ``scan`` for ``frame``; ``detection`` is the row in the table of the scan, and every
        row of every scan has a particle, be it seen once.
    """
    tables = _tables(scans, None)
    rules = Rules.of(tables, max_shift_px=max_shift_px, quorum=1, reach=2.0, least=60.0)
    if rules is None:
        return _empty().rename(columns={"frame": "scan"})
    _look_at(tables, images, rules)
    detection, merged = _passes(tables, rules, 1)
    position, area = filled(tables, detection)
    order = numbered(position, detection)
    rows = _rows(position[:, order], area[:, order], detection[:, order], merged[:, order], None)
    return rows.rename(columns={"frame": "scan"})


def as_array(links: pd.DataFrame, *, gaps: bool = True) -> np.ndarray:
    """Return the positions of `link` as a (particle, frame, 2) array; what was not measured is NaN unless `gaps`."""
    axis = "scan" if "scan" in links.columns else "frame"
    n, count = (int(links["particle"].max()), int(links[axis].max()) + 1) if len(links) else (0, 0)
    out = np.full((n, count, 2), np.nan)
    rows = links if gaps else links[links["status"] == MEASURED]
    out[rows["particle"].to_numpy() - 1, rows[axis].to_numpy()] = rows[["y_px", "x_px"]].to_numpy()
    return out


def _passes(tables, rules, quorum):
    """Forwards from a quiet frame, backwards through all, and forwards again with what proved to be a particle."""
    last, start = len(tables) - 1, _quiet(tables)
    seen = only_particles(tables, follow(Tracks.none(), tables, range(start, last + 1), rules), quorum, rules)
    seen = only_particles(tables, follow(seen.tracks, tables, range(last, -1, -1), rules), quorum, rules)
    tracks = _one_each(tables, seen, rules)
    seen = only_particles(tables, follow(tracks, tables, range(last + 1), rules, births=quorum == 1), quorum, rules)
    detection, groups = stitched(tables, seen.detection, rules)
    if quorum > 1:
        detection[strays(tables, detection, rules)] = -1
    return detection, seen.merged[:, groups] & (detection < 0)


def _one_each(tables, followed, rules):
    """Join tracks of one particle; each then starts from where it is in the first frame, seen or carried."""
    detection, groups = stitched(tables, followed.detection, rules)
    tracks = followed.tracks.kept(groups)
    place, area = filled(tables, detection)
    seen = detection >= 0
    usual = np.array([np.median(area[seen[:, i], i]) for i in range(len(groups))])
    return Tracks.new(
        place[0], usual, missed=seen.argmax(axis=0), hits=seen.sum(axis=0), looks=tracks.looks, spread=tracks.spread
    )


def _quiet(tables):
    """Middle of the longest run of frames with the usual number of detections."""
    count = np.array([len(t.area) for t in tables])
    usual = np.bincount(count[count > 0]).argmax()
    good = np.concatenate([[0], (count == usual).astype(int), [0]])
    start, stop = np.flatnonzero(np.diff(good) == 1), np.flatnonzero(np.diff(good) == -1)
    longest = (stop - start).argmax()
    return int((start[longest] + stop[longest] - 1) // 2)


def _tables(frames, n_frames):
    import pandas as pd

    if isinstance(frames, pd.DataFrame):
        if "frame" not in frames.columns:
            raise InputError("one table of all detections needs the column frame; or give one table a frame.")
        groups = dict(tuple(frames.groupby("frame", sort=True)))
        count = n_frames if n_frames is not None else (int(max(groups)) + 1 if groups else 0)
        frames = [groups.get(k, frames.iloc[:0]) for k in range(count)]
    return [_Detections(table, k) for k, table in enumerate(frames)]


class _Detections:
    """One frame's table as plain arrays."""

    def __init__(self, table, frame):
        missing = [key for key in NEEDED if key not in table.columns]
        if missing:
            raise InputError(f"the detections of frame {frame} lack {', '.join(missing)}.")
        self.place = np.stack([table["y_px"].to_numpy(float), table["x_px"].to_numpy(float)], axis=1)
        self.area = table["area_px"].to_numpy(float)
        self.looks = None  # small pictures, where images are given
        self.cut = table["touches_edge"].to_numpy(bool) if "touches_edge" in table else np.zeros(len(table), bool)
        if not (np.isfinite(self.place).all() and (self.area > 0).all()):
            raise InputError(f"the detections of frame {frame} must have finite positions and positive areas.")


def _look_at(tables, images, rules):
    if images is None:
        return
    if len(images) != len(tables):
        raise InputError(f"{len(images)} images were given with the detections of {len(tables)} frames.")
    for k, table in enumerate(tables):
        table.looks = patches(images[k], table.place, rules.diameter)


def _rows(position, area, detection, merged, shape):
    import pandas as pd

    n_frames, n = detection.shape
    status = np.where(detection >= 0, MEASURED, np.where(merged, MERGED, PREDICTED)).astype(object)
    if shape is not None:
        inside = ((position > -0.5) & (position < np.array(shape) - 0.5)).all(axis=2)
        status[(detection < 0) & ~inside] = OUTSIDE
    return pd.DataFrame(
        {
            "frame": np.repeat(np.arange(n_frames), n),
            "particle": np.tile(np.arange(1, n + 1), n_frames),
            "detection": detection.ravel(),
            "y_px": position[..., 0].ravel(),
            "x_px": position[..., 1].ravel(),
            "area_px": area.ravel(),
            "status": status.ravel().astype(str),
        }
    )


def _empty():
    import warnings

    import pandas as pd

    from ..errors import InputWarning

    warnings.warn("No particle was found in any frame: there is nothing to link.", InputWarning, stacklevel=3)
    kinds = {"frame": int, "particle": int, "detection": int, "y_px": float, "x_px": float, "area_px": float}
    return pd.DataFrame({key: np.zeros(0, kind) for key, kind in kinds.items()} | {"status": np.zeros(0, str)})
