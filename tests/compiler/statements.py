"""What random programs are made of: templates of statements, by family.

In a template {f} is a float value, {f2} one with at least two axes, {i} whole numbers, {b} booleans, {x} any value; {g} broadcasts with the
first, {s} has its shape and dtype, {same} is the first again, {d} is an axis of the first, {e} another, {ds} one or several, {u} a place
for a new axis, {k} a number, {keep} a flag; {images} have 8 channels, {kernels} and their biases {eight} give 8 again. In updates {p} is a
state, {q} another and {v} a value of its shape.
"""

from __future__ import annotations

SMOOTH = (
    "torch.sin({f}); torch.cos({f}); torch.tan({f} * 0.25); torch.exp({f} * 0.5); torch.exp2({f} * 0.5); torch.expm1({f} * 0.5); "
    "torch.tanh({f}); torch.sigmoid({f}); torch.erf({f}); torch.sinh({f} * 0.5); torch.cosh({f} * 0.5); torch.asinh({f}); "
    "torch.atan({f}); F.softplus({f}); F.gelu({f}); F.gelu({f}, approximate='tanh'); F.silu({f}); F.elu({f}); "
    "torch.log({f}.abs() + 0.5); torch.log2({f}.abs() + 0.5); torch.log10({f}.abs() + 0.5); torch.log1p({f}.abs()); "
    "torch.sqrt({f}.abs() + 0.25); torch.rsqrt({f}.abs() + 0.25); torch.reciprocal({f}.abs() + 0.5); torch.square({f}); "
    "torch.acos({f}.clamp(-0.75, 0.75)); torch.asin({f}.clamp(-0.75, 0.75)); torch.atanh({f}.clamp(-0.75, 0.75)); "
    "torch.acosh({f}.abs() + 1.25); {f} ** 2; {f} ** 3; ({f}.abs() + 0.5) ** 0.5; ({f}.abs() + 0.5) ** 1.5; torch.log({f}); "
    "torch.sqrt({f}); torch.log1p({f}); 1.0 / {f}; torch.log(torch.softmax({f1}.clamp(-20, 20), {d})); 2.0 ** {f}"
).split("; ")
EXACT = (
    "{f}.abs(); -{f}; torch.relu({f}); {f}.clamp({k}, 1.5); {f}.clamp(max=0.5); torch.floor({f}); torch.ceil({f}); torch.round({f}); "
    "torch.trunc({f}); torch.sign({f}); torch.isnan({f}); torch.isinf({f}); torch.isfinite({f}); {f} > {g}; {f} <= {g}; {f} == {g}; "
    "{f} != {g}; {f} < {g}; {f} >= {g}; torch.maximum({f}, {s}); torch.minimum({f}, {s}); torch.where({b}, {f}, {g}); "
    "torch.where({b}, {f}, 0.0); torch.where({f} > 0, {f}, {g}); {f}.masked_fill({f} > 0.5, -1.0); torch.logical_and({b}, {b}); "
    "torch.logical_or({b}, {f} > 0); torch.logical_xor({b}, {b}); torch.logical_not({b}); {f} * 1; {f} / 1; {f} * 2; {f} * -0.5; "
    "{f} / 4; {f}.detach(); {f}.to(f64); {f}.to(f32); {b}.to(f32); {i}.to(f32); F.leaky_relu({f}, 0.25); {f}.clone(); {f} * 1.0 * 1; "
    "{f}.floor() % 3; torch.remainder({f}, 2); torch.remainder({f}.floor(), 2.0); torch.floor_divide({f}.detach(), 2); "
    "torch.zeros_like({f}); torch.ones_like({f}) * {g}; ({f} > {k}).to(torch.int64); "
    "torch.where({f}.abs() < 100, {f}, 0.0).to(torch.int32)"
).split("; ")
ARITHMETIC = (
    "{f} + {g}; {f} - {g}; {f} * {g}; {f} * {g}; {f} / ({g}.abs() + 0.5); {f} / {g}; {k} - {f}; {f} * {k}; {f} + {f} * {g}; "
    "({f} - {g}) ** 2; torch.atan2({f}, {g}.abs() + 0.5); torch.hypot({f}, {g}); torch.logaddexp({f}, {g}); "
    "torch.pow({f}.abs() + 0.5, {g}); torch.lerp({f}, {s}, 0.25); torch.addcmul({f}, {s}, {s}, value=0.5); {f} * {i}; {f} + {b}; "
    "torch.true_divide({f}, 3); {f} - {f}.mean(); torch.div({f}, 0.75); {f1} - {f1}.mean({d}, keepdim=True)"
).split("; ")
WHOLE = (
    "{i} + {h}; {i} - {h}; {i} * {h}; {i} // 2; {i} % 3; {i} & {h}; {i} | {h}; {i} ^ {h}; {i}.abs(); -{i}; {i} > {h}; {i} == {h}; "
    "{i} * 2; torch.maximum({i}, {h}); torch.where({b}, {i}, 1); {i}.to(torch.int64); {i}.to(torch.int32); {i}.sum(); {i}.sum({d}); "
    "{i}.max(); torch.square({i}); torch.cumsum({i}, {d}); {i} / 2; {i} != 0; torch.count_nonzero({i}); {i}.to(torch.bool); "
    "{i}.prod(); torch.bitwise_and({i}, 3)"
).split("; ")
REDUCTIONS = (
    "{f}.sum(); {f}.sum({ds}, keepdim={keep}); {f}.sum({ds}, keepdim={keep}); {f}.mean({ds}, keepdim={keep}); {f}.mean(); "
    "{f1}.var({d}, correction={c}); torch.std({f1}, {d}, correction=0, keepdim={keep}); {f1}.prod({d}); {f}.norm(); "
    "torch.norm({f1}, dim={d}); torch.logsumexp({f1}, {d}, keepdim={keep}); torch.cumsum({f1}, {d}); torch.cumprod({f1}, {d}); "
    "{f2}.sum(({d}, {e})); {f}.sum() / 4; {f1}.sum({d}, keepdim=True) * {f1}; {f}.var()"
).split("; ")
EXTREMES = (
    "torch.amax({f1}, {d}, keepdim={keep}); torch.amin({f1}, {d}, keepdim={keep}); {f1}.max({d})[0]; {f1}.min({d}).values; {f}.max(); "
    "{f}.min(); {f1}.argmax({d}); torch.argmin({f1}, {d}); {f}.argmax(); {b}.any(); {b}.all(); ({f1} > 0).any({d}); "
    "({f1} > 0).all({d}); torch.amax({f2}, ({d}, {e})); torch.count_nonzero({f1}, {d}); torch.argsort({f1}, {d}, stable=True); "
    "torch.sort({f1}, {d}, stable=True)[0]; torch.topk({f1}.detach(), 1, {d})[0]"
).split("; ")
MOVES = (
    "{x2}.transpose({d}, {e}); {x2}.t(); {x}.permute({perm}); {x3}.permute({perm}).transpose(0, 1); {x}.reshape(-1); "
    "{x}.reshape({shape}); {x}.reshape({shape}); "
    "{x}.unsqueeze({u}); {x}.squeeze(); {x1}.flip({d}); torch.roll({x1}, 1, {d}); {x1}[{cut}]; {x1}[{cut}]; {x1}[{cut}]; {x1}[0]; "
    "{x1}[..., -1]; {x1}[...]; {x}.unsqueeze(0).expand(3, *{same}.shape); {x1}.narrow({d}, 0, 1); torch.cat([{x1}, {s}], {d}); "
    "torch.stack([{x}, {s}, {s}], {u}); torch.cat([{x1}, {s}, {s}], {d}); torch.tril({x2}); torch.triu({x2}, 1); {x2}.flatten(0, 1); "
    "{x1}.chunk(2, {d})[0]; {x1}[None, ..., None]; {x1}.repeat(2, *[1] * ({same}.dim() - 1)); torch.movedim({x2}, {d}, {e}); "
    "{x}.contiguous(); {x}.detach()"
).split("; ")
INDEXING = (
    "torch.index_select({x1}, {d}, {below}); {x1}[{below_first}]; torch.gather({f1}, {d}, {same}.argmax({d}, keepdim=True)); "
    "torch.take_along_dim({f1}, torch.argsort({same}, {d}, stable=True), {d}); {x1}[..., {below_last}]; "
    "F.embedding({below_first}, {table}); torch.scatter_add({f1}, 0, {places}, {same})"
).split("; ")
PRODUCTS = (
    "{f1} @ {right}; {f1} @ {right}; {f1} @ {right}; torch.matmul({f1}, {right}); {f2} @ {same}.transpose(-1, -2); "
    "{f2}.transpose(-1, -2) @ {same}; F.linear({f1}, {weight}, {bias}); F.linear({f1}, {weight}); "
    "torch.einsum('...i,...i->...', {f1}, {s}); torch.einsum('...ij,...kj->...ik', {f2}, {s}); "
    "torch.einsum('...ij->...ji', {f2}) @ {same}; torch.outer({f1}.reshape(-1)[:8], {f1}.reshape(-1)[:8]); {f2} @ {same}.mT; "
    "({f2} @ {same}.mT).t() if {same}.dim() == 2 else {same} * 1; torch.einsum('...i,...j->...ij', {f1}, {s})"
).split("; ")
FUSED = (
    "torch.softmax({f1}, {d}); F.log_softmax({f1}, {d}); F.softmax({f1} * 2, {d}); F.layer_norm({f1}, {same}.shape[-1:]); "
    "F.rms_norm({f1}, {same}.shape[-1:]); F.layer_norm({f1}, {same}.shape[-1:], {last}, {last}); "
    "F.layer_norm({f2}, {same}.shape[-2:]); F.batch_norm({f2}, None, None, training=True); F.cross_entropy({matrix}, {labels}); "
    "F.cross_entropy({matrix}, {labels}, reduction='none'); F.cross_entropy({matrix}, {labels}, label_smoothing=0.25); "
    "F.nll_loss(F.log_softmax({matrix}, -1), {labels}); F.mse_loss({f}, {s}); F.l1_loss({f}, {s}); F.smooth_l1_loss({f}, {s}); "
    "F.binary_cross_entropy_with_logits({f}, torch.sigmoid({s}).detach()); F.conv2d({image}, {kernel}, padding={c}); "
    "F.conv2d({image}, {kernel}, stride=2, padding=1); F.max_pool2d({image}, 2); "
    "F.max_pool2d(torch.relu(F.conv2d({image}, {kernel}, padding=1)), 2); F.avg_pool2d({image}, 2); "
    "F.max_pool2d(F.conv2d({images}, {kernels}, padding=1), 2); "
    "F.max_pool2d(torch.relu(F.conv2d({images}, {kernels}, {eight}, padding=1)), 2); "
    "F.unfold({image}, 2, padding=1); F.scaled_dot_product_attention({f3}, {s}, {s}, is_causal={keep}); "
    "F.fold(F.unfold({image}, 2), {same}.shape[2:], 2); F.max_pool2d({image}, 3, stride=1, padding=1)"
).split("; ")
IN_PLACE = ("{copy}.add_({s}); {copy}.mul_({k}); {copy}.clamp_(-1, 1); {copy}[..., 0] = {k}; {copy}[:1] = {same}[-1:] * 2.0").split("; ")
RANDOM = ("F.dropout({f}, 0.25); torch.rand(3, 4) * 2; (torch.rand(4, 8) < 0.5).to(f32); torch.rand(8)").split("; ")
UPDATES = (
    "{p}.sub_({p}.grad * 0.125); {p}.add_({p}.grad, alpha=-0.25); {p}.copy_({p} * 0.5 - 0.125 * {p}.grad); {p}.mul_(0.5); "
    "{p}.copy_({v}); {p}.add_({v}); {p}.copy_({p}.flip(0)); {p}.copy_({p} + {p}.flip(0)); {p}[:1] = {p}[-1:]; {p}.mul_(0.5).add_({v}); "
    "{p}.clamp_(-1.5, 1.5); {q}.copy_({p}); {q}.mul_(0.5).add_({p}); {p}.sub_(0.125 * {p}.grad.clamp(-1, 1)); {p}.zero_(); "
    "{p}.sub_({p}.grad * 0.125 + {p} * 0.25); {p}.copy_({p}.t()); {p}.sub_(0.125 * {p}.grad / ({p}.grad.norm() + 1.0)); "
    "{p}.copy_({q}); {p}.add_({p}.mean())"
).split("; ")

#: How often a family comes, its templates, and whether they round.
FAMILIES: dict[str, tuple[float, list[str], bool]] = {
    "smooth": (3, SMOOTH, True),
    "exact": (3, EXACT, False),
    "arithmetic": (4, ARITHMETIC, True),
    "whole": (0.8, WHOLE, False),
    "reductions": (2.5, REDUCTIONS, True),
    "extremes": (1.2, EXTREMES, False),
    "moves": (3, MOVES, False),
    "indexing": (1, INDEXING, False),
    "products": (1.5, PRODUCTS, True),
    "fused": (1.5, FUSED, True),
    "in place": (0.3, IN_PLACE, False),
    "random": (0.12, RANDOM, False),
}
