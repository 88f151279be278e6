"""Linking and similarity against constellations whose identities are known."""

import warnings

import numpy as np
import pandas as pd
import pytest

from morpholith import track
from morpholith.errors import InputError, InputWarning
from morpholith.track.linking import as_array
from morpholith.track.similarity import dynamic_range

FIELD = (380, 520)  # not square: swapped axes cannot pass
PLACES = np.array(
    [[60, 70], [75, 190], [55, 330], [70, 455], [190, 60], [200, 200], [185, 340], [205, 460], [320, 120]], float
)
AREAS = np.pi * np.array([22, 30, 26, 34, 28, 24, 36, 25, 31.0]) ** 2


def _series(rng, *, n_frames=60, jitter=15.0, wander=0.3, noise=0.7, miss=0.05, stray=0.3, strain=0.0, hidden=()):
    """Tables of each frame, the true particle of each of their rows (-1 for strays), and the true positions."""
    n = len(PLACES)
    steps = rng.normal(0, wander, (n_frames, n, 2)).cumsum(axis=0)
    gradient = rng.normal(0, strain, (2, 2))
    growing = np.linspace(0, 1, n_frames)[:, None, None] * ((PLACES - PLACES.mean(0)) @ gradient.T)
    truth = PLACES + rng.uniform(-jitter, jitter, (n_frames, 1, 2)) + steps + growing
    tables, names = [], []
    for k in range(n_frames):
        lost = rng.random(n) < miss
        for who, start, stop in hidden:
            lost[who] |= start <= k < stop
        kept, extra = np.flatnonzero(~lost), rng.poisson(stray)
        place = np.concatenate(
            [truth[k, kept] + rng.normal(0, noise, (len(kept), 2)), rng.uniform(0, FIELD, (extra, 2))]
        )
        area = np.concatenate([AREAS[kept] * np.exp(rng.normal(0, 0.08, len(kept))), rng.uniform(100, 2500, extra)])
        order = rng.permutation(len(place))
        names.append(np.concatenate([kept, np.full(extra, -1)])[order])
        tables.append(pd.DataFrame({"y_px": place[order, 0], "x_px": place[order, 1], "area_px": area[order]}))
    return tables, names, truth


def _owners(links, names):
    """True particle of each linked detection, and of each track by its majority."""
    rows = links[links["detection"] >= 0].copy()
    key = "scan" if "scan" in rows else "frame"
    rows["true"] = [names[f][d] for f, d in zip(rows[key], rows["detection"], strict=True)]
    return rows, rows.groupby("particle")["true"].agg(lambda t: t.mode()[0])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"miss": 0.3, "stray": 2.0},
        {"hidden": [(0, 5, 35), (4, 5, 35), (8, 0, 30)]},
        {"wander": 2.0, "noise": 2.0},
        {"strain": 0.03},
    ],
    ids=["plain", "gaps-and-strays", "long-gaps", "restless", "strained"],
)
def test_every_particle_is_one_track_under_jitter_of_15_px(kind, seed):
    tables, names, truth = _series(np.random.default_rng(seed), **kind)
    links = track.link(tables, shape=FIELD)
    rows, owner = _owners(links, names)
    assert sorted(owner) == list(range(len(PLACES)))
    wrong = (rows["true"].to_numpy() != rows["particle"].map(owner).to_numpy()).sum()
    assert wrong <= 1
    assert len(rows) - wrong >= 0.995 * sum((name >= 0).sum() for name in names)
    gaps = links[links["status"] == "predicted"]
    off = gaps[["y_px", "x_px"]].to_numpy() - truth[gaps["frame"], gaps["particle"].map(owner)]
    # a carried position errs by the particle's own walk over the gap and the noise of where it meets it
    usual = np.hypot(kind.get("noise", 0.7), kind.get("wander", 0.3) * (np.sqrt(10) if "hidden" in kind else 1))
    assert np.sqrt((off**2).mean()) < 2 * usual


