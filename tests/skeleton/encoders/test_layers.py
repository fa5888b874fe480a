"""Batch norm with a mask is batch norm over what is visible."""

import pytest
import torch

from skeleton.encoders.layers import MaskedBatchNorm


def made(channels=5) -> tuple[MaskedBatchNorm, torch.nn.BatchNorm1d]:
    """Both with the same weights."""
    torch.manual_seed(0)
    plain = torch.nn.BatchNorm1d(channels).double()
    torch.nn.init.normal_(plain.weight), torch.nn.init.normal_(plain.bias)
    masked = MaskedBatchNorm(channels).double()
    masked.load_state_dict(plain.state_dict())
    return masked, plain


@pytest.mark.parametrize("with_constant", [False, True])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_statistics_and_gradients_are_those_of_the_visible_rows(share, with_constant):
    masked, plain = made()
    rows = 3 + 2 * torch.randn(40, 5, dtype=torch.float64)
    seen = torch.rand(40) < share
    constant = torch.randn(5, dtype=torch.float64, requires_grad=True) if with_constant else None
    target = torch.randn(40, 5, dtype=torch.float64)
    ours, theirs = rows.clone().requires_grad_(), rows.clone().requires_grad_()
    for _ in range(3):
        mask = None if seen.all() else seen[:, None].double()
        found = masked(ours, mask, constant)
        expected = plain(theirs[seen] + (0 if constant is None else constant.detach()))
        torch.testing.assert_close(found[seen], expected)
        assert not found[~seen].any()
        (found * target).sum().backward()
        (expected * target[seen]).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    for name, value in plain.named_parameters():
        torch.testing.assert_close(masked.get_parameter(name).grad, value.grad, msg=name)
    for name, value in plain.named_buffers():
        torch.testing.assert_close(masked.get_buffer(name), value, msg=name)
    assert constant is None or not constant.grad.any()
    masked.eval(), plain.eval()
    expected = plain(rows[seen] + (0 if constant is None else constant.detach()))
    torch.testing.assert_close(masked(rows, mask, constant)[seen], expected)


def test_nothing_visible_leaves_the_running_statistics():
    masked, _ = made()
    before = masked.running_mean.clone(), masked.running_var.clone()
    rows = torch.randn(8, 5, dtype=torch.float64, requires_grad=True)
    found = masked(rows, torch.zeros(8, 1, dtype=torch.float64), torch.ones(5, dtype=torch.float64))
    found.sum().backward()
    assert not found.any()
    assert not rows.grad.any()
    assert torch.equal(masked.running_mean, before[0])
    assert torch.equal(masked.running_var, before[1])
