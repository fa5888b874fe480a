"""Samples of any number of persons, of any layouts and with objects, as one torch_geometric batch of joints.

A node is one joint of one person, or one object; nothing is padded but time. The graph of a sample is panoramic
as in MP-GCN (Li et al. 2024, arXiv 2407.19497): its edges run within a person, between persons and between hands
and objects. What differs, and why:

- All joints of the same name are joined, between all persons of a sample. MP-GCN joins one chosen joint of each
  person; which joint shows what two people do with each other depends on what they do.
- An object is one node of the sample, joined to every wrist and hand (HANDS); MP-GCN gives each person a copy,
  joined to the wrists. Every layout has wrists, and a Kinect's hands are the palms; fingers would drown them in a
  mean.
- Each type of edge is apart, so that a network can give it weights of its own.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch_geometric.data import Batch, Data

from skeleton.errors import SkeletonError
from skeleton.inputs import streams as dense
from skeleton.inputs.batch import SkeletonBatch, collate
from skeleton.layouts.layout import LAYOUTS, get_layout
from skeleton.record import Skeleton

OBJECT = 0
JOINTS = ("object", *dict.fromkeys(joint for layout in LAYOUTS.values() for joint in layout.joints))
HANDS = ("left_wrist", "right_wrist", "left_hand", "right_hand")
NUMBERS = {name: number for number, name in enumerate(JOINTS)}
EDGE_TYPES = ("itself", "inward", "outward", "between persons", "object")


def person_nodes(layout: str, persons: int) -> tuple[Tensor, Tensor]:
    """Id in JOINTS and parent's node number (a root's is its own), both [persons * V] int64, person after person."""
    body = get_layout(layout)
    joint = torch.tensor([NUMBERS[name] for name in body.joints])
    first = torch.arange(persons)[:, None] * len(joint)
    return joint.repeat(persons), (first + torch.from_numpy(body.parents.copy())).flatten()


def panoramic_edges(joint: Tensor, parent: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
    """The edges among N nodes, from source to target: index [2, E] and type [E], a place in EDGE_TYPES.

    joint [N] ids in JOINTS, parent [N] node numbers (a root's and an object's is its own), sample [N]; all int64.
    """
    itself = torch.arange(len(joint), device=joint.device)
    child = (parent != itself).nonzero().squeeze(1)
    inward = torch.stack((parent[child], child))
    body = (joint != OBJECT).nonzero().squeeze(1)
    between = body[_pairs(sample[body] * len(JOINTS) + joint[body])]
    hands = torch.tensor([OBJECT, *map(NUMBERS.get, HANDS)], device=joint.device)
    touching = torch.isin(joint, hands).nonzero().squeeze(1)
    touch = touching[_pairs(sample[touching])]
    touch = touch[:, (joint[touch] == OBJECT).sum(0) == 1]
    kinds = (itself.expand(2, -1), inward, inward.flip(0), between, touch)
    sizes = torch.tensor([kind.shape[1] for kind in kinds], device=joint.device)
    return torch.cat(kinds, dim=1), torch.arange(len(kinds), device=joint.device).repeat_interleave(sizes)


def _pairs(key: Tensor) -> Tensor:
    """[2, E]: every ordered pair of different places with the same key [N], in time and memory of the pairs alone."""
    key, order = key.sort(stable=True)
    _, group, sizes = key.unique_consecutive(return_inverse=True, return_counts=True)
    first, partners = (sizes.cumsum(0) - sizes)[group], sizes[group]
    target = torch.arange(len(key), device=key.device).repeat_interleave(partners)
    begin = (partners.cumsum(0) - partners)[target]
    source = first[target] + torch.arange(len(target), device=key.device) - begin
    return order[torch.stack((source, target))[:, source != target]]


def panoramic_adjacency(layout: str, persons: int, objects: int = 0) -> Tensor:
    """[K, N, N] float32 of one sample: what each of N = persons * V + objects nodes receives from each other.

    K are the EDGE_TYPES. As in `skeleton.inputs.adjacency.adjacency`, rows of each type sum to one where they are not
    empty. Nodes are person after person, then the objects.
    """
    if persons < 0 or objects < 0:
        raise SkeletonError(f"expected no fewer than 0 persons and objects, found {persons} and {objects}")
    joint, parent = person_nodes(layout, persons)
    joint = torch.cat((joint, torch.full((objects,), OBJECT)))
    parent = torch.cat((parent, torch.arange(len(parent), len(joint))))
    (source, target), kind = panoramic_edges(joint, parent, torch.zeros_like(joint))
    stack = torch.zeros(len(EDGE_TYPES), len(joint), len(joint))
    stack[kind, target, source] = 1
    return stack / stack.sum(-1, keepdim=True).clamp(min=1)


def ragged(
    records: list[Skeleton],
    streams: tuple[str, ...],
    objects: list[np.ndarray | None] | None = None,
    start: list[float] | None = None,
    samples: list[int] | None = None,
) -> Batch:
    """Every joint of every person, and every object, of B samples as the N nodes of one graph.

    objects[i] [O, T, C] lie beside records[i], row for row and in its unit (pixels or metres), NaN where not seen;
    start[i] is the second of the video at which the sample starts (None: its first row). Records of one number in
    `samples` are one sample, the same rows of one video (None: each is its own); samples come in the order in which
    they first occur. Persons come in the order of the records, then the objects.

    x           [N, T, C'] `skeleton.inputs.streams.streams` of each person, T of the longest record; 0 where not visible.
                Of an object, joint and trajectory are from where the persons are on the average of the clip, in their
                mean torsos (without persons: from the frame's middle in frame heights, or in metres), motion is in
                torsos a second, position as everyone's, the confidence 1; streams without a meaning for it are 0
    visible     [N, T] bool
    joint       [N] int64: the joint's id in JOINTS, the same in every layout
    person      [N] int64: number of the person in the sample; -1 for an object
    batch       [N] int64: the sample
    edge_index  [2, E] from source to target; edge_type [E] int64, a place in EDGE_TYPES
    times       [B, T] float32 seconds since the sample's start; padding repeats the last real time
    frames      [B, T] bool: a real row, not padding
    streams     the names, once for each sample

    SkeletonError where lists, rows, units or the records of one sample disagree.
    """
    objects = [None] * len(records) if objects is None else objects
    start = [float(record.timestamps[0]) for record in records] if start is None else start
    samples = list(range(len(records))) if samples is None else samples
    lengths = [len(records), len(objects), len(start), len(samples)]
    if len(set(lengths)) > 1 or not records:
        raise SkeletonError(
            f"expected objects, start and samples of each of one or more records, found {lengths} of them"
        )
    units = {record.keypoints.shape[-1] for record in records if record.num_persons}
    units |= {found.shape[-1] for found in objects if found is not None and len(found)}
    if len(units) > 1 or not units <= {2, 3}:
        raise SkeletonError(
            f"expected either pixels (C=2) or metres (C=3) in one batch, found C={sorted(units)}; batch them apart"
        )
    coordinates = units.pop() if units else 2
    dense.stream_channels(streams, coordinates)
    rows = max(record.num_frames for record in records)
    graphs = []
    for sample in dict.fromkeys(samples):
        members = [place for place, number in enumerate(samples) if number == sample]
        bodies = [_alone(records[place], start[place]) for place in members]
        points = [_points(objects[place], records[place], coordinates) for place in members]
        counts = [records[place].num_persons for place in members]
        graphs.append(_graph(bodies, counts, points, streams, rows))
    return Batch.from_data_list(graphs)


def _alone(record: Skeleton, start: float) -> SkeletonBatch:
    """A batch of this record, all persons kept."""
    return collate([record], [start], max(record.num_persons, 1), record.layout)


def _points(found: np.ndarray | None, record: Skeleton, coordinates: int) -> Tensor:
    """[O, T, C] positions in frame heights or metres, NaN where not seen; SkeletonError for other rows."""
    expected = (record.num_frames, coordinates)
    found = np.zeros((0, *expected)) if found is None or not len(found) else np.asarray(found)
    if found.shape[1:] != expected:
        raise SkeletonError(
            f"objects must be [O, {expected[0]}, {expected[1]}] like their record, found {list(found.shape)}"
        )
    return torch.from_numpy(found / (record.frame_size[0] if coordinates == 2 else 1)).float()


def _graph(
    bodies: list[SkeletonBatch], counts: list[int], found: list[Tensor], names: tuple[str, ...], rows: int
) -> Data:
    """One sample, padded to `rows`: for each record its batch, how many persons it has and its objects [O, T, C]."""
    times, aspect = bodies[0].times, bodies[0].aspect
    if any(not torch.equal(body.times, times) or not torch.equal(body.aspect, aspect) for body in bodies):
        raise SkeletonError(
            "expected records of one sample to have the same rows, start and frame, found others; resample them alike"
        )
    present = [(body, count) for body, count in zip(bodies, counts, strict=True) if count]
    parts, size, persons = [], 0, 0
    for body, count in present:
        joint, parent = person_nodes(body.layout, count)
        person = torch.arange(count).repeat_interleave(len(joint) // count)
        # [M, T, V, ...] -> [M * V, T, ...]
        inputs, seen = dense.streams(body, names)[0], body.visible[0]
        inputs, seen = (part.transpose(1, 2).flatten(0, 1) for part in (inputs, seen))
        parts.append((inputs, seen, joint, parent + size, person + persons))
        size, persons = size + len(joint), persons + count
    points = torch.cat(found)
    joint, own = torch.full((len(points),), OBJECT), torch.arange(size, size + len(points))
    inputs, seen = _object_inputs(points, [body for body, _ in present], times, aspect, names)
    parts.append((inputs, seen, joint, own, torch.full_like(own, -1)))
    inputs, seen, joint, parent, person = map(torch.cat, zip(*parts, strict=True))
    edge_index, edge_type = panoramic_edges(joint, parent, torch.zeros_like(joint))
    extra = rows - times.shape[1]
    return Data(
        x=functional.pad(inputs, (0, 0, 0, extra)),
        visible=functional.pad(seen, (0, extra)),
        joint=joint,
        person=person,
        edge_index=edge_index,
        edge_type=edge_type,
        times=functional.pad(times[None], (0, extra), mode="replicate")[0],
        frames=(torch.arange(rows) < times.shape[1])[None],
        streams=tuple(names),
        num_nodes=len(joint),
    )


def _object_inputs(
    points: Tensor, bodies: list[SkeletonBatch], times: Tensor, aspect: Tensor, names: tuple[str, ...]
) -> tuple[Tensor, Tensor]:
    """Inputs [O, T, C'] and visible [O, T] of objects at `points` [O, T, C] beside the persons of `bodies`."""
    seen = points.isfinite().all(-1)
    points = points.where(seen[..., None], 0)
    middle = torch.stack((aspect[0] / 2, torch.tensor(0.5))) if points.shape[-1] == 2 else torch.zeros(3)
    place, torso = middle, torch.ones(())
    persons = [body.visible[0].flatten(1).any(1) for body in bodies]
    if any(known.any() for known in persons):
        place, torso = (
            torch.cat([measure(body)[0, known] for body, known in zip(bodies, persons, strict=True)]).mean(0)
            for measure in (dense.mean_places, dense.torso_lengths)
        )
    offset = (points - place) / torso
    # [1, O, T, 1, C], as persons of one joint
    motion = dense.rates(points[None, :, :, None] / torso, seen[None, :, :, None, None], times)[0, :, :, 0]
    known = {"joint": offset, "trajectory": offset, "motion": motion, "position": points - middle}
    parts = [known.get(name, torch.zeros_like(points)) for name in names]
    return torch.cat((*parts, torch.ones_like(points[..., :1])), dim=-1) * seen[..., None], seen
