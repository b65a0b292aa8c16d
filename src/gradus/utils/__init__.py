"""PyTorch's import path ``utils.data``; names only."""
