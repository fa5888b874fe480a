"""ProtoGCN: its learned topology and its prototypes, against loops over joints, channels and persons."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from skeleton.encoders import build_encoder
from skeleton.encoders.protogcn import GraphConv, MotionTopology, MultiScaleConv, Prototypes
from skeleton.errors import SkeletonError
from tests.skeleton.encoders.batches import make, pad


def randomise(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Nothing is left at zero, and no batch norm is the identity."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.5)
        for name, buffer in module.named_buffers():
            if "running" in name:
                buffer.copy_(torch.rand(buffer.shape, generator=random) + 0.5)
    return module


def build(**options):
    """A small encoder with prototypes."""
    sizes = {"width": 48, "depth": 3, "stride": 4, "streams": ["joint"], "prototypes": 7}
    torch.manual_seed(0)
    encoder = build_encoder("protogcn", **sizes | options)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.endswith(("alpha", "beta", "coefficients")):
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    return encoder


def hidden_and_mask(joints: int, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """[2, C, 4, V] and [2, 1, 4, V]: the second person never shows joint 1, and joint 0 in two rows only."""
    hidden = torch.randn(2, channels, 4, joints, generator=torch.Generator().manual_seed(3))
    mask = torch.ones(2, 1, 4, joints)
    mask[1, :, :, 1] = 0
    mask[1, :, 1:3, 0] = 0
    return hidden * mask, mask


def test_parameters_are_the_published_ones():
    """The authors give 4.1436 M (issue 11 of firework8/ProtoGCN) for ntu60_xsub/j, counted in units of 2**20.

    That includes the classifier and the projection of the contrastive loss; the rest, 4161504, is what their class
    ProtoGCN has. Its alpha and beta have eight numbers in each block, of which one is read.
    """
    sizes = {"layout": "ntu25", "width": 384, "depth": 10, "stride": 4, "streams": ["joint"]}
    encoder = build_encoder("protogcn", prototypes=400, **sizes)
    count = sum(p.numel() for p in encoder.parameters())
    assert encoder.channels == 3
    never_read = 10 * 2 * 7
    assert count == 4_161_504 - never_read
    classifier, projection = 384 * 60 + 60, 625 * 256 + 256
    assert (count + never_read + classifier + projection) / 2**20 == pytest.approx(4.1436, abs=5e-5)
    without = build_encoder("protogcn", **sizes)
    assert count - sum(p.numel() for p in without.parameters()) == 2 * 384 * 400 + 384 * 385 + 2 * 384
    assert {name.split(".")[0] for name, _ in without.named_parameters()} == {"data_bn", "gcn"}


def test_graphs_begin_as_the_same_random_numbers_in_all_blocks():
    """As in the authors' configs: mode random, offset 0.04, standard deviation 0.02."""
    first, *others = [block.gcn.A for block in build(layout="ntu25").gcn]
    assert first.shape == (8, 25, 25)
    assert first.mean().item() == pytest.approx(0.04, abs=2e-3)
    assert first.std().item() == pytest.approx(0.02, abs=2e-3)
    assert len(others) == 2
    assert all(torch.equal(first, other) and first is not other for other in others)


@pytest.mark.parametrize("masked", [False, True])
def test_motion_topology_edge_by_edge(masked):
    graphs, channels, joints = 2, 2, 4
    layer = randomise(MotionTopology(3, graphs, channels))
    hidden, mask = hidden_and_mask(joints)
    edges = layer(hidden, mask if masked else None)
    assert edges.shape == (2, graphs, channels, joints, joints)
    weight, bias = layer.conv.weight[..., 0], layer.conv.bias
    for person in range(2):
        seen = [v for v in range(joints) if not masked or mask[person, 0, :, v].any()]
        ends = {}
        for v in seen:
            rows = [t for t in range(4) if not masked or mask[person, 0, t, v]]
            projected = [weight @ hidden[person, :, t, v] + bias for t in rows]
            ends[v] = (sum(projected) / len(rows)).view(2, graphs, channels)
        for k in range(graphs):
            for target in seen:
                scores = {v: (ends[v][0, k] * ends[target][1, k]).sum().exp() for v in seen}
                for source in seen:
                    inter = torch.tanh(ends[source][0, k] - ends[target][1, k])
                    intra = scores[source] / sum(scores.values())
                    expected = layer.alpha * inter + layer.beta * intra
                    torch.testing.assert_close(edges[person, k, :, source, target], expected)


def test_each_channel_is_mixed_by_its_own_graph():
    layer = randomise(GraphConv(3, 4, torch.zeros(2, 4, 4))).eval()
    hidden, mask = hidden_and_mask(4)
    output, motion = layer(hidden, mask)
    messages = torch.relu(layer.pre(hidden, mask))
    mixed = torch.zeros_like(messages)
    for channel in range(4):
        k, c = divmod(channel, 2)
        for source in range(4):
            for target in range(4):
                edge = layer.A[k, source, target] + motion[:, k, c, source, target]
                mixed[:, channel, :, target] += edge[:, None] * messages[:, channel, :, source]
    expected = torch.relu(layer.bn(layer.post(mixed), mask) + layer.down(hidden, mask))
    torch.testing.assert_close(output, expected)
    assert (output[mask.expand_as(output) == 0] == 0).all()


