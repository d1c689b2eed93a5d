"""The names that CARTO gives to procedures and out tables, against recorded values."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.sandbox.carto.names import output_hash, output_table, workflow_hash


@pytest.mark.parametrize(
    ("values", "digest"),
    [
        ({"address": "Jl Mampang Prapatan 11 Jakarta Selatan"}, "18cdddd169fd224c"),
        ({"longitude": 106.82637474311103, "latitude": -6.223410024034504}, "b1819b2283be8e9c"),
        ({}, "d41d8cd98f00b204"),
    ],
)
def test_output_hash_is_the_md5_of_the_values_in_alphabetical_order(values, digest):
    """The vectors stand in exported workflows, or follow from MD5 alone."""
    assert output_hash(values) == digest


def test_whole_numbers_have_no_fraction():
    """BigQuery writes the FLOAT64 500.0 as 500."""
    assert output_hash({"radius": 500.0}) == output_hash({"radius": "500"})
    assert output_hash({"radius": 0.5}) == output_hash({"radius": "0.5"})


def test_output_table_is_named_after_the_procedure():
    """The hash follows `_out_`."""
    assert output_table("p.d.wfproc_api_1", {}) == "p.d.wfproc_api_1_out_d41d8cd98f00b204"


def test_workflow_hash_is_sixteen_digits_of_sha1():
    """sha1 of the empty text begins with da39a3ee."""
    assert workflow_hash("") == "da39a3ee5e6b4b0d"
