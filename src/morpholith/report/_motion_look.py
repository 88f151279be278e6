"""What the pictures of motion share: colours of the particles, the axis of the frames, legends."""

from __future__ import annotations

import numpy as np

MEASURED, REFUSED = "measured", "refused"
NAMED = 12  # particles that a legend can name


def colour_of(k, n, *, on_dark=False):
    """Colour of the k-th of n particles; lighter to be seen on a micrograph."""
    import matplotlib as mpl
    from matplotlib.colors import to_rgb

    from .style import PALETTE

    named = [c for c in PALETTE if c != "#000000"]
    colour = np.array(to_rgb(named[k] if n <= len(named) else mpl.colormaps["turbo"](0.06 + 0.86 * k / max(n - 1, 1))))
    return tuple(0.7 * colour + 0.3) if on_dark else tuple(colour)


def frame_axis(ax, motion, *, top=True):
    """Make the x axis count frames, with energies along the top of a single scan and lines between several."""
    first = motion.drop_duplicates("frame").sort_values("frame")
    frames, energies, scans = (first[key].to_numpy() for key in ("frame", "energy_ev", "scan"))
    ax.margins(x=0.01)
    for k in np.flatnonzero(np.diff(scans)):
        ax.axvline((frames[k] + frames[k + 1]) / 2, color="#bbbbbb", linewidth=0.6, zorder=0)
    if top and len(frames) > 1 and scans[0] == scans[-1] and np.isfinite(energies).all():
        chosen = np.linspace(0, len(frames) - 1, min(6, len(frames))).round().astype(int)
        above = ax.secondary_xaxis("top")
        above.set_xticks(frames[chosen], [f"{energies[k]:.0f}" for k in chosen], fontsize=7.5)
        above.set_xlabel("energy (eV)", fontsize=8)
        above.spines["top"].set_visible(False)


def legend(ax, n, many=NAMED):
    handles, _ = ax.get_legend_handles_labels()
    if handles and n <= many:
        ax.legend(ncols=2 if n > 5 else 1, fontsize=7.5, handlelength=1.4, columnspacing=1.0)


def nothing(ax, text="nothing to show"):
    from .look import MUTED

    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED)
