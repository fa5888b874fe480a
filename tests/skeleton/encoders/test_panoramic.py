"""The panoramic network: message passing equals the dense form, and who hears of whom."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from skeleton.encoders import build_encoder
from skeleton.encoders.base import pool_any
from skeleton.encoders.panoramic import GraphConv, SparseMean, dense_mean
from skeleton.encoders.prenorm import Block
from skeleton.errors import SkeletonError
from skeleton.inputs.adjacency import adjacency
from skeleton.inputs.batch import collate
from skeleton.inputs.joint_graph import HANDS, JOINTS, panoramic_adjacency, ragged
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton
from tests.skeleton.encoders.batches import make
from tests.skeleton.inputs.test_joint_graph import record, things

NAMES = ("joint", "motion", "position")
close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-5)


def build(seed=0, **options):
    """A small encoder without a weight that is zero."""
    torch.manual_seed(seed)
    encoder = build_encoder("panoramic", **{"width": 32, "depth": 3, "stride": 4, "streams": NAMES} | options)
    for block in encoder.blocks:
        torch.nn.init.normal_(block.graph.bias, std=0.1)
    return encoder


def gradients(encoder, features: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Of a loss that looks at every feature differently."""
    random = torch.Generator().manual_seed(5)
    loss = sum((part * torch.randn(part.shape, generator=random)).sum() for part in features) / 100
    encoder.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in encoder.named_parameters()}


def by_sample(features: torch.Tensor, data: Batch) -> list[torch.Tensor]:
    return [features[data.batch == sample] for sample in range(data.num_graphs)]


@pytest.mark.parametrize(("layout", "coordinates"), [("coco17", 2), ("ntu25", 3)])
def test_message_passing_on_a_ragged_batch_equals_the_dense_form(layout, coordinates):
    shapes = [(2, 12), (0, 5), (4, 19), (1, 3)]
    records = [record(*shape, layout, seed=seed, coordinates=coordinates) for seed, shape in enumerate(shapes)]
    encoder, data = build(layout=layout, coordinates=coordinates), ragged(records, NAMES)
    dense = encoder(collate(records, [3.0] * 4, 9, layout))
    padded = dense.features.transpose(2, 3)  # [B, M, V, T', D]
    dense_form = [padded[sample, :persons].flatten(0, 1) for sample, (persons, _) in enumerate(shapes)]
    ragged_form = by_sample(encoder.encode_ragged(data), data)
    for one, two in zip(dense_form, ragged_form, strict=True):
        close(one, two)
    assert ragged_form[2].shape == (4 * len(get_layout(layout).joints), 5, 32)
    assert ragged_form[2].std() > 0.1
    expected, found = gradients(encoder, dense_form), gradients(encoder, ragged_form)
    for name in expected:
        close(found[name], expected[name], msg=name)
        assert expected[name].any(), name


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_dense_equals_torch_geometric_on_padded_batches(missing):
    dense, pyg = build(), build(graph="pyg", seed=1)
    pyg.load_state_dict(dense.state_dict())
    batch = make(size=3, persons=3, missing=missing)
    batch.visible[1, 1] = False
    features = [encoder(batch).features for encoder in (dense, pyg)]
    close(*features)
    assert features[0].std() > 0.1
    expected, found = (gradients(encoder, [part]) for encoder, part in zip((dense, pyg), features, strict=True))
    for name in expected:
        close(found[name], expected[name], msg=name)
    inputs = torch.randn(2, 8, 17, dense.channels)
    close(dense.encode(inputs, None), pyg.encode(inputs, None))
    assert pyg(replace(batch, visible=torch.zeros_like(batch.visible))).features.shape == features[0].shape


def test_features_are_normal_where_a_row_of_the_bin_is_visible():
    data = ragged([record(2, missing=0.6), record(1, 17, "ntu25", seed=1, missing=0.6)], NAMES)
    features = build().encode_ragged(data)
    visible = pool_any(torch.nn.functional.pad(data.visible, (0, 3)), 4, dim=1)
    assert 0.2 < visible.float().mean() < 0.95
    torch.testing.assert_close(features.square().mean(-1), visible.float(), atol=1e-2, rtol=0)
    assert (features[~visible] == 0).all()


