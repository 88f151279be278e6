"""The shipped model of NMC811 particles, from what paper 001 prints."""

from __future__ import annotations

from .marker_law import MarkerLaw
from .model import ParticleModel
from .shell_model import published_shell_model

NAME = "nmc811-like"
STEP_UM = 0.05  # of the EBSD maps
SHELL_VOXEL_UM = 0.128  # of the nano-CT
SEEDS_PER_VOXEL = 0.0018  # intensity that the training starts from; the one it ends at is not printed


def nmc811_like() -> ParticleModel:
    """Return a model of particles like those of paper 001 (NMC811, grains long along the radius).

    The shells are those of Table 1 (see `published_shell_model`), and the number of grains a volume is the printed
    start of the intensity. The weights of the trained generator are not published: how much longer than wide grains
    are, and how that scatters, are our numbers, chosen so that central sections look radial as those of Figs. 2 and 9
    do. Nothing of it was fitted to data of the authors.
    """
    law = MarkerLaw(
        intensity_per_um3=SEEDS_PER_VOXEL / STEP_UM**3,
        radial_ratio=2.0,
        ratio_spread=0.25,
        tangential_ratio=1.0,
        disorder=0.25,
        size_spread=0.15,
        regularity=0.3,
        radius_um=5.0,
    )
    about = {
        "source": "Fuchs et al., Communications Materials 6 (2025), 10.1038/s43246-024-00728-5",
        "published": "shells: Table 1 and Eq. 5 (scale 70 voxels, sign and factor ten of two misprints read as such); "
        "intensity: 0.0018 a voxel of 0.05 um, the start of the training",
        "chosen": "radial_ratio 2, ratio_spread 0.25, disorder 0.25, size_spread 0.15, regularity 0.3",
        "warnings": [
            "The model nmc811-like has the published shells and intensity of Fuchs et al. (2025), but their trained "
            "grain generator is not published: how long the grains are and how they scatter are chosen, not measured."
        ],
    }
    return ParticleModel(NAME, published_shell_model(), SHELL_VOXEL_UM, law, STEP_UM, about=about)
