"""The report of the public suites."""

from __future__ import annotations

from tests.conformance.model import Case
from tests.conformance.report import page, section

ORDER = ["first", "second"]


def test_a_section_counts_by_group_and_variant_and_names_what_failed():
    cases = [
        Case("frames", "plain", "a", ok=True),
        Case("frames", "plain", "b", ok=False, detail="not shown"),
        Case("frames", "tls", "a", ok=True),
        Case("fields", "plain", "c", ok=True),
    ]
    assert section("What it is.", cases).splitlines() == [
        "What it is.",
        "",
        "| | plain | tls |",
        "| --- | ---: | ---: |",
        "| frames | **1 of 2** | 1 of 1 |",
        "| fields | 1 of 1 |  |",
        "",
        "Failed:",
        "",
        "- plain: b",
    ]


def test_a_suite_that_was_not_run_keeps_its_section():
    both = page("", {"first": "1", "second": "2"}, ORDER)
    assert both.endswith("## first\n\n1\n\n## second\n\n2\n")
    assert page(both, {}, ORDER) == both
    assert page(both, {"second": "2"}, ORDER) == both
    assert page(both, {"first": "new"}, ORDER).endswith("## first\n\nnew\n\n## second\n\n2\n")


def test_a_suite_that_is_gone_loses_its_section():
    both = page("", {"first": "1", "second": "2"}, ORDER)
    assert "second" not in page(both, {}, ["first"])


def test_sections_come_in_their_order():
    alone = page("", {"second": "2"}, ORDER)
    assert page(alone, {"first": "1"}, ORDER).endswith("## first\n\n1\n\n## second\n\n2\n")
