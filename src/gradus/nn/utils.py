"""PyTorch's import path of gradient clipping; it lives in :mod:`gradus.nn.clip`."""

from gradus.nn.clip import clip_grad_norm_, clip_grad_value_, get_total_norm

__all__ = ["clip_grad_norm_", "clip_grad_value_", "get_total_norm"]
