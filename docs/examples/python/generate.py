#!/usr/bin/env python3
"""Writes a typed client from the OpenRPC document of a daemon.

    bytchatd --openrpc | generate.py >bytchat/client.py

`bytchat/client.py` is what it makes of the document of this version. It needs nothing but the
standard library of Python 3.11, and so does what it writes.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

WIDTH = 100
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}

HEAD = '''\
"""A typed client of bytchatd {version}: a method for each method of the RPC.

Written by generate.py from the daemon's OpenRPC document: change that, not this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from .connection import Connection, RpcError

# The daemon says every 30 seconds that it is there: three times nothing is a dead connection.
SILENCE_SECONDS = 90.0
'''

CLIENT = '''\
class Client:
    """Calls the daemon; connects when it has to, and anew after the daemon was lost.

    Each method raises an error of this module if the daemon answers with one, and
    `connection.Away` if it cannot be reached or was lost before it answered.
    """

    def __init__(self, connection: Connection | None = None) -> None:
        self.connection = connection or Connection()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
'''


def camel(name: str) -> str:
    """A name of the RPC as the name of a class."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]", name))


def literal(value: object) -> str:
    """A value of JSON that is a text, a number or nothing."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def prose(text: str, indent: str) -> list[str]:
    """A text in lines."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def docstring(paragraphs: Iterable[str], indent: str) -> Iterator[str]:
    """A docstring: its first paragraph in one line if there is room."""
    first, *rest = paragraphs
    first = first.replace("\\", "\\\\")
    if not rest and len(indent) + len(first) + 6 <= WIDTH:
        yield f'{indent}"""{first}"""'
        return
    lines = prose('"""' + first, indent)
    for paragraph in rest:
        lines += [""] if paragraph else []
        lines += prose(paragraph, indent)
    yield from lines
    yield f'{indent}"""'


def is_object(schema: Any) -> bool:
    """Whether it is an object whose fields are known."""
    return isinstance(schema, dict) and "properties" in schema


class Types:
    """The types of the document, and those inside of them that have no name of their own."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self.written: dict[str, list[str]] = {}
        for name, schema in schemas.items():
            self.define(name, schema)

    def define(self, name: str, schema: Any) -> str:
        """Writes a type under a name; gives the name."""
        if name in self.written:
            sys.exit(f"two types are called {name}")
        self.written[name] = []
        variants = schema.get("oneOf", schema.get("anyOf", []))
        if variants and all(is_object(variant) for variant in variants):
            lines = self.union(name, schema, variants)
        elif is_object(schema):
            lines = self.record(name, schema, {})
        else:
            lines = self.alias(name, self.type_of(schema, name), schema)
        self.written[name] = lines
        return name

    def alias(self, name: str, target: str, schema: Any) -> list[str]:
        """Another name for a type."""
        lines = [f"# {line}" for line in textwrap.wrap(schema.get("description", ""), WIDTH - 2)]
        one = f'{name}: TypeAlias = "{target}"'
        if '"' in target:
            one = f"{name}: TypeAlias = {target}"
        if len(one) <= WIDTH:
            return [*lines, one]
        if target.startswith("Literal["):
            items = target.removeprefix("Literal[").removesuffix("]").split(", ")
            return [*lines, f"{name}: TypeAlias = Literal[", *(f"    {i}," for i in items), "]"]
        parts = target.split(" | ")
        texts = [f'    "{part}"' if at == 0 else f'    " | {part}"' for at, part in enumerate(parts)]
        return [*lines, f"{name}: TypeAlias = (", *texts, ")"]

    def union(self, name: str, schema: Any, variants: list[Any]) -> list[str]:
        """One of several objects, which a field of each tells apart."""
        names = []
        for variant in variants:
            tags = [field["const"] for field in variant["properties"].values() if "const" in field]
            own = name + camel(str(tags[0]))
            self.written[own] = []
            self.written[own] = self.record(own, variant, schema)
            names.append(own)
        return self.alias(name, " | ".join(names), schema)

    def record(self, name: str, schema: Any, base: Any) -> list[str]:
        """An object with the fields of a schema and of what is common to several."""
        fields = {**base.get("properties", {}), **schema["properties"]}
        # What only a dry run leaves out is there for whoever makes none.
        parts = (base, schema, schema.get("else", {}))
        required = {field for part in parts for field in part.get("required", [])}
        typed = {}
        for field, of in fields.items():
            kind = self.type_of(of, name + camel(field))
            typed[field] = kind if field in required else f"NotRequired[{kind}]"
        about = schema.get("description") or base.get("description") or "A part of another type."
        if any(keyword.iskeyword(field) for field in fields):
            return self.functional(name, about, fields, typed)
        lines = [f"class {name}(TypedDict):", *docstring([about], "    ")]
        lines += [""] if fields else []
        for field, kind in typed.items():
            lines += comment(fields[field], "    ")
            lines.append(f"    {field}: {kind}")
        return lines

    def functional(
        self, name: str, about: str, fields: dict[str, Any], typed: dict[str, str]
    ) -> list[str]:
        """An object with a field that is a word of Python."""
        lines = [f"# {line}" for line in textwrap.wrap(about, WIDTH - 2)]
        lines += [f"{name} = TypedDict(", f'    "{name}",', "    {"]
        for field, kind in typed.items():
            lines += comment(fields[field], " " * 8)
            lines.append(f'        "{field}": {literal(kind)},')
        return [*lines, "    },", ")"]

    def type_of(self, schema: Any, place: str) -> str:
        """The type of a schema; `place` names what has no name of its own."""
        if not isinstance(schema, dict):
            return "Any"
        if "$ref" in schema:
            return str(schema["$ref"]).rsplit("/", 1)[-1]
        if "const" in schema:
            return f"Literal[{literal(schema['const'])}]"
        if "enum" in schema:
            return f"Literal[{', '.join(map(literal, schema['enum']))}]"
        if len(schema.get("allOf", [])) == 1:
            return self.type_of(schema["allOf"][0], place)
        if is_object(schema):
            return self.define(place, schema)
        for several in ("oneOf", "anyOf"):
            if several in schema:
                return join(self.type_of(one, place) for one in schema[several])
        kinds = schema.get("type", [])
        kinds = kinds if isinstance(kinds, list) else [kinds]
        return join(self.plain(kind, schema, place) for kind in kinds) or "Any"

    def plain(self, kind: str, schema: Any, place: str) -> str:
        """The type of one of the words in `type`."""
        if kind == "array":
            return f"list[{self.type_of(schema.get('items'), place)}]"
        if kind == "object":
            return f"dict[str, {self.type_of(schema.get('additionalProperties'), place)}]"
        return PLAIN[kind]


def comment(schema: Any, indent: str) -> list[str]:
    """What is said of a field."""
    text = schema.get("description", "") if isinstance(schema, dict) else ""
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent + "# ", subsequent_indent=indent + "# "
    )


def join(kinds: Iterable[str]) -> str:
    """One of several types; constants become one."""
    constants: list[str] = []
    others: list[str] = []
    for kind in kinds:
        if kind.startswith("Literal["):
            constants.append(kind.removeprefix("Literal[").removesuffix("]"))
        elif kind not in others:
            others.append(kind)
    if constants:
        others.insert(0, f"Literal[{', '.join(constants)}]")
    # What may be left out stands last.
    others.sort(key=lambda kind: kind == "None")
    return " | ".join(others)


def errors(table: dict[str, Any], taken: Iterable[str]) -> Iterator[str]:
    """A class for each kind of error, and the table that finds it."""
    taken = {*taken, "Client", "Connection", "RpcError"}
    for kind, error in table.items():
        name = camel(kind)
        if name in taken:
            sys.exit(f"an error and a type are called {name}")
        yield f"class {name}(RpcError):"
        about = [error["message"], f"Number {error['code']}. Hint: {error['data']['hint']}."]
        yield from docstring(about, "    ")
        yield ""
        yield ""
    yield "RpcError.kinds.update("
    yield "    {"
    yield from (f'        "{kind}": {camel(kind)},' for kind in table)
    yield "    }"
    yield ")"


def arguments(method: Any, types: Types) -> list[tuple[str, str]]:
    """The parameters of a method as those of a function, with what the RPC calls them."""
    listed = []
    for param in method["params"]:
        name = param["name"]
        safe = f"{name}_" if keyword.iskeyword(name) else name
        kind = types.type_of(param["schema"], camel(method["name"]) + camel(name))
        if not param.get("required"):
            kind = join([*kind.split(" | "), "None"]) + " = None"
        listed.append((f"{safe}: {kind}", name))
    return listed


def described(method: Any) -> list[str]:
    """The paragraphs of a method's docstring."""
    said = [method["summary"]]
    said += [f"`{param['name']}`: {param['description']}" for param in method["params"]]
    if raised := ", ".join(camel(one["$ref"].rsplit("/", 1)[-1]) for one in method["errors"]):
        said.append(f"Raises {raised}.")
    return said


def signature(name: str, listed: list[tuple[str, str]], result: str) -> Iterator[str]:
    """The head of a function, with names for all arguments."""
    given = ["self", *(["*"] if listed else []), *(argument for argument, _ in listed)]
    one = f"    def {name}({', '.join(given)}) -> {result}:"
    if len(one) <= WIDTH:
        yield one
        return
    yield f"    def {name}("
    yield from (f"        {argument}," for argument in given)
    yield f"    ) -> {result}:"


def function(method: Any, types: Types) -> Iterator[str]:
    """A method of the client."""
    name = method["name"].replace(".", "_")
    listed = arguments(method, types)
    result = types.type_of(method["result"]["schema"], camel(method["name"]) + "Result")
    yield ""
    if method.get("deprecated"):
        yield "    # Deprecated: it will go."
    yield from signature(name, listed, result)
    yield from docstring(described(method), "        ")
    if not listed:
        yield f'        result: {result} = self.connection.call("{method["name"]}")'
        yield "        return result"
        return
    yield "        params: dict[str, object] = {"
    for argument, name in listed:
        yield f'            "{name}": {argument.split(":", 1)[0]},'
    yield "        }"
    yield f'        result: {result} = self.connection.call("{method["name"]}", params)'
    yield "        return result"


def follower(method: Any, notification: Any, types: Types) -> Iterator[str]:
    """The method that yields what a subscription tells."""
    told = next(one["schema"] for one in notification["params"] if one["name"] == "result")
    listed = arguments(method, types)
    result = f"Iterator[{types.type_of(told, 'Told')}]"
    yield ""
    yield from signature(f"{notification['name']}s", listed, result)
    paragraphs = [
        f"{notification['summary']} Without end: an event has a `seq`, a note has none.",
        "Of this connection alone: when it breaks, `connection.Away` is raised, and who has kept "
        "`seq` and `epoch` goes on from there.",
    ]
    yield from docstring(paragraphs, "        ")
    given = ", ".join(f"{one.split(':', 1)[0]}={one.split(':', 1)[0]}" for one, _ in listed)
    yield f"        self.{method['name'].replace('.', '_')}({given})"
    yield "        while True:"
    yield "            told: Any = self.connection.told(SILENCE_SECONDS)"
    yield "            yield told"


def client(document: Any) -> str:
    """The whole text."""
    types = Types(document["components"]["schemas"])
    body = [*CLIENT.splitlines()]
    for method in document["methods"]:
        body += function(method, types)
    subscribe = {method["name"]: method for method in document["methods"]}
    for notification in document["x-notifications"]:
        body += follower(subscribe[f"{notification['name']}.subscribe"], notification, types)
    kinds = errors(document["components"]["errors"], types.written)
    parts = ["\n".join(lines) for _, lines in sorted(types.written.items())]
    head = HEAD.format(version=document["info"]["version"])
    return "\n\n\n".join([head.rstrip(), *parts, "\n".join(kinds), "\n".join(body)]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(client(json.load(sys.stdin)))
