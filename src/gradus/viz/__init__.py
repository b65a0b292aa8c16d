"""Pictures: learning curves, confusion, mistakes, learning-rate tests, activations. Drawing needs the extra ``plot``."""

from gradus.viz.activations import draw_activation_histograms, draw_activation_stats
from gradus.viz.confusion import confusion_matrix, draw_confusion
from gradus.viz.curves import draw_curves
from gradus.viz.learning_rate import draw_learning_rate
from gradus.viz.mistakes import draw_mistakes

__all__ = [
    "confusion_matrix",
    "draw_activation_histograms",
    "draw_activation_stats",
    "draw_confusion",
    "draw_curves",
    "draw_learning_rate",
    "draw_mistakes",
]
