"""Reference spectra: what was written comes back as absorption over rising energies, from every kind of table."""

import numpy as np
import pytest

from morpholith import read
from morpholith.errors import InputError

ENERGY = np.arange(8300.0, 8401.0, 2.5)


def mu(edge=8345.0, step=1.0, offset=0.0):
    """Return an edge with a white line."""
    return offset + step / (1 + np.exp(-(ENERGY - edge) / 2)) + 0.4 * step * np.exp(-(((ENERGY - edge - 6) / 4) ** 2))


def columns(path, *arrays, head="", mark=" ", form="{:.8g}"):
    """Write columns of numbers below a head."""
    rows = (mark.join(form.format(v) for v in row) for row in zip(*arrays, strict=True))
    path.write_text(head + "\n".join(rows) + "\n")
    return path


def derivative_edge(spectrum):
    """Return the energy of the steepest rise."""
    return spectrum.energy_ev[np.argmax(np.gradient(spectrum.mu, spectrum.energy_ev))]


@pytest.mark.parametrize("factor", [1.0, 1e-3])
def test_two_columns_in_ev_or_kev(tmp_path, factor):
    (spectrum,) = read.references(columns(tmp_path / "NiO.txt", ENERGY * factor, mu())).values()
    assert spectrum.name == "NiO"
    assert not spectrum.normalised
    assert spectrum.element is None
    np.testing.assert_allclose(spectrum.energy_ev, ENERGY)
    np.testing.assert_allclose(spectrum.mu, mu(), rtol=1e-7)


def test_csv_with_a_column_for_each(tmp_path):
    path = columns(tmp_path / "a.csv", ENERGY, mu(), mu(8348), head="Energy (eV),NiO,LiNiO2\n", mark=",")
    found = read.references(path)
    assert list(found) == ["NiO", "LiNiO2"]
    np.testing.assert_allclose(found["LiNiO2"].mu, mu(8348), rtol=1e-7)


def test_a_column_called_mu_takes_the_name_of_the_file(tmp_path):
    path = columns(tmp_path / "Ni2O3.csv", ENERGY / 1000, mu(), head="energy_keV,mu\n", mark=",")
    (spectrum,) = read.references(path).values()
    assert spectrum.name == "Ni2O3"
    np.testing.assert_allclose(spectrum.energy_ev, ENERGY)


XDI = (
    "# XDI/1.0\n# Column.1: energy {unit}\n{columns}# Element.symbol: Ni\n# Element.edge: K\n"
    "# Sample.name: NiO  powder\n# ///\n# a remark: of no use\n#---\n"
)


def xdi(path, names, arrays, *, unit="eV"):
    """Write XDI 1.0."""
    told = "".join(f"# Column.{k}: {name}\n" for k, name in enumerate(names, start=2))
    energy = ENERGY / (1000 if unit == "keV" else 1)
    return columns(path, energy, *arrays, head=XDI.format(unit=unit, columns=told))


@pytest.mark.parametrize("unit", ["eV", "keV"])
@pytest.mark.parametrize(
    ("names", "made", "normalised", "how"),
    [
        (("itrans", "i0"), lambda m: (5e5 * np.exp(-m), np.full_like(m, 5e5)), False, "ln(i0 / itrans)"),
        (
            ("i0", "itrans", "irefer"),
            lambda m: (2e5 + ENERGY, (2e5 + ENERGY) * np.exp(-m), m),
            False,
            "ln(i0 / itrans)",
        ),
        (("i0", "ifluor"), lambda m: (2e5 + ENERGY, (2e5 + ENERGY) * m), False, "ifluor / i0"),
        (("i0", "itrans", "mutrans"), lambda m: (m + 7, m + 9, m), False, "column mutrans"),
        (("mutrans", "normtrans"), lambda m: (m * 3 + 1, m), True, "column normtrans"),
    ],
)
def test_xdi_absorption_from_what_was_measured(tmp_path, unit, names, made, normalised, how):
    (spectrum,) = read.references(xdi(tmp_path / "a.xdi", names, made(mu()), unit=unit)).values()
    assert (spectrum.name, spectrum.element, spectrum.normalised) == ("NiO", "Ni", normalised)
    np.testing.assert_allclose(spectrum.energy_ev, ENERGY)
    np.testing.assert_allclose(spectrum.mu, mu(), atol=1e-6)
    assert spectrum.source == f"a.xdi: {how}"


