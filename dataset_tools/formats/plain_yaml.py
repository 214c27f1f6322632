"""YAML that may be a stranger's, as plain values."""

from __future__ import annotations

import yaml

# Far more than a configuration or a list of classes needs. They bound the work that a file can ask for: at each token
# PyYAML goes through all levels.
MAX_TOKENS = 20_000
MAX_LEVELS = 20
MAX_VALUES = 10_000  # with those that aliases repeat
MAX_CHARACTERS = 10_000  # of one value, of which Python and YAML can make a number


class _Loader(yaml.SafeLoader):
    """YAML's loader of plain values, which stops where a text holds more of them than it may, or more levels."""

    def fetch_more_tokens(self) -> None:
        if self.tokens_taken > MAX_TOKENS:
            raise ValueError(f"it holds more than {MAX_TOKENS} values and signs")
        if self.flow_level + len(self.indents) > MAX_LEVELS:
            raise ValueError("a value is nested too deeply")
        super().fetch_more_tokens()


def parse_yaml(text: bytes | str) -> object:
    """YAML as plain values, which are few also when every alias is written out; small files can hold a billion.

    Raises:
        ValueError: it holds too much.
        yaml.YAMLError: it is not YAML. On some texts PyYAML raises other exceptions, RecursionError among them.
    """
    loader = _Loader(text)
    root = loader.get_single_node()
    values, pending = 0, [root]
    while pending:
        node = pending.pop()
        if isinstance(node, yaml.ScalarNode) and len(node.value) > MAX_CHARACTERS:
            raise ValueError(f"it holds a value of more than {MAX_CHARACTERS} characters")
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        if isinstance(node, tuple):  # a key with its value
            parts = node
        values += len(parts)
        if values > MAX_VALUES:
            raise ValueError(f"it holds more than {MAX_VALUES} values")
        pending += parts
    return loader.construct_document(root) if root else None
