"""The servers of the frameworks' applications."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.frameworks.sites import Site

pytest.register_assert_rewrite("tests.frameworks.contract")


@pytest.fixture(scope="class")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The application that the class of tests is about."""
    site = Site(request.param, tmp_path_factory.mktemp("site"))
    try:
        yield site
        site.end()
    finally:
        site.process.destroy()
