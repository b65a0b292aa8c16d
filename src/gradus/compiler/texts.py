"""The kernels that are not generated from loops: the walk through a program, the matrix product, a kernel made by hand.

Their texts are compiled and kept as those of generated kernels are; see :mod:`gradus.compiler.native`.
"""

#: The table of a program holds: the first step of this walk and the one behind its last; the steps, as pairs (kernel, its table); the slots
#: that differ from run to run, as triples (address, which object, offset); the addresses of these objects; how many such slots there are;
#: where an object keeps the address of its data; the step that failed, counted from 1 (0 if none did).
RUN = """
def NAME(address):
    header = array(address, int64)
    first, last, patches, objects, fields = header[0], header[1], header[3], header[4], header[6]
    steps, patch, object = array(header[2], int64), array(patches, int64), array(objects, int64)
    for k in range(header[5]):
        # slot = the data pointer of a NumPy array object, plus an offset into it
        array(patch[3 * k], int64)[0] = array(object[patch[3 * k + 1]] + fields, int64)[0] + patch[3 * k + 2]
    for k in range(first, last):
        status = call(steps[2 * k], steps[2 * k + 1])
        if status != 0:
            header[7] = k + 1
            return status
    header[7] = 0
    return 0
"""

#: The table holds: addresses of A, B and C; the lengths of two loops over batches; whether A and B are transposed; m, n, k; alpha; the
#: steps of the two loops in A, in bytes, and its leading dimension; the same for B; beta; the same for C.
PRODUCT = """
def NAME(address):
    table, numbers = array(address, int64), array(address, float64)
    for i in range(table[3]):
        for j in range(table[4]):
            a = table[0] + i * table[11] + j * table[12]
            b = table[1] + i * table[14] + j * table[15]
            c = table[2] + i * table[18] + j * table[19]
            {call}
    return 0
"""

LIBRARY_CALL = """{letter}gemm(
                table[5], table[6], table[7], table[8], table[9], {number}(numbers[10]),
                a, table[13], b, table[16], {number}(numbers[17]), c, table[20],
            )"""

#: Room for a job and panels and for a transposed result (0 for none) lie at the next two addresses, at the third is the team that may help.
PANELS_CALL = """multiply(
                a, b, c, table[5] != 0, table[6] != 0, table[7], table[8], table[9], table[13], table[16], table[20],
                float32(numbers[10]), numbers[17] != 0.0, table[21], table[22], table[23],
            )"""

INNER_PRODUCTS_CALL = """multiply_rows(
                a, b, c, table[7], table[8], table[9], table[13], table[16], table[20], float32(numbers[10]), table[21], table[23],
            )"""

#: A worker's life. The table holds: its line, the end of the pipe at which it sleeps, room for a byte, how often it looks before it sleeps.
SERVE = """
# from gradus.kernels.gemm
def NAME(address):
    table = array(address, int64)
    return serve(table[0], table[1], table[2], table[3])
"""


def product_text(letter: str, way: str) -> str:
    """The kernel of a product in float32 ("s") or float64 ("d"); for the ways see :func:`gradus.compiler.products.quickest`."""
    if way == "library":
        return PRODUCT.format(call=LIBRARY_CALL.format(letter=letter, number="float32" if letter == "s" else "float64"))
    return "# from gradus.kernels.gemm" + PRODUCT.format(call=INNER_PRODUCTS_CALL if way == "inner" else PANELS_CALL)


HANDMADE = """
# from gradus.kernels.{module}
def NAME(address):
    table, numbers = array(address, int64), array(address, float64)
    return {name}({arguments})
"""
