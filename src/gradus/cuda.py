"""PyTorch's door to GPUs, which is closed: everything runs on the CPU."""


def is_available() -> bool:
    """Whether a GPU can be used: never."""
    return False


def device_count() -> int:
    """The number of usable GPUs: none."""
    return 0