def test_halving_time_averages_the_visible_rows():
    block, hidden = Block(8, 8, 2, GraphConv(8, 4)), torch.randn(3, 4, 8)
    for weight in (block.graph.weight, block.time.expand.weight, block.time.expand.bias):
        torch.nn.init.zeros_(weight)
    mask = torch.tensor([[1, 1, 1, 0], [0, 1, 0, 0], [1, 1, 0, 0]])[..., None].float()
    hidden, pooled = hidden * mask, torch.tensor([[1, 1], [1, 0], [1, 0]])[..., None].float()
    first, zero = hidden[:, :2].mean(1), torch.zeros(8)
    expected = [torch.stack(rows) for rows in ((first[0], hidden[0, 2]), (hidden[1, 1], zero), (first[2], zero))]
    found = block(
        hidden[:, :, None],
        mask[:, :, None],
        pooled[:, :, None],
        mask,
        lambda hidden, mask: hidden.expand(4, -1, -1, -1),
    )
    close(found[:, :, 0], torch.stack(expected))


def test_a_joint_is_known_by_its_name_in_every_layout():
    """What is learned of the left wrist is felt there and by its neighbours, in coco17 as in ntu25."""
    encoder = build(depth=1, stride=1)
    data = ragged([record(2, missing=0.0), record(1, layout="ntu25", missing=0.0)], NAMES)
    before = encoder.encode_ragged(data)
    with torch.no_grad():
        encoder.joints[JOINTS.index("left_wrist")] += torch.randn(16)
    changed = (encoder.encode_ragged(data) - before).abs().amax((1, 2)) > 1e-4
    near = ("left_wrist", "left_elbow", "left_hand")
    assert changed.tolist() == [JOINTS[joint] in near for joint in data.joint]


def matrix_mean(stack: torch.Tensor):
    """Means as ratios of two products with a panoramic adjacency [K, N, N]."""

    def mean(hidden, mask):
        sums, seen = (torch.einsum("kvu,utd->kvtd", stack, part) for part in (hidden * mask, mask))
        return torch.where(seen > 0, sums / seen.clamp(min=1e-6), 0.0)

    return mean


@pytest.mark.parametrize(("persons", "objects"), [(3, 2), (0, 2), (2, 0)])
def test_objects_equal_the_panoramic_adjacency(persons, objects):
    encoder = build(objects=True)
    data = ragged([record(persons)], NAMES, [things(objects)])
    mean = matrix_mean(panoramic_adjacency("coco17", persons, objects))
    matrix, sparse = encoder._nodes(data.x, data.visible, data.joint, mean), encoder.encode_ragged(data)
    close(sparse, matrix)
    expected, found = gradients(encoder, [matrix]), gradients(encoder, [sparse])
    for name in expected:
        close(found[name], expected[name], msg=name)
    assert expected["blocks.0.graph.weight"][4].any() == (persons > 0 and objects > 0)


def test_a_graph_convolution_is_the_loop_over_edges():
    """And the dense form is that loop, too."""
    data = ragged([record(3, 4, missing=0.4), record(1, 4, seed=1)], NAMES)
    hidden = torch.randn(len(data.joint), 4, 6) * data.visible[..., None]
    conv = GraphConv(6, 5)
    torch.nn.init.normal_(conv.bias)
    mask = data.visible[..., None].float()
    sums = partial(SparseMean(), edge_index=data.edge_index, edge_type=data.edge_type, types=5)
    within = (adjacency("coco17") > 0).float()
    means = partial(dense_mean, sample=torch.tensor([0, 0, 0, 1]), skeleton=within, types=5)
    sparse, dense = (conv(hidden[:, :, None], mask, mean)[:, :, 0] for mean in (sums, means))
    edges = list(zip(*data.edge_index.tolist(), data.edge_type.tolist(), strict=True))
    slow = conv.bias.detach().expand(sparse.shape).clone()
    for node in range(len(hidden)):
        for row in range(4):
            for kind in range(5):
                senders = [u for u, v, k in edges if (v, k) == (node, kind) and data.visible[u, row]]
                if senders:
                    average = torch.stack([hidden[u, row] for u in senders]).mean(0)
                    slow[node, row] += average @ conv.weight[kind].detach()
    close(sparse, slow)
    close(dense, slow)


