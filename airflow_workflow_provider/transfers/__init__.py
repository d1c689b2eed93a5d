"""Transfers: outputs of runs into databases and onto object storage."""
