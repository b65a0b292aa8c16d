"""Layers, losses, containers, initialisation and clipping under PyTorch's names."""

from gradus.nn import functional, init, utils
from gradus.nn.activation import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from gradus.nn.clip import clip_grad_norm_, clip_grad_value_
from gradus.nn.container import ModuleDict, ModuleList, Sequential
from gradus.nn.dropout import Dropout
from gradus.nn.flatten import Flatten
from gradus.nn.identity import Identity
from gradus.nn.linear import Linear
from gradus.nn.loss import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, MSELoss, NLLLoss, SmoothL1Loss
from gradus.nn.module import Module
from gradus.nn.parameter import Parameter
from gradus.nn.state import LoadReport
from gradus.nn.summary import Summary

__all__ = [
    "ELU",
    "GELU",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "LeakyReLU",
    "Linear",
    "LoadReport",
    "LogSoftmax",
    "MSELoss",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Summary",
    "Tanh",
    "clip_grad_norm_",
    "clip_grad_value_",
    "functional",
    "init",
    "utils",
]
