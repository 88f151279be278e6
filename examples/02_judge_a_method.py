"""Judge a segmentation on specimens whose truth is known exactly: yours instead of ours, if you like.

python examples/02_judge_a_method.py
"""

import numpy as np
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu

from morpholith import segment, specimens
from morpholith.segment.matching import match


def otsu(image, _spacing):
    """Label what is brighter than Otsu's threshold: the simplest rival."""
    return ndi.label(ndi.gaussian_filter(image.astype(float), 2) > threshold_otsu(image))[0]


def shipped(image, spacing):
    """Label with the default method."""
    return segment.particles(image, spacing=spacing).labels


def main() -> None:
    microscope = specimens.Microscope(magnification=3000, shape=(480, 640))
    scores = {"Otsu": [], "learned": []}
    for seed in range(3):
        powder = specimens.Powder(d50_um=2.5, coverage=0.4, habit=specimens.Habit("needle", 0.08, 0.5))
        scene = specimens.scene(powder, shape=microscope.shape, spacing=microscope.spacing, rng=seed)
        image = specimens.micrograph(scene, microscope, rng=seed)
        for name, method in (("Otsu", otsu), ("learned", shipped)):
            scores[name].append(match(scene.labels, method(image, scene.spacing), iou=0.7).f1)
    for name, f1 in scores.items():
        print(f"{name:8s} F1 at IoU 0.7: {np.mean(f1):.2f}")


if __name__ == "__main__":
    main()
