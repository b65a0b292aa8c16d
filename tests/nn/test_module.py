"""Module: registration, walks, modes, hooks, copies, state, the path in errors."""

from __future__ import annotations

import copy
import timeit
from typing import Any

import numpy as np
import pytest
import torch

import gradus
from gradus import nn
from gradus.errors import CheckpointError, GradError, GradusError, ShapeError, UsageError, UsageWarning


class Net(nn.Module):
    """No ``super().__init__()``, parameters before and after submodules, a buffer of each sort."""

    def __init__(self) -> None:
        self.inner = nn.Linear(3, 4)
        self.scale = nn.Parameter(gradus.ones(4))
        self.register_buffer("mean", gradus.zeros(4))
        self.register_buffer("scratch", gradus.zeros(1), persistent=False)
        self.outer = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False))

    def forward(self, x):
        return self.outer(self.inner(x) * self.scale - self.mean)


class TorchNet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(3, 4)
        self.scale = torch.nn.Parameter(torch.ones(4))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)
        self.outer = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(4, 2, bias=False))

    def forward(self, x):
        return self.outer(self.inner(x) * self.scale - self.mean)


def names(pairs) -> list[str]:
    return [name for name, _ in pairs]


class TestRegistration:
    def test_names_and_order_are_pytorchs(self) -> None:
        mine, theirs = Net(), TorchNet()
        for walk in ("named_parameters", "named_buffers", "named_modules", "named_children"):
            assert names(getattr(mine, walk)()) == names(getattr(theirs, walk)()), walk
        assert list(mine.state_dict()) == list(theirs.state_dict())
        assert names(mine.named_parameters("net")) == names(theirs.named_parameters("net"))
        assert names(mine.named_parameters(recurse=False)) == ["scale"]
        assert repr(mine) == repr(theirs).replace("TorchNet", "Net")

    def test_calling_the_base_is_fine(self) -> None:
        class Early(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.w = nn.Parameter(gradus.zeros(2))

        class Late(nn.Module):
            def __init__(self) -> None:
                self.w = nn.Parameter(gradus.zeros(2))
                super().__init__()

        assert names(Early().named_parameters()) == names(Late().named_parameters()) == ["w"]

    def test_replace_none_and_delete(self) -> None:
        net = Net()
        net.scale = nn.Parameter(gradus.zeros(4))
        assert net.get_parameter("scale") is net.scale
        net.scale = None
        assert "scale" not in names(net.named_parameters())
        net.scale = nn.Parameter(gradus.zeros(4))
        assert "scale" in names(net.named_parameters())
        del net.scale
        assert not hasattr(net, "scale")
        assert "scale" not in names(net.named_parameters())
        del net.outer
        assert names(net.named_modules()) == ["", "inner"]
        net.inner = nn.Identity()
        assert names(net.named_parameters()) == []

    def test_a_name_changes_its_kind(self) -> None:
        net = nn.Module()
        net.thing = nn.Linear(2, 2)
        net.thing = nn.Parameter(gradus.zeros(1))
        assert names(net.named_parameters()) == ["thing"]
        assert names(net.named_modules()) == [""]
        net.plain = 3
        net.plain = nn.Linear(1, 1)
        assert names(net.named_children()) == ["plain"]

    def test_a_tensor_cannot_take_a_parameters_place(self) -> None:
        layer = nn.Linear(2, 2)
        with pytest.raises(UsageError, match=r"Linear\.weight holds an nn\.Parameter") as caught:
            layer.weight = layer.weight - 0.1
        assert "copy_" in caught.value.fix
        with pytest.raises(UsageError, match=r"holds an nn\.Module"):
            Net().outer = 3

    def test_buffers(self) -> None:
        net = Net()
        net.mean = gradus.ones(4)
        assert net.state_dict()["mean"].tolist() == [1.0] * 4
        with pytest.raises(UsageError, match="holds a Tensor"):
            net.mean = 1.0
        net.mean = None
        assert "mean" not in net.state_dict()

    @pytest.mark.parametrize("name", ["", "a.b", "forward", 3])
    def test_refused_names(self, name) -> None:
        with pytest.raises(UsageError):
            nn.Module().register_parameter(name, None)

    def test_refused_values(self) -> None:
        with pytest.raises(UsageError):
            nn.Module().register_parameter("w", gradus.zeros(2))
        with pytest.raises(UsageError):
            nn.Module().register_buffer("w", np.zeros(2))
        with pytest.raises(UsageError) as caught:
            nn.Sequential(nn.Linear(2, 2), gradus.nn.functional.relu)
        assert "nn.ReLU()" in caught.value.why

    def test_a_parameter_is_a_tensor(self) -> None:
        w = nn.Parameter(gradus.zeros(2))
        assert isinstance(w, gradus.Tensor)
        assert w.requires_grad
        assert w.is_leaf
        assert type(w * 2) is gradus.Tensor
        assert repr(w) == "Parameter containing:\ntensor([0., 0.], requires_grad=True)"
        assert not nn.Parameter(gradus.tensor([1, 2]), requires_grad=False).requires_grad
        data = gradus.zeros(2)
        nn.Parameter(data).data.fill_(1.0)
        assert data.tolist() == [1.0, 1.0]

    def test_a_parameter_of_a_computed_tensor_is_a_leaf(self) -> None:
        source = gradus.ones(2).requires_grad_()
        assert nn.Parameter(source * 2).is_leaf


class TestSharing:
    def test_a_shared_parameter_comes_once(self) -> None:
        net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        net[1].weight = net[0].weight
        assert names(net.named_parameters()) == ["0.weight", "0.bias", "1.bias"]
        assert names(net.named_parameters(remove_duplicate=False)) == ["0.weight", "0.bias", "1.weight", "1.bias"]
        assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]

    def test_a_shared_module_comes_once_and_runs_twice(self) -> None:
        layer = nn.Linear(2, 2)
        net = nn.Sequential(layer, nn.Tanh(), layer)
        assert names(net.named_modules()) == ["", "0", "1"]
        assert len(list(net.children())) == 2
        theirs = torch.nn.Linear(2, 2)
        theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in layer.state_dict().items()})
        x = np.random.standard_normal((3, 2)).astype("float32")
        y, z = net(gradus.tensor(x)), theirs(torch.tanh(theirs(torch.tensor(x))))
        y.sum().backward()
        z.sum().backward()
        np.testing.assert_allclose(layer.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1.3e-6, atol=1e-5)

    def test_a_copy_keeps_sharing(self) -> None:
        net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        net[1].weight = net[0].weight
        twin = copy.deepcopy(net)
        assert twin[1].weight is twin[0].weight
        assert twin[0].weight is not net[0].weight


