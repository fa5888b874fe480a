"""Adjacency stacks and their torch_geometric form."""

import pytest
import torch

from skeleton.errors import SkeletonError
from skeleton.inputs.adjacency import MODES, adjacency, edge_index
from skeleton.layouts.layout import LAYOUTS, get_layout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_spatial_partitions(layout):
    stack, body = adjacency(layout), get_layout(layout)
    assert stack.shape == (3, len(body.joints), len(body.joints))
    assert stack.dtype == torch.float32
    torch.testing.assert_close(stack[0], torch.eye(len(body.joints)))
    inward = {(body.joints[u], body.joints[v]) for v, u in stack[1].nonzero().tolist()}
    outward = {(body.joints[v], body.joints[u]) for v, u in stack[2].nonzero().tolist()}
    assert inward == outward == set(body.bones)
    rows = stack.sum(-1)
    assert ((rows == 0) | torch.isclose(rows, torch.ones(()))).all()
    assert (rows[1] == 0).nonzero().flatten().tolist() == [body.index(body.center)]
    uniform = adjacency(layout, "uniform")
    assert uniform.shape[0] == 1
    assert ((uniform[0] > 0) == (stack.sum(0) > 0)).all()
    torch.testing.assert_close(uniform.sum(-1), torch.ones(1, len(body.joints)))


@pytest.mark.parametrize("mode", MODES)
def test_geometric_form_sums_like_the_dense_one(mode):
    stack, graph = adjacency("coco17", mode), edge_index("coco17", mode)
    graph.validate()
    assert graph.num_nodes == 17
    features = torch.randn(17, 5)
    for partition in range(len(stack)):
        chosen = graph.edge_type == partition
        source, target = graph.edge_index[:, chosen]
        messages = graph.edge_weight[chosen, None] * features[source]
        gathered = torch.zeros(17, 5).index_add(0, target, messages)
        torch.testing.assert_close(gathered, stack[partition] @ features)


def test_unknown_mode():
    with pytest.raises(SkeletonError, match="unknown adjacency mode 'spatia'; choose one of spatial, stgcn, uniform"):
        adjacency("coco17", "spatia")
