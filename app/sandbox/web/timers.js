// Run timers and microtasks in order, on a clock that only timers advance.
//
// A timer runs while the promise of `process` is pending and no microtask is left; the clock is
// then set to the time at which the timer was due. Waiting takes no time, and the order is exact.
// Nothing that user code can replace is used here: see harness.js, whose intrinsics come as `h`.
((h) => {
  const { apply, floor } = h;
  const MAX_MS = 2 ** 31 - 1;
  const NESTED = 5; // levels; timers nested deeper wait at least 4 ms (HTML 8.6)
  const NESTED_MS = 4;

  // A binary heap, by due time and then by age. Neither heap nor nodes inherit anything.
  const heap = { __proto__: null };
  const byId = { __proto__: null };
  let size = 0;
  let lastId = 0;
  let order = 0;
  let level = 0; // the nesting level of the timer whose callback runs

  const before = (a, b) => a.due < b.due || (a.due === b.due && a.order < b.order);

  const push = (node) => {
    let at = size++;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!before(node, heap[up])) break;
      heap[at] = heap[up];
      at = up;
    }
    heap[at] = node;
  };

  const pop = () => {
    const top = heap[0];
    const node = heap[--size];
    delete heap[size];
    if (size === 0) return top;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= size) break;
      if (down + 1 < size && before(heap[down + 1], heap[down])) down++;
      if (!before(heap[down], node)) break;
      heap[at] = heap[down];
      at = down;
    }
    heap[at] = node;
    return top;
  };

  const schedule = (node) => {
    const delay = node.level > NESTED && node.delay < NESTED_MS ? NESTED_MS : node.delay;
    node.due = h.elapsed() + delay;
    node.order = order++;
    push(node);
  };

  // Converts to WebIDL's long; what is no number becomes 0.
  const toDelay = (value) => {
    const number = value === undefined ? 0 : floor(+value);
    return number > 0 && number <= MAX_MS ? number : 0;
  };

  const start = (name, callback, delay, args, repeats) => {
    if (typeof callback !== "function") {
      throw new h.TypeError(`${name}: the callback is not a function; code from strings is off`);
    }
    const node = {
      __proto__: null, id: ++lastId, callback, args, delay: toDelay(delay), repeats, due: 0,
      order: 0, level: level + 1,
    };
    byId[node.id] = node;
    schedule(node);
    return node.id;
  };

  const clear = (id) => {
    const key = typeof id === "object" || typeof id === "function" ? 0 : +id;
    const node = byId[key];
    if (node === undefined) return;
    delete byId[key];
    node.callback = undefined;
    node.args = undefined;
  };

  // Runs the next timer and returns whether there was one.
  const fire = () => {
    level = 0;
    while (size > 0) {
      const node = pop();
      if (node.callback === undefined) continue; // cleared
      h.moveTo(node.due);
      const { callback, args } = node;
      if (!node.repeats) delete byId[node.id];
      level = node.level;
      try {
        apply(callback, undefined, args);
      } catch (thrown) {
        h.threw(thrown);
      }
      if (node.repeats && node.callback !== undefined) {
        node.level = level + 1;
        schedule(node);
      }
      return true;
    }
    return false;
  };

  const microtask = async (callback) => {
    await undefined;
    try {
      callback();
    } catch (thrown) {
      h.threw(thrown);
    }
  };

  return {
    __proto__: null,
    fire,
    functions: {
      __proto__: null,
      setTimeout: (callback, delay, ...args) => start("setTimeout", callback, delay, args, false),
      clearTimeout: (id) => clear(id),
      setInterval: (callback, delay, ...args) => start("setInterval", callback, delay, args, true),
      clearInterval: (id) => clear(id),
      queueMicrotask: (callback) => {
        if (typeof callback !== "function") {
          throw new h.TypeError("queueMicrotask: the callback is not a function");
        }
        microtask(callback);
      },
    },
    lengths: {
      __proto__: null,
      setTimeout: 1, clearTimeout: 0, setInterval: 1, clearInterval: 0, queueMicrotask: 1,
    },
  };
})
