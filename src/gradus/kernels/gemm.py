"""Matrix products in float32 that keep 6 x 64 results at a time in registers.

One factor is copied first, into *panels*: 64 of its columns each, rows behind each other, so that a panel is read from its beginning to its
end. The other factor stays where it is: a number of it is spread over a vector and multiplied with a row of a panel. Each number that is
loaded serves 6 or 64 multiplications, so the loop waits for nothing but arithmetic. It needs 24 vector registers of 64 bytes for the sums.

Measured on one core with AVX-512, memory cold, GF/s here | OpenBLAS, which copies both factors:
768x384x128 217 | 178, 128x512x784 (rows with rows) 212 | 168, 512x784x128 (columns with columns) 208 | 180, 1000x1000x1000 206 | 197.

K. Goto, R. van de Geijn: Anatomy of High-Performance Matrix Multiplication (2008), https://doi.org/10.1145/1356052.1356053
"""

from __future__ import annotations

from numba import float32, int64

from gradus.kernels.atomics import take_next, write
from gradus.kernels.compilation import compiled
from gradus.kernels.inner_products import SIDE, strip_of_results
from gradus.kernels.lanes import load_where, span, store, transpose_block, zeros
from gradus.kernels.register_tiles import add_outer, load_beside, store_matrix, zeros_each
from gradus.kernels.table import array
from gradus.kernels.team import LEAVE, finished, next_job, offer, take_back, threads_of

SIZE = 4  # bytes of a float32
ROWS, LANES, WIDTH = 6, 16, 64  # of a tile of results
PANEL_ROW = WIDTH * SIZE
# A job, in front of the panels: the next piece; A, its steps from row to row and along k, m, n, k, C, its step, panels, B where it lies,
# its step, how many columns are read there, whether C is added to, rows of a piece; alpha, a float32; whether a piece is a strip of inner
# products.
JOB = 64  # elements that it takes
ALPHA, STRIPS = 30, 16  # where these two are, in elements of their types
PIECES = 3  # for each thread: one that is held up does not make the others wait for long
FEW = 64  # rows of results for which a copy of rows does not pay
DEPTH = 400  # terms of a sum in one go: a rounding error of one sum grows with its terms, so sums of sums are more exact
STRIPE = 1 << 18  # bytes of the factor that stays, which are multiplied with all panels before the next


@compiled
def turn(source, rows, columns, source_leading, target, target_leading):
    """Write the transpose of a matrix, whose rows and columns may be any number; ``leading``: elements from one row to the next."""
    whole_rows, whole_columns = rows // LANES * LANES, columns // LANES * LANES
    down, across = source_leading * SIZE, target_leading * SIZE
    for i in range(0, whole_rows, LANES):
        for j in range(0, whole_columns, LANES):
            transpose_block(source + i * down + j * SIZE, down, target + j * across + i * SIZE, across, float32)
    a, b = array(source, float32), array(target, float32)
    for j in range(columns):
        for i in range(0 if j >= whole_columns else whole_rows, rows):
            b[j * target_leading + i] = a[i * source_leading + j]


@compiled
def pack(b, turned, k, n, leading, panels):
    """Panels of a factor (k, n). What a last panel holds behind column n is never looked at."""
    for j in range(0, n, WIDTH):
        if turned:
            turn(b + j * leading * SIZE, min(WIDTH, n - j), k, leading, panels, int64(WIDTH))
            panels += k * PANEL_ROW
        else:
            for i in range(k):
                for v in range(j, j + WIDTH, LANES):
                    store(panels, load_where(b + (i * leading + v) * SIZE, span(0, n - v, float32), float32))
                    panels += LANES * SIZE


