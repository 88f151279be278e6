"""Meshes in files: opened by the programs they are for, and compared with what was written."""

import numpy as np
import pytest

from morpholith import export
from morpholith.errors import InputError
from morpholith.generate import GrainField, crystal_axes, tet_mesh

N = 300  # more than a byte holds


@pytest.fixture(scope="module")
def mesh():
    rng = np.random.default_rng(4)
    seeds = rng.uniform(-1, 1, (N, 3)) * [2.2, 3.0, 3.6]
    field = GrainField(seeds, np.repeat(np.eye(3)[None], N, 0), np.zeros(N), 2)
    keep = (np.abs(seeds) < [1.3, 1.9, 2.4]).all(1)
    return tet_mesh(field, cell_um=0.45, keep=keep)


@pytest.fixture(scope="module")
def axes():
    return crystal_axes(np.random.default_rng(1).standard_normal((N, 3)), rng=2, kind="random")


@pytest.fixture(scope="module")
def files(mesh, axes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh")
    made = {s: export.write_mesh(folder / f"a.{s}", mesh, orientations=axes.quaternions) for s in ("vtu", "msh", "inp")}
    made |= {s: export.write_surface(folder / f"a.{s}", mesh) for s in ("stl", "vtp")}
    assert not list(folder.glob("*.part"))
    return made


def volumes(points, tets):
    p = points[tets]
    return np.linalg.det(p[:, 1:] - p[:, :1]) / 6


def by_grain(grain, values):
    return np.bincount(grain, values, N + 1)


def truth(mesh):
    return by_grain(mesh.grain, volumes(mesh.points, mesh.tets))


def outer(mesh):
    return mesh.faces[mesh.face_grains[:, 1] == 0]


def area(points, faces):
    a, b, c = np.moveaxis(points[faces], 1, 0)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def test_the_specimen_has_tags_above_255_and_inner_faces(mesh):
    assert mesh.grain.max() > 255
    assert 20 < len(mesh.grains) < 200
    assert (mesh.face_grains[:, 1] > 0).sum() > 1000


def test_vtu_opens_in_pyvista(mesh, axes, files):
    pv = pytest.importorskip("pyvista")
    grid = pv.read(files["vtu"])
    n = len(mesh.tets)
    np.testing.assert_array_equal(grid.points, mesh.points)
    np.testing.assert_array_equal(grid.cells_dict[10], mesh.tets)
    np.testing.assert_array_equal(grid.cells_dict[5], mesh.faces)
    np.testing.assert_array_equal(grid.cell_data["grain"], np.concatenate([mesh.grain, mesh.face_grains[:, 0]]))
    np.testing.assert_array_equal(grid.cell_data["neighbour"][n:], mesh.face_grains[:, 1])
    assert (grid.cell_data["neighbour"][:n] == -1).all()
    np.testing.assert_allclose(grid.cell_data["quaternion"][:n], axes.quaternions[mesh.grain - 1])
    np.testing.assert_allclose(grid.cell_data["c_axis"][:n], axes.c_axes[mesh.grain - 1][:, ::-1], atol=1e-12)
    np.testing.assert_allclose(np.radians(grid.cell_data["euler_deg"][:n]), axes.euler_rad[mesh.grain - 1], atol=1e-9)
    sizes = grid.compute_cell_sizes(length=False, area=False)
    np.testing.assert_allclose(by_grain(mesh.grain, sizes.cell_data["Volume"][:n]), truth(mesh), rtol=1e-9)


def test_vtu_opens_in_meshio(mesh, axes, files):
    meshio = pytest.importorskip("meshio")
    read = meshio.read(files["vtu"])
    np.testing.assert_array_equal(read.points, mesh.points)
    np.testing.assert_array_equal(read.cells_dict["tetra"], mesh.tets)
    np.testing.assert_array_equal(read.cells_dict["triangle"], mesh.faces)
    np.testing.assert_array_equal(read.cell_data_dict["grain"]["tetra"], mesh.grain)
    np.testing.assert_allclose(read.cell_data_dict["c_axis"]["tetra"], axes.c_axes[mesh.grain - 1][:, ::-1], atol=1e-12)


def test_msh_opens_in_gmsh(mesh, files):
    gmsh = loaded_gmsh()
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.open(str(files["msh"]))
        model = gmsh.model
        names = {model.getPhysicalName(d, t): (d, t) for d, t in model.getPhysicalGroups()}
        pairs = {(int(a), int(b)) for a, b in mesh.face_grains if b}
        assert set(names) == {
            "outer",
            *(f"grain_{g}" for g in mesh.grains.index),
            *(f"grains_{a}_{b}" for a, b in pairs),
        }
        number, xyz, _ = model.mesh.getNodes()
        points = np.empty((len(number), 3))
        points[number.astype(int) - 1] = xyz.reshape(-1, 3)
        np.testing.assert_array_equal(points, mesh.points)
        for grain in mesh.grains.index[[0, -1]]:
            dimension, tag = names[f"grain_{grain}"]
            assert (dimension, tag) == (3, grain)
            (entity,) = model.getEntitiesForPhysicalGroup(3, tag)
            (tets,) = model.mesh.getElements(3, entity)[2]
            v = volumes(points, tets.reshape(-1, 4).astype(int) - 1)
            np.testing.assert_allclose(v.sum(), truth(mesh)[grain])
            around = {abs(t) for _, t in model.getBoundary([(3, entity)], combined=False)}
            assert len(around) == len(np.unique(mesh.face_grains[(mesh.face_grains == grain).any(1)], axis=0))
        faces = group_faces(model, *names["outer"])
        assert {tuple(f) for f in faces} == {tuple(f) for f in outer(mesh)}
        a, b = min(pairs)
        mine = mesh.faces[(mesh.face_grains == [a, b]).all(1)]
        np.testing.assert_array_equal(group_faces(model, *names[f"grains_{a}_{b}"]), mine)
        quality = model.mesh.getElementQualities(model.mesh.getElementsByType(4)[0], "volume")
        assert quality.min() > 0
        np.testing.assert_allclose(quality.sum(), mesh.quality["volume_um3"])
        assert len(gmsh.view.getTags()) == 2
    finally:
        gmsh.finalize()


def loaded_gmsh():
    try:
        import gmsh
    except (ImportError, OSError) as error:  # its library needs an X that may not be there
        pytest.skip(f"gmsh cannot be loaded: {error}")
    return gmsh


def group_faces(model, dimension, tag):
    entities = model.getEntitiesForPhysicalGroup(dimension, tag)
    return np.concatenate([model.mesh.getElements(2, e)[2][0].reshape(-1, 3).astype(int) - 1 for e in entities])


def test_msh_opens_in_meshio(mesh, axes, files):
    meshio = pytest.importorskip("meshio")
    read = meshio.read(files["msh"])
    # meshio keeps the order of the file, in which points go by what they lie on
    np.testing.assert_array_equal(np.sort(read.points, axis=0), np.sort(mesh.points, axis=0))
    grain = np.concatenate([
        tags for block, tags in zip(read.cells, read.cell_data["gmsh:physical"], strict=True) if block.type == "tetra"
    ])  # fmt: skip
    tets = read.cells_dict["tetra"]
    np.testing.assert_allclose(by_grain(grain, volumes(read.points, tets)), truth(mesh), rtol=1e-9)
    c = np.concatenate([v for b, v in zip(read.cells, read.cell_data["c_axis"], strict=True) if b.type == "tetra"])
    np.testing.assert_allclose(c, axes.c_axes[grain - 1][:, ::-1], atol=1e-12)
    assert len(read.cells_dict["triangle"]) == len(mesh.faces)


def inp_blocks(path):
    """Keyword lines and the lines under each."""
    blocks = []
    for line in path.read_text().splitlines():
        if line.startswith("**"):
            continue
        if line.startswith("*"):
            blocks.append((line, []))
        else:
            blocks[-1][1].append(line)
    return blocks


def test_inp_opens_in_meshio(mesh, files):
    meshio = pytest.importorskip("meshio")
    read = meshio.read(files["inp"])
    np.testing.assert_allclose(read.points, mesh.points, rtol=1e-8, atol=1e-9)
    tets = np.concatenate([block.data for block in read.cells])
    assert len(tets) == len(mesh.tets)
    np.testing.assert_allclose(volumes(read.points, tets).sum(), mesh.quality["volume_um3"], rtol=1e-6)


def test_inp_says_what_was_written(mesh, axes, files):
    blocks = inp_blocks(files["inp"])
    elements, count = {}, 0
    for key, lines in blocks:
        if key.startswith("*ELEMENT"):
            grain = int(key.rsplit("_", 1)[1])
            rows = np.array([line.split(",") for line in lines], int)
            elements |= {int(row[0]): (grain, row[1:] - 1) for row in rows}
            count += len(rows)
    assert count == len(mesh.tets)
    # faces of Abaqus' C3D4, by the nodes of the element
    side = {"S1": [0, 1, 2], "S2": [0, 3, 1], "S3": [1, 3, 2], "S4": [2, 3, 0]}
    found = {}
    for key, lines in blocks:
        if key.startswith("*SURFACE"):
            name = key.split("NAME=")[1]
            rows = [line.split(", ") for line in lines]
            found[name] = {frozenset(elements[int(n)][1][side[s]].tolist()) for n, s in rows}
            owners = {elements[int(n)][0] for n, _ in rows}
            assert name == "OUTER" or owners == {int(name.split("_")[1])}
    assert found["OUTER"] == {frozenset(f) for f in outer(mesh).tolist()}
    a, b = mesh.face_grains[mesh.face_grains[:, 1] > 0][0]
    both = {frozenset(f) for f in mesh.faces[(mesh.face_grains == [a, b]).all(1)].tolist()}
    assert found[f"GB_{a}_{b}"] == found[f"GB_{b}_{a}"] == both
    assert len(found) == 1 + 2 * len(np.unique(mesh.face_grains[mesh.face_grains[:, 1] > 0], axis=0))
    turned = {key: lines for key, lines in blocks if key.startswith("*ORIENTATION")}
    assert len(turned) == len(mesh.grains)
    grain = int(mesh.grains.index[-1])
    six = np.array(turned[f"*ORIENTATION, NAME=ORIENTATION_{grain}, SYSTEM=RECTANGULAR"][0].split(","), float)
    np.testing.assert_allclose(np.cross(six[:3], six[3:]), axes.c_axes[grain - 1, ::-1], atol=1e-7)
    sections = [key for key, _ in blocks if key.startswith("*SOLID SECTION")]
    assert f"*SOLID SECTION, ELSET=GRAIN_{grain}, MATERIAL=GRAIN, ORIENTATION=ORIENTATION_{grain}" in sections


@pytest.mark.parametrize("suffix", ["stl", "vtp"])
def test_surfaces_open_in_pyvista(mesh, files, suffix):
    pv = pytest.importorskip("pyvista")
    surface = pv.read(files[suffix])
    assert surface.n_cells == len(outer(mesh))
    ends = np.sort(surface.regular_faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    count = np.unique(ends, axis=0, return_counts=True)[1]
    assert (count % 2 == 0).all()  # closed
    assert suffix == "stl" or (count > 2).sum() == mesh.quality["pinched_edges"] < 0.01 * len(count)
    np.testing.assert_allclose(surface.area, area(mesh.points, outer(mesh)), rtol=1e-5)
    np.testing.assert_allclose(surface.volume, mesh.quality["volume_um3"], rtol=1e-5)  # above 0: normals outwards
    np.testing.assert_allclose(np.array(surface.bounds)[1::2], mesh.points.max(0), rtol=1e-6)
    if suffix == "vtp":
        np.testing.assert_array_equal(surface.cell_data["grain"], mesh.face_grains[mesh.face_grains[:, 1] == 0, 0])


def test_stl_opens_in_meshio(mesh, files):
    meshio = pytest.importorskip("meshio")
    read = meshio.read(files["stl"])
    np.testing.assert_allclose(
        area(read.points, read.cells_dict["triangle"]), area(mesh.points, outer(mesh)), rtol=1e-5
    )


def test_boundaries_of_grains_as_a_surface(mesh, tmp_path):
    pv = pytest.importorskip("pyvista")
    surface = pv.read(export.write_surface(tmp_path / "all.vtp", mesh, boundaries=True))
    np.testing.assert_array_equal(surface.cell_data["neighbour"], mesh.face_grains[:, 1])
    np.testing.assert_allclose(surface.area, area(mesh.points, mesh.faces), rtol=1e-9)


@pytest.mark.parametrize("suffix", ["vtu", "msh", "inp"])
def test_without_orientations_nothing_is_said_of_them(mesh, tmp_path, suffix):
    raw = export.write_mesh(tmp_path / f"a.{suffix}", mesh).read_bytes().lower()
    assert b"euler" not in raw
    assert b"orientation" not in raw
    assert b"grain" in raw


def test_an_empty_mesh_is_a_file_too(mesh, tmp_path):
    pv = pytest.importorskip("pyvista")
    gmsh = loaded_gmsh()
    none = mesh._replace(points=np.zeros((0, 3)), tets=mesh.tets[:0], grain=mesh.grain[:0], faces=mesh.faces[:0],
                         face_grains=mesh.face_grains[:0])  # fmt: skip
    assert pv.read(export.write_mesh(tmp_path / "a.vtu", none)).n_cells == 0
    assert "C3D4" not in export.write_mesh(tmp_path / "a.inp", none).read_text()
    assert export.write_surface(tmp_path / "a.stl", none).stat().st_size == 84
    path = export.write_mesh(tmp_path / "a.msh", none)
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.open(str(path))
        assert len(gmsh.model.mesh.getNodes()[0]) == 0
    finally:
        gmsh.finalize()


def test_bad_input_is_said(mesh, tmp_path):
    with pytest.raises(InputError, match=r"\.vtu or \.msh or \.inp"):
        export.write_mesh(tmp_path / "a.stl", mesh)
    with pytest.raises(InputError, match=r"\.stl or \.vtp"):
        export.write_surface(tmp_path / "a.vtu", mesh)
    with pytest.raises(InputError, match="quaternions of grains 1 to"):
        export.write_mesh(tmp_path / "a.vtu", mesh, orientations=np.ones((3, 4)) / 2)
    with pytest.raises(InputError, match="unit quaternions"):
        export.write_mesh(tmp_path / "a.vtu", mesh, orientations=np.ones((N, 4)))
    assert not list(tmp_path.iterdir())