def test_athena_with_several_and_with_one(tmp_path):
    head = "# XDI/1.0 Demeter/0.9\n# Demeter.output_filetype: multicolumn normalized mu(E)\n# Element.symbol: Ni\n"
    head += "# Column.1: energy eV\n# Column.2: NiO\n# Column.3: Ni(III) x.avg\n#---\n#  energy  NiO  Ni(III)\n"
    found = read.references(columns(tmp_path / "lib.nor", ENERGY, mu(), mu(8348), head=head))
    assert list(found) == ["NiO", "Ni(III) x.avg"]
    assert all(s.normalised and s.element == "Ni" for s in found.values())
    one = columns(
        tmp_path / "NiO.nor",
        ENERGY,
        mu(),
        mu() - 1,
        mu() + 1,
        head="# Athena data file\n#---\n# energy norm nbkg flat\n",
    )
    (spectrum,) = read.references(one).values()
    assert (spectrum.name, spectrum.normalised) == ("NiO", True)
    np.testing.assert_allclose(spectrum.mu, mu(), rtol=1e-7)
    raw = columns(tmp_path / "b.xmu", ENERGY, mu() - 1, mu(), head="#  energy bkg xmu\n")
    (spectrum,) = read.references(raw).values()
    assert not spectrum.normalised
    np.testing.assert_allclose(spectrum.mu, mu(), rtol=1e-7)


def test_repeats_are_averaged_gaps_left_out_and_order_restored(tmp_path):
    energy = np.concatenate([ENERGY[::-1], ENERGY[3:4]])
    values = np.concatenate([mu()[::-1], mu()[3:4] + 0.2])
    values[5] = np.nan
    (spectrum,) = read.references(columns(tmp_path / "a.txt", energy, values)).values()
    expected = mu()
    expected[3] += 0.1
    kept = np.arange(len(ENERGY)) != len(ENERGY) - 6
    np.testing.assert_allclose(spectrum.energy_ev, ENERGY[kept])
    np.testing.assert_allclose(spectrum.mu, expected[kept], rtol=1e-6)
    assert len(spectrum.notes) == 2


def test_a_folder_passes_over_texts_without_spectra_and_keeps_names_apart(tmp_path):
    columns(tmp_path / "NiO.txt", ENERGY, mu())
    columns(tmp_path / "energies.txt", ENERGY)
    (tmp_path / "LICENSE.txt").write_text("MIT License\n\nPermission is hereby granted, free of charge\n")
    xdi(tmp_path / "first.xdi", ("mutrans",), (mu(),))
    xdi(tmp_path / "second.xdi", ("mutrans",), (mu(8346),))
    found = read.references(tmp_path)
    assert list(found) == ["NiO", "NiO (2)", "NiO (second)"]
    assert all(name == s.name for name, s in found.items())
    assert sorted(s.source.split(":")[0] for s in found.values()) == ["NiO.txt", "first.xdi", "second.xdi"]


