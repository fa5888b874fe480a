"""CTR-GCN: its size, its topologies by plain loops, its branches in time, and that a new one learns in all its parts."""

import math

import pytest
import torch

from skeleton.encoders import build_encoder
from skeleton.encoders.ctrgcn import MultiScaleConv, TopologyConv
from skeleton.errors import SkeletonError
from skeleton.inputs.adjacency import adjacency
from skeleton.layouts.layout import get_layout


def disturb(module):
    """Weights and statistics anywhere but at their start."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=random) * 0.5)
        for key, buffer in module.named_buffers():
            if "num_batches" not in key:
                buffer.add_(torch.rand(buffer.shape, generator=random))
    return module.eval()


def test_parameters_are_those_published():
    """1.46 M in the paper; 1,446,672 in the authors' code (Uason-Chen/CTR-GCN, model/ctrgcn.py)."""
    encoder = build_encoder("ctrgcn", layout="ntu25", width=256, depth=10, stride=4, streams=["joint"], coordinates=2)
    assert encoder.channels == 3
    head, second_person = 256 * 60 + 60, 2 * 25 * 3
    assert sum(p.numel() for p in encoder.parameters()) == 1_446_672 - head - second_person


def naive_topology(layer, hidden, seen, person, partition, channel, target, source):
    """Section 3.2 for one entry, each projection before the mean over the rows that are seen."""
    partitions = len(layer.PA)
    relations = layer.compare.out_channels // partitions // 2

    def mean(joint, half, relation):
        row = half * partitions * relations + partition * relations + relation
        values = [
            sum(w * x for w, x in zip(layer.compare.weight[row, :, 0], hidden[person, :, t, joint], strict=True))
            + layer.compare.bias[row]
            for t in range(hidden.shape[2])
            if seen[person, t, joint]
        ]
        return sum(values) / len(values)

    out = partition * layer.refine.out_channels // partitions + channel
    refinement = layer.refine.bias[out]
    for relation in range(relations):
        difference = mean(target, 0, relation) - mean(source, 1, relation)
        refinement = refinement + layer.refine.weight[out, relation, 0, 0] * math.tanh(difference)
    return layer.PA[partition, target, source] + layer.alpha[0] * refinement


@pytest.mark.parametrize("masked", [False, True])
@torch.no_grad()
def test_topology_by_loops(masked):
    """Every channel of every sample has its own topology; what is not seen is neither source nor part of a mean."""
    torch.manual_seed(0)
    persons, inputs, rows, joints, partitions = 2, 2, 3, 3, 2
    layer = disturb(TopologyConv(inputs, inputs, torch.rand(partitions, joints, joints), reduction=8)).double()
    seen = torch.ones(persons, rows, joints, dtype=torch.bool)
    if masked:
        seen[0, 1:, 0] = seen[1, 0, 2] = seen[1, 2, 1] = False
    mask = seen[:, None].double()
    hidden = torch.randn(persons, inputs, rows, joints).double() * mask
    topology = layer.topology(hidden, mask if masked else None)
    output = layer(hidden, mask if masked else None)
    for p in range(persons):
        for c in range(inputs):
            mixed = torch.zeros(rows, joints).double()
            for k in range(partitions):
                row = k * inputs + c
                weight, bias = layer.project.weight[row].flatten(), layer.project.bias[row]
                for v in range(joints):
                    for u in range(joints):
                        entry = naive_topology(layer, hidden, seen, p, k, c, u, v)
                        torch.testing.assert_close(topology[p, k, c, u, v], entry)
                        for t in range(rows):
                            if seen[p, t, v]:
                                mixed[t, u] += entry * ((weight * hidden[p, :, t, v]).sum() + bias)
            norm = layer.bn
            normed = (mixed - norm.running_mean[c]) / (norm.running_var[c] + norm.eps).sqrt()
            expected = torch.relu(normed * norm.weight[c] + norm.bias[c] + hidden[p, c]) * mask[p, 0]
            torch.testing.assert_close(output[p, c], expected)
    assert (topology[0, :, 0] - topology[0, :, 1]).abs().max() > 0.1
    assert (topology[0] - topology[1]).abs().max() > 0.01