class TestChanges:
    def test_modes(self) -> None:
        net = Net()
        assert all(m.training for m in net.modules())
        assert net.eval() is net
        assert not any(m.training for m in net.modules())
        net.outer.train()
        assert [m.training for m in net.modules()] == [False, False, True, True, True]

    def test_an_overridden_train_is_respected(self) -> None:
        class Frozen(nn.Module):
            def train(self, mode: bool = True):
                return super().train(False)

        net = nn.Sequential(Frozen(), nn.ReLU()).train()
        assert [m.training for m in net.modules()] == [True, False, True]

    def test_freezing_and_zeroing(self) -> None:
        net = Net()
        net.inner.requires_grad_(False)
        net(gradus.ones(2, 3)).sum().backward()
        assert net.inner.weight.grad is None
        assert net.scale.grad is not None
        net.zero_grad(set_to_none=False)
        assert net.scale.grad.tolist() == [0.0] * 4
        net.zero_grad()
        assert net.scale.grad is None

    def test_apply_goes_children_first(self) -> None:
        seen = []
        net = Net()
        assert net.apply(lambda m: seen.append(type(m).__name__)) is net
        assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]

    def test_dtypes(self) -> None:
        net = Net()
        net.register_buffer("count", gradus.tensor([3]))
        weight = net.inner.weight
        net(gradus.ones(2, 3)).sum().backward()
        assert net.double() is net
        assert net.inner.weight is weight
        assert {str(p.dtype) for p in net.parameters()} == {"float64"}
        assert weight.grad.dtype == gradus.float64
        assert (net.mean.dtype, net.count.dtype) == (gradus.float64, gradus.int64)
        assert net(gradus.ones(2, 3, dtype=gradus.float64)).dtype == gradus.float64
        for target in (gradus.float32, "float32", "cpu", gradus.ones(1)):
            net.to(target)
        assert net.float().cpu().to("cpu", gradus.float32).scale.dtype == gradus.float32
        assert net.half().scale.dtype == gradus.float16

    def test_refused_targets(self) -> None:
        with pytest.raises(UsageError) as caught:
            Net().to("cuda")
        assert caught.value.code == "E31"
        with pytest.raises(UsageError):
            Net().to(gradus.int64)

    def test_deepcopy(self) -> None:
        net = Net().eval()
        net.inner.weight.requires_grad_(False)
        twin = copy.deepcopy(net)
        assert repr(twin) == repr(net)
        assert not twin.training
        assert [p.requires_grad for p in twin.parameters()] == [p.requires_grad for p in net.parameters()]
        assert all(isinstance(p, nn.Parameter) for p in twin.parameters())
        with gradus.no_grad():
            net.scale.fill_(9.0)
        assert twin.scale.tolist() == [1.0] * 4
        x = gradus.ones(2, 3)
        net.load_state_dict(twin.state_dict())
        assert gradus.equal(net(x), twin(x))

    def test_get_submodule(self) -> None:
        net = Net()
        assert net.get_submodule("outer.1") is net.outer[1]
        assert net.get_submodule("") is net
        for path in ("outer.7", "nope", "inner.weight"):
            with pytest.raises(UsageError):
                net.get_submodule(path)
        with pytest.raises(UsageError):
            net.get_parameter("inner.nope")


