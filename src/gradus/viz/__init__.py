"""Pictures: learning curves, confusion matrices, mistakes, learning-rate tests. Needs the ``plot`` extra when a picture is drawn."""

from gradus.viz.confusion import confusion_matrix, draw_confusion
from gradus.viz.curves import draw_curves
from gradus.viz.learning_rate import draw_learning_rate
from gradus.viz.mistakes import draw_mistakes

__all__ = [
    "confusion_matrix",
    "draw_confusion",
    "draw_curves",
    "draw_learning_rate",
    "draw_mistakes",
]