def test_what_flickers_is_noise_and_what_stays_a_while_is_a_particle():
    rng = np.random.default_rng(14)
    tables, names, truth = _series(rng, n_frames=80, miss=0.02, stray=0.0)
    for k in range(80):
        here = []
        if k % 9 == 0 or 36 < k < 41:  # a dark spot of the binder that is found now and then
            here.append([*(truth[k, 0] + [150.0, 180.0]), 1800.0, -1])
        if 30 <= k < 42:  # a particle that is in the field for a short while only
            here.append([*(truth[k, 8] + [10.0, 170.0]), 1500.0, 9])
        more = pd.DataFrame([row[:3] for row in here], columns=list(tables[k].columns), dtype=float)
        tables[k] = pd.concat([tables[k], more], ignore_index=True)
        names[k] = np.append(names[k], [row[3] for row in here]).astype(int)
    _, owner = _owners(track.link(tables), names)
    assert sorted(owner) == list(range(10))
    _, owner = _owners(track.link(tables, min_share=0.05), names)
    assert sorted(owner) == list(range(-1, 10))
    _, owner = _owners(track.link(tables, min_frames=20), names)
    assert sorted(owner) == list(range(9))


def test_the_table_has_a_row_for_each_particle_and_frame_and_says_what_it_is():
    tables, _, _ = _series(np.random.default_rng(5), miss=0.2)
    links = track.link(tables, shape=FIELD)
    assert list(links.columns) == ["frame", "particle", "detection", "y_px", "x_px", "area_px", "status"]
    assert len(links) == 60 * 9
    assert (links.groupby("frame")["particle"].apply(list).map(lambda p: p == list(range(1, 10)))).all()
    measured = links["status"] == "measured"
    assert (measured == (links["detection"] >= 0)).all()
    assert links.loc[~measured, "area_px"].isna().all()
    assert links[["y_px", "x_px"]].notna().all(axis=None)
    for row in links[measured].head(30).itertuples():
        found = tables[row.frame].iloc[row.detection]
        assert (row.y_px, row.x_px, row.area_px) == (found["y_px"], found["x_px"], found["area_px"])
    first = links[measured].drop_duplicates("particle").sort_values("particle")
    assert first["y_px"].is_monotonic_increasing
    array = as_array(links, gaps=False)
    assert array.shape == (9, 60, 2)
    assert np.isnan(array[..., 0]).sum() == (~measured).sum()
    assert np.isfinite(as_array(links)).all()


def test_linking_does_not_depend_on_the_order_of_the_detections():
    rng = np.random.default_rng(8)
    tables, _, _ = _series(rng, miss=0.1, stray=1.0)
    links = track.link(tables)
    pd.testing.assert_frame_equal(links, track.link(tables))
    orders = [rng.permutation(len(t)) for t in tables]
    mixed = track.link([t.iloc[o] for t, o in zip(tables, orders, strict=True)])
    pd.testing.assert_frame_equal(links.drop(columns="detection"), mixed.drop(columns="detection"))


def test_one_table_with_a_frame_column_gives_the_same():
    tables, _, _ = _series(np.random.default_rng(9), n_frames=20)
    tables[19] = tables[19].iloc[:0]
    whole = pd.concat([t.assign(frame=k) for k, t in enumerate(tables)], ignore_index=True)
    pd.testing.assert_frame_equal(track.link(tables), track.link(whole, n_frames=20))


def test_a_dropped_frame_is_carried_through_for_all():
    tables, names, truth = _series(np.random.default_rng(10), jitter=3.0, miss=0.0, stray=0.0)
    tables[30] = tables[30].iloc[:0]
    links = track.link(tables)
    _, owner = _owners(links, names)
    gone = links[links["frame"] == 30]
    assert set(gone["status"]) == {"predicted"}
    off = gone[["y_px", "x_px"]].to_numpy() - truth[30, owner[gone["particle"]]]
    assert np.abs(off - off.mean(axis=0)).max() < 3  # the jitter of a frame that nobody saw is nobody's to know