class TestHooks:
    def test_forward_hooks(self) -> None:
        layer, seen = nn.Linear(2, 2), []
        x = gradus.ones(1, 2)
        plain = layer(x)
        first = layer.register_forward_hook(lambda m, args, y: seen.append(("a", m is layer, args[0] is x)))
        second = layer.register_forward_hook(lambda m, args, y: y * 2)
        layer.register_forward_hook(lambda m, args, kwargs, y: seen.append(("c", kwargs)), prepend=True, with_kwargs=True)
        assert gradus.equal(layer(x), plain * 2)
        assert seen == [("c", {}), ("a", True, True)]
        second.remove()
        second.remove()
        first.remove()
        assert gradus.equal(layer(x), plain)

    def test_hooks_before(self) -> None:
        layer = nn.Identity()
        with layer.register_forward_pre_hook(lambda m, args: args[0] + 1):
            assert layer(1) == 2
        with layer.register_forward_pre_hook(lambda m, args: (args[0] * 5,)):
            assert layer(1) == 5
        with layer.register_forward_pre_hook(lambda m, args, kwargs: ((7,), {}), with_kwargs=True):
            assert layer(x=1) == 7
        assert layer(1) == 1

    @pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
    def test_backward_hooks(self) -> None:
        """What a hook sees, and what comes of what it returns, as in PyTorch: through a branch, for two inputs, for the data."""

        def gradients(T: Any, change: bool) -> list[Any]:
            seen: list[Any] = []
            first, second = T.nn.Linear(3, 4).double(), T.nn.Bilinear(4, 4, 2).double() if T is torch else Two()
            with T.no_grad():
                for i, p in enumerate([*first.parameters(), *second.parameters()]):
                    p.copy_(T.arange(1.0 + i, 1 + i + p.numel(), dtype=T.float64).reshape(p.shape) / 10)
            first.register_full_backward_hook(lambda m, g_in, g_out: seen.append((g_in, g_out)))
            second.register_full_backward_hook(lambda m, g_in, g_out: seen.append((g_in, g_out)))
            if change:
                second.register_full_backward_hook(lambda m, g_in, g_out: (g_in[0] * 2, g_in[1] + 1))
            second.register_full_backward_hook(lambda m, g_in, g_out: seen.append((g_in, g_out)))
            x = T.arange(6.0, dtype=T.float64).reshape(2, 3)
            y = first(x)
            second(y, y * y).pow(2).sum().backward()
            seen += [p.grad for p in (*first.parameters(), *second.parameters())]
            return seen

        class Two(nn.Module):
            """PyTorch's Bilinear: both inputs of a call want a gradient."""

            def __init__(self) -> None:
                self.weight, self.bias = nn.Parameter(gradus.zeros(2, 4, 4).double()), nn.Parameter(gradus.zeros(2).double())

            def forward(self, a: gradus.Tensor, b: gradus.Tensor) -> gradus.Tensor:
                return gradus.einsum("bi,oij,bj->bo", a, self.weight, b) + self.bias

        def compare(mine: Any, theirs: Any) -> None:
            if isinstance(theirs, (tuple, list)):
                assert len(mine) == len(theirs)
                for a, b in zip(mine, theirs):
                    compare(a, b)
            elif theirs is None:
                assert mine is None
            else:
                np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-12)

        for change in (False, True):
            compare(gradients(gradus, change), gradients(torch, change))

    def test_a_backward_hook_may_be_taken_away_and_must_fit(self) -> None:
        layer, seen = nn.Linear(2, 2), []
        x = gradus.ones(1, 2, requires_grad=True)
        with layer.register_full_backward_hook(lambda m, g_in, g_out: seen.append(m)):
            with gradus.no_grad():
                layer(x)
            layer(x).sum().backward()
            assert seen == [layer]
        layer(x).sum().backward()
        assert seen == [layer]
        with layer.register_full_backward_hook(lambda m, g_in, g_out: (None, None)), pytest.raises(GradError, match="number of gradients"):
            layer(x).sum().backward()
        lists, pair = nn.Identity(), gradus.ones(2, requires_grad=True)
        with lists.register_full_backward_hook(lambda m, g_in, g_out: None), pytest.raises(UsageError, match="returns a Tensor"):
            lists({"y": pair})

    def test_the_deprecated_backward_hook_says_whose_gradients_it_shows(self) -> None:
        layer, x, seen = nn.Linear(2, 3), gradus.ones(1, 2, requires_grad=True), []
        with pytest.warns(UsageWarning, match="register_full_backward_hook") as caught:
            handle = layer.register_backward_hook(lambda m, g_in, g_out: seen.append([g.tolist() for g in (*g_in, *g_out)]))
        assert caught[0].filename == __file__
        with handle:
            layer(x).sum().backward()
        assert seen == [[x.grad.tolist(), [[1, 1, 1]]]]

    def test_a_backward_hook_of_several_outputs(self) -> None:
        class Halves(nn.Module):
            def forward(self, x: gradus.Tensor) -> tuple[gradus.Tensor, ...]:
                return x[:1] * 2, x[1:] * 3, x.detach()

        halves, seen = Halves(), []
        halves.register_full_backward_hook(lambda m, g_in, g_out: seen.append([g if g is None else g.tolist() for g in (*g_in, *g_out)]))
        x = gradus.ones(2, requires_grad=True)
        halves(x)[0].sum().backward()
        assert seen == [[[2, 0], [1], None, None]]

    def test_a_backward_hook_trains_nothing_by_itself(self) -> None:
        """What only an unused output depends on has no gradient, not one of zeros, which weight decay or momentum would act upon."""

        def gradients(T: Any) -> list[Any]:
            class Heads(T.nn.Module):  # type: ignore[name-defined, misc]
                def __init__(self) -> None:
                    super().__init__()
                    self.one, self.two = T.nn.Linear(2, 1), T.nn.Linear(2, 1)

                def forward(self, x: Any) -> Any:
                    return self.one(x), self.two(x)

            heads, seen = Heads(), []
            heads.register_full_backward_hook(lambda m, g_in, g_out: seen.append(g_out[1]))
            heads(T.ones(3, 2, requires_grad=True))[0].sum().backward()
            return [seen, heads.two.weight.grad, heads.one.weight.grad is None]

        assert gradients(gradus) == gradients(torch) == [[None], None, False]

    def test_a_call_keeps_the_backward_hooks_that_it_had(self) -> None:
        def called(T: Any) -> list[str]:
            layer, seen = T.nn.Linear(2, 1), []
            handle = layer.register_full_backward_hook(lambda m, g_in, g_out: seen.append("early"))
            y = layer(T.ones(1, 2, requires_grad=True)).sum()
            handle.remove()
            layer.register_full_backward_hook(lambda m, g_in, g_out: seen.append("late"))
            y.backward()
            return seen

        assert called(gradus) == called(torch) == ["early"]

    def test_a_backward_hook_of_a_first_layer_replaces_nothing(self) -> None:
        """There is no gradient of the data to replace; PyTorch refuses it, too."""
        layer = nn.Linear(2, 2)
        layer.register_full_backward_hook(lambda m, g_in, g_out: (g_out[0],))
        with pytest.raises(GradError, match="inputs that want none"):
            layer(gradus.ones(1, 2)).sum().backward()

    def test_gradients_of_gradients_pass_backward_hooks(self) -> None:
        found = []
        for T in (gradus, torch):
            layer = T.nn.Tanh()
            layer.register_full_backward_hook(lambda m, g_in, g_out: (g_in[0] * 3,))
            x = T.tensor([0.5], requires_grad=True)
            (g,) = T.autograd.grad(layer(x), x, create_graph=True)
            (h,) = T.autograd.grad(g, x)
            found.append((g.item(), h.item()))
        assert found[0] == pytest.approx(found[1], rel=1e-6)

    def test_a_compiled_step_follows_backward_hooks(self) -> None:
        net, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), gradus.randn(8, 3)

        def gradient(x: gradus.Tensor) -> gradus.Tensor:
            (g,) = gradus.autograd.grad(net(x).pow(2).mean(), net[0].weight)
            return g

        compiled, plain = gradus.compile(gradient), gradient(x)
        with net[2].register_full_backward_hook(lambda m, g_in, g_out: (g_in[0] * 2,)):
            assert gradus.allclose(compiled(x), plain * 2, atol=1e-6)
        assert gradus.allclose(compiled(x), plain, atol=1e-6)

    def test_hooks_do_not_slow_down_modules_without(self) -> None:
        layer = nn.Identity()
        number = 20_000
        bare = min(timeit.repeat(lambda: layer.forward(1), number=number, repeat=7))
        call = min(timeit.repeat(lambda: layer(1), number=number, repeat=7))
        assert (call - bare) / number < 1.5e-6  # measured: 0.1 µs on a quiet machine


