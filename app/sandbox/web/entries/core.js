import DOMException from "core-js-pure/actual/dom-exception";
import atob from "core-js-pure/actual/atob";
import btoa from "core-js-pure/actual/btoa";
import structuredClone from "core-js-pure/actual/structured-clone";

export { DOMException, atob, btoa, structuredClone };
