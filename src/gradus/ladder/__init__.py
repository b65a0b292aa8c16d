"""The ladder: deep learning from three nested loops to a compiled step, one short file a rung, each to be read and copied alone."""

from gradus.ladder import (
    activations,
    autoencoder,
    closures,
    closures_at_work,
    definitions,
    descent,
    einsum,
    engines,
    initialisation,
    layers,
    layers_at_work,
    lsuv,
    matmul,
    module,
    polynomial,
    pure_python,
    tape,
    tensors,
    training_loop,
    why_root_five,
)