def test_two_that_merge_are_flagged_and_found_again():
    rng = np.random.default_rng(11)
    tables, names, truth = _series(rng, n_frames=50, jitter=5.0, miss=0.0, stray=0.0, noise=0.3)
    pair = [5, 6]  # they touch from frame 20 to 30 and are one region
    truth[:, 6] = truth[:, 5] + [8.0, 56.0]
    for k in range(50):
        table, rows = tables[k], [int(np.flatnonzero(names[k] == p)[0]) for p in pair]
        table.loc[rows, ["y_px", "x_px"]] = truth[k, pair]
        if 20 <= k < 30:
            both = np.average(truth[k, pair], axis=0, weights=AREAS[pair])
            joined = pd.DataFrame([[*both, 0.97 * AREAS[pair].sum()]], columns=list(table.columns))
            keep = np.setdiff1d(np.arange(len(table)), rows)
            tables[k] = pd.concat([table.iloc[keep], joined], ignore_index=True)
            names[k] = np.append(names[k][keep], -1)
    links = track.link(tables)
    rows, owner = _owners(links, names)
    assert sorted(owner) == list(range(9))
    assert (rows["true"].to_numpy() == rows["particle"].map(owner).to_numpy()).all()
    merged = links[links["status"] == "merged"]
    assert {owner[p] for p in merged["particle"]} == set(pair)
    assert sorted(merged["frame"].unique()) == list(range(20, 30))
    assert len(merged) == 20
    off = merged[["y_px", "x_px"]].to_numpy() - truth[merged["frame"], merged["particle"].map(owner)]
    assert np.abs(off).max() < 2.5


def test_a_particle_that_leaves_the_field_is_outside_and_one_that_enters_is_new():
    rng = np.random.default_rng(12)
    tables, names, truth = _series(rng, n_frames=40, jitter=2.0, miss=0.0, stray=0.0, noise=0.2, wander=0.05)
    drift = np.linspace(0, 130, 40)
    for k in range(40):
        truth[k, :, 1] += drift[k]
        tables[k]["x_px"] += drift[k]
        new = {"y_px": 300.0, "x_px": -90 + drift[k], "area_px": 2000.0}
        tables[k] = pd.concat([tables[k], pd.DataFrame([new])], ignore_index=True)
        names[k] = np.append(names[k], 9)
        inside = ((tables[k]["x_px"] >= 0) & (tables[k]["x_px"] <= FIELD[1] - 1)).to_numpy()
        tables[k], names[k] = tables[k][inside].reset_index(drop=True), names[k][inside]
    links = track.link(tables, shape=FIELD)
    rows, owner = _owners(links, names)
    assert sorted(owner) == list(range(10))
    assert (rows["true"].to_numpy() == rows["particle"].map(owner).to_numpy()).all()
    number = {t: p for p, t in owner.items()}
    last = links[links["frame"] == 39].set_index("particle")["status"]
    assert last[number[3]] == "outside"
    assert last[number[0]] == "measured"
    first = links[links["frame"] == 0].set_index("particle")["status"]
    assert first[number[9]] == "outside"


def test_pictures_decide_between_two_candidates():
    y, x = np.mgrid[:150, :260]
    places = np.array([[50.0, 45], [40.0, 130], [110.0, 80], [95.0, 200]])
    tables, images = [], []
    for k in range(12):
        rng = np.random.default_rng(k)
        now = places + rng.normal(0, 0.2, places.shape)
        if k == 6:
            now[0] += [4.5, 0.0]
        image = rng.normal(0, 0.2, y.shape)
        for p, (cy, cx) in enumerate(now):
            inside = (y - cy) ** 2 + (x - cx) ** 2 < 20**2
            image[inside] += (1 + 0.5 * np.cos((y - cy) / (3 + p) + p))[inside] * (-1 if k < 3 else 1)
        images.append(image)
        tables.append(pd.DataFrame({"y_px": now[:, 0], "x_px": now[:, 1], "area_px": 1256.0}))
    # a false one, nearer to where the particle is expected, but off its middle
    false = pd.DataFrame([{"y_px": 50.0, "x_px": 49.0, "area_px": 1256.0}])
    tables[6] = pd.concat([false, tables[6]], ignore_index=True)

    def found(links):
        row = links[(links["frame"] == 6) & (links["particle"] == 2)]
        return row["detection"].item()

    assert found(track.link(tables)) == 0
    assert found(track.link(tables, images=images)) == 1


