"""PyTorch's import path of the stateless layers: each lives in the file of :mod:`gradus.fused` that its name predicts, distances among
the products of :mod:`gradus.torch_names`.
"""

from gradus.fused.activation import elu, gelu, leaky_relu, relu, sigmoid, silu, softplus, tanh
from gradus.fused.attention import scaled_dot_product_attention
from gradus.fused.avg_pool import adaptive_avg_pool1d, adaptive_avg_pool2d, avg_pool1d, avg_pool2d
from gradus.fused.conv import conv1d, conv2d
from gradus.fused.dropout import dropout
from gradus.fused.embedding import embedding
from gradus.fused.labels import one_hot
from gradus.fused.linear import linear
from gradus.fused.loss import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from gradus.fused.norm import batch_norm, group_norm, layer_norm, rms_norm
from gradus.fused.pool import max_pool1d, max_pool2d
from gradus.fused.softmax import log_softmax, softmax
from gradus.fused.unfold import fold, unfold
from gradus.torch_names.products import cosine_similarity, pairwise_distance

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "fold",
    "gelu",
    "group_norm",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pairwise_distance",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]
