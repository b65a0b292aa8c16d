"""Passes: each takes a graph and gives the same function as a smaller or plainer one."""
