// Stops decoders in the middle of a character, and encodes into shared views.
// output: ["a€","utf-8",["1","2"],"x"]
function process() {
  globalThis.decoder = new TextDecoder();
  decoder.decode(new Uint8Array([0xe2, 0x82]), { stream: true });
  TextDecoder.prototype.decode = () => "left";
  URLSearchParams.prototype.getAll = () => ["left"];
  globalThis.structuredClone = () => "left";
  return 1;
}
// ---- second
function process() {
  const decoder = new TextDecoder();
  return [
    decoder.decode(new Uint8Array([0x61, 0xe2, 0x82, 0xac])), decoder.encoding,
    new URLSearchParams("a=1&a=2").getAll("a"), structuredClone("x"),
  ];
}
