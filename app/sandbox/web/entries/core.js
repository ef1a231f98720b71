import DOMException from "core-js-pure/actual/dom-exception";
import atob from "core-js-pure/actual/atob";
import btoa from "core-js-pure/actual/btoa";

import { structuredClone } from "../lib/clone.js";

export { DOMException, atob, btoa, structuredClone };
