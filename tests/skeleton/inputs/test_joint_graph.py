"""Ragged batches: nodes agree with the padded batch of each record, edges with a slow look at every pair of nodes."""

import numpy as np
import pytest
import torch

from skeleton.errors import LayoutError, SkeletonError
from skeleton.inputs.adjacency import adjacency
from skeleton.inputs.batch import collate
from skeleton.inputs.joint_graph import HANDS, JOINTS, panoramic_adjacency, panoramic_edges, person_nodes, ragged
from skeleton.inputs.streams import streams
from skeleton.layouts.layout import LAYOUTS, get_layout
from skeleton.record import Skeleton
from tests.skeleton.figures import figure
from tests.skeleton.figures import record as drawn

NAMES = ("joint", "bone", "motion", "trajectory", "position")


def record(persons=2, frames=12, layout="coco17", seed=0, missing=0.2, coordinates=2) -> Skeleton:
    """Random joints of a frame of 480 x 640 pixels (or metres); a share `missing` is not visible."""
    random = np.random.default_rng(seed)
    shape = (persons, frames, len(get_layout(layout).joints))
    return Skeleton(
        keypoints=random.uniform(0, 480 if coordinates == 2 else 2, (*shape, coordinates)),
        confidence=random.uniform(0.2, 1, shape),
        visible=random.uniform(size=shape) >= missing,
        boxes=np.zeros((persons, frames, 4)),
        timestamps=3 + np.arange(frames) / 20,
        track_ids=np.arange(persons),
        layout=layout,
        frame_size=(480, 640),
        source={},
    )


def things(count=2, frames=12, seed=0, coordinates=2) -> np.ndarray:
    """Random objects [O, T, C], a few not seen."""
    random = np.random.default_rng(seed)
    points = random.uniform(0, 480 if coordinates == 2 else 2, (count, frames, coordinates))
    points[random.uniform(size=(count, frames)) < 0.2] = np.nan
    return points


@pytest.mark.parametrize("coordinates", [2, 3])
def test_nodes_agree_with_the_padded_batch_of_each_record(coordinates):
    shapes = [(2, 12, "coco17"), (0, 9, "coco17"), (3, 15, "ntu25"), (1, 1, "smpl22")]
    records = [record(*shape, seed=seed, coordinates=coordinates) for seed, shape in enumerate(shapes)]
    begins = [3.0, 2.5, 1.0, 3.0]
    data = ragged(records, NAMES, start=begins)
    assert data.num_graphs == 4
    assert (data.x.shape, data.visible.shape) == ((2 * 17 + 3 * 25 + 22, 15, 5 * coordinates + 1), (131, 15))
    assert data.streams == [NAMES] * 4
    for sample, (body, begin) in enumerate(zip(records, begins, strict=True)):
        alone, rows = collate([body], [begin], 9, body.layout), body.num_frames
        here = data.batch == sample
        assert here.sum() == body.num_persons * len(get_layout(body.layout).joints)
        torch.testing.assert_close(data.times[sample, :rows], alone.times[0])
        assert (data.times[sample, rows:] == alone.times[0, -1]).all()
        assert data.frames[sample].tolist() == [True] * rows + [False] * (15 - rows)
        assert not data.visible[here, rows:].any()
        assert not data.x[here, rows:].any()
        if body.num_persons:
            expected = streams(alone, NAMES)[0].transpose(1, 2).flatten(0, 1)
            torch.testing.assert_close(data.x[here, :rows], expected, rtol=0, atol=0)
            assert (data.visible[here, :rows] == alone.visible[0].transpose(1, 2).flatten(0, 1)).all()
        names = [JOINTS[number] for number in data.joint[here]]
        assert names == list(get_layout(body.layout).joints) * body.num_persons
        assert data.person[here].tolist() == sorted(list(range(body.num_persons)) * len(get_layout(body.layout).joints))


def test_every_name_has_one_number_in_all_layouts():
    assert len(set(JOINTS)) == len(JOINTS)
    assert JOINTS[0] == "object"
    for layout in LAYOUTS:
        joint, parent = person_nodes(layout, 2)
        assert [JOINTS[number] for number in joint] == list(get_layout(layout).joints) * 2
        bones = {(JOINTS[joint[p]], JOINTS[joint[v]]) for v, p in enumerate(parent.tolist()) if p != v}
        assert bones == set(get_layout(layout).bones)
    assert set(HANDS) <= set(JOINTS)


