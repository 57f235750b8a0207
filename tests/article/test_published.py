"""The article as a published comparison, and a second one: a YAML file and a module."""

import pytest

from evalkit.article.published import folder_route


@pytest.mark.parametrize(
    ("share", "route"), [(1, "gpen"), (0.9, "gpen"), (0.89, None), (0, "realesrgan")]
)
def test_the_articles_rule_for_folders(share, route):
    assert folder_route(share) == route
