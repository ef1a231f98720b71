"""Use names inside V8, mini-racer and glibc that their authors do not promise to keep.

Every such dependency of the project lives in this folder. Each module has one purpose, reports
its state as `on` or `off: <reason>`, and has a plain fallback. `CRIVO_NATIVE=false` turns all of
them off, and tests run both ways. API and worker log the states when they start
(`sandbox.opened`, field `native`).

| module | uses | without it |
| --- | --- | --- |
| `snapshot` | V8's internal snapshot functions | each isolate runs the harness itself |
| `code_generation` | V8's permission to compile strings | each isolate holds all web APIs |
| `allocation_failures` | V8's histogram callbacks | stack frames and V8's messages decide |
| `threadless` | V8's C++ interface, mini-racer's isolate holder | isolates have threads |
| `shared_isolate` | V8's contexts, heap spaces and use counter | each job has an isolate |
| `thread_stack` | glibc's default thread attributes | V8 gets the stack that `ulimit -s` gives |
| `malloc` | glibc's `malloc_trim` | freed memory stays with the process |

`isolate`, `v8_functions`, `watchdog` and `self_check` are parts of `threadless`; `use_counter` and
`context_check` of `shared_isolate`, whose state is called `contexts`.
`mini_racer` is the one exception: it is the base on which the fallbacks stand, and has none.
A new module declares its C++ names beside their use, finds them through `exports.find`, and adds
its state to `app.sandbox.v8.Engine.native`.
"""

from typing import Final

ON: Final = "on"
TURNED_OFF: Final = "off: turned off by CRIVO_NATIVE"
