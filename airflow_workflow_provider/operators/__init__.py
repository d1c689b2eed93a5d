"""Operators: starting a run of a workflow, and cancelling one."""