def test_edges_are_those_of_a_slow_look_at_every_pair():
    """Three samples; the second has persons of two layouts, which share names, and two objects."""
    records = [record(2), record(2, seed=1), record(2, layout="ntu25", seed=2), record(1, layout="kinect20", seed=3)]
    data = ragged(records, NAMES, objects=[None, things(1), things(1), things(3)], samples=[7, 4, 4, 9])
    assert data.num_graphs == 3
    assert data.person[data.batch == 1].unique().tolist() == [-1, 0, 1, 2, 3]
    layouts = {0: ["coco17"] * 2, 1: ["coco17"] * 2 + ["ntu25"] * 2, 2: ["kinect20"]}
    nodes = [
        (b, m, JOINTS[j], layouts[b][m] if m >= 0 else "")
        for b, m, j in zip(data.batch.tolist(), data.person.tolist(), data.joint.tolist(), strict=True)
    ]
    expected = set()
    for i, (b, m, name, layout) in enumerate(nodes):
        expected.add((i, i, 0))
        for j, (b2, m2, name2, _) in enumerate(nodes):
            if b != b2 or i == j:
                continue
            if m == m2 >= 0:
                bones = get_layout(layout).bones
                expected |= {(i, j, 1)} if (name, name2) in bones else set()
                expected |= {(i, j, 2)} if (name2, name) in bones else set()
            elif m >= 0 and m2 >= 0 and name == name2:
                expected.add((i, j, 3))
            elif "object" in (name, name2) and {name, name2} & {"left_wrist", "right_wrist", "left_hand", "right_hand"}:
                expected.add((i, j, 4))
    found = list(zip(*data.edge_index.tolist(), data.edge_type.tolist(), strict=True))
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert {kind for *_, kind in expected} == {0, 1, 2, 3, 4}
    parent = torch.arange(len(nodes))
    for source, target, kind in found:
        parent[target] = source if kind == 1 else parent[target]
    (source, target), kind = panoramic_edges(data.joint, parent, data.batch)
    assert sorted(zip(source.tolist(), target.tolist(), kind.tolist(), strict=True)) == sorted(found)


@pytest.mark.parametrize(
    ("layout", "persons", "objects"), [("coco17", 3, 2), ("ntu25", 2, 0), ("penn13", 1, 1), ("smpl22", 0, 2)]
)
def test_panoramic_adjacency(layout, persons, objects):
    stack, size = panoramic_adjacency(layout, persons, objects), len(get_layout(layout).joints)
    nodes = persons * size
    assert stack.shape == (5, nodes + objects, nodes + objects)
    torch.testing.assert_close(stack[0], torch.eye(nodes + objects))
    for partition in (1, 2):
        within = torch.block_diag(*[adjacency(layout)[partition]] * persons) if persons else torch.zeros(0, 0)
        torch.testing.assert_close(stack[partition, :nodes, :nodes], within)
        assert not stack[partition, nodes:].any()
    others = (1 - torch.eye(persons)) / max(persons - 1, 1)
    torch.testing.assert_close(stack[3, :nodes, :nodes], torch.kron(others, torch.eye(size)))
    rows = stack.sum(-1)
    assert ((rows == 0) | torch.isclose(rows, torch.ones(()))).all()
    hands = [m * size + v for m in range(persons) for v, name in enumerate(get_layout(layout).joints) if name in HANDS]
    assert (stack[4, :nodes].any(1).nonzero().flatten().tolist() == hands) == (objects > 0)
    assert all(row.nonzero().flatten().tolist() == hands for row in stack[4, nodes:])
    data = ragged([record(persons, layout=layout)], NAMES, [things(objects)])
    sparse = torch.zeros_like(stack)
    sparse[data.edge_type, data.edge_index[1], data.edge_index[0]] = 1
    assert (sparse == (stack > 0)).all()


