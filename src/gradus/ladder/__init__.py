"""The ladder: deep learning from three nested loops to a compiled step, one short file a rung, each to be read and copied alone."""

from gradus.ladder import layers, layers_at_work, matmul, polynomial, pure_python, tape, tensors
from gradus.ladder import module
from gradus.ladder import training_loop
