"""The two kernels that are not generated: the walk through a program, and the matrix product.

Their texts are compiled and kept as those of generated kernels are; see :mod:`gradus.compiler.native`.
"""

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

PRODUCT = """
def NAME(address):
    table, numbers = array(address, int64), array(address, float64)
    for i in range(table[3]):
        for j in range(table[4]):
            {letter}gemm(
                table[5], table[6], table[7], table[8], table[9], {number}(numbers[10]),
                table[0] + i * table[11] + j * table[12], table[13],
                table[1] + i * table[14] + j * table[15], table[16], {number}(numbers[17]),
                table[2] + i * table[18] + j * table[19], table[20],
            )
    return 0
"""

HANDMADE = """
# from gradus.kernels.{module}
def NAME(address):
    table, numbers = array(address, int64), array(address, float64)
    return {name}({arguments})
"""
