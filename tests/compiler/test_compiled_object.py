"""What a compiled function is beside a call: how it shows itself, and what a compiled Module answers."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import gradus
from gradus import nn
from gradus.compiler.tiers import kernels_installed
from gradus.errors import GradError, TraceError, UsageError


def test_it_says_what_it_has() -> None:
    def double(x):
        return x * 2

    f = gradus.compile(double, tier="numpy")
    assert repr(f) == "<compiled test_it_says_what_it_has.<locals>.double: no program yet, numpy>"
    for shape in (3, 3, 4):
        f(gradus.ones(shape))
    assert repr(f) == "<compiled test_it_says_what_it_has.<locals>.double: 2 programs, numpy>"


@pytest.mark.parametrize("twin", [lambda f: f, copy.deepcopy], ids=["itself", "a copy"])
def test_a_compiled_module_answers_as_the_module(twin) -> None:
    gradus.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    compiled = twin(gradus.compile(model, tier="numpy"))
    inner = compiled.function
    assert [p.shape for p in compiled.parameters()] == [(2, 3), (2,)]
    assert list(compiled.state_dict()) == ["0.weight", "0.bias"]
    assert compiled.training and not compiled.eval().training
    x = gradus.ones(4, 3)
    for _ in range(3):
        np.testing.assert_allclose(compiled(x).detach().numpy(), inner(x).detach().numpy(), rtol=1e-6)  # no dropout after eval()
    optimizer = gradus.optim.SGD(compiled.parameters(), lr=0.1)
    inner(x).sum().backward()
    optimizer.step()  # the program reads the new weights
    np.testing.assert_allclose(compiled(x).detach().numpy(), inner(x).detach().numpy(), rtol=1e-6)
    with pytest.raises(AttributeError, match="parametres"):
        _ = compiled.parametres


def test_what_is_set_on_a_compiled_module_is_set_on_the_module() -> None:
    model = nn.Linear(3, 2)
    compiled, x = gradus.compile(model, tier="numpy"), gradus.ones(1, 3)
    compiled.training = False
    assert not model.training
    for _ in range(2):
        compiled(x)
    compiled.bias = nn.Parameter(gradus.tensor([7.0, 8.0]))
    assert model.bias.tolist() == [7.0, 8.0]
    np.testing.assert_allclose(compiled(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-6)
    compiled.note = "mine"
    assert compiled.note == "mine" and not hasattr(model, "note")


def test_a_compiled_function_has_no_attributes_of_others() -> None:
    compiled = gradus.compile(lambda x: x)
    assert not hasattr(compiled, "parameters")
    assert not hasattr(compiled, "__array__")


def test_the_report_of_a_numpy_program_names_the_way_to_kernels() -> None:
    pytest.importorskip("numba", reason="with it, the advice is another one: pip install gradus-dl[fast]")
    compiled = gradus.compile(lambda x: x * 2, tier="numpy")
    for _ in range(2):
        compiled(gradus.ones(3))
    with pytest.raises(TraceError, match='tier="native"'):
        compiled.report()


ASKED = {
    "backward": lambda c, x: c(x).sum().backward(),
    "backward for one leaf": lambda c, x: c(x).sum().backward(inputs=[x]),
    "autograd.grad": lambda c, x: gradus.autograd.grad(c(x), x),
    "autograd.grad of a part": lambda c, x: gradus.autograd.grad(c(x) + x.sum(), x, allow_unused=True),
    "grad": lambda c, x: gradus.grad(c)(x.detach()),
    "grad of a part": lambda c, x: gradus.grad(lambda x: c(x) + x.sum())(x.detach()),
    "vjp": lambda c, x: gradus.vjp(c, x.detach())[1](gradus.ones(())),
    "hessian": lambda c, x: gradus.hessian(c)(x.detach()),
    "jacobian": lambda c, x: gradus.jacobian(c)(x.detach()),
}


@pytest.mark.parametrize("tier", ["numpy", pytest.param("native", marks=pytest.mark.skipif(not kernels_installed(), reason="needs Numba"))])
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
def test_backward_from_outside_says_what_to_compile(tier, ask) -> None:
    def f(x):
        return (x * x).sum()

    compiled, x = gradus.compile(f, tier=tier), gradus.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        compiled(x)
    with pytest.raises(GradError) as caught:
        ask(compiled, x)
    error = caught.value
    assert error.code == "E22" and "gradus.compile(gradus.value_and_grad(f))" in error.fix
    assert all([error.what, error.got, error.wanted, error.where, error.why]) and __file__ in error.where
    together = eval("gradus.compile(gradus.value_and_grad(f))", {"gradus": gradus, "f": f})
    for _ in range(3):
        value, gradient = together(x.detach())
        assert value.item() == 5 and gradient.tolist() == [2, 4]


def test_what_no_gradient_is_asked_of_may_come_from_a_compiled_function() -> None:
    weight = nn.Parameter(gradus.ones(2))
    compiled = gradus.compile(lambda x: x * weight)
    for _ in range(3):
        features = compiled(gradus.ones(2)).detach()
        (slope,) = gradus.autograd.grad((features * weight).sum(), weight)
        assert slope.tolist() == [1, 1]


def test_a_compiled_module_is_no_part_of_a_module() -> None:
    """Its parameters would be in no optimiser and in no file, and nobody would notice."""

    class Outer(nn.Module):
        def __init__(self, fast: bool) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 3)
            self.fast = gradus.compile(self.inner) if fast else gradus.compile(nn.Linear(3, 3))
            self.forward_fast = gradus.compile(self.forward)

        def forward(self, x):
            return self.fast(x)

    assert len(list(Outer(True).parameters())) == 2
    with pytest.raises(UsageError, match=r"Outer\.fast would hide the parameters of a compiled Linear") as caught:
        Outer(False)
    assert all([caught.value.got, caught.value.wanted, caught.value.why, caught.value.fix]) and __file__ in str(caught.value)
    with pytest.raises(UsageError, match="as a whole, not its parts"):
        nn.Sequential(gradus.compile(nn.Linear(3, 3)))
