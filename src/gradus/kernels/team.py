"""Jobs that one thread offers and others help with.

Each worker looks at a *line* of its own, three words: a job (0; or the address of one that is offered; or minus that address while the
worker is at it; or :data:`LEAVE`), whether the worker is asleep, and the pipe at whose other end it sleeps then. The thread that offers a
job works on it too, and nobody waits for a worker to wake up: what none has taken when the work is done, nobody ever will, and only who is
still at a piece is waited for.

A *team* is the address of three words: the address of the first line, how many workers there are, and the address of the number of threads
that the user has asked for.
"""

from __future__ import annotations

from numba import int64

from gradus.kernels.atomics import await_ring, exchange, give_way, pause, read, ring, write
from gradus.kernels.compilation import compiled
from gradus.kernels.table import array

LINE = 64  # bytes from one line to the next, so that they are no neighbours in any cache
ASLEEP, PIPE = 8, 16  # bytes into a line
LEAVE = -1
SOON = 1 << 14  # rounds of waiting for a worker after which a core is offered to others: half a millisecond


@compiled
def threads_of(team):
    """How many threads may be at a job: no more than the user has asked for, and than there are workers, and the one that offers."""
    if team == 0:
        return 1
    words = array(team, int64)
    return max(1, min(words[1] + 1, array(words[2], int64)[0]))


@compiled
def offer(job, team):
    """Let every worker that is free see a job."""
    for w in range(threads_of(team) - 1):
        line = array(team, int64)[0] + w * LINE
        if exchange(line, 0, job) and exchange(line + ASLEEP, 1, 0):
            ring(array(line, int64)[PIPE // 8], line)


@compiled
def take_back(job, team):
    """Wait until nobody is at a job any more; who has not taken it never will."""
    for w in range(threads_of(team) - 1):
        line = array(team, int64)[0] + w * LINE
        if not exchange(line, job, 0):
            turn = 0
            while read(line) == -job:
                turn += 1
                pause()
                # The worker may have lost its core to this thread. Not at once: who gives way may wait some milliseconds for its turn.
                if turn % SOON == 0:
                    give_way()


@compiled
def next_job(line, pipe, place, patience):
    """Wait for a job at a line and accept it, asleep after ``patience`` looks; LEAVE if there will be none. ``place`` takes a byte."""
    looks = 0
    while True:
        job = read(line)
        if job == LEAVE:
            return job
        if job > 0 and exchange(line, job, -job):
            return job
        looks += 1
        pause()
        if looks > patience:
            write(line + ASLEEP, 1)
            # A job that was offered a moment before rang no bell. If one comes now, its bell rings, or is cancelled here.
            if read(line) == 0 or not exchange(line + ASLEEP, 1, 0):
                await_ring(pipe, place)
            looks = 0


@compiled
def finished(job, line):
    """Say that the worker of this line is not at a job any more."""
    exchange(line, -job, 0)
