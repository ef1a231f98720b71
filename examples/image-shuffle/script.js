// Shuffle the pixels of a PNG: bytes in, bytes out. The seed of the execution decides the order, so
// the same image and seed give the same bytes.
//
// Everything a PNG needs is here: its chunks, inflate, its filters. The result is not compressed
// (deflate has stored blocks), which costs size and saves a compressor. Images of 8 bits a sample,
// not interlaced, of every colour type; a palette, transparency and gamma stay as they are.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }; // by colour type
const KEPT = ["PLTE", "tRNS", "gAMA", "sRGB"];
const MAX_PIXELS = 50_000_000;
const MAX_STORED = 65_535; // bytes in one stored block

function process(bytes) {
  const image = decode(bytes);
  shuffle(image.pixels, image.channels);
  return { type: "image/png", body: encode(image) };
}

// Fisher–Yates: every order is equally likely.
function shuffle(pixels, channels) {
  for (let last = pixels.length / channels - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    for (let i = 0; i < channels; i++) {
      const sample = pixels[last * channels + i];
      pixels[last * channels + i] = pixels[other * channels + i];
      pixels[other * channels + i] = sample;
    }
  }
}

// ---- PNG

function decode(bytes) {
  if (!SIGNATURE.every((byte, i) => bytes[i] === byte)) throw new Error("the input is not a PNG");
  let header;
  const kept = [];
  const parts = [];
  for (const { name, data } of chunksOf(bytes)) {
    if (name === "IHDR") header = readHeader(data);
    else if (header === undefined) throw new Error(`the PNG begins with ${name}, not with IHDR`);
    else if (name === "IDAT") parts.push(data);
    else if (name === "IEND") break;
    else if (KEPT.includes(name)) kept.push({ name, data });
    else if (name[0] < "a") throw new Error(`the PNG has a chunk ${name} of an unknown kind`);
  }
  if (parts.length === 0) throw new Error("the PNG has no pixels");
  if (header.colour === 3 && !kept.some(({ name }) => name === "PLTE")) {
    throw new Error("the PNG has no palette");
  }
  const rowBytes = header.width * header.channels;
  const rows = inflateZlib(concat(parts), (rowBytes + 1) * header.height);
  return { ...header, kept, pixels: unfilter(rows, rowBytes, header) };
}

function* chunksOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = SIGNATURE.length; at < bytes.length;) {
    if (at + 12 > bytes.length || at + 12 + view.getUint32(at) > bytes.length) {
      throw new Error("the PNG ends within a chunk");
    }
    const end = at + 8 + view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
      throw new Error(`the checksum of the PNG's chunk ${name} is wrong`);
    }
    yield { name, data: bytes.subarray(at + 8, end) };
    at = end + 4;
  }
}

function readHeader(data) {
  if (data.length !== 13) throw new Error("the PNG's header is broken");
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [depth, colour, compression, filter, interlace] = data.subarray(8);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  if (CHANNELS[colour] === undefined) throw new Error(`PNG has no colour type ${colour}`);
  if (depth !== 8) throw new Error(`the PNG has ${depth} bits a sample; this script reads 8`);
  if (interlace !== 0) throw new Error("the PNG is interlaced, which this script does not read");
  if (compression !== 0 || filter !== 0) throw new Error("the PNG's compression is unknown");
  if (width === 0 || height === 0) throw new Error("the PNG is empty");
  if (width * height > MAX_PIXELS) throw new Error(`the PNG has more than ${MAX_PIXELS} pixels`);
  return { width, height, colour, channels: CHANNELS[colour] };
}