def test_scans_are_joined_though_the_cell_was_put_back_askew():
    rng = np.random.default_rng(13)
    turn = np.radians(4.0)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * 1.01
    tables, names = [], []
    for k in range(4):
        place = PLACES.copy()
        for _ in range(k):
            place = (place - 200) @ matrix.T + 200 + [12.0, -20.0]
        order = rng.permutation(9)
        order = order[order != 2] if k == 1 else order
        place = place[order] + rng.normal(0, 1, (len(order), 2))
        tables.append(pd.DataFrame({"y_px": place[:, 0], "x_px": place[:, 1], "area_px": AREAS[order]}))
        names.append(order)
    links = track.link_scans(tables)
    rows, owner = _owners(links, names)
    assert "scan" in links
    assert sorted(owner) == list(range(9))
    assert len(rows) == 35
    assert (rows["true"].to_numpy() == rows["particle"].map(owner).to_numpy()).all()


def test_no_detection_at_all_gives_an_empty_table_and_a_warning():
    empty = pd.DataFrame({"y_px": [], "x_px": [], "area_px": []})
    with pytest.warns(InputWarning, match="No particle"):
        links = track.link([empty] * 4)
    assert list(links.columns) == ["frame", "particle", "detection", "y_px", "x_px", "area_px", "status"]
    assert len(links) == 0
    assert as_array(links).shape == (0, 0, 2)


def test_one_frame_and_one_particle_are_enough():
    one = pd.DataFrame({"y_px": [10.0], "x_px": [20.0], "area_px": [300.0]})
    links = track.link([one])
    assert links[["particle", "detection", "y_px", "x_px"]].to_numpy().tolist() == [[1, 0, 10.0, 20.0]]
    moved = track.link([one.assign(x_px=20.0 + k) for k in range(8)])
    assert moved["x_px"].tolist() == [20.0 + k for k in range(8)]
    assert set(moved["particle"]) == {1}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"y_px": [1.0], "area_px": [3.0]}, "x_px"),
        ({"y_px": [np.nan], "x_px": [1.0], "area_px": [3.0]}, "finite"),
        ({"y_px": [1.0], "x_px": [1.0], "area_px": [0.0]}, "positive"),
    ],
)
def test_detections_that_are_none_are_refused(table, words):
    with pytest.raises(InputError, match=words):
        track.link([pd.DataFrame(table)])


def test_images_of_another_number_are_refused():
    one = pd.DataFrame({"y_px": [10.0], "x_px": [20.0], "area_px": [300.0]})
    with pytest.raises(InputError, match="images"):
        track.link([one, one], images=[np.zeros((40, 50))])


def test_detections_of_labels():
    labels = np.zeros((30, 50), np.int32)
    labels[5:10, 20:31] = 7
    labels[25:30, 0:4] = 2
    table = track.detections(labels)
    assert table["label"].tolist() == [2, 7]
    assert table["y_px"].tolist() == [27.0, 7.0]
    assert table["x_px"].tolist() == [1.5, 25.0]
    assert table["area_px"].tolist() == [20.0, 55.0]
    assert table["touches_edge"].tolist() == [True, False]
    assert len(track.detections(np.zeros((4, 5), int))) == 0
    with pytest.raises(InputError, match="whole numbers"):
        track.detections(np.zeros((4, 5)))


# --- similarity ----------------------------------------------------------------------------------------------


def _pair(rng, shape=(61, 83)):
    from scipy.ndimage import gaussian_filter

    a = gaussian_filter(rng.normal(0, 1, shape), 3) * 8 + 0.7
    return a, 0.9 * a + rng.normal(0, 0.15, shape) + 0.05


def test_windowed_similarity_is_that_of_scikit_image():
    from skimage.metrics import structural_similarity

    a, b = _pair(np.random.default_rng(0))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 3.0, "full": True}
    mean, full = structural_similarity(a, b, **options)
    inner = np.zeros(a.shape, bool)
    inner[5:-5, 5:-5] = True
    assert float(track.ssim(a, b, data_range=3.0, mask=inner, window_px=1.5)) == pytest.approx(mean, abs=1e-10)
    odd = inner & (np.hypot(*(np.indices(a.shape) - 30)) < 20)
    assert float(track.ssim(a, b, data_range=3.0, mask=odd, window_px=1.5)) == pytest.approx(
        full[odd].mean(), abs=1e-10
    )


