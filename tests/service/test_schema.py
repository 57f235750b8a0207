"""What fits ``openapi.json`` gets an answer that stands there, and never a fault."""

import io
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

PICTURE = io.BytesIO()
Image.new("RGB", (4, 4)).save(PICTURE, "png")
BYTES = st.one_of(st.binary(max_size=64), st.just(PICTURE.getvalue()))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def values(schema: dict[str, Any], schemas: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema, as FastAPI writes it."""
    if "$ref" in schema:
        return values(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return st.one_of([values(each, schemas) for each in schema["anyOf"]])
    kind = schema["type"]
    if kind == "array":
        return st.lists(values(schema["items"], schemas), min_size=1, max_size=3)
    if kind == "object":
        needed = schema.get("required", ())
        of = {k: values(v, schemas) for k, v in schema["properties"].items()}
        optional = {k: v for k, v in of.items() if k not in needed}
        return st.fixed_dictionaries({k: of[k] for k in needed}, optional=optional)
    low, high = schema.get("minimum"), schema.get("maximum")
    by_kind = {
        "null": st.none(),
        "boolean": st.booleans(),
        "integer": st.integers(low, high),
        "number": st.floats(
            schema.get("exclusiveMinimum", low), high, allow_nan=False, width=32
        ),
        "string": st.from_regex(schema["pattern"], fullmatch=True)
        if "pattern" in schema
        else st.one_of(st.just(schema.get("default", "png")), TEXT),
    }
    if "contentMediaType" in schema or schema.get("format") == "binary":
        return BYTES
    return by_kind[kind]


def operations(api: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, what)
        for path, methods in api["paths"].items()
        for method, what in methods.items()
    ]


def ask(draw, served, path: str, method: str, what: dict, schemas) -> httpx.Response:
    """A request that fits, as an operation describes it."""
    query = {}
    for one in what.get("parameters", ()):
        value = draw(values(one["schema"], schemas))
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", quote(value or "-", safe=""))
        elif value is not None:
            query[one["name"]] = value
    sent: dict[str, Any] = {}
    for kind, body in what.get("requestBody", {}).get("content", {}).items():
        content = draw(values(body["schema"], schemas))
        if kind == "application/json":
            sent["json"] = content
        else:
            sent["files"] = {"file": ("a.png", content.pop("file"))}
            sent["data"] = {k: v for k, v in content.items() if v is not None}
    return served.client.request(method, path, params=query, **sent)


@pytest.mark.slow
def test_every_answer_is_documented(served):
    api = served.client.get("/openapi.json").json()
    schemas = api["components"]["schemas"]
    assert len(operations(api)) >= 11

    @settings(
        max_examples=60,
        phases=[Phase.generate],  # each request costs its time
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(operations(api)), st.data())
    def check(operation, data):
        path, method, what = operation
        answer = ask(data.draw, served, path, method, what, schemas)
        said = f"{method} {answer.request.url}: {answer.status_code} {answer.text}"
        assert str(answer.status_code) in what["responses"], said
        assert answer.status_code < 500, said
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error"}, said

    check()


def test_every_refusal_is_documented_with_its_form(served):
    api = served.client.get("/openapi.json").json()
    for path, _, what in operations(api):
        for status, answer in what["responses"].items():
            if int(status) >= 400:
                form = answer["content"]["application/json"]["schema"]
                assert form["$ref"].endswith("/Refusal"), (path, status)


def test_a_method_that_an_address_lacks_is_told_those_that_it_has(served):
    answer = served.client.request("TRACE", "/api/config")
    assert answer.status_code == 405
    assert answer.headers["allow"]
    assert json.loads(answer.text) == {"error": "Method Not Allowed"}
