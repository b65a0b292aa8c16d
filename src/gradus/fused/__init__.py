"""Fused ops: each file holds the meaning (a reference written in ops) and, where it pays, a record that computes it in one go."""
