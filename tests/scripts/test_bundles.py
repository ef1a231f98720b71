# ruff: noqa: E501 - bundles are as their tools write them
"""Bundles are accepted as tools emit them: probing for modules is no error.

Each shape is that of a tool's output (rollup, webpack, browserify, esbuild, TypeScript) around a
library of one line.
"""

import httpx
import pytest

from tests.support.system import System

LIBRARY = "{ sum: function (all) { return all.reduce(function (a, b) { return a + b; }, 0); } }"
USE = "function process(data) { return lib.sum(data); }"

SHAPES = {
    "rollup, umd": f"""(function (global, factory) {{
  typeof exports === 'object' && typeof module !== 'undefined' ? factory(exports, require('dep')) :
  typeof define === 'function' && define.amd ? define(['exports', 'dep'], factory) :
  (global = typeof globalThis !== 'undefined' ? globalThis : global || self,
   factory(global.lib = {{}}, global.dep));
}})(this, (function (exports, dep) {{ 'use strict';
  var lib = {LIBRARY}; exports.sum = lib.sum;
  Object.defineProperty(exports, '__esModule', {{ value: true }});
}}));""",
    "rollup, umd, minified": f"""!function(e,t){{"object"==typeof exports&&"undefined"!=typeof module\
?module.exports=t():"function"==typeof define&&define.amd?define(t):e.lib=t()}}(this,function(){{\
"use strict";function n(t){{try{{return require("./locale/"+t)}}catch(e){{return null}}}}\
n("en");return {LIBRARY}}});""",
    "rollup, iife": f"var lib = (function () {{ 'use strict'; return {LIBRARY}; }})();",
    "webpack, umd": f"""(function webpackUniversalModuleDefinition(root, factory) {{
  if(typeof exports === 'object' && typeof module === 'object')
    module.exports = factory(require("dep"));
  else if(typeof define === 'function' && define.amd) define(["dep"], factory);
  else if(typeof exports === 'object') exports["lib"] = factory(require("dep"));
  else root["lib"] = factory(root["dep"]);
}})(self, (dep) => {{
  var __webpack_modules__ = ({{ 1: (module) => {{ module.exports = {LIBRARY}; }} }});
  function __webpack_require__(id) {{
    var module = {{ exports: {{}} }};
    __webpack_modules__[id](module, module.exports, __webpack_require__);
    return module.exports;
  }}
  return __webpack_require__(1);
}});""",
    "browserify, standalone": f"""(function(f){{if(typeof exports==="object"&&typeof module!=="undefined")\
{{module.exports=f()}}else if(typeof define==="function"&&define.amd){{define([],f)}}else{{var g;\
if(typeof window!=="undefined"){{g=window}}else if(typeof global!=="undefined"){{g=global}}\
else if(typeof self!=="undefined"){{g=self}}else{{g=this}}g.lib = f()}}}})(function(){{\
return (function(){{function r(e,n,t){{function o(i,f){{if(!n[i]){{if(!e[i]){{\
var c="function"==typeof require&&require;if(!f&&c)return c(i,!0);throw new Error(i)}}\
var p=n[i]={{exports:{{}}}};e[i][0].call(p.exports,function(r){{return o(e[i][1][r]||r)}},p,p.exports)}}\
return n[i].exports}}return o(t[0])}}return r}})()({{1:[function(require,module,exports){{\
module.exports = require(2)}},{{2:2}}],2:[function(require,module,exports){{\
module.exports = {LIBRARY}}},{{}}]}},{{}},[1])}});""",
    "esbuild, iife": f"""var lib = (() => {{
  var __getOwnPropNames = Object.getOwnPropertyNames;
  var __require = /* @__PURE__ */ ((x) => typeof require !== "undefined" ? require :
    typeof Proxy !== "undefined" ? new Proxy(x, {{
      get: (a, b) => (typeof require !== "undefined" ? require : a)[b]
    }}) : x)(function(x) {{
    if (typeof require !== "undefined") return require.apply(this, arguments);
    throw Error('Dynamic require of "' + x + '" is not supported');
  }});
  var __commonJS = (cb, mod) => function __require2() {{
    return mod || (0, cb[__getOwnPropNames(cb)[0]])((mod = {{ exports: {{}} }}).exports, mod),
      mod.exports;
  }};
  var require_lib = __commonJS({{ "lib.js"(exports, module) {{ module.exports = {LIBRARY}; }} }});
  return require_lib();
}})();""",
    "typescript, umd": f"""(function (factory) {{
    if (typeof module === "object" && typeof module.exports === "object") {{
        var v = factory(require, exports);
        if (v !== undefined) module.exports = v;
    }}
    else if (typeof define === "function" && define.amd) {{
        define(["require", "exports"], factory);
    }}
    else {{ var exports_1 = {{}}; factory(null, exports_1); globalThis.lib = exports_1.lib; }}
}})(function (require, exports) {{
    "use strict";
    Object.defineProperty(exports, "__esModule", {{ value: true }});
    exports.lib = {LIBRARY};
}});""",
    "by hand, root": f"""(function () {{
  var root = typeof self == 'object' && self.self === self && self ||
    typeof global == 'object' && global.global === global && global || Function('return this')();
  if (typeof exports != 'undefined' && !exports.nodeType) {{ exports.lib = {LIBRARY}; }}
  else {{ root.lib = {LIBRARY}; }}
  if (typeof require === 'function') {{ require('more'); }}
}}());""",
    "by hand, this": f"(function () {{ this.lib = {LIBRARY}; }}).call(this);",
    "by hand, computed": f"globalThis['li' + 'b'] = {LIBRARY};",
    "by hand, assign": f"Object.assign(globalThis, {{ lib: {LIBRARY} }});",
}


