"""Check that no file, class or function is too long: ``sizes.py FILE…``."""

import ast
import sys
from pathlib import Path

# In lines, including signature and docstring.
MAX_FILE, MAX_CLASS, MAX_FUNCTION = 400, 300, 40
# Documents and lock files may be longer.
CODE = {".css", ".js", ".py", ".scss", ".sh", ".xml"}
# The paths of checked files start with one of these.
CHECKED = ("stack/",)


def too_long(path):
    """Yield a message for each part of a file that is too long."""
    text = path.read_text()
    if text.count("\n") > MAX_FILE:
        yield f"{path}: {text.count(chr(10))} lines, at most {MAX_FILE}"
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            most = MAX_CLASS if isinstance(node, ast.ClassDef) else MAX_FUNCTION
            lines = node.end_lineno - node.lineno + 1
            if lines > most:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines, at most {most}"


def main():
    paths = [Path(name) for name in sys.argv[1:] if name.startswith(CHECKED)]
    messages = [message for path in paths if path.suffix in CODE for message in too_long(path)]
    for message in messages:
        print(message)
    sys.exit(bool(messages))


if __name__ == "__main__":
    main()
