"""What `xanes map` tells: words of caution and of method, and its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ..results import ReportFigure

if TYPE_CHECKING:
    from ..measure.chemistry import Chemistry
    from ._map_field import Field
    from .xanes_map import Mapped

SECTION = "Chemistry"


def cautions(found: Field, chemistry: Chemistry, tables) -> Iterator[str]:
    import numpy as np

    if not chemistry.references:
        yield (
            "No reference spectra were given (--references): edge energies and white lines are mapped, the oxidation "
            "state is not, and its columns are empty."
        )
    elif chemistry.scale.startswith("fraction") and len(chemistry.references) > 1:
        unknown = [r.name for r in chemistry.references if not np.isfinite(r.valence)]
        why = f"the oxidation state of {', '.join(unknown)} is unknown (--valence NAME=STATE)" if unknown else (
            "the references have the same oxidation state"
        )  # fmt: skip
        yield f"The state is the {chemistry.scale}, 0 to 1, not an oxidation state: {why}."
    if found.spacing is None:
        yield "The pixel size is unknown; lengths are in pixels (--pixel-size UM)."
    poor = tables["particles"].query("resolved_share < 0.5")["particle"].tolist()
    if poor:
        yield (
            f"In {len(poor)} of {len(found.numbers)} particles ({', '.join(map(str, poor[:6]))}) less than half of the "
            "pixels have an edge that stands out of the noise."
        )


def how_it_was_done(found: Field, chemistry: Chemistry) -> str:
    """Say in words how the maps came about."""
    import numpy as np

    parts = [
        f"{chemistry.element} K edge, {len(found.energies_ev)} energies from {found.energies_ev[0]:.1f} to "
        f"{found.energies_ev[-1]:.1f} eV. Normalisation: {chemistry.ranges.text()} The edge energy is where the "
        "spectrum last crosses half of its edge step below the white line; the white line is the vertex of a parabola "
        "about the maximum."
    ]
    if chemistry.references:
        pairs = zip(chemistry.references, np.asarray(chemistry.values), strict=True)
        names = " and ".join(f"{r.name} ({v:.3g})" for r, v in pairs)
        error = f" +- {chemistry.shift_se:.2f}" if np.isfinite(chemistry.shift_se) else ""
        parts.append(
            f"State: {chemistry.scale}, from a linear combination of {names} and a background line, fitted to the "
            f"optical density of every pixel; energies were shifted by {chemistry.shift_ev:+.2f}{error} eV to the axis "
            f"of the references (R-factor {chemistry.r_factor:.2g}). Maps hold weights of at least zero; means, "
            "spreads and patterns come from free weights, which noise does not bias."
        )
    parts.append(
        "A map is a projection: every pixel is the mean over the thickness there, so that a shell seen through its "
        "core shows less contrast than it has. Standard errors are those of the noise, estimated from the spectra; "
        "spreads have its variance taken off."
    )
    return "\n\n".join(parts)


def figures(found: Field, chemistry, mapped: Mapped, tables, relation: Mapping) -> Iterator[tuple[str, ReportFigure]]:
    import numpy as np

    from ..report import states as pictures

    states = bool(np.isfinite(chemistry.span))
    label = chemistry.scale if states else "white line (eV)"
    wanted = ("state", "state_se") if states else ("white_line", "white_line_se")
    table = tables["particles"].set_index("particle")
    last = {n: [mapped.maps[n][name][-1] for name in wanted] for n in found.numbers}
    panels = [
        pictures.Panel(n, last[n][0], last[n][1], mapped.masks[n], mapped.corners[n], f"{n}: {table.loc[n, 'verdict']}")
        for n in found.numbers
    ]
    yield "maps", ReportFigure(
        partial(pictures.state_maps, panels, label=label, spacing=found.spacing),
        f"{label[0].upper()}{label[1:]} of every particle in the last scan, and below it the standard error. Grey "
        "pixels have too little signal.", SECTION,
    )  # fmt: skip
    yield "spectra", _spectra_figure(found, chemistry, tables)
    rings = tables["radial_profiles"].query("scan == scan.max()")
    name = "state" if states else "white_line_ev"
    profiles = {
        f"{n}": {"radius": own["radius"], "state": own[name], "state_se": own[f"{name}_se"]}
        for n, own in rings.groupby("particle")
    }
    yield "radial", ReportFigure(
        partial(pictures.radial_figure, profiles, label=label),
        "From the middle of each particle to its outline, in rings of equal area; bands are 1.96 standard errors of "
        "the noise.", SECTION,
    )  # fmt: skip
    if found.n_scans > 1 and states:
        yield "evolution", ReportFigure(
            partial(pictures.evolution, tables["states"], label=label),
            "Mean state of each particle over the scans, and its spread within the particle.", SECTION,
        )  # fmt: skip
    if len(found.numbers) > 1:
        moved = {} if found.motion is None else _moved(found.motion)
        yield "in_place", ReportFigure(
            partial(pictures.states_in_place, panels, moved, label=label, spacing=found.spacing),
            "The maps where the particles lie; arrows show how far each has moved from the first to the last scan, "
            "the motion of all taken off.", SECTION,
        )  # fmt: skip
    if relation and states:
        columns = {"state_mean": label, "state_sd": "spread within"}
        chosen = {c: relation[n] for c, n in (("state_mean", "state"), ("state_sd", "spread"))}
        yield "motion", ReportFigure(
            partial(pictures.motion_and_state, tables["particles"], chosen, columns=columns),
            "Does chemistry go with motion? One point a particle.", SECTION,
        )  # fmt: skip


def _spectra_figure(found: Field, chemistry, tables) -> ReportFigure:
    from ..report import states as pictures

    energy = found.energies_ev
    spectra = {f"particle {n}": own["normalised"].to_numpy() for n, own in tables["spectra"].groupby("particle")}
    fits = {f"particle {n}": own["fit"].to_numpy() for n, own in tables["spectra"].groupby("particle")}
    basis = chemistry.basis(energy) if chemistry.references else []
    shown = {r.name: values for r, values in zip(chemistry.references, basis, strict=True)}
    first = next(iter(spectra))
    e0 = chemistry.ranges.e0_ev
    shift = f"references shifted by {0.0 - round(chemistry.shift_ev, 2):+.2f} eV" if chemistry.references else ""
    return ReportFigure(
        partial(
            pictures.state_spectra, energy, spectra, references=shown,
            example=(first, fits[first]) if chemistry.references else None,
            ends=(max(energy[0], e0 - 40), min(energy[-1], e0 + 80)), shift=shift,
        ),
        "Normalised mean spectra of the particles in the last scan over the references, and how the first is fitted.",
        SECTION,
    )  # fmt: skip


def _moved(motion) -> dict[int, tuple[float, float]]:
    """Displacement of each particle in its last frame less the median of all."""
    last = motion.dropna(subset=["dy_px", "dx_px"]).sort_values("frame").groupby("particle").tail(1)
    d = last.set_index("particle")[["dy_px", "dx_px"]]
    d = d - d.median()
    return {int(n): (float(row["dy_px"]), float(row["dx_px"])) for n, row in d.iterrows()}
