// The sum of the even numbers of a text that has one on each line, exact whatever their size.
//
// Style `lines`: each chunk is an array of lines, none of them cut. The state is the sum so far.
// Numbers of up to nine digits are added as numbers, longer ones as BigInt. An empty line counts
// as 0, anything else that is no integer is an error.
const ZERO = 48, MINUS = 45, FULL = 2 ** 52;

const start = () => 0n;

function step(sum, lines) {
  let small = 0; // exact below 2 ** 53
  for (const line of lines) {
    const first = line.charCodeAt(0) === MINUS ? 1 : 0;
    let at = first, value = 0;
    while (at < line.length) {
      const digit = line.charCodeAt(at) - ZERO;
      if (digit >>> 0 > 9) break;
      value = Math.imul(value, 10) + digit | 0;
      at++;
    }
    if (at < line.length || at - first > 9 || at === first) sum += evenOf(line);
    else if ((value & 1) === 0) small += first === 1 ? -value : value;
    if (small > FULL || small < -FULL) {
      sum += BigInt(small);
      small = 0;
    }
  }
  return sum + BigInt(small);
}

const merge = (a, b) => a + b;
const finish = (sum) => String(sum);

function evenOf(line) {
  const number = BigInt(line);
  return number % 2n === 0n ? number : 0n;
}