@compiled
def piece_of(k):
    """How many terms are added up before they go to the others: as equal shares of k as can be, at most DEPTH."""
    pieces = max(1, (k + DEPTH - 1) // DEPTH)
    return max(1, (k + pieces - 1) // pieces)


@compiled
def tile(a, row_step, k_step, panel, panel_step, k, sums, vectors):
    """``sums`` plus a few rows of A times a panel, of which as many vectors are read as the tuple ``vectors`` has."""
    for _ in range(k):
        sums = add_outer(sums, load_beside(panel, vectors), a, row_step)
        a += k_step
        panel += panel_step
    return sums


@compiled
def columns_of_results(a, row_step, k_step, panel, panel_step, m, n, k, alpha, add, c, c_step):
    """C = alpha · A times one panel of n columns (+ C). The last tile ends at the last row and writes only what others did not."""
    zero = zeros(float32)
    depth = piece_of(k)
    for i in range(0, m, ROWS):
        first = min(i, m - ROWS)
        c_row = c + first * c_step
        for start in range(0, k, depth):
            a_row, panel_row, terms, adds = (
                a + first * row_step + start * k_step,
                panel + start * panel_step,
                min(depth, k - start),
                add or start > 0,
            )
            if n > WIDTH - LANES:
                four = (zero, zero, zero, zero)
                kept = span(0, n - (WIDTH - LANES), float32)
                sums = tile(a_row, row_step, k_step, panel_row, panel_step, terms, zeros_each(float32, 24), four)
                store_matrix(c_row, c_step, i - first, kept, alpha, adds, sums, four)
            else:
                for v in range(0, n, LANES):
                    kept = span(0, n - v, float32)
                    thin = tile(a_row, row_step, k_step, panel_row + v * SIZE, panel_step, terms, zeros_each(float32, 6), (zero,))
                    store_matrix(c_row + v * SIZE, c_step, i - first, kept, alpha, adds, thin, (zero,))


@compiled
def work_on_strips(room):
    """Compute strips of a job that nobody has taken yet, until there are none."""
    job = array(room, int64)
    first = take_next(room) * SIDE
    while first < max(job[4], job[5]):
        strip_of_results(job[1], job[2], job[10], job[11], job[4], job[5], job[6], array(room, float32)[ALPHA], job[7], job[8], first)
        first = take_next(room) * SIDE


@compiled
def work_on_panels(room):
    """Compute pieces of a job that nobody has taken yet, until there are none: some rows times a panel each.

    Every number comes out of the same operations in the same order, whoever computes it and however many rows a piece has.
    """
    job = array(room, int64)
    a, row_step, k_step, m, n, k, c, c_step = job[1], job[2], job[3], job[4], job[5], job[6], job[7], job[8]
    panels, b, b_step, in_place, add, height, alpha = job[9], job[10], job[11], job[12], job[13] != 0, job[14], array(room, float32)[ALPHA]
    across = (n + WIDTH - 1) // WIDTH
    down = max(1, (m + height - ROWS) // height)  # what is left behind the last whole piece is a piece of its own if it makes a tile
    piece = take_next(room)
    while piece < down * across:
        i, j = piece // across * height, piece % across * WIDTH
        rows = height if piece // across + 1 < down else m - i
        panel, panel_step = panels + (j - in_place) * k * SIZE, PANEL_ROW
        if j < in_place:
            panel, panel_step = b + j * SIZE, b_step
        place = c + i * c_step + j * SIZE
        columns_of_results(a + i * row_step, row_step, k_step, panel, panel_step, rows, min(WIDTH, n - j), k, alpha, add, place, c_step)
        piece = take_next(room)


@compiled
def height_of_pieces(m, n, k, threads):
    """Rows of a piece: as the cache holds them, but some pieces for each thread, and no less than two tiles."""
    height = STRIPE // (k * SIZE * ROWS) + 4
    if threads > 1:
        across = (n + WIDTH - 1) // WIDTH
        height = min(height, max(2, m * across // (ROWS * PIECES * threads)))
    return height * ROWS


@compiled
def multiply(a, b, c, a_turned, b_turned, m, n, k, a_leading, b_leading, c_leading, alpha, add, room, across, team):
    """C = alpha · A' B' (+ C), row-major.

    Args:
        a_turned, b_turned: whether the matrix in memory is the transpose of the factor A' (m, k), B' (k, n).
        a_leading, b_leading, c_leading: elements from one row in memory to the next.
        add: whether C is added to; if not, what it held is not read.
        room: for a job, and behind it panels of B', its columns rounded up to whole panels; m is at least 6 then.
        across: with room for the transpose of C here (otherwise 0), that is computed, as B'ᵀ A'ᵀ with panels of A'ᵀ, and transposed:
            for few rows and many columns, at least 6. C's rows lie together then, and nothing is added to.
        team: who may help, see :mod:`gradus.kernels.team`; 0 if nobody shall.
    """
    target = c
    if across != 0:
        a, b, a_turned, b_turned, a_leading, b_leading = b, a, not b_turned, not a_turned, b_leading, a_leading
        m, n, target, c_leading = n, m, across, m
    panels = room + JOB * SIZE
    in_place = 0 if b_turned or m > FEW else n // WIDTH * WIDTH  # columns of B' that are read where they lie
    pack(b + in_place * SIZE, b_turned, k, n - in_place, b_leading, panels)
    row_step, k_step = (SIZE, a_leading * SIZE) if a_turned else (a_leading * SIZE, SIZE)
    job = array(room, int64)
    job[1], job[2], job[3], job[4], job[5], job[6], job[7], job[8] = a, row_step, k_step, m, n, k, target, c_leading * SIZE
    job[9], job[10], job[11], job[12], job[13] = panels, b, b_leading * SIZE, in_place, add
    job[14], job[STRIPS] = height_of_pieces(m, n, k, threads_of(team)), 0
    array(room, float32)[ALPHA] = alpha
    write(room, 0)  # the next piece
    offer(room, team)
    work_on_panels(room)
    take_back(room, team)
    if across != 0:
        turn(across, m, n, n, c, m)


@compiled
def multiply_rows(a, b, c, m, n, k, a_leading, b_leading, c_leading, alpha, room, team):
    """C = alpha · A Bᵀ for A (m, k), B (n, k), row-major, with room for a job alone; for the rest see :func:`multiply`."""
    job = array(room, int64)
    job[1], job[2], job[4], job[5], job[6], job[7], job[8] = a, a_leading * SIZE, m, n, k, c, c_leading * SIZE
    job[10], job[11], job[STRIPS] = b, b_leading * SIZE, 1
    array(room, float32)[ALPHA] = alpha
    write(room, 0)
    offer(room, team)
    work_on_strips(room)
    take_back(room, team)


@compiled
def work(room):
    """Help with a job, of either kind: for workers alone, since a product that held both would take twice as long to compile."""
    if array(room, int64)[STRIPS] != 0:
        work_on_strips(room)
    else:
        work_on_panels(room)


@compiled
def serve(line, pipe, place, patience):
    """A worker's life: help with products until told to leave. For the arguments see :func:`gradus.kernels.team.next_job`."""
    job = next_job(line, pipe, place, patience)
    while job != LEAVE:
        work(job)
        finished(job, line)
        job = next_job(line, pipe, place, patience)
    return 0