class TestState:
    def test_weights_travel_both_ways(self) -> None:
        mine, theirs = Net(), TorchNet()
        report = mine.load_state_dict(theirs.state_dict())
        assert report.complete
        assert len(report.loaded) == 5
        x = np.random.standard_normal((4, 3)).astype("float32")
        np.testing.assert_allclose(
            mine(gradus.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1.3e-6, atol=1e-5
        )
        with gradus.no_grad():
            mine.scale.mul_(3.0)
        theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in mine.state_dict().items()})
        np.testing.assert_allclose(
            mine(gradus.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1.3e-6, atol=1e-5
        )

    def test_values_are_copied_in(self) -> None:
        net, other = Net(), Net()
        weight, memory = net.inner.weight, net.inner.weight.value
        state = other.state_dict()
        net.load_state_dict(state)
        assert net.inner.weight is weight
        assert net.inner.weight.value is memory
        other.inner.weight.data.zero_()
        assert not gradus.equal(net.inner.weight, other.inner.weight)
        assert weight.requires_grad
        assert weight.is_leaf

    def test_values_take_the_dtype_that_is_here(self) -> None:
        net = nn.Linear(2, 1)
        net.load_state_dict({"weight": np.ones((1, 2)), "bias": [1]})
        assert net.weight.dtype == gradus.float32
        assert net.bias.tolist() == [1.0]

    def test_it_shares_memory_unless_told_otherwise(self) -> None:
        net = Net()
        net.state_dict()["scale"].fill_(5.0)
        assert net.scale.tolist() == [5.0] * 4
        assert net.state_dict(keep_vars=True)["scale"] is net.scale
        assert next(iter(net.state_dict(prefix="net."))) == "net.scale"

    def test_a_strict_load_changes_nothing_when_it_fails(self) -> None:
        net = nn.Sequential(nn.Linear(3, 2))
        before = net[0].bias.tolist()
        state = {"module.0.weight": np.zeros((2, 3)), "0.bias": np.zeros(2), "extra": np.zeros(1)}
        with pytest.raises(CheckpointError) as caught:
            net.load_state_dict(state)
        report = caught.value.report
        assert (report.loaded, report.missing, report.unexpected) == (["0.bias"], ["0.weight"], ["module.0.weight", "extra"])
        assert report.missing_keys == ["0.weight"]
        assert report.unexpected_keys == ["module.0.weight", "extra"]
        assert report.closest == {"module.0.weight": "0.weight"}
        assert "module.0.weight (0.weight?)" in str(caught.value)
        assert caught.value.code == "E34"
        assert net[0].bias.tolist() == before
        assert net.load_state_dict(state, strict=False).loaded == ["0.bias"]
        assert net[0].bias.tolist() == [0.0, 0.0]

    def test_a_common_prefix_gets_a_fix(self) -> None:
        net = nn.Linear(3, 2)
        with pytest.raises(CheckpointError) as caught:
            net.load_state_dict({"module." + name: value for name, value in net.state_dict().items()})
        assert "removeprefix('module.')" in caught.value.fix

    def test_shapes(self) -> None:
        net = nn.Linear(3, 2)
        state = {"weight": np.zeros((2, 4)), "bias": np.zeros(2)}
        with pytest.raises(CheckpointError, match="nothing was loaded") as caught:
            net.load_state_dict(state)
        assert caught.value.report.mismatched == {"weight": ((2, 4), (2, 3))}
        assert "weight (2, 4) in the state, (2, 3) in the model" in str(caught.value)
        report = net.load_state_dict(state, strict=False)
        assert report.loaded == ["bias"]
        assert not report.complete

    def test_no_numbers(self) -> None:
        with pytest.raises(CheckpointError, match="'bias' does not hold numbers"):
            nn.Linear(3, 2).load_state_dict({"weight": np.zeros((2, 3)), "bias": "zeros"})
        with pytest.raises(CheckpointError, match="takes names and values"):
            nn.Linear(3, 2).load_state_dict([1, 2])

    def test_a_loaded_value_counts_as_a_write(self) -> None:
        net = nn.Linear(2, 2)
        y = net(gradus.ones(1, 2).requires_grad_())
        net.load_state_dict(nn.Linear(2, 2).state_dict())
        with pytest.raises(GradusError):
            y.sum().backward()


class TestErrors:
    def test_the_innermost_module_is_named_through_all_levels(self) -> None:
        class Block(nn.Module):
            def __init__(self) -> None:
                self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(3, 2)])

            def forward(self, x):
                for layer in self.layers:
                    x = layer(x)
                return x

        net = nn.Sequential(nn.Identity(), Block())
        with pytest.raises(ShapeError) as caught:
            net(gradus.ones(1, 2))
        assert caught.value.module_path == "net.1.layers.1 (Linear 3 -> 2)"
        assert "layer:  net.1.layers.1 (Linear 3 -> 2)" in str(caught.value)

    def test_a_failure_in_forward_itself_names_the_module(self) -> None:
        class Adds(nn.Module):
            def forward(self, x):
                return x + gradus.ones(3)

        adds = Adds()
        with pytest.raises(ShapeError) as caught:
            adds(gradus.ones(2))
        assert caught.value.module_path == "adds (Adds)"

    def test_forward_is_missing(self) -> None:
        class Net(nn.Module):
            def foward(self, x):
                return x

        with pytest.raises(UsageError) as caught:
            Net()(1)
        assert caught.value.code == "E27"
        assert "foward" in caught.value.why

    def test_other_errors_pass_unchanged(self) -> None:
        class Broken(nn.Module):
            def forward(self, x):
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            Broken()(1)
