"""Measure a tomogram from Python: read, find phases and particles, solve for transport, judge.

    python examples/03_measure_an_electrode.py electrode.tif

Without a file it makes a virtual one, so that there is something to measure.
"""

import sys
from pathlib import Path

import numpy as np

from morpholith import measure, read, segment, specimens
from morpholith.image import Image


def virtual_tomogram(path: Path) -> Path:
    """Write a virtual tomogram and return its path."""
    spacing = (0.6, 0.6, 0.6)
    packing = specimens.electrode(specimens.Electrode(size_um=(32.0, 36.0, 40.0), binder=0.0), rng=1)
    grey = specimens.tomogram(packing, specimens.Tomograph(spacing=spacing), rng=1)
    return read.write_tiff(path, Image(grey, "zyx", spacing))


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else virtual_tomogram(Path("electrode.tif"))
    image = read.volume(path)  # voxels are read when they are asked for
    print(f"{path}: {image.shape} voxels of {image.spacing} um, from {image.provenance['voxel_size_from']}")

    found = segment.phases(image.array, spacing=image.spacing)
    ends = found.ends()  # the phases at both ends of the interval of thresholds that the histogram supports
    numbers = measure.phase_numbers(found.labels, ends, spacing=image.spacing, blur_um=found.estimate.blur_um)
    for key, quantity in numbers.items():
        print(f"{key:28s} {quantity}")

    labels = segment.separate_particles(found.labels == 1, spacing=image.spacing)
    table = measure.solid_particles(labels, spacing=image.spacing, grey=np.asarray(image.array))
    print(table[["diameter_um", "sphericity", "n_contacts", "touches_edge"]].head(6).to_string())

    pores = found.labels == 0
    budget = measure.tortuosity_budget(
        pores, axis=0, spacing=image.spacing, alternatives=tuple(p == 0 for p in ends), blur_um=found.estimate.blur_um
    )
    print(measure.describe_budget(budget))
    print(f"extrapolated to vanishing voxels: {measure.extrapolated(budget)}")


if __name__ == "__main__":
    main()