def test_mixed_layouts_equal_each_layout_by_itself():
    shapes = [(2, 12, "coco17"), (1, 17, "ntu25"), (3, 9, "wholebody133"), (2, 12, "penn13")]
    records = [record(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    encoder, data = build().eval(), ragged(records, NAMES)
    together = by_sample(encoder.encode_ragged(data), data)
    for alone, features in zip(records, together, strict=True):
        bins = -(-alone.num_frames // 4)
        close(features[:, :bins], encoder.encode_ragged(ragged([alone], NAMES)))
        assert not features[:, bins:].any()
        dense = build(layout=alone.layout)
        dense.load_state_dict(encoder.state_dict())
        padded = dense(collate([alone], [3.0], 9, alone.layout)).features[0].transpose(1, 2).flatten(0, 1)
        close(features[:, :bins], padded)


def test_persons_of_two_layouts_in_one_sample_see_each_other():
    """By the joints whose names both have: the ears of coco17 hear nothing of a Kinect in one block."""
    encoder = build(depth=1, stride=1)
    bodies = [record(1, missing=0.0), record(1, layout="kinect20", seed=1, missing=0.0)]
    apart, joined = (encoder.encode_ragged(ragged(bodies, NAMES, samples=samples)) for samples in ([0, 1], [0, 0]))
    changed = (apart - joined)[:17].abs().amax((1, 2)) > 1e-4
    shared = [joint in get_layout("kinect20").joints for joint in get_layout("coco17").joints]
    assert changed.tolist() == shared
    assert 0 < sum(shared) < 17


@pytest.mark.parametrize("dense", [True, False])
def test_only_persons_of_the_same_sample_influence_each_other(dense):
    encoder, records = build(), [record(2), record(2, seed=1)]
    keypoints = records[0].keypoints.copy()
    keypoints[0, :, 9] += 60 * np.random.default_rng(3).normal(size=(12, 2))
    moved = [replace(records[0], keypoints=keypoints), records[1]]

    def features(bodies):
        """[B, M, V, T', D]"""
        if dense:
            return encoder(collate(bodies, [3.0, 3.0], 2)).features.transpose(2, 3)
        return encoder.encode_ragged(ragged(bodies, NAMES)).unflatten(0, (2, 2, 17))

    change = (features(moved) - features(records)).abs().amax((2, 3, 4))
    assert (change[0] > 1e-3).all()
    assert (change[1] == 0).all()
    inputs = torch.randn(2, 8, 17, encoder.channels)
    close(encoder.encode(inputs, None)[:1], encoder.encode(inputs[:1], None))


@pytest.mark.parametrize("layout", ["coco17", "ntu25"])
def test_objects_influence_the_hands_of_their_sample(layout):
    """In one block the hands and the object itself; the object hears of the hands and nothing else."""
    encoder = build(depth=1, stride=1, objects=True)
    records = [record(2, layout=layout, missing=0.0), record(1, seed=1)]

    def features(bodies=records, points=None):
        points = np.full((1, 12, 2), 100.0) if points is None else points
        return encoder.encode_ragged(ragged(bodies, NAMES, [points, np.full((1, 12, 2), 50.0)]))

    data = ragged(records, NAMES, [np.zeros((1, 12, 2))] * 2)
    moved = (features(points=np.full((1, 12, 2), 160.0)) - features()).abs().amax((1, 2)) > 1e-4
    touched = torch.tensor([JOINTS[joint] in (*HANDS, "object") for joint in data.joint]) & (data.batch == 0)
    assert (moved == touched).all()
    thing = (data.joint == 0).nonzero()[0, 0]
    for joint, heard in (("left_wrist", True), ("left_elbow", False)):
        visible = records[0].visible.copy()
        visible[:, :, get_layout(layout).index(joint)] = False
        hidden = features([replace(records[0], visible=visible), records[1]])
        assert ((hidden - features())[thing].abs().max() > 1e-4) == heard
    unseen = features(points=np.full((1, 12, 2), np.nan))
    without = encoder.encode_ragged(ragged(records, NAMES, [None, np.full((1, 12, 2), 50.0)]))
    close(unseen[torch.arange(len(unseen)) != thing], without)
    assert not unseen[thing].any()


def test_an_absent_person_and_a_longer_neighbour_change_nothing():
    encoder, body = build(), record(3)
    visible = body.visible.copy()
    visible[1] = False
    absent = replace(body, visible=visible)
    kept = {name: getattr(body, name)[[0, 2]] for name in ("keypoints", "confidence", "visible", "boxes", "track_ids")}
    alone = encoder.encode_ragged(ragged([replace(body, **kept)], NAMES)).unflatten(0, (2, 17))
    data = ragged([record(5, 30, "ntu25", seed=1), absent], NAMES)
    beside = by_sample(encoder.encode_ragged(data), data)[1].unflatten(0, (3, 17))
    close(beside[[0, 2], :, :3], alone)
    assert not beside[1].any()
    assert not beside[:, :, 3:].any()


def test_an_invisible_joint_sends_nothing_and_is_not_counted():
    """Hidden rows hold garbage in the record; the wrist's are those of a body that never had one."""
    encoder, body = build(depth=1, stride=1), record(2, missing=0.0)
    visible, keypoints = body.visible.copy(), body.keypoints.copy()
    visible[0, 4:8, 9] = False
    keypoints[0, 4:8, 9] = np.nan
    seen = encoder.encode_ragged(ragged([body], NAMES))
    hidden = encoder.encode_ragged(ragged([replace(body, visible=visible, keypoints=keypoints)], NAMES))
    assert torch.isfinite(hidden).all()
    assert not hidden[9, 4:8].any()
    # Of everyone else the elbow above and the other person's wrist hear of it.
    changed = (seen - hidden).abs().amax((1, 2)) > 1e-5
    assert changed.nonzero().flatten().tolist() == [7, 9, 17 + 9]
    data = ragged([replace(body, visible=visible)], NAMES)
    nodes = torch.randn(34, 12, 4) * data.visible[..., None]
    means = SparseMean()(nodes, data.visible[..., None].float(), data.edge_index, data.edge_type, 4)
    close(means[3, 17 + 9, 4:8], torch.zeros(4, 4))
    close(means[3, 17 + 9, :4], nodes[9, :4])
    close(means[2, 7, 4:8], torch.zeros(4, 4))


def test_nobody_gives_no_features_and_zero_gradients():
    encoder = build(objects=True)
    features = encoder.encode_ragged(ragged([Skeleton.empty(np.arange(5) / 20, (480, 640))], NAMES))
    assert features.shape == (0, 2, 32)
    features.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in encoder.parameters())


@pytest.mark.parametrize(
    ("stride", "depth", "strides"),
    [(1, 1, [1]), (2, 1, [1]), (4, 2, [2, 1]), (8, 5, [2, 1, 2, 1, 1]), (16, 3, [2, 2, 2])],
)
def test_stride_and_depth(stride, depth, strides):
    encoder, data = build(stride=stride, depth=depth), ragged([record(1, 21), record(1, 5, seed=1)], NAMES)
    assert [block.stride for block in encoder.blocks] == strides
    assert encoder.encode_ragged(data).shape == (34, -(-21 // stride), 32)
    assert encoder(make(frames=21)).features.shape == (3, 2, -(-21 // stride), 17, 32)


def test_which_parameters_objects_teach():
    """Object weights exist where asked for; without an object in the batch they take part with a zero gradient."""
    assert build().blocks[0].graph.weight.shape[0] == 4
    encoder = build(objects=True)
    without = gradients(encoder, [encoder(make()).features])
    assert [without[f"blocks.{i}.graph.weight"][4].any().item() for i in range(3)] == [False] * 3
    assert all(grad.any() for grad in without.values())
    with_object = gradients(encoder, [encoder.encode_ragged(ragged([record()], NAMES, [things()]))])
    assert [with_object[f"blocks.{i}.graph.weight"][4].any().item() for i in range(3)] == [True] * 3
    assert with_object["joints"][0].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 6}, r"stride must be a power of two up to 2 \*\* \(depth \+ 1\), found 6"),
        ({"stride": 8, "depth": 1}, "found 8, depth 1"),
        ({"width": 36}, r"width must be a multiple of 8, found 36"),
        ({"graph": "sparse"}, "graph must be dense or pyg, found 'sparse'"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(SkeletonError, match=message):
        build(**options)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ragged([record()], ("joint",)), r"streams joint, motion, position in 7 channels \(C=2\), found joint in 3"),
        (ragged([record()], NAMES[::-1]), "found position, motion, joint in 7"),
        (ragged([record(coordinates=3)], NAMES), r"\(C=2\), found joint, motion, position in 10"),
        (ragged([record()], NAMES, [things()]), "expected no objects, found some; build the encoder with objects=True"),
    ],
)
def test_ragged_batches_that_do_not_fit(data, message):
    with pytest.raises(SkeletonError, match=message):
        build().encode_ragged(data)
