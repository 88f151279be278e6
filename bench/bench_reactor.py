"""Texture that lamellae of known thickness show at 15000x: where `specimens/reactor_texture.py` has its numbers from.

python bench/bench_reactor.py [--toy] [--results FOLDER]
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from morpholith import measure
from morpholith.specimens import Habit, Lot, Powder, lot_micrographs
from morpholith.specimens.reactor_texture import ROUNDING, TEXTURE, THICKNESS_UM, lamella_length


def textures(thickness, d50, images, width):
    """Textures of all particles on micrographs of one powder, with the true outlines."""
    habit = Habit("plate", thickness, float(lamella_length(thickness)), ROUNDING * thickness)
    powder = Powder(d50_um=d50, geometric_sd=1.25, habit=habit, coverage=0.45, clustering=0.0)
    found = []
    for picture, field in lot_micrographs(
        Lot("", 0, {}, {}, powder), magnification=15000.0, images=images, width=width, rng=int(1000 * thickness + d50)
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found += list(measure.texture(picture, field.labels, spacing=field.spacing)["texture"].dropna())
    return np.array(found)


def main(toy, results):
    rows = []
    for thickness, told in list(zip(THICKNESS_UM, TEXTURE, strict=True))[:: 6 if toy else 1]:
        for d50 in (5.0,) if toy else (3.0, 5.0, 7.0):
            found = textures(thickness, d50, 2 if toy else 16, 320 if toy else 640)
            error = found.std() / np.sqrt(len(found))
            rows.append({"thickness_um": thickness, "d50_um": d50, "texture": found.mean(), "se": error, "told": told})
            print(
                f"{thickness:6.3f} um, D50 {d50:.0f} um: {found.mean():.3f} +- {error:.3f}, told {told:.3f}", flush=True
            )
    if results is not None:
        pd.DataFrame(rows).to_csv(results / "reactor_texture.csv", index=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    main(given.toy, given.results)
