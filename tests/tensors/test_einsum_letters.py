"""What einsum says of lengths that do not fit: which letter, and in which inputs."""

import pytest

import gradus
from gradus.errors import ShapeError


@pytest.mark.parametrize(
    "subscripts, shapes, said",
    [
        ("ij,jk->ik", [(2, 3), (2, 3)], "'j' is 3 in input 0 and 2 in input 1"),
        ("bij,bjk->bik", [(2, 3, 4), (3, 4, 2)], "'b' is 2 in input 0 and 3 in input 1"),
        ("i,i,i", [(1,), (2,), (3,)], "'i' is 2 in input 1 and 3 in input 2"),
    ],
)
def test_the_letter_is_named(subscripts, shapes, said):
    with pytest.raises(ShapeError, match=said):
        gradus.einsum(subscripts, *[gradus.ones(*shape) for shape in shapes])


def test_behind_an_ellipsis_it_is_refused_all_the_same():
    with pytest.raises(ShapeError, match="einsum"):
        gradus.einsum("...ij,...jk->...ik", gradus.ones(2, 3), gradus.ones(2, 3))


def test_a_length_of_one_goes_with_any():
    assert gradus.einsum("i,i", gradus.ones(3), gradus.ones(1)).item() == 3.0
