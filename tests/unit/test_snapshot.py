"""The table of a snapshot: the same in Python and in C."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from granite import snapshot

COUNTERS = Path(snapshot.__file__).parent / "_core" / "counters.pxd"


def fields_in_c() -> dict[str, int]:
    """The C enum's names with their values, in its order."""
    text = COUNTERS.read_text("utf-8")
    values = {"CLASSES": len(snapshot.CLASSES), "BOUNDS": len(snapshot.BOUNDS)}
    values["REASONS"] = len(snapshot.REASONS)
    values["HANDSHAKE_FAILURES"] = len(snapshot.HANDSHAKE_FAILURES)
    values["HISTOGRAM_FIELDS"] = values["BOUNDS"] + 2
    fields: dict[str, int] = {}
    following = 0
    for line in text[text.index("    CONNECTIONS_ACTIVE") :].splitlines():
        declared = re.fullmatch(r"    ([A-Z0-9_]+)(?: = ([A-Z0-9_]+) \+ ([A-Z0-9_]+))?", line)
        if declared is None:
            break
        name, before, distance = declared.groups()
        if before:
            following = {**values, **fields}[before] + values[distance]
        fields[name] = following
        following += 1
    return fields


def test_the_order_in_c_is_the_order_in_python() -> None:
    in_c = fields_in_c()
    assert in_c.pop("FIELDS") == len(snapshot.FIELDS)
    for name, at in in_c.items():
        found = snapshot.FIELDS[at]
        if name.startswith("RESPONSES"):
            assert found == f"{name.lower()}_1xx"
        elif name == "TLS_HANDSHAKES_FAILED":
            assert found == "tls_handshakes_failed_closed"
        elif name == "REJECTIONS":
            assert found == snapshot.REJECTIONS[0]
        elif name.lower() in snapshot.HISTOGRAMS:
            assert found == f"{name.lower()}_{snapshot.BOUNDS[0]}"
        else:
            assert found == name.lower()
    failures = (f"tls_handshakes_failed_{reason}" for reason in snapshot.HANDSHAKE_FAILURES)
    families = {*snapshot.RESPONSES, *snapshot.REJECTIONS, *failures}
    named = sum(field not in families for field in snapshot.GAUGES + snapshot.COUNTERS)
    assert len(in_c) == named + len(snapshot.PROTOCOLS) + 2 + len(snapshot.HISTOGRAMS)


def test_the_reasons_in_c_are_those_in_python() -> None:
    text = COUNTERS.read_text("utf-8")
    assert re.findall(r"    REJECTED_([A-Z0-9_]+)\b", text) == list(
        map(str.upper, snapshot.REASONS)
    )


def test_the_failures_of_handshakes_in_c_are_those_in_python() -> None:
    text = COUNTERS.read_text("utf-8")
    alerts = text[text.index("granite_alerts[] = {") :].partition("}")[0]
    own = re.findall(r"    HANDSHAKE_([A-Z_]+)(?=\n| +# an)", text)
    names = [name.lower() for name in own if name != "ALERTS"]
    assert names == list(snapshot.HANDSHAKE_FAILURES[: len(names)])
    numbers = list(map(int, re.findall(r"\b\d+\b", alerts)))
    assert len(numbers) == len(snapshot.HANDSHAKE_FAILURES) - len(names)
    by_number = dict(zip(numbers, snapshot.HANDSHAKE_FAILURES[len(names) :], strict=True))
    known = {
        10: "unexpected_message",
        48: "unknown_ca",
        70: "protocol_version",
        90: "user_canceled",
    }
    assert known.items() <= by_number.items()
    assert by_number[120] == "no_application_protocol"


def test_the_bounds_in_c_are_those_in_python() -> None:
    text = COUNTERS.read_text("utf-8")
    listed = text[text.index("granite_bounds[] = {") : text.index("};")]
    bounds = [int(number) for number in re.findall(r"(\d+)LL", listed)]
    assert bounds == [bound * 1000 for bound in snapshot.BOUNDS]
    assert list(snapshot.BOUNDS) == sorted(snapshot.BOUNDS)


def test_unpack() -> None:
    numbers = list(range(-1, len(snapshot.FIELDS) - 1))
    packed = b"".join(number.to_bytes(8, sys.byteorder, signed=True) for number in numbers)
    assert snapshot.unpack(packed) == numbers
    assert len(packed) == snapshot.SIZE
    assert len(set(snapshot.FIELDS)) == len(snapshot.FIELDS)
    buckets, total = snapshot.histogram(numbers, snapshot.HISTOGRAMS[-1])
    assert len(buckets) == len(snapshot.BOUNDS) + 1
    assert total == numbers[-1]
    assert buckets == numbers[-len(buckets) - 1 : -1]


@pytest.mark.parametrize("size", [0, 1, snapshot.SIZE - 1, snapshot.SIZE + 8])
def test_a_message_of_another_size(size: int) -> None:
    with pytest.raises(ValueError, match=f"expected a snapshot of {snapshot.SIZE} bytes, got"):
        snapshot.unpack(bytes(size))


def test_the_table_needs_no_core() -> None:
    program = "import sys, granite.snapshot; print(*(n for n in sys.modules if '_core' in n))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == ""
