"""Parses Dart files with tree-sitter's grammar and names what none of them may have: ERROR and MISSING nodes.

    python3 parse.py FILE..     prints `FILE:LINE:COLUMN: ..` for each fault; exit code 1 if there are any
"""

import sys

import tree_sitter_dart
from tree_sitter import Language, Parser


def faults(tree):
    """The outermost nodes that are no Dart, in the file's order."""
    found, waiting = [], [tree.root_node]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            found.append(node)
        elif node.has_error:
            waiting.extend(node.children)
    return sorted(found, key=lambda node: node.start_byte)


def main(paths):
    parser = Parser(Language(tree_sitter_dart.language()))
    failed = False
    for path in paths:
        with open(path, "rb") as file:
            source = file.read()
        for node in faults(parser.parse(source)):
            line, column = node.start_point
            what = f"a missing {node.type}" if node.is_missing else "no Dart"
            text = source[node.start_byte : node.end_byte].decode("utf-8", "replace").split("\n")[0][:60]
            print(f"{path}:{line + 1}:{column + 1}: {what}: {text}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
