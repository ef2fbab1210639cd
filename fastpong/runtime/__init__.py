"""Processes, threads and memory: workers under supervision, shared weights, CPU time."""