def test_similarity_over_a_region_is_the_product_of_three():
    a, b = _pair(np.random.default_rng(1))
    mask = np.hypot(*(np.indices(a.shape) - 30)) < 18
    p, q, span = a[mask], b[mask], 2.5
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    both = ((p - p.mean()) * (q - q.mean())).mean()
    light = (2 * p.mean() * q.mean() + c1) / (p.mean() ** 2 + q.mean() ** 2 + c1)
    contrast = (2 * p.std() * q.std() + c2) / (p.var() + q.var() + c2)
    structure = (both + c2 / 2) / (p.std() * q.std() + c2 / 2)
    assert float(track.ssim(a, b, data_range=span, mask=mask)) == pytest.approx(light * contrast * structure, abs=1e-12)


@pytest.mark.parametrize("window_px", [None, 1.5])
def test_similarity_knows_what_was_not_seen(window_px):
    a, b = _pair(np.random.default_rng(2))
    assert float(track.ssim(a, a, data_range=1.0, window_px=window_px)) == pytest.approx(1.0)
    hole = b.copy()
    hole[10:20, 30:50] = np.nan
    value = float(track.ssim(a, hole, data_range=3.0, window_px=window_px))
    assert value == pytest.approx(float(track.ssim(a, b, data_range=3.0, window_px=window_px)), abs=0.03)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(track.ssim(a, np.full(a.shape, np.nan), data_range=1.0, window_px=window_px))
    spoilt = b.copy()
    spoilt[10:20, 30:50] = 1e6
    away = np.ones(a.shape, bool)
    away[10:20, 30:50] = False
    if window_px is None:  # windows may look beyond the region
        assert float(track.ssim(a, spoilt, data_range=3.0, mask=away)) == pytest.approx(
            float(track.ssim(a, hole, data_range=3.0)), abs=1e-12
        )


def test_a_series_is_compared_pair_by_pair_on_one_scale():
    rng = np.random.default_rng(3)
    stack = np.stack([_pair(rng)[0] for _ in range(3)] * 2).astype(np.float32)
    stack[4] = np.nan
    mask = np.hypot(*(np.indices(stack.shape[1:]) - 30)) < 18
    values = track.series_ssim(stack, mask)
    span = dynamic_range(stack, mask)
    alone = [float(track.ssim(stack[k], stack[k + 1], data_range=span, mask=mask)) for k in range(5)]
    np.testing.assert_allclose(values, alone, atol=1e-12)
    assert np.isnan(values).tolist() == [False, False, False, True, True]
    assert track.series_ssim(stack[:1]).shape == (0,)
    assert np.isnan(track.series_ssim(np.full((3, 4, 5), np.nan))).tolist() == [True, True]


def test_a_shift_lowers_the_similarity_of_a_series():
    y, x = np.mgrid[:60, :80]
    disc = [1.0 / (1 + np.exp((np.hypot(y - 30, x - 40 - s) - 18) / 1.5)) for s in (0.0, 0.1, 1.1, 5.1)]
    values = track.series_ssim(np.stack(disc))
    assert values[0] > 0.9999
    assert (np.diff(values) < 0).all()
    assert values[2] < 0.94


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a: track.ssim(a, a[1:], data_range=1.0), "one size"),
        (lambda a: track.ssim(a, a, data_range=0.0), "positive"),
        (lambda a: track.ssim(a, a, data_range=1.0, mask=np.ones((3, 3), bool)), "mask"),
        (lambda a: track.ssim(a, a, data_range=1.0, window_px=-1.0), "window_px"),
        (lambda a: track.series_ssim(a), "frame, y, x"),
    ],
)
def test_pictures_that_do_not_go_together_are_refused(call, words):
    with pytest.raises(InputError, match=words):
        call(np.ones((20, 30)))