def test_joints_hear_of_others_in_time_through_the_mean_of_visible_ones():
    layer = randomise(MultiScaleConv(12, 2, joints=4)).eval()
    with torch.no_grad():
        layer.coefficients[3] = 0
    hidden, mask = hidden_and_mask(4, channels=12)
    changed = hidden.clone()
    changed[:, :, :, 2] += 1
    pooled = mask[:, :, ::2].maximum(mask[:, :, 1::2])
    one, two = layer(hidden, mask, pooled), layer(changed, mask, pooled)
    reached = (one - two).abs().amax((1, 2)) > 1e-4
    assert reached.tolist() == [[True, True, True, False], [True, False, True, False]]
    # The second person without the joint that is never visible: the mean is that of the others.
    fewer = randomise(MultiScaleConv(12, 2, joints=3)).eval()
    fewer.load_state_dict(layer.state_dict() | {"coefficients": layer.coefficients[[0, 2, 3]]})
    left = fewer(hidden[1:, ..., [0, 2, 3]], mask[1:, ..., [0, 2, 3]], pooled[1:, ..., [0, 2, 3]])
    torch.testing.assert_close(one[1:, ..., [0, 2, 3]], left)


def test_prototypes_are_read_edge_by_edge():
    channels, joints = 4, 3
    layer = randomise(Prototypes(channels, prototypes=5, dropout=0.0)).eval()
    topology = torch.randn(2, channels, joints, joints, generator=torch.Generator().manual_seed(4))
    mask = torch.ones(2, 1, joints, joints)
    mask[1, 0, 0, 2] = 0
    output = layer(topology, mask)
    assert output.shape == (2, joints * joints)
    bn = layer.bn
    for sample in range(2):
        for source in range(joints):
            for target in range(joints):
                scores = (layer.query.weight @ topology[sample, :, source, target]).exp()
                mixture = sum(
                    share * prototype
                    for share, prototype in zip(scores / scores.sum(), layer.memory.weight.T, strict=True)
                )
                value = layer.post.weight[..., 0, 0] @ mixture + layer.post.bias
                value = (value - bn.running_mean) / (bn.running_var + bn.eps).sqrt() * bn.weight + bn.bias
                expected = value.relu().mean() * mask[sample, 0, source, target]
                torch.testing.assert_close(output[sample, source * joints + target], expected)


def test_reconstruction_reads_the_mean_over_the_persons_who_show_both_joints():
    encoder = build().eval()
    batch = make(size=3, persons=3, frames=16, missing=0.1)
    seen = batch.visible.clone()
    seen[0, 2] = False
    seen[1, 0, :, 9] = False
    seen[2, :, :, 9] = False
    caught = {}
    encoder.gcn[-1].register_forward_hook(lambda module, given, made: caught.update(motion=made[2].flatten(1, 2)))
    encoder.prototypes.register_forward_pre_hook(lambda module, given: caught.update(topology=given[0], mask=given[1]))
    encoder(replace(batch, visible=seen))
    persons = seen.any(2)
    place = {tuple(person): row for row, person in enumerate(persons.any(-1).nonzero().tolist())}
    assert len(place) == 8
    for sample in range(3):
        for source, target in [(0, 9), (9, 0), (9, 9), (3, 8), (5, 5)]:
            who = [m for m in range(3) if persons[sample, m, source] and persons[sample, m, target]]
            assert caught["mask"][sample, 0, source, target] == bool(who)
            if who:
                rows = [caught["motion"][place[sample, m], :, source, target] for m in who]
                torch.testing.assert_close(caught["topology"][sample, :, source, target], sum(rows) / len(who))
    assert encoder.reconstruction.shape == (3, 17 * 17)
    unseen = encoder.reconstruction.view(3, 17, 17)[2]
    assert (unseen[9] == 0).all()
    assert (unseen[:, 9] == 0).all()
    assert (unseen[:9, :9] > 0).float().mean() > 0.9


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_reconstruction_does_not_depend_on_padding(missing):
    encoder, batch = build(), make(frames=18, missing=missing)
    other = deepcopy(encoder)
    encoder(batch)
    other(pad(batch, size=1, persons=2, frames=13))
    assert encoder.reconstruction.std() > 0.01
    torch.testing.assert_close(other.reconstruction[:3], encoder.reconstruction, atol=1e-5, rtol=1e-4)
    assert (other.reconstruction[3] == 0).all()
    for (key, one), two in zip(encoder.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one, two, msg=key)


def test_the_loss_on_the_reconstruction_teaches_the_prototypes():
    encoder, batch = build(), make()
    features = encoder(batch).features
    target = torch.randn(3, 17 * 17, generator=torch.Generator().manual_seed(2))
    weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(2))
    ((features * weights).sum() + (encoder.reconstruction * target).sum()).backward()
    silent = [key for key, p in encoder.named_parameters() if p.grad is None or not (p.grad != 0).any()]
    assert silent == []
    assert deepcopy(encoder).reconstruction is None
    encoder.zero_grad()
    features = encoder(replace(batch, visible=torch.zeros_like(batch.visible))).features
    assert (encoder.reconstruction == 0).all()
    (features.sum() + encoder.reconstruction.sum()).backward()
    assert all((p.grad == 0).all() for p in encoder.parameters())


def test_features_are_the_same_without_prototypes():
    with_them, batch = build(), make()
    without = build(prototypes=0)
    rest = without.load_state_dict(with_them.state_dict(), strict=False)
    assert rest.missing_keys == []
    torch.testing.assert_close(without(batch).features, with_them(batch).features)
    assert without.reconstruction is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"width": 16},
            "expected graphs from 1 up to width / stride, .* at least 6, found graphs 8, width 16 and stride 4",
        ),
        ({"width": 20, "graphs": 2}, "found graphs 2, width 20 and stride 4"),
        ({"graphs": 0}, "expected graphs from 1 up .* found graphs 0"),
        ({"graphs": 13}, "found graphs 13, width 48"),
        ({"prototypes": -1}, "expected 0 prototypes .* found -1"),
        ({"stride": 6}, "expected a stride that is a power of two"),
        ({"depth": 2}, "depth 2"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(SkeletonError, match=message):
        build(**options)
