"""Learn grains in 3D from sections alone, from Python, and draw a particle with a mesh.

    python examples/07_build_a_particle.py MAP.ang MAP.ctf ...

Without maps two virtual particles of needles are cut and mapped, and what is learnt is set beside their truth.
"""

import sys

import numpy as np

from morpholith import export, generate, read, segment, specimens


def virtual_maps(rng) -> tuple[list, dict[str, float]]:
    """Return two virtual orientation maps, and what their grains are like in 3D."""
    params = specimens.Interior.of("needles", diameter_um=4.0, size_um=0.6)
    made = [specimens.polycrystal(params, rng=rng) for _ in range(2)]
    scope = specimens.EbsdScope.of("typical")
    maps = [specimens.orientation_map(one.section(0.0, 0.08, 0.0), scope, rng=rng) for one in made]
    return maps, generate.describe_grains(made[0].truth)


def main() -> None:
    rng = np.random.default_rng(1)
    given = sys.argv[1:]
    maps, truth = ([read.orientations(p) for p in given], {}) if given else virtual_maps(rng)
    sections = [section for one in maps for section in segment.sections(one)]
    for section, row in zip(sections, segment.radiality(sections, rng=rng).sections.itertuples(), strict=True):
        print(f"{section.n_grains} grains, order {row.order:.2f}: {row.verdict}")

    learnt = generate.learn_law(sections, rng=rng, budget=2000 if given else 150, n_calibration=20)
    print(
        "not told by these sections:", ", ".join(learnt.table.index[learnt.table["identifiable"] == "no"]) or "nothing"
    )
    grains = generate.predict_grains(learnt, rng=rng, n_draws=15, n_prior=10, n_grains=120)
    for name in ("diameter_um_d50", "radial_ratio_q50"):
        median, low, high = grains.loc[name, ["median", "low", "high"]]
        print(f"{name} in 3D: {median:.2f} [{low:.2f}, {high:.2f}], true {truth.get(name, float('nan')):.2f}")

    published = generate.load_model("nmc811-like")
    model = generate.ParticleModel("mine", published.shells, published.shell_voxel_um, learnt.best, voxel_um=0.1)
    particle = generate.particle(model, seed=1, number=1)
    mesh = generate.mesh_particle(particle, cell_um=0.25)
    export.write_mesh("particle.vtu", mesh)
    print(f"a particle of {particle.n_grains} grains: {len(mesh.tets)} tetrahedra in particle.vtu")


if __name__ == "__main__":
    main()
