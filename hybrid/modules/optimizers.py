"""The optimizers: AdamW, or Muon for the matrices within layers and AdamW for the rest.

Muon (Jordan et al., 2024; torch.optim.Muon) takes orthogonalised momentum: on the toy models here it needs about
60 % of AdamW's steps. It is not made for embeddings, output heads, norms and biases.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Muon, Optimizer

BETAS = (0.9, 0.98)


class MuonWithAdamW(Optimizer):
    """Two optimizers behind one interface: schedulers and trainers see the parameter groups of both."""

    def __init__(self, matrices: list[dict[str, Any]], rest: list[dict[str, Any]]):
        # Muon's update has AdamW's usual size at the same learning rate
        parts = [Muon(matrices, adjust_lr_fn="match_rms_adamw")] if matrices else []
        self.parts = [*parts, AdamW(rest, betas=BETAS)]
        self.defaults: dict[str, Any] = {}
        self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks = {}, {}

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    @property
    def state(self) -> dict:
        return {parameter: state for part in self.parts for parameter, state in part.state.items()}

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


def inner_matrices(module: nn.Module) -> set[int]:
    """Ids of the weights that Muon is made for: matrices of linear layers inside stacks of layers."""
    return {
        id(child.weight)
        for stack in module.modules()
        if isinstance(stack, nn.ModuleList)
        for child in stack.modules()
        if isinstance(child, nn.Linear)
    }


def make_optimizer(
    name: str,
    module: nn.Module,
    weight_decay: float,
    lr: float,
    muon_lr: float = 0.0,
    rates: Callable[[str], float] = lambda _: 1.0,
) -> Optimizer:
    """`adamw`, `muon` or `sgd` (Nesterov's momentum of 0.9) over the parameters of `module` that train. `rates` multiplies
    the learning rate of a parameter by its name; norms, biases and embeddings are not decayed."""
    matrices = inner_matrices(module) if name == "muon" else set()
    groups: dict[tuple[bool, float, bool], list[nn.Parameter]] = {}
    for key, parameter in module.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and "embed" not in key
            groups.setdefault((id(parameter) in matrices, rates(key), decays), []).append(parameter)

    def made(muon: bool) -> list[dict[str, Any]]:
        peak = muon_lr if muon else lr
        return [
            {"params": members, "lr": peak * rate, "weight_decay": weight_decay if decays else 0.0}
            for (inner, rate, decays), members in groups.items()
            if inner == muon
        ]

    if name == "sgd":
        return SGD(made(False), momentum=0.9, nesterov=True)
    return MuonWithAdamW(made(True), made(False)) if name == "muon" else AdamW(made(False), betas=BETAS)


def warm_cosine(step: int, warmup: int, steps: int, least: float = 0.0) -> float:
    """Share of the peak learning rate at a step: a line over `warmup` steps, then a cosine down to `least`."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def scheduled(optimizer: Optimizer, share: Callable[[int], float]) -> dict[str, Any]:
    """An optimizer and its learning rate by step, as Lightning wants them."""
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
