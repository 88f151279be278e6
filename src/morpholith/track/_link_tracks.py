"""Whole tracks: which are particles, which are one particle twice, and where one is while it is not seen."""

from __future__ import annotations

import numpy as np

from ._link_frames import GATE, LOOSEST

STITCH = 0.5  # of a diameter: two tracks hardly seen together and that close are one particle
TOGETHER = 0.05  # share of frames where both were seen, for one may have held a stray
AREAS = 0.5  # in ln(area): for the same


def measured(tables, detection):
    """Return positions (frame, track, 2) and areas (frame, track); NaN where there is no detection."""
    place, area = np.full((*detection.shape, 2), np.nan), np.full(detection.shape, np.nan)
    for k, (table, mine) in enumerate(zip(tables, detection, strict=True)):
        seen = mine >= 0
        place[k, seen], area[k, seen] = table.place[mine[seen]], table.area[mine[seen]]
    return place, area


def only_particles(tables, followed, quorum, rules):
    """Keep the tracks seen in enough frames, and more often than chance puts stray detections in their gates."""
    seen = followed.detection >= 0
    n_seen = seen.sum(axis=0)
    if quorum <= 1 or len(n_seen) == 0:
        return followed.kept(np.flatnonzero(n_seen >= 1))
    everything = np.concatenate([t.place for t in tables])
    field = float(np.prod(np.ptp(everything, axis=0) + rules.diameter))
    share = min(1.0, np.pi * (GATE * LOOSEST * rules.slack) ** 2 / field)
    there = seen | followed.merged
    span = len(there) - there.argmax(axis=0) - there[::-1].argmax(axis=0)
    kept = (n_seen >= quorum) & (there.sum(axis=0) >= rules.share * span)
    for _ in range(8):
        chance = (followed.strays + n_seen[~kept].sum()) * share
        now = kept & (n_seen > 1 + chance + 3 * np.sqrt(chance))
        if (now == kept).all() or not now.any():
            break
        kept = now
    return followed.kept(np.flatnonzero(kept))


def stitched(tables, detection, rules):
    """Join tracks that are one particle; returns the detections and the first track of each group.

    They are hardly ever seen in the same frame, their areas agree, and carried through all frames they lie on each
    other: a weak particle that was found again too far from where it was thought to be.
    """
    place, area = filled(tables, detection)
    seen = detection >= 0
    middle = np.median(place, axis=0)
    usual = np.array([np.median(area[seen[:, i], i]) for i in range(detection.shape[1])])
    keep, detection = list(range(detection.shape[1])), detection.copy()
    for i in range(detection.shape[1]):
        for k in range(i):
            together = (seen[:, i] & seen[:, k]).sum()
            if k not in keep or i not in keep or together > TOGETHER * min(seen[:, i].sum(), seen[:, k].sum()):
                continue
            apart = np.linalg.norm(middle[i] - middle[k])
            if apart < STITCH * rules.diameter and abs(np.log(usual[i] / usual[k])) < AREAS:
                first, second = (k, i) if seen[:, k].sum() >= seen[:, i].sum() else (i, k)
                detection[:, k] = np.where(seen[:, first], detection[:, first], detection[:, second])
                seen[:, k] |= seen[:, i]
                keep.remove(i)
    return detection[:, keep], np.array(keep, int)


def filled(tables, detection):
    """Return positions without gaps: carried with the common motion, bent to meet the measurements at both ends."""
    place, area = measured(tables, detection)
    common = common_motion(place)
    own = place - common[:, None]
    frames = np.arange(len(place))
    for i in range(place.shape[1]):
        seen = np.isfinite(own[:, i, 0])
        if seen.any():
            for axis in (0, 1):
                own[:, i, axis] = np.interp(frames, frames[seen], own[seen, i, axis])
    return own + common[:, None], area


def strays(tables, detection, rules):
    """Return which links (frame, track) hold a stray: far from the line between the sightings before and after.

    A particle wanders beyond the common motion like a random walk; how much is read from all its steps.
    """
    place, _ = measured(tables, detection)
    own = place - common_motion(place)[:, None]
    out = np.zeros(detection.shape, bool)
    for i in range(detection.shape[1]):
        at = np.flatnonzero(detection[:, i] >= 0)
        if len(at) < 5:
            continue
        track = own[at, i]
        before, after = np.diff(at)[:-1, None], np.diff(at)[1:, None]
        line = (track[:-2] * after + track[2:] * before) / (before + after)
        off = np.linalg.norm(track[1:-1] - line, axis=1)
        width = np.sqrt(1.5 + before * after / (before + after))[:, 0]
        usual = max(np.median(off / width), rules.slack / 10)
        # a stray drags its neighbours' lines along: of three in a row the worst alone
        worst = off == np.max([off, np.r_[0, off[:-1]], np.r_[off[1:], 0]], axis=0)
        out[at[1:-1][worst & (off > 5 * usual * width)], i] = True
    return out


def common_motion(place):
    """Return the motion (frame, 2) that tracks (frame, track, 2) share, 0 in the first frame with any.

    From each frame to the last one before, each track by its own last sighting: means without outliers, which
    over the same tracks add up without drift.
    """
    n_frames = len(place)
    common, last = np.zeros((n_frames, 2)), np.full(place.shape[1:], np.nan)
    for k in range(n_frames):
        now = place[k] - (common[k - 1] if k else 0)
        move = now - last
        both = np.isfinite(move).all(axis=1)
        jump = _robust_mean(move[both]) if both.any() else np.zeros(2)
        common[k] = (common[k - 1] if k else 0) + jump
        seen = np.isfinite(now).all(axis=1)
        last[seen] = now[seen] - jump
    return common


def _robust_mean(move):
    middle = np.median(move, axis=0)
    off = np.linalg.norm(move - middle, axis=1)
    return move[off <= 3 * np.median(off) + 1e-9].mean(axis=0)


def numbered(place, detection):
    """Return the order of the tracks by their first measured position, y and then x."""
    first = (detection >= 0).argmax(axis=0)
    where = place[first, np.arange(place.shape[1])]
    return np.lexsort((where[:, 1], where[:, 0]))
