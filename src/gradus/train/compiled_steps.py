"""A batch of the Learner as one compiled function, and which callbacks let it be one.

A compiled step has no places between its lines where Python could look. So each callback says in ``with_compile`` how it gets on with that:

=========  ==================================================================================================================
"eager"    it must be told in time: batches run line by line while it is there (the default of a callback that listens between the lines)
"late"     it only reads prediction and loss: it is told when the step is over
"inside"   ``inside_step(model, loss)``, ops alone, is traced in place of its events, between backward and the optimizer's step; what it
           returns, a Tensor or None, is handed to ``after_inside(learner, value)`` when the step is over. It may read Tensors, and
           settings of its callback (numbers, texts, flags: with other settings it is traced anew)
"not yet"  as "eager", for the moment; nobody is told
=========  ==================================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gradus.compiler.compiled import compile as compile_function
from gradus.errors import AliasError, NonFiniteError, TraceError
from gradus.nn import Module
from gradus.tensors import Tensor
from gradus.train.callbacks import BETWEEN, Callback
from gradus.train.nonfinite import check_one_number

if TYPE_CHECKING:
    from gradus.train.learner import Learner

SHAPES = 8  # batches of so many different shapes are compiled; further ones run eagerly


class Inside:
    """``inside_step`` without the callback around it, which a compiled function need not watch: a log in it may grow with each step."""

    def __init__(self, callback: Any) -> None:
        self.callback = callback

    def __call__(self, model: Module, loss: Tensor) -> Any:
        return self.callback.inside_step(model, loss)


def settings(callback: Any) -> tuple[Any, ...]:
    """The numbers, texts and flags of a callback that its ``inside_step`` reads."""
    names = callback.inside_step.__code__.co_names
    return tuple(
        [(name, value) for name in names for value in [getattr(callback, name, None)] if isinstance(value, (bool, int, float, str))]
    )


def training_step(model: Module, loss_function: Any, optimizer: Any, inside: list[Callback]) -> Callable[..., Any]:
    """The five lines of the loop, and what callbacks do inside them, as a function of a batch."""
    acts = [Inside(callback) for callback in inside]

    def step(*batch: Tensor) -> Any:
        prediction = model(*batch[:-1])
        loss = check_one_number(loss_function(prediction, batch[-1]))
        loss.backward()
        measured = [act(model, loss) for act in acts]
        optimizer.step()
        optimizer.zero_grad()
        return (prediction, loss, *measured)

    return step


def measuring_step(model: Module, loss_function: Any) -> Callable[..., Any]:
    """Prediction and loss of a batch."""

    def step(*batch: Tensor) -> Any:
        prediction = model(*batch[:-1])
        return prediction, loss_function(prediction, batch[-1])

    return step


class Manners:
    """How the callbacks of a run, in the order in which they are told, get on with compiled steps.

    Attributes:
        eager: callbacks that must be told in time, each with the event that it listens to.
        pending: whether one will be content later.
        inside: what is traced.
        late: what is told when a step is over, by event.
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self.eager: list[tuple[str, str]] = []
        self.pending = False
        self.inside: list[Callback] = []
        late: list[tuple[str, Callable[[Learner], None]]] = []
        for callback in callbacks:
            listens = [event for event in BETWEEN if hasattr(callback, event)]
            manner = manner_of(callback, listens)
            self.pending |= manner == "not yet"
            if manner == "inside":
                self.inside.append(callback)
            elif manner == "late":
                late += [(event, getattr(callback, event)) for event in listens]
            elif manner == "eager" and listens:
                self.eager.append((type(callback).__name__, listens[0]))
        self.late = [hook for event in BETWEEN for name, hook in late if name == event]


def manner_of(callback: Callback, listens: Iterable[str]) -> str:
    """Its ``with_compile``; "eager" where a heir listens to more than the class that stated it knew of."""
    classes = type(callback).__mro__

    def stated(name: str) -> int:
        return next((k for k, known in enumerate(classes) if name in vars(known)), len(classes))

    return callback.with_compile if all(stated(event) >= stated("with_compile") for event in listens) else "eager"


