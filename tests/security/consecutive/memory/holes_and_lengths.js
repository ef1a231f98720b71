// Frees lists and texts full of a secret, then lists with holes are made of the same memory.
// output: [0,0,"0","",0]
// cell: either
// unseen: V8 clears memory in one context too
function process() {
  const kept = [];
  for (let i = 0; i < 200; i++) {
    kept.push(new Array(1_000).fill(`secret ${i}`), new Array(1_000).fill(i + 0.5));
  }
  return kept.length;
}
// ---- second
function process() {
  let found = 0, members = 0;
  for (let i = 1; i < 200; i++) {
    const list = new Array(i * 10);
    for (let at = 0; at < list.length; at++) if (list[at] !== undefined) found++;
    list.length = i;
    list.length = i * 5;
    for (const each of list) if (each !== undefined) found++;
    members += Object.keys(list).length;
  }
  const slow = [];
  slow.length = 100_000;
  const texts = new Array(50).join("").trim();
  return [found, members, String(slow.findIndex((x) => x !== undefined) + 1), texts,
    new TextDecoder().decode(new ArrayBuffer(64)).replaceAll("\0", "").length];
}