def test_the_shared_topology_starts_as_the_skeleton_and_is_learned():
    """At the start all samples and channels have the authors' graph; then every pair of joints may be joined."""
    torch.manual_seed(0)
    body, stack = get_layout("coco17"), adjacency("coco17")
    layer = TopologyConv(4, 6, stack, reduction=8)
    hidden = torch.randn(2, 4, 5, 17)
    topology = layer.topology(hidden, None)
    assert (topology == topology[:1, :, :1]).all()
    assert (topology.sum(-2) <= 1 + 1e-6).all()
    parent, child = body.bones[-1]
    assert topology[0, 1, 0, body.index(parent), body.index(child)] == 1
    torch.nn.init.ones_(layer.bn.weight)
    (layer(hidden, None) * torch.randn(2, 6, 5, 17)).sum().backward()
    assert (layer.PA.grad != 0).all()


def test_a_new_network_learns_in_all_its_parts():
    """What starts at zero (alpha, the graph's batch norm) hides nothing for more than a few steps."""
    torch.manual_seed(0)
    encoder = build_encoder("ctrgcn", width=32, depth=3, stride=2, streams=["joint"])
    inputs, target = torch.randn(3, 8, 17, 3), torch.randn(3, 4, 17, 32)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    silent = []
    for _ in range(4):
        optimizer.zero_grad()
        (encoder.encode(inputs, None) - target).square().mean().backward()
        silent.append({key for key, p in encoder.named_parameters() if p.grad is None or not p.grad.any()})
        optimizer.step()
    assert {key.split(".")[3] for key in silent[0]} == {"PA", "alpha", "compare", "refine", "project"}
    assert silent[-1] == set()


@torch.no_grad()
def test_branches_reach_as_far_as_their_dilation():
    """Kernel 5: dilation 1 reads rows -2 to 2, dilation 2 twice as far, the maximum -1 to 1, the last branch one row."""
    layer = disturb(MultiScaleConv(16, stride=2, kernel=5, dilations=(1, 2)))
    hidden = torch.rand(1, 16, 24, 1)
    rows = []
    for row in range(24):
        changed = hidden.clone()
        changed[:, :, row] += 3
        difference = (layer(changed, None, None) - layer(hidden, None, None))[0, :, 6, 0]
        rows.append(difference.unflatten(0, (4, 4)).abs().amax(1) > 1e-5)
    reached = torch.stack(rows, dim=1)
    expected = [[-2, -1, 0, 1, 2], [-4, -2, 0, 2, 4], [-1, 0, 1], [0]]
    assert [(branch.nonzero()[:, 0] - 12).tolist() for branch in reached] == expected


@torch.no_grad()
def test_the_maximum_is_that_of_visible_rows():
    layer = disturb(MultiScaleConv(16, stride=1, kernel=5, dilations=(1, 2)))
    hidden, mask = torch.randn(2, 16, 9, 3), (torch.rand(2, 1, 9, 3) > 0.4).float()
    output = layer(hidden * mask, mask, mask)[:, 8:12]
    norm, reduced = layer.bn, torch.relu(layer.reduce(hidden, None))[:, 8:]
    for p, t, v in mask[:, 0].nonzero().tolist():
        near = [row for row in (t - 1, t, t + 1) if 0 <= row < 9 and mask[p, 0, row, v]]
        highest = reduced[p, :, near, v].amax(1)
        expected = (highest - norm.running_mean[8:12]) / (norm.running_var[8:12] + norm.eps).sqrt()
        torch.testing.assert_close(output[p, :, t, v], expected * norm.weight[8:12] + norm.bias[8:12])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 72, "stride": 4}, r"that 4 branches divide, found 72 / 4"),
        ({"dilations": (1, 2, 3)}, r"that 5 branches divide, found 64 / 4"),
        ({"kernel": 4}, r"odd kernel.*found kernel 4"),
        ({"dilations": (0, 1)}, r"dilations.*found kernel 5, dilations \(0, 1\)"),
        ({"reduction": 0}, r"reduction of at least 1, found.*reduction 0"),
    ],
)
def test_sizes_that_cannot_be(options, message):
    with pytest.raises(SkeletonError, match=message):
        build_encoder("ctrgcn", **{"width": 64, "depth": 3, "stride": 4, "streams": ["joint"]} | options)