class CompiledSteps:
    """The compiled functions of one Learner: one for each kind of pass and shape of batch, traced when a shape comes for the second time.

    Args:
        strict: whether a model that cannot be traced is an error, rather than a reason to run eagerly.
        say: tells the person something once.

    Attributes:
        refused: why this learner's batches run eagerly for good; "" if they do not.
    """

    def __init__(self, strict: bool, say: Callable[[str], None]) -> None:
        self.strict, self.say = strict, say
        self.refused = self.stopped = ""
        self.programs: dict[Any, Callable[..., Any]] = {}
        self.callbacks: list[Callback] = []
        self.manners = Manners(())

    def listen(self, callbacks: Iterable[Callback]) -> None:
        """These callbacks are told from now on, in this order."""
        self.callbacks = list(callbacks)
        self.manners = Manners(self.callbacks)

    def forget(self) -> None:
        """Drop all programs: the memory they write to is not the learner's any more."""
        self.programs.clear()

    # Whether.

    def hindrance(self, learner: Learner) -> str:
        """Why batches cannot be compiled just now, in words; "" if they can."""
        hooked = next((f"layer {name}" if name else "the model" for name, layer in learner.model.named_modules() if layer._hooks), "")
        if hooked:
            return f"a hook watches {hooked}"
        watched = next((name for name, p in learner.model.named_parameters() if p._hooks), "")
        if watched:
            return f"a hook watches the gradient of {watched}"
        if self.manners.eager:
            name, event = self.manners.eager[0]
            return f"the callback {name} listens to {event}"
        return ""

    def begin_pass(self, learner: Learner) -> None:
        """Before some batches: tell the person if they will not be compiled."""
        self.stopped = self.refused or self.hindrance(learner)
        if self.stopped:
            self.say(f"batches run eagerly, not compiled: {self.stopped}")

    # Running.

    def call(self, kind: str, make: Callable[[], Callable[..., Any]], parts: tuple[Any, ...], batch: tuple[Tensor, ...]) -> Any:
        """The result of the compiled function for this kind of pass; None if it must be computed line by line.

        Args:
            parts: the objects that the function is made of, and tuples of settings; another loss function is another program.
        """
        owner = (kind, *[part if isinstance(part, tuple) else id(part) for part in parts])
        shapes = tuple([(x.shape, x.dtype) for x in batch])
        function = self.programs.get((owner, shapes)) or self._new(owner, shapes, make)
        if function is None:
            return None
        try:
            return function(*batch)
        except (TraceError, AliasError) as error:
            if self.strict:
                raise
            self.refused = self.stopped = error.what
            self.say(f"batches run eagerly, not compiled: {self.refused}")
            return None

    def _new(self, owner: Any, shapes: Any, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any] | None:
        """A compiled function for batches of other shapes; None where there are too many of them."""
        kin = [key for key in self.programs if key[0][0] == owner[0]]
        if sum(key[0] == owner for key in kin) >= SHAPES:
            self.say(f"batches of more than {SHAPES} shapes: further ones run eagerly, not compiled")
            return None
        if len(kin) >= 2 * SHAPES:  # of parts that were replaced since
            for key in kin:
                if key[0] != owner:
                    del self.programs[key]
        self.programs[owner, shapes] = compile_function(make())
        return self.programs[owner, shapes]

    def batch(self, learner: Learner) -> bool:
        """Do all lines of a batch, its callbacks' part included; False if they must run one by one, and nothing has happened."""
        if self.manners.pending:
            self.manners = Manners(self.callbacks)
        if self.stopped or self.manners.pending:
            return False
        model, loss, batch = learner.model, learner.loss_function, (*learner.inputs, learner.target)
        if not all(isinstance(value, Tensor) for value in batch):
            return False
        if not learner.training:
            found = self.call("measure", lambda: measuring_step(model, loss), (model, loss), batch)
            if found is None:
                return False
            learner.prediction, learner.loss = found
            learner.notify("after_predict")
            learner.notify("after_loss")
            return True
        optimizer, inside = learner.optimizer, self.manners.inside
        parts = (model, loss, optimizer, *inside, *[settings(callback) for callback in inside])
        try:
            found = self.call("train", lambda: training_step(model, loss, optimizer, inside), parts, batch)
        except NonFiniteError:  # nothing was written: done again line by line, it says where it began
            optimizer.zero_grad()
            return False
        if found is None:
            return False
        learner.prediction, learner.loss, *measured = found
        self._tell(learner, measured)
        return True

    def _tell(self, learner: Learner, measured: list[Any]) -> None:
        for callback, value in zip(self.manners.inside, measured, strict=True):
            if hasattr(callback, "after_inside"):
                callback.after_inside(learner, value)
        for hook in self.manners.late:
            hook(learner)
        learner.notify("after_step")

    def forward(self, model: Module) -> Callable[[Tensor], Tensor]:
        """The model, or what computes its outputs faster."""
        if self.refused or any(layer._hooks for layer in model.modules()):
            return model

        def outputs(x: Tensor) -> Tensor:
            found = self.call("use", lambda: model, (model,), (x,))
            return model(x) if found is None else found

        return outputs
