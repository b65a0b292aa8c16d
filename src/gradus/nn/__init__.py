"""Layers, losses, containers, initialisation and clipping under PyTorch's names."""

from gradus.nn import functional, init, utils
from gradus.nn.activation import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from gradus.nn.attention import MultiheadAttention
from gradus.nn.batch_norm import BatchNorm1d, BatchNorm2d
from gradus.nn.clip import clip_grad_norm_, clip_grad_value_
from gradus.nn.container import ModuleDict, ModuleList, Sequential
from gradus.nn.conv import Conv1d, Conv2d
from gradus.nn.dropout import Dropout
from gradus.nn.embedding import Embedding
from gradus.nn.flatten import Flatten, Unflatten
from gradus.nn.identity import Identity
from gradus.nn.instance_norm import InstanceNorm1d, InstanceNorm2d
from gradus.nn.linear import Linear
from gradus.nn.loss import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, MSELoss, NLLLoss, SmoothL1Loss
from gradus.nn.module import Module
from gradus.nn.norm import GroupNorm, LayerNorm, RMSNorm
from gradus.nn.parameter import Parameter
from gradus.nn.pool import AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from gradus.nn.recurrent import GRU, LSTM, RNN
from gradus.nn.recurrent_cell import GRUCell, LSTMCell, RNNCell
from gradus.nn.state import LoadReport
from gradus.nn.summary import Summary
from gradus.nn.unfold import Fold, Unfold

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "ELU",
    "Embedding",
    "Flatten",
    "Fold",
    "GELU",
    "GRU",
    "GRUCell",
    "GroupNorm",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "L1Loss",
    "LSTM",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LoadReport",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "MSELoss",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "Parameter",
    "RMSNorm",
    "RNN",
    "RNNCell",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Summary",
    "Tanh",
    "Unflatten",
    "Unfold",
    "clip_grad_norm_",
    "clip_grad_value_",
    "functional",
    "init",
    "utils",
]
