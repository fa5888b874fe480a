"""The adapter of mmaction2's graph networks: theirs bit for bit with whole skeletons, and what a mask does to AAGCN."""

from functools import partial

import pytest
import torch

from skeleton.encoders import build_encoder
from skeleton.encoders.mmaction import masked
from skeleton.errors import SkeletonError
from skeleton.layouts.layout import get_layout
from skeleton.openmmlab import prepare
from tests.skeleton.encoders import test_contract as contract

PLUS = {
    "options": {"gcn_adaptive": "init", "gcn_with_res": True, "tcn_type": "mstcn", "graph_cfg": {"mode": "spatial"}}
}
NETWORKS = {"stgcn": {}, "stgcn++": PLUS, "aagcn": {"backbone": "AAGCN"}}
OTHERS = [pytest.param(NETWORKS[name], id=name) for name in ("stgcn++", "aagcn")]


def randomise(network: torch.nn.Module) -> None:
    """mmaction2 begins with attention and residuals at zero: all at work instead."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "mode"), [("stgcn", "stgcn_spatial"), ("stgcn++", "spatial"), ("aagcn", "spatial")])
def test_equals_mmaction2_to_the_bit(name, mode, training):
    prepare("mmaction")
    from mmaction.models import AAGCN, STGCN

    torch.manual_seed(0)
    body = get_layout("ntu25")
    inward = [(body.index(child), body.index(parent)) for parent, child in body.bones]
    graph = {"num_node": 25, "inward": inward, "center": body.index(body.center)}
    options = {key: value for key, value in NETWORKS[name].get("options", {}).items() if key != "graph_cfg"}
    network = AAGCN if name == "aagcn" else STGCN
    theirs = network(
        {"layout": graph, "mode": mode}, in_channels=4, base_channels=32, data_bn_type="VC", num_stages=10, **options
    )
    randomise(theirs)
    ours = build_encoder(
        "mmaction", layout="ntu25", width=128, depth=10, stride=4, streams=["joint"], coordinates=3, **NETWORKS[name]
    )
    assert (ours.backbone.graph.A == theirs.graph.A).all()
    ours.backbone.load_state_dict(theirs.state_dict())
    theirs.train(training)
    ours.train(training)
    inputs = torch.randn(2, 20, 25, 4)
    expected = theirs(inputs[:, None])[:, 0].permute(0, 2, 3, 1)
    assert torch.equal(ours.encode(inputs, None), expected)
    assert expected.shape == (2, 5, 25, 128)
    for (key, one), two in zip(ours.backbone.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(one, two), key


@pytest.mark.parametrize(
    ("name", "published"),
    # mmaction2's configs/skeleton/*/metafile.yml, in millions, with a linear head for 60 classes; that of AAGCN is of
    # the network without attention (2s-AGCN)
    [("stgcn", 3.1), ("stgcn++", 1.39), ("2s-agcn", 3.5)],
)
def test_number_of_parameters(name, published):
    options = {"backbone": "AAGCN", "options": {"gcn_attention": False}} if name == "2s-agcn" else NETWORKS[name]
    encoder = build_encoder("mmaction", layout="ntu25", width=256, depth=10, stride=4, streams=["joint"], **options)
    count = sum(p.numel() for p in encoder.parameters()) + 257 * 60
    assert count / 1e6 == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize("options", OTHERS)
def test_contract_of_the_others(options, monkeypatch):
    """test_contract.py has the default, ST-GCN; here are the others."""
    monkeypatch.setattr(contract, "build_encoder", partial(build_encoder, **options))
    for training in (True, False):
        contract.test_padded_equals_unpadded("mmaction", training)
        contract.test_a_mask_that_hides_nothing_changes_nothing("mmaction", training)
        contract.test_invisible_joints_are_zero_and_never_read("mmaction", training)
    contract.test_batch_equals_single("mmaction", 0.3)
    contract.test_what_is_visible_matters("mmaction")
    contract.test_nobody_gives_zeros_and_zero_gradients("mmaction")
    contract.test_every_parameter_and_the_keypoints_get_gradients("mmaction", 0.0)
    contract.test_every_parameter_and_the_keypoints_get_gradients("mmaction", 0.3)
    contract.test_learns("mmaction")


def test_aagcn_takes_means_over_what_is_visible():
    """One unit_aagcn in evaluation, person by person, with sums over the visible joints and divisions by their number."""
    torch.manual_seed(0)
    encoder = build_encoder(
        "mmaction", width=16, depth=2, stride=2, streams=["joint"], layout="penn13", backbone="AAGCN"
    ).eval()
    unit = encoder.backbone.gcn[0].gcn
    randomise(unit)
    seen = (torch.rand(2, 1, 7, 13) < 0.6).float()
    seen[1, :, 4:] = 0
    inputs = torch.randn(2, 3, 7, 13) * seen
    with masked(unit, seen), torch.no_grad():
        found = unit(inputs)
    with torch.no_grad():
        for person in range(2):
            x, m = inputs[person : person + 1], seen[person : person + 1]
            rows = m.flatten(2).unflatten(2, (7, 13)).any(-1).sum()
            graphs = []
            for first, second, base in zip(unit.conv_a, unit.conv_b, unit.A, strict=True):
                product = torch.einsum("nctv,nctw->nvw", first(x) * m, second(x) * m) / (unit.inter_c * rows)
                graphs.append(base + unit.alpha * product.tanh())
            y = sum(
                conv(torch.einsum("nctv,nvw->nctw", x, graph)) for conv, graph in zip(unit.conv_d, graphs, strict=True)
            )
            norm = torch.nn.functional.batch_norm(
                y, unit.bn.running_mean, unit.bn.running_var, unit.bn.weight, unit.bn.bias
            )
            y = (norm + unit.down[1](unit.down[0](x))).relu() * m
            y = y + y * unit.conv_sa(y.sum(2) / m.sum(2).clamp(min=1)).sigmoid()[:, :, None]
            y = y + y * unit.conv_ta(y.sum(3) / m.sum(3).clamp(min=1)).sigmoid()[..., None]
            channels = unit.fc2c(unit.fc1c(y.sum((2, 3)) / m.sum((2, 3))).relu()).sigmoid()
            y = y + y * channels[..., None, None]
            torch.testing.assert_close(found[person : person + 1], y, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_stgcn_with_a_mask_equals_ours(training):
    """Masked by hooks here, by its own layers in skeleton.encoders.stgcn."""
    torch.manual_seed(0)
    options = {"width": 48, "depth": 4, "stride": 4, "streams": ["joint"]}
    hooked, ours = build_encoder("mmaction", **options), build_encoder("stgcn", **options)
    randomise(hooked)
    ours.load_state_dict(hooked.backbone.state_dict())
    hooked.train(training)
    ours.train(training)
    seen = torch.rand(3, 16, 17) < 0.6
    inputs = torch.randn(3, 16, 17, 3) * seen[..., None]
    torch.testing.assert_close(hooked.encode(inputs, seen), ours.encode(inputs, seen), atol=1e-4, rtol=1e-4)


def test_hooks_are_gone_after_an_error():
    encoder = build_encoder("mmaction", width=16, depth=2, stride=2, streams=["joint"])
    seen = torch.ones(1, 4, 17, dtype=torch.bool)
    with pytest.raises(RuntimeError):
        encoder.encode(torch.zeros(1, 4, 17, 9), seen)
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in encoder.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "GCN"}, "expected the name of a backbone of mmaction2, found 'GCN'"),
        ({"backbone": "ResNet3dSlowOnly"}, "expected a backbone over graphs, found ResNet3dSlowOnly"),
        ({"options": {"num_stages": 4}}, r"set the sizes, found the options \['num_stages'\]"),
        ({"width": 12, "streams": ["joint"]}, "to differ from the input channels, found 3 for both"),
        ({"width": 50}, "expected a width that the stride divides, found 50 and 4"),
        ({"depth": 2}, "found stride 4, depth 2"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(SkeletonError, match=message):
        build_encoder("mmaction", **{"width": 48, "depth": 3, "stride": 4} | options)
