"""YAML as specs are written in: the values that JSON has too, and no key twice."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

TIMESTAMP = "tag:yaml.org,2002:timestamp"
#: `5e-5` is a number too, as in JSON and YAML 1.2; PyYAML asks for a point.
EXPONENT = re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    """Dates stay the text they are written as: nothing in a spec is a date."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if isinstance(node, yaml.MappingNode):
            written: set[tuple[str, str]] = set()
            for key, _ in node.value:
                name = (key.tag, str(key.value))
                if name in written:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key '{key.value}' is there twice", key.start_mark
                    )
                written.add(name)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != TIMESTAMP]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))


def read_yaml(text: str | bytes) -> Any:
    """Return what a YAML text says.

    Raises:
        yaml.YAMLError: it is no YAML, or has a key twice. UnicodeDecodeError: it is not UTF-8.
    """
    return yaml.load(text, _Loader)
