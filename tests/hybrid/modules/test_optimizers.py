"""The optimizers: what each part takes, schedules, and going on from a stored state."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon

from hybrid.modules.optimizers import MuonWithAdamW, make_optimizer, warm_cosine


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(5, 8)
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8)) for _ in range(2)])
        self.head = nn.Linear(8, 5)

    def forward(self, ids):
        values = self.embed(ids)
        for layer in self.layers:
            values = values + layer(values)
        return self.head(values)


def step(net, optimizer, seed):
    ids = torch.randint(0, 5, (16,), generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(ids), (ids + 1) % 5)
    loss.backward()
    optimizer.step()
    return float(loss)


def made(net, **rates):
    return make_optimizer("muon", net, 0.1, 1e-2, 2e-2, **rates)


def test_muon_takes_the_matrices_within_layers_and_adamw_the_rest():
    net = Net()
    optimizer = made(net)
    kinds = {type(part): {id(p) for g in part.param_groups for p in g["params"]} for part in optimizer.parts}
    assert kinds[Muon] == {id(layer[0].weight) for layer in net.layers}
    assert kinds[AdamW] == {id(p) for p in net.parameters()} - kinds[Muon]
    rates = {group["lr"] for part in optimizer.parts for group in part.param_groups}
    assert rates == {1e-2, 2e-2}


def test_adamw_takes_all_and_decays_matrices_only():
    net = Net()
    optimizer = make_optimizer("adamw", net, 0.1, 1e-2, 2e-2)
    assert isinstance(optimizer, AdamW)
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(net.head.weight), *(id(layer[0].weight) for layer in net.layers)}


def test_frozen_weights_are_left_out_and_rates_multiply():
    net = Net()
    net.head.requires_grad_(False)
    optimizer = made(net, rates=lambda name: 0.5 if name.startswith("layers.0") else 1.0)
    by_weight = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert id(net.head.weight) not in by_weight
    assert by_weight[id(net.layers[0][0].weight)] == pytest.approx(1e-2)
    assert by_weight[id(net.layers[1][0].weight)] == pytest.approx(2e-2)


def test_both_parts_learn_and_follow_a_schedule():
    net = Net()
    before = copy.deepcopy(net.state_dict())
    optimizer = made(net)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda number: 1.0 if number < 60 else 0.0)
    losses = []
    for number in range(60):
        losses.append(step(net, optimizer, number))
        schedule.step()
    assert losses[-1] < 0.1 * losses[0]
    assert all(not torch.equal(before[name], weight) for name, weight in net.state_dict().items())
    held = copy.deepcopy(net.state_dict())
    step(net, optimizer, 0)
    assert all(torch.equal(held[name], weight) for name, weight in net.state_dict().items())


def test_going_on_from_a_stored_state_gives_the_same_weights(tmp_path):
    one = Net()
    optimizer = made(one)
    for number in range(3):
        step(one, optimizer, number)
    torch.save((one.state_dict(), optimizer.state_dict()), tmp_path / "state")
    weights, state = torch.load(tmp_path / "state", weights_only=True)
    other = Net()
    other.load_state_dict(weights)
    again = made(other)
    again.load_state_dict(state)
    assert isinstance(again, MuonWithAdamW)
    for number in range(3, 6):
        step(one, optimizer, number)
        step(other, again, number)
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], weight, rtol=0, atol=0)


def test_sgd_decays_matrices_alone():
    net = Net()
    optimizer = make_optimizer("sgd", net, 0.1, 1e-2)
    assert isinstance(optimizer, torch.optim.SGD)
    assert all(
        (group["lr"], group["momentum"], group["nesterov"]) == (1e-2, 0.9, True) for group in optimizer.param_groups
    )
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0.1 for p in group["params"]}
    assert {name for name, p in net.named_parameters() if id(p) in decayed} == {
        "layers.0.0.weight",
        "layers.1.0.weight",
        "head.weight",
    }
    losses = [step(net, optimizer, seed) for seed in range(40)]
    assert losses[-1] < losses[0]


def test_the_learning_rate_rises_and_falls():
    shares = [warm_cosine(step, 4, 12) for step in range(13)]
    assert shares[:4] == [0.25, 0.5, 0.75, 1.0]
    assert shares[4] == 1.0 and shares[8] == pytest.approx(0.5) and shares[12] == pytest.approx(0.0)
    assert warm_cosine(20, 4, 12, least=0.05) == pytest.approx(0.05)
    assert warm_cosine(0, 0, 12) == 1.0