def test_objects_are_measured_from_the_mean_person_in_mean_torsos():
    """Two people with torsos of 100 px at 200 and 400 px whose hips are at y = 260, and one who is never seen."""
    shown = np.ones((3, 4, 17), bool)
    shown[1] = False
    people = drawn(*(figure(x=x, seconds=0.2) for x in (200.0, 600.0, 400.0)), visible=shown)
    points = np.full((1, 4, 2), np.nan)
    points[0, :3] = [[300, 260], [350, 260], [350, 160]]
    names = ("joint", "own", "motion", "bone_motion", "trajectory", "position", "bone")
    data = ragged([people], names, [points])
    assert (data.joint[-1], data.person[-1], data.visible[-1].tolist()) == (0, -1, [True, True, True, False])
    joint, own, motion, bone_motion, trajectory, position, bone = data.x[-1, :, :-1].unflatten(-1, (7, 2)).unbind(1)
    torch.testing.assert_close(joint, torch.tensor([[0, 0], [0.5, 0], [0.5, -1], [0, 0]]), atol=1e-5, rtol=0)
    torch.testing.assert_close(trajectory, joint)
    torch.testing.assert_close(motion, torch.tensor([[10.0, 0], [0, -20], [0, 0], [0, 0]]), atol=1e-4, rtol=0)
    expected = torch.tensor([[-20, 20], [30, 20], [30, -80], [0, 0]]) / 480
    torch.testing.assert_close(position, expected, atol=1e-6, rtol=0)
    assert not (own.any() or bone.any() or bone_motion.any())
    assert data.x[-1, :, -1].tolist() == [1, 1, 1, 0]
    hidden = drawn(figure(x=200.0, seconds=0.2), visible=np.zeros((1, 4, 17), bool))
    for nobody in (hidden, Skeleton.empty(people.timestamps, (480, 640))):
        alone = ragged([nobody], ("joint", "position"), [points])
        torch.testing.assert_close(alone.x[-1, :, :2], expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(alone.x[-1, :, 2:4], expected, atol=1e-6, rtol=0)
    points = things(1, 4, coordinates=3)
    metres = ragged([Skeleton.empty(people.timestamps, (480, 640))], ("joint",), [points])
    torch.testing.assert_close(metres.x[:, :, :3], torch.from_numpy(np.nan_to_num(points)).float())


def test_nobody():
    data = ragged([Skeleton.empty(np.arange(3) / 20, (480, 640)), record(0, 5, "ntu25")], NAMES)
    assert (data.num_graphs, data.num_nodes, data.x.shape) == (2, 0, (0, 5, 11))
    assert (data.edge_index.shape, data.frames.sum(1).tolist()) == ((2, 0), [3, 5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"records": []}, "expected objects, start and samples of each of one or more records, found"),
        ({"start": [0.0]}, r"one or more records, found \[2, 2, 1, 2\] of them"),
        ({"records": [record(), record(coordinates=3)]}, r"pixels \(C=2\) or metres \(C=3\) in one batch, found C=\[2"),
        ({"objects": [things(coordinates=3), None]}, r"found C=\[2, 3\]; batch them apart"),
        ({"objects": [things(frames=11), None]}, r"objects must be \[O, 12, 2\] like their record, found \[2, 11, 2\]"),
        ({"objects": [things()[0], None]}, r"objects must be \[O, 12, 2\] like their record, found \[12, 2\]"),
        ({"records": [record(0), record(0)], "streams": ("joints",)}, "expected streams among joint, bone"),
        ({"records": [record(), record(frames=13)], "samples": [0, 0]}, "records of one sample to have the same rows"),
        ({"start": [0.0, 1.0], "samples": [0, 0]}, "records of one sample to have the same rows, start and frame"),
    ],
)
def test_what_does_not_fit(arguments, message):
    with pytest.raises(SkeletonError, match=message):
        ragged(**({"records": [record(), record(seed=1)], "streams": NAMES} | arguments))


def test_adjacency_of_what_cannot_be():
    with pytest.raises(SkeletonError, match="expected no fewer than 0 persons and objects, found 2 and -1"):
        panoramic_adjacency("coco17", 2, -1)
    with pytest.raises(LayoutError, match="unknown joint layout 'coco'"):
        panoramic_adjacency("coco", 2)
