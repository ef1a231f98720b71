"""What a source is checked for beside V8's own verdict: its structure, read by tree-sitter.

Nothing here runs user code. The grammar's parser is C code that hostile texts can keep busy,
so that it works in a process of its own (`reader.py`).
"""