def test_only_those_of_an_element(tmp_path):
    xdi(tmp_path / "a.xdi", ("mutrans",), (mu(),))
    columns(tmp_path / "unknown.txt", ENERGY, mu())
    columns(tmp_path / "b.nor", ENERGY, mu(), head="# Element.symbol: Fe\n# Column.1: energy eV\n# Column.2: norm\n")
    assert sorted(s.source.split(":")[0] for s in read.references(tmp_path, "ni").values()) == ["a.xdi", "unknown.txt"]
    (tmp_path / "unknown.txt").unlink()
    with pytest.raises(InputError, match="no reference in .* is of Mn; they are of Fe, Ni"):
        read.references(tmp_path, "Mn")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "8300\n8310\n8320\n8330\n8340\n8350\n", "one column"),
        ("a.txt", "8300 1\n8310 2\n8320 3\n", "3 points; a reference spectrum needs at least 5"),
        ("a.txt", "8300 1\n8310 x\n", "line 2 ('8310 x') is not a row of numbers"),
        ("a.txt", "8300 1\n8310 2 3\n", "line 2 has 3 columns, the lines above have 2"),
        ("a.txt", "words only\n", "holds no numbers"),
        ("a.txt", "", "holds no numbers"),
        ("a.txt", "".join(f"{e} 0.5\n" for e in range(8300, 8310)), "no spectrum: 10 energies, values from 0.5 to 0.5"),
        ("a.txt", "".join(f"{e} nan\n" for e in range(8300, 8310)), "0 points that are numbers"),
        ("a.txt", "".join(f"{e} 1\n" for e in (8.3, 8310, 8320, 8330, 8340, 8350)), "mixes units"),
        ("a.xdi", "# XDI/1.0\n# Column.1: angle degrees\n# Column.2: i0\n12 1\n13 2\n", "angle of the monochromator"),
        (
            "a.xdi",
            "# Column.1: energy eV\n# Column.2: i0\n# Column.3: irefer\n"
            + "".join(f"{e} 1 2\n" for e in range(8300, 8310)),
            "no absorption can be made",
        ),
    ],
)
def test_files_that_are_no_reference(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as told:
        read.references(tmp_path / name)
    assert said in str(told.value)
    assert "a." in str(told.value)
    assert "\n" not in str(told.value)


def test_missing_empty_and_binary(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        read.references(tmp_path / "none")
    with pytest.raises(InputError, match="holds no reference spectra"):
        read.references(tmp_path)
    (tmp_path / "a.txt").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(InputError, match="no text"):
        read.references(tmp_path / "a.txt")


# --- real files: edges as tabulated beside them ---------------------------------------------------------------


def test_real_nickel_references(data):
    found = read.references(data / "xanes" / "references", "Ni")
    assert set(found) == {"ref_NiO", "ref_LiNiO2", "NCA_bulk_Ni_K"}
    assert abs(derivative_edge(found["ref_NiO"]) - 8342.5) < 0.3
    assert abs(derivative_edge(found["ref_LiNiO2"]) - 8347.0) < 0.3
    for name, peak in (("ref_NiO", 8347.5), ("ref_LiNiO2", 8349.5)):
        assert abs(found[name].energy_ev[np.argmax(found[name].mu)] - peak) < 0.3
    assert len(found["NCA_bulk_Ni_K"].energy_ev) == 61


def test_real_xdi_of_a_database(data):
    found = read.references(data / "xanes" / "references" / "xdi")
    assert len(found) == 28
    assert {s.element for s in found.values()} == {"Ni", "Co", "Mn", "Fe"}
    edges = {s.source.split(".")[0]: derivative_edge(s) for s in found.values()}
    expected = {"Ni_metal_rt_01": 8331.5, "co_metal_rt": 7709.0, "MnO_rt_01": 6544.0, "Mn3O4_rt_01": 6546.3}
    for name, edge in expected.items():
        assert abs(edges[name] - edge) <= 0.6, name  # a point of the grid
    assert all(7110.4 < edges[f"Fe_metal_rt_0{k}"] < 7111.9 for k in (1, 2, 3))
    only = read.references(data / "xanes" / "references" / "xdi", "Co")
    assert [s.name for s in only.values()] == ["Co foil"]
    assert np.median(only["Co foil"].mu[-50:]) - np.median(only["Co foil"].mu[:20]) > 0.3  # the edge rises


def test_real_athena_libraries(data):
    library = read.references(data / "xanes" / "lfp_stack" / "Fe_library.nor")
    assert len(library) == 11
    assert {"LiFe(II)PO4", "Fe(III)PO4"} <= set(library)
    for s in library.values():
        assert s.normalised
        assert s.element == "Fe"
        assert abs(np.median(s.mu[s.energy_ev > 7160]) - 1) < 0.15, s.name
    assert len(read.references(data / "xanes" / "lfp_stack" / "test_ref_athena.nor")) == 9