def _check(system: System, source: str) -> httpx.Response:
    return system.client.post("/scripts/check", json={"source": source, "sample": [1, 2, 4]})


@pytest.mark.parametrize("shape", SHAPES)
def test_a_bundle_is_accepted_and_its_globals_are_known(system: System, shape: str) -> None:
    answer = _check(system, f"{SHAPES[shape]}\n{USE}")

    assert answer.status_code == 200, answer.text
    assert answer.json()["sample"]["result"] == 7
    warned = {(each["code"], each["message"][:9]) for each in answer.json()["warnings"]}
    assert not [each for each in warned if "lib" in each[1]]
    assert {code for code, _ in warned} <= {"conditional_require", "code_from_string"}


WHERE = [
    "try { CALL } catch {}",
    "if (typeof module === 'object') { CALL }",
    "if (typeof module === 'object') {} else if (0) CALL",
    "typeof exports === 'object' ? CALL : 0",
    "typeof exports === 'object' && CALL",
    "const f = () => CALL",
    "function later() { return CALL }",
    "switch (1) { case 2: CALL }",
    "while (0) CALL",
]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(
    ("call", "code"),
    [("require('fs')", "conditional_require"), ("import('fs')", "conditional_import")],
)
def test_code_that_may_never_run_is_a_warning(
    system: System, where: str, call: str, code: str
) -> None:
    source = f"{where.replace('CALL', call)}; const process = d => 7"
    answer = _check(system, source)

    assert answer.status_code == 200, answer.text
    assert [each["code"] for each in answer.json()["warnings"]] == [code]


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("const fs = require('fs'); const process = d => fs", (1, 12)),
        ("(() => { require('fs') })(); const process = d => 1", (1, 10)),
        ("if (true) require('fs'); const process = d => 1", (1, 11)),
        ("const process = d => require('fs')", (1, 22)),
        ("async function process(d) {\n  const fs = require('fs')\n  return fs\n}", (2, 14)),
    ],
)
def test_code_that_certainly_runs_is_an_error(
    system: System, source: str, place: tuple[int, int]
) -> None:
    problem = _check(system, source).json()

    found = [(each["code"], each["line"], each["column"]) for each in problem["errors"]]
    assert found == [("require", *place)]
