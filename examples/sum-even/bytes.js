// The sum of the even numbers of a text that has one on each line, exact whatever their size.
//
// Style `bytes`: each chunk is a Uint8Array, whose digits are read as they are. It may begin and
// end within a number, as a part may. So the state has the sum of the whole lines, and as text
// what stood before the first line end, and what stands after the last one. `merge` joins the ends
// of two neighbours; without it, each part would begin with the state of the one before, and the
// result would be the same.
// An empty line counts as 0, anything else that is no integer is an error.
const ZERO = 48, MINUS = 45, NEWLINE = 10, FULL = 2 ** 52;

// `first` is null until there is a line end.
const start = () => ({ first: null, sum: 0n, last: "" });

function step(state, bytes) {
  const begin = bytes.indexOf(NEWLINE) + 1;
  if (begin === 0) {
    state.last += textOf(bytes);
    return state;
  }
  endLine(state, textOf(bytes.subarray(0, begin - 1)));
  const end = bytes.lastIndexOf(NEWLINE) + 1;
  state.sum += sumOf(bytes, begin, end);
  state.last = textOf(bytes.subarray(end));
  return state;
}

function merge(a, b) {
  if (b.first === null) {
    a.last += b.last;
    return a;
  }
  endLine(a, b.first);
  a.sum += b.sum;
  a.last = b.last;
  return a;
}

const finish = ({ first, sum, last }) => String(sum + evenOf(first ?? "") + evenOf(last));

// The line that was open ends with this piece.
function endLine(state, piece) {
  const line = state.last + piece;
  if (state.first === null) state.first = line;
  else state.sum += evenOf(line);
}

// The sum of whole lines; their last line end also ends the loop over digits. Numbers of up to
// nine digits are added as numbers, others as BigInt.
function sumOf(bytes, at, end) {
  let sum = 0n;
  let small = 0; // exact below 2 ** 53
  while (at < end) {
    const begin = at;
    const negative = bytes[at] === MINUS;
    if (negative) at++;
    const first = at;
    let value = 0, digit;
    while ((digit = bytes[at] - ZERO) >>> 0 < 10) {
      value = Math.imul(value, 10) + digit | 0;
      at++;
    }
    const digits = at - first;
    if (digit === NEWLINE - ZERO && digits > 0 && digits < 10) {
      const even = value & ((value & 1) - 1); // 0 if the value is odd, without a branch
      small += negative ? -even : even;
    } else {
      at = bytes.indexOf(NEWLINE, at);
      sum += evenOf(textOf(bytes.subarray(begin, at)));
    }
    at++;
    if (small > FULL || small < -FULL) {
      sum += BigInt(small);
      small = 0;
    }
  }
  return sum + BigInt(small);
}

function textOf(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function evenOf(line) {
  const number = BigInt(line);
  return number % 2n === 0n ? number : 0n;
}