// Each row begins with the number of its filter, which predicts a byte from its neighbours.
function unfilter(rows, rowBytes, { height, channels }) {
  const pixels = new Uint8Array(rowBytes * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (rowBytes + 1)];
    if (filter > 4) throw new Error(`row ${y + 1} of the PNG has the unknown filter ${filter}`);
    const from = y * (rowBytes + 1) + 1;
    const to = y * rowBytes;
    for (let x = 0; x < rowBytes; x++) {
      const left = x < channels ? 0 : pixels[to + x - channels];
      const up = y === 0 ? 0 : pixels[to + x - rowBytes];
      const corner = x < channels || y === 0 ? 0 : pixels[to + x - rowBytes - channels];
      pixels[to + x] = rows[from + x] + predict(filter, left, up, corner);
    }
  }
  return pixels;
}

function predict(filter, left, up, corner) {
  switch (filter) {
    case 1: return left;
    case 2: return up;
    case 3: return (left + up) >> 1;
    case 4: return paeth(left, up, corner);
    default: return 0;
  }
}

function paeth(left, up, corner) {
  // How far each is from the estimate, left + up - corner.
  const a = Math.abs(up - corner);
  const b = Math.abs(left - corner);
  const c = Math.abs(left + up - 2 * corner);
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

function encode({ width, height, colour, channels, kept, pixels }) {
  const rowBytes = width * channels;
  const rows = new Uint8Array((rowBytes + 1) * height); // filter 0: none
  for (let y = 0; y < height; y++) {
    rows.set(pixels.subarray(y * rowBytes, (y + 1) * rowBytes), y * (rowBytes + 1) + 1);
  }
  const header = Uint8Array.of(...uint32(width), ...uint32(height), 8, colour, 0, 0, 0);
  return concat([
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", header),
    ...kept.map(({ name, data }) => chunk(name, data)),
    chunk("IDAT", storeZlib(rows)),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

function chunk(name, data) {
  const named = concat([Uint8Array.from(name, (letter) => letter.charCodeAt(0)), data]);
  return concat([uint32(data.length), named, uint32(crc32(named))]);
}

// ---- zlib (RFC 1950) and deflate (RFC 1951)

function storeZlib(data) {
  const parts = [Uint8Array.of(0x78, 0x01)];
  for (let at = 0; at < data.length; at += MAX_STORED) {
    const block = data.subarray(at, at + MAX_STORED);
    const isLast = at + MAX_STORED >= data.length;
    const { length } = block;
    parts.push(Uint8Array.of(isLast ? 1 : 0, length, length >> 8, ~length, ~length >> 8), block);
  }
  return concat([...parts, uint32(adler32(data))]);
}

function inflateZlib(data, size) {
  if ((data[0] & 15) !== 8 || (data[0] * 256 + data[1]) % 31 !== 0 || (data[1] & 32) !== 0) {
    throw new Error("the PNG's pixels are not in zlib's format");
  }
  const bits = new Bits(data, 2);
  const output = inflate(bits, size);
  const sum = bits.bytes(4).reduce((value, byte) => value * 256 + byte, 0);
  if (sum !== adler32(output)) throw new Error("the checksum of the PNG's pixels is wrong");
  return output;
}

class Bits {
  constructor(data, at) {
    Object.assign(this, { data, at, kept: 0, count: 0 });
  }

  take(count) {
    while (this.count < count) {
      if (this.at >= this.data.length) throw new Error("the PNG's pixels end too early");
      this.kept |= this.data[this.at++] << this.count;
      this.count += 8;
    }
    const value = this.kept & ((1 << count) - 1);
    this.kept >>>= count;
    this.count -= count;
    return value;
  }

  // Whole bytes, from the next one that begins.
  bytes(count) {
    this.at -= this.count >> 3;
    this.kept = this.count = 0;
    if (this.at + count > this.data.length) throw new Error("the PNG's pixels end too early");
    this.at += count;
    return this.data.subarray(this.at - count, this.at);
  }
}

// A canonical Huffman code: how many codes have each length, and the symbols in their order.
class Huffman {
  constructor(lengths) {
    this.counts = new Uint16Array(16);
    for (const length of lengths) this.counts[length]++;
    this.counts[0] = 0;
    const next = new Uint16Array(16);
    for (let i = 1; i < 15; i++) next[i + 1] = next[i] + this.counts[i];
    this.symbols = new Uint16Array(lengths.length);
    lengths.forEach((length, symbol) => {
      if (length > 0) this.symbols[next[length]++] = symbol;
    });
  }

  read(bits) {
    let code = 0, first = 0, index = 0;
    for (let length = 1; length < 16; length++) {
      code |= bits.take(1);
      const count = this.counts[length];
      if (code - first < count) return this.symbols[index + code - first];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new Error("the PNG's pixels have a code that does not exist");
  }
}

const LENGTHS = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
  163, 195, 227, 258,
];
const LENGTH_BITS = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
const DISTANCES = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
  3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_BITS = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const FIXED = [
  new Huffman([
    ...Array(144).fill(8), ...Array(112).fill(9), ...Array(24).fill(7), ...Array(8).fill(8),
  ]),
  new Huffman(Array(30).fill(5)),
];

// The output has a known size: a PNG says how many pixels it has.
function inflate(bits, size) {
  const output = new Uint8Array(size);
  let at = 0;
  for (let isLast = false; !isLast;) {
    isLast = bits.take(1) === 1;
    const kind = bits.take(2);
    if (kind === 0) at = copyStored(bits, output, at);
    else if (kind === 1) at = expand(bits, output, at, FIXED);
    else if (kind === 2) at = expand(bits, output, at, readCodes(bits));
    else throw new Error("the PNG's pixels have a block of an unknown kind");
  }
  if (at !== size) throw new Error("the PNG has fewer pixels than its header says");
  return output;
}

function copyStored(bits, output, at) {
  const [low, high] = bits.bytes(4);
  const data = bits.bytes(low + high * 256);
  requireRoom(output, at + data.length);
  output.set(data, at);
  return at + data.length;
}

function readCodes(bits) {
  const [literals, distances, count] = [bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4];
  const lengths = new Array(19).fill(0);
  for (let i = 0; i < count; i++) lengths[ORDER[i]] = bits.take(3);
  const code = new Huffman(lengths);
  const all = [];
  while (all.length < literals + distances) {
    const symbol = code.read(bits);
    if (symbol < 16) all.push(symbol);
    else {
      const value = symbol === 16 ? all[all.length - 1] ?? 0 : 0;
      const [few, more] = [[3, 2], [3, 3], [11, 7]][symbol - 16];
      for (let i = few + bits.take(more); i > 0; i--) all.push(value);
    }
  }
  const end = literals + distances;
  return [new Huffman(all.slice(0, literals)), new Huffman(all.slice(literals, end))];
}

function expand(bits, output, start, [literals, distances]) {
  for (let at = start;;) {
    const symbol = literals.read(bits);
    if (symbol === 256) return at;
    if (symbol < 256) {
      requireRoom(output, at + 1);
      output[at++] = symbol;
      continue;
    }
    const length = LENGTHS[symbol - 257] + bits.take(LENGTH_BITS[symbol - 257]);
    const code = distances.read(bits);
    const distance = DISTANCES[code] + bits.take(DISTANCE_BITS[code]);
    if (!(distance <= at)) throw new Error("the PNG's pixels refer to what is not there");
    requireRoom(output, at + length);
    for (let i = 0; i < length; i++, at++) output[at] = output[at - distance];
  }
}

function requireRoom(output, end) {
  if (!(end <= output.length)) throw new Error("the PNG has more pixels than its header says");
}

// ---- checksums and bytes

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let i = 0; i < 8; i++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(data) {
  let value = -1;
  for (let i = 0; i < data.length; i++) {
    value = CRC_TABLE[(value ^ data[i]) & 255] ^ (value >>> 8);
  }
  return ~value >>> 0;
}

function adler32(data) {
  let [a, b] = [1, 0];
  for (let i = 0; i < data.length; i++) {
    a = (a + data[i]) % 65_521;
    b = (b + a) % 65_521;
  }
  return b * 65_536 + a;
}

function uint32(value) {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

function concat(parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
