// What Node, browsers, Deno, workers and V8's shell would offer.
// expect: succeeded
// output: []
const names = [
  "require", "module", "exports", "__filename", "Buffer", "fetch", "XMLHttpRequest", "WebSocket",
  "Deno", "Bun", "window", "document", "navigator", "importScripts", "postMessage",
  "Worker", "setImmediate", "MessageChannel", "Blob", "XMLDocument", "Request", "web",
  "d8", "os", "read", "readbuffer", "load", "print", "quit", "version", "gc", "Realm", "testRunner",
  "localStorage", "alert", "inspector", "EventTarget", "AbortSignal", "__core-js_shared__",
  "global", "root", "mr", "MiniRacer", "harness", "operation",
];
function process() {
  return names.filter((name) => name in globalThis);
}
