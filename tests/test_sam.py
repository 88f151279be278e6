"""Segment Anything: geometry and algebra without weights, then MobileSAM on drawn and real particles."""

import math
import subprocess
import sys

import numpy as np
import pytest

from morpholith.errors import InputError
from morpholith.segment import masks
from morpholith.segment import sam as segment_sam
from morpholith.segment.matching import match
from morpholith.segment.sam import point_grid, segment_anything, stretch, tile_boxes

torch = pytest.importorskip("torch")

from morpholith.nets import sam, sam_decoder, sam_vit, tiny_vit  # noqa: E402
from morpholith.nets._layers import LayerNorm2d, join_windows, split_windows  # noqa: E402

SMALL = dict(channels=32, depth=3, heads=2, global_blocks=(1,), window=3, size=128, patch=16)


@pytest.fixture(scope="module")
def checkpoint(data):
    path = data / "weights" / "mobile_sam.pt"
    if not path.is_file():
        pytest.skip("no MobileSAM weights here")
    return path


@pytest.fixture(scope="module")
def mobile(checkpoint):
    return sam.load(checkpoint)


def randomised(model, seed=0):
    """Fill every parameter and buffer with small random numbers, so that nothing cancels by being zero or one."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
    return model.eval()


# The map between the image and the network's square


@pytest.mark.parametrize("shape", [(960, 1280), (1280, 960), (768, 768), (333, 1000), (50, 70)])
def test_positions_map_there_and_back(shape):
    points = np.random.default_rng(0).uniform(0, 1, (50, 2)) * shape
    inside = sam.to_square(points, shape)
    np.testing.assert_allclose(sam.from_square(inside, shape), points, atol=1e-9)
    corners = np.array([[-0.5, -0.5], [shape[0] - 0.5, shape[1] - 0.5]])
    np.testing.assert_allclose(sam.to_square(corners, shape)[0], 0, atol=1e-12)
    np.testing.assert_allclose(sam.to_square(corners, shape)[1] * 1024, sam.resized(shape))
    assert max(sam.resized(shape)) == 1024


def test_a_blob_arrives_where_its_position_maps_to():
    shape, at = (300, 451), np.array([[211.0, 87.0]])
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = 255 * np.exp(-((y - at[0, 0]) ** 2 + (x - at[0, 1]) ** 2) / 2 / 9**2)
    square = sam.preprocess(image)[0, 0].numpy() * sam.STD[0] + sam.MEAN[0]
    h, w = sam.resized(shape)
    inside = square[:h, :w]
    yy, xx = np.mgrid[:h, :w] + 0.5
    centre = [(inside * grid).sum() / inside.sum() / 1024 for grid in (yy, xx)]
    np.testing.assert_allclose(centre, sam.to_square(at, shape)[0], atol=0.2 / 1024)


def test_preprocessing_normalises_each_channel_and_pads_with_zeros():
    x = sam.preprocess(np.full((100, 200), 120.0))
    assert x.shape == (1, 3, 1024, 1024)
    for channel, mean, std in zip(x[0], sam.MEAN, sam.STD, strict=True):
        np.testing.assert_allclose(channel[:512], (120 - mean) / std, rtol=1e-5)
        np.testing.assert_array_equal(channel[512:], 0)


@pytest.mark.parametrize("axis", [0, 1])
def test_enlarging_puts_the_outline_where_the_logits_vanish(axis):
    # Logits linear in position vanish on a line that linear interpolation reproduces exactly.
    shape = (300, 400)
    fraction = (np.arange(256) + 0.5) / 256
    edge = sam.to_square(np.array([[120.25, 233.25]]), shape)[0, axis]
    logits = np.broadcast_to((edge - fraction).astype(np.float32), (256, 256))
    logits = logits.T.copy() if axis == 0 else logits.copy()
    draft = masks.cut(logits > 0, score=0.9)
    full = segment_sam._enlarge(draft, logits[: draft.box[2] + 1, : draft.box[3] + 1], shape, 1024)
    assert full.box == ((0, 0, 121, 400) if axis == 0 else (0, 0, 300, 234))
    assert full.crop.all()
    assert full.score == 0.9


def test_enlarging_a_disc_anywhere_in_the_frame():
    shape = (480, 640)
    fraction = (np.arange(256) + 0.5) / 256
    for centre, r in (((240, 320), 60), ((2, 5), 40), ((478, 638), 50), ((100, 600), 8)):
        c, scale = sam.to_square(np.array([centre]), shape)[0], 1 / 640
        distance = np.hypot(fraction[:, None] - c[0], fraction[None, :] - c[1])
        logits = (r * scale - distance).astype(np.float32) * 100
        draft = masks.cut(logits > 0)
        top, left, bottom, right = draft.box
        crop = logits[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1]
        full = segment_sam._enlarge(draft, crop, shape, 1024)
        y, x = np.mgrid[: shape[0], : shape[1]]
        want = np.hypot(y - centre[0], x - centre[1]) < r
        got = np.zeros(shape, bool)
        got[full.box[0] : full.box[2], full.box[1] : full.box[3]] = full.crop
        assert (got ^ want).sum() < 0.1 * 2 * np.pi * r + 8


def test_point_grid_covers_the_frame_evenly():
    points = point_grid((960, 1280), 32)
    assert points.shape == (24 * 32, 2)
    np.testing.assert_allclose(points.mean(0), [479.5, 639.5])
    np.testing.assert_allclose(np.diff(np.unique(points[:, 1])), 40)
    np.testing.assert_allclose(np.unique(points[:, 0])[0], 19.5)
    assert point_grid((3, 1000), 10).shape == (10, 2)


def test_tiles_cover_the_image_and_overlap():
    assert tile_boxes((100, 200), 1) == [(0, 0, 100, 200)]
    boxes = tile_boxes((961, 1283), 3)
    assert len(boxes) == 10
    seen = np.zeros((961, 1283), int)
    for top, left, bottom, right in boxes[1:]:
        seen[top:bottom, left:right] += 1
        assert (bottom - top, right - left) == (boxes[1][2], boxes[1][3])
    assert seen.min() == 1
    assert seen.max() == 4


def test_stretch_undoes_gain_and_offset():
    image = np.random.default_rng(0).normal(100, 20, (60, 80))
    want = stretch(image)
    assert (want.min(), want.max()) == (0, 255)
    np.testing.assert_allclose(stretch(3.7 * image - 55), want, atol=1e-3)
    np.testing.assert_array_equal(stretch(np.full((4, 5), 7.0)), 0)
    rare = np.zeros((100, 100))
    rare[0, 0] = 5  # below the percentile, but not nothing
    assert stretch(rare)[0, 0] == 255


def test_stability_by_hand():
    logits = np.full((2, 4, 5), -3.0)
    logits[0, 0, :] = 2  # five pixels stay
    logits[0, 1, :3] = 0.5  # three vanish at +1
    logits[0, 2, :2] = -0.5  # two appear at -1
    for kind in (logits, torch.tensor(logits)):
        np.testing.assert_allclose(segment_sam.stability(kind), [0.5, 0])
        np.testing.assert_allclose(segment_sam.stability(kind, offset=0.1), [1, 0])


# The networks


def test_windows_go_and_come_back():
    x = torch.randn(2, 10, 13, 3)
    windows = split_windows(x, 4)
    assert windows.shape == (2 * 3 * 4, 4, 4, 3)
    np.testing.assert_array_equal(windows[0], x[0, :4, :4])
    np.testing.assert_array_equal(windows[5, :, :, 0], x[0, 4:8, 4:8, 0])
    np.testing.assert_array_equal(windows[11, 2:], 0)
    np.testing.assert_array_equal(join_windows(windows, (10, 13)), x)


def test_layer_norm_over_channels():
    norm = randomised(LayerNorm2d(6))
    x = torch.randn(2, 6, 4, 5)
    want = torch.nn.functional.layer_norm(x.permute(0, 2, 3, 1), (6,), norm.weight, norm.bias, 1e-6)
    torch.testing.assert_close(norm(x), want.permute(0, 3, 1, 2))


@pytest.mark.parametrize("shared", [True, False])
def test_read_and_write_are_plain_attention(shared):
    attention = randomised(sam_decoder._Attention(32, 16, heads=4))
    tokens, other, position = torch.randn(3, 5, 32), torch.randn(3, 5, 32), torch.randn(40, 32)
    pixels = torch.randn(40, 32) if shared else torch.randn(3, 40, 32)
    each = pixels.expand(3, -1, -1)
    torch.testing.assert_close(
        attention.read(tokens, pixels, position), attention(tokens, each + position, each), atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(
        attention.write(pixels, position, tokens, other),
        each + attention(each + position, tokens, other),
        atol=1e-5,
        rtol=1e-4,
    )


def test_upscaling_is_two_transposed_convolutions():
    decoder = randomised(sam_decoder.MaskDecoder(32))
    pixels = torch.randn(2, 9, 32)
    want = decoder.output_upscaling(pixels.mT.reshape(2, 32, 3, 3))
    got = decoder._upscale(pixels).view(2, 3, 3, 2, 2, 2, 2, 4).permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(2, 4, 12, 12)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_relative_positions_by_their_formula():
    grid, channels, heads = 4, 12, 2
    attention = randomised(sam_vit.Attention(channels, heads, grid))
    x = torch.randn(2, grid, grid, channels)
    qkv = attention.qkv(x).view(2, grid * grid, 3, heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv
    logits = q @ k.mT / math.sqrt(channels // heads)
    for i in range(grid * grid):
        for j in range(grid * grid):
            dy, dx = i // grid - j // grid + grid - 1, i % grid - j % grid + grid - 1
            shift = q[:, :, i] @ attention.rel_pos_h[dy] + q[:, :, i] @ attention.rel_pos_w[dx]
            logits[:, :, i, j] += shift
    want = attention.proj((logits.softmax(-1) @ v).transpose(1, 2).reshape(2, grid, grid, channels))
    torch.testing.assert_close(attention(x), want, atol=1e-5, rtol=1e-4)


def test_tiny_vit_bias_depends_on_distance_alone():
    index = tiny_vit._distance(3, "cpu")
    assert index.shape == (9, 9)
    assert (index == index.T).all()
    assert index[0, 0] == index[4, 4] == 0
    assert index[0, 1] == index[1, 2] == index[4, 3] == 1
    assert index[0, 3] == index[3, 6] == 3
    assert index[0, 8] == index[6, 2] == 8


def test_tiny_vit_halves_three_times_before_its_last_two_stages():
    encoder = tiny_vit.TinyViT((8, 16, 20, 40), (1, 1, 1, 1), (1, 2, 2, 4), (7, 7, 14, 7), size=128, out=12).eval()
    seen = []
    for stage in encoder.layers:
        stage.register_forward_hook(lambda *call: seen.append(tuple(call[-1].shape)))
    with torch.inference_mode():
        assert encoder(torch.zeros(1, 3, 128, 128)).shape == (1, 12, 8, 8)
    assert seen == [(1, 16, 16, 16), (1, 20, 8, 8), (1, 40, 8, 8), (1, 40, 8, 8)]


@pytest.fixture(scope="module")
def small():
    """A ViT model of 32 channels on a 128 px square, with random weights."""
    return randomised(sam.Sam(sam_vit.SamViT(**SMALL, out=16), 16))


def test_shapes_and_batches(small):
    image = np.random.default_rng(0).uniform(0, 255, (90, 120))
    embedding = small.embed(image)
    assert embedding.shape == (1, 16, 8, 8)
    points = np.array([[10.0, 20.0], [45.0, 60.0], [80.0, 119.0]])
    logits, iou = small.decode(embedding, points, image.shape)
    assert logits.shape == (3, 3, 32, 32)
    assert iou.shape == (3, 3)
    assert torch.isfinite(logits).all()
    for k in range(3):  # a batch is its prompts one by one
        alone, alone_iou = small.decode(embedding, points[k : k + 1], image.shape)
        torch.testing.assert_close(alone[0], logits[k], atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(alone_iou[0], iou[k], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("wrapped", [None, "model"])
def test_a_checkpoint_is_recognised_and_comes_back(small, tmp_path, suffix, wrapped):
    path = tmp_path / f"weights{suffix}"
    state = {k: v.contiguous() for k, v in small.state_dict().items()}
    if suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    else:
        torch.save({wrapped: state} if wrapped else state, path)
    back = sam.load(path)
    assert back.size == 128
    assert not back.training
    assert [block.window for block in back.image_encoder.blocks] == [3, None, 3]
    image = np.random.default_rng(0).uniform(0, 255, (90, 120))
    torch.testing.assert_close(back.embed(image), small.embed(image))


@pytest.mark.parametrize(
    ("channels", "depth", "heads", "global_blocks", "tensors"),
    [
        (768, 12, 12, [2, 5, 8, 11], 314),
        (1024, 24, 16, [5, 11, 17, 23], 482),
        (1280, 32, 16, [7, 15, 23, 31], 594),
    ],
)
def test_published_vit_sizes_are_recognised(channels, depth, heads, global_blocks, tensors):
    with torch.device("meta"):  # shapes without memory
        published = sam.Sam(sam_vit.SamViT(channels, depth, heads, global_blocks)).state_dict()
        encoder = sam.build(published).image_encoder
    assert len(published) == tensors
    assert encoder.pos_embed.shape == (1, 64, 64, channels)
    assert [i for i, block in enumerate(encoder.blocks) if block.window is None] == global_blocks
    assert {block.window for block in encoder.blocks} == {None, 14}
    assert encoder.blocks[0].attn.heads == heads


def test_no_checkpoint_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"no Segment Anything checkpoint at .*nowhere\.pth.* --checkpoint"):
        sam.load(tmp_path / "nowhere.pth")
    image = np.eye(40)
    with pytest.raises(InputError, match="name it with --checkpoint"):
        segment_anything(image, spacing=0.1, checkpoint=None)
    with pytest.raises(InputError, match=r"no Segment Anything checkpoint at .* --checkpoint"):
        segment_anything(image, spacing=0.1, checkpoint=tmp_path)


def test_foreign_files_say_what_was_expected(small, tmp_path):
    text = tmp_path / "weights.pth"
    text.write_text("not a checkpoint")
    with pytest.raises(InputError, match="could not be read as a Segment Anything checkpoint"):
        sam.load(text)
    other = tmp_path / "other.pt"
    torch.save({"conv.weight": torch.zeros(3)}, other)
    with pytest.raises(InputError, match=r"is not a Segment Anything checkpoint .*its first tensor is 'conv.weight'"):
        sam.load(other)
    torch.save([1, 2], other)
    with pytest.raises(InputError, match="holds no tensors by name"):
        sam.load(other)
    torch.save({}, other)
    with pytest.raises(InputError, match="its first tensor is None"):
        sam.load(other)
    state = dict(small.state_dict())
    state["extra.weight"] = state.pop("mask_decoder.iou_token.weight")
    with pytest.raises(InputError, match="1 of its tensors are missing, 1 unknown and 0 of a wrong shape"):
        sam.build(state)
    state = dict(small.state_dict())
    state["mask_decoder.iou_token.weight"] = torch.zeros(2, 16)
    with pytest.raises(InputError, match=r"1 of a wrong shape \(for instance 'mask_decoder.iou_token.weight'\)"):
        sam.build(state)


def test_nothing_is_unpickled(tmp_path):
    marker = tmp_path / "it ran"

    class Trap:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    path = tmp_path / "trap.pth"
    torch.save({"model": Trap()}, path)
    with pytest.raises(InputError, match="could not be read"):
        sam.load(path)
    assert not marker.exists()


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_missing_device_is_an_error(small, tmp_path, device):
    path = tmp_path / "weights.pth"
    torch.save(small.state_dict(), path)
    with pytest.raises(InputError, match=f"`device` '{device}' is not available here"):
        segment_anything(np.eye(40), spacing=0.1, checkpoint=path, device=device)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points_per_side": 0}, "`points_per_side` must be a whole number of at least 1, got 0"),
        ({"tiles": 1.5}, "`tiles` must be a whole number of at least 1, got 1.5"),
        ({"batch": 0}, "`batch` must be a whole number"),
        ({"min_diameter": -1}, "`min_diameter` must be a positive length in um"),
        ({"pred_iou_threshold": 2}, "`pred_iou_threshold` must lie between 0 and 1, got 2"),
        ({"stability_threshold": -1}, "`stability_threshold` must lie between 0 and 1"),
        ({"prompts": "everywhere"}, "`prompts` must be one of 'seeds', 'grid'; got 'everywhere'"),
        ({"spacing": 0}, "`spacing` must be 2 positive lengths"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        segment_anything(np.eye(40), **{"spacing": 0.1, "checkpoint": "x.pt", **options})


def test_the_stage_loads_no_torch():
    code = "import sys, morpholith.segment.sam; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# A stand-in for the network: it answers with discs whose outlines are known


class Oracle:
    """Answers each point with the disc it lies in, the group of all discs, and a doubtful mask."""

    size = 1024

    def __init__(self, discs):
        self.discs = discs
        self.asked = 0

    def embed(self, view):
        return torch.as_tensor(view)

    def decode(self, _, points, shape):
        self.asked += len(points)
        fraction = (np.arange(256) + 0.5) / 256
        y, x = (sam.from_square(np.stack([fraction, fraction], 1), shape)).T
        field = [3 * (r - np.hypot(y[:, None] - cy, x[None, :] - cx)) for cy, cx, r in self.discs]
        group = np.max(field, axis=0)
        logits, scores = [], []
        for point in points:
            depth = [r - math.hypot(point[0] - cy, point[1] - cx) for cy, cx, r in self.discs]
            own = field[int(np.argmax(depth))] if max(depth) > 0 else -group
            logits.append([own, group, np.full((256, 256), 9.0)])
            scores.append([0.95, 0.9, 0.3])
        return torch.tensor(np.array(logits), dtype=torch.float32), torch.tensor(scores)


def drawn(discs, shape=(300, 400)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, int)
    for k, (cy, cx, r) in enumerate(discs, start=1):
        labels[np.hypot(y - cy, x - cx) < r] = k
    noise = np.random.default_rng(0).normal(0, 3, shape)
    return 30 + 120.0 * (labels > 0) + noise, labels


@pytest.mark.parametrize("prompts", ["seeds", "grid"])
def test_masks_become_labels(monkeypatch, prompts):
    discs = [(80, 90, 50), (80, 165, 24), (200, 300, 60), (220, 120, 35), (290, 200, 30)]
    image, truth = drawn(discs)
    oracle = Oracle(discs)
    monkeypatch.setattr(sam, "load", lambda *_, **__: oracle)
    told = []
    labels = segment_anything(
        image, spacing=0.1, checkpoint="x.pt", prompts=prompts, points_per_side=16, progress=told.append
    )
    got = match(truth, labels, iou=0.95)
    assert (got.tp, got.fp, got.fn) == (5, 0, 0)
    if prompts == "grid":
        assert oracle.asked == 12 * 16
    else:
        assert 5 <= oracle.asked < 12  # the seeds, and a few points beside the outlines
    assert told[-1] == 1
    assert (np.diff(told) >= 0).all()
    large = segment_anything(image, spacing=0.1, checkpoint="x.pt", prompts=prompts, min_diameter=5.5)
    assert large.max() == 3  # two are 4.8 um across, or cut by the frame to less than 5.5 um


def test_points_the_seeds_left_out_are_asked_for(monkeypatch):
    discs = [(80, 90, 50), (200, 300, 60)]
    image, truth = drawn(discs)
    monkeypatch.setattr(sam, "load", lambda *_, **__: Oracle(discs))
    monkeypatch.setattr(segment_sam, "seed_points", lambda _: (np.array([[80.0, 90.0]]), np.array([100.0])))
    got = match(truth, segment_anything(image, spacing=0.1, checkpoint="x.pt"), iou=0.95)
    assert (got.tp, got.fp, got.fn) == (2, 0, 0)


def test_a_constant_image_has_no_particles(monkeypatch):
    monkeypatch.setattr(sam, "load", lambda *_, **__: Oracle([(1, 1, 1)]))
    labels = segment_anything(np.full((30, 40), 9), spacing=0.1, checkpoint="x.pt")
    assert labels.shape == (30, 40)
    assert labels.max() == 0


# MobileSAM itself


def test_mobile_sam_loads_strictly(mobile, checkpoint):
    state = torch.load(checkpoint, weights_only=True)
    assert len(state) == 439
    assert mobile.state_dict().keys() == state.keys()
    assert isinstance(mobile.image_encoder, tiny_vit.TinyViT)
    assert not any(p.is_meta for p in mobile.state_dict().values())


def test_a_point_in_a_particle_gives_that_particle(mobile, data):
    import _ampis
    from scipy import ndimage

    name = _ampis.names(data)[0]
    image, truth = _ampis.image(data, name)[:700, :1000], _ampis.labels(data, name)[:700, :1000]
    large = np.flatnonzero(np.bincount(truth.ravel()) > 3000)[1:24]
    depth = [ndimage.distance_transform_edt(truth == k) for k in large]
    points = np.array([np.unravel_index(d.argmax(), d.shape) for d in depth])
    embedding = mobile.embed(image)
    iou = []
    for start in range(0, len(points), 4):
        logits, scores = mobile.decode(embedding, points[start : start + 4], image.shape)
        best = logits[torch.arange(len(logits)), scores.argmax(1)]
        h, w = sam.resized(image.shape)
        square = torch.nn.functional.interpolate(best[:, None], (1024, 1024), mode="bilinear")[..., :h, :w]
        found = torch.nn.functional.interpolate(square, image.shape, mode="bilinear")[:, 0].numpy() > 0
        for mask, k in zip(found, large[start : start + 4], strict=True):
            iou.append((mask & (truth == k)).sum() / (mask | (truth == k)).sum())
    assert np.mean(np.array(iou) > 0.8) >= 0.8
    assert np.median(iou) > 0.9


def test_mobile_sam_on_a_drawn_powder(checkpoint):
    discs = [(80, 90, 50), (80, 165, 24), (200, 300, 60), (220, 120, 35), (290, 200, 30)]
    image, truth = drawn(discs)
    labels = segment_anything(image, spacing=0.1, checkpoint=checkpoint)
    got = match(truth, labels, iou=0.8)
    assert (got.tp, got.fp) == (5, 0)
